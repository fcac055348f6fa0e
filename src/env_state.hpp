// SPDX-License-Identifier: BSD-3-Clause
// What the rest of the library asks the environment, and tells it.
#pragma once

#include <spdk_io/error.hpp>

#include <string>
#include <string_view>

namespace spdk_io::inline SPDK_IO_ABI::detail {

enum class env_phase {
  fresh,
  running,    // started by env::start()
  framework,  // started by app::run()
  foreign,    // started by code of the program's own, whose threads this library has taken
  ended,
};

bool env_running() noexcept;

// Started by others than env::start(): they, or the framework, start and stop the subsystems.
bool env_is_foreign() noexcept;

// Takes the one start that a process has. Error: why it cannot be, without a subject.
result<void> claim_env(env_phase as);

// After a start that failed before SPDK took anything (`as` is then fresh), or the end.
void release_env(env_phase as) noexcept;

// Error: `mask` is none, where an empty one is; for `whose` options.
result<void> check_core_mask(const std::string& mask, std::string_view whose);

// A thread of the program's own was taken, so there is an environment.
void note_foreign_env() noexcept;

// The environment ends: forget the state of SPDK's subsystems.
void subsystems_stopped() noexcept;

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
