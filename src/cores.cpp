// SPDX-License-Identifier: BSD-3-Clause
// The environment's cores.
#include <spdk_io/cores.hpp>

#include "env_state.hpp"

#include <spdk/env.h>

namespace spdk_io::inline SPDK_IO_ABI {

core_range::iterator& core_range::iterator::operator++() noexcept {
  core_ = spdk_env_get_next_core(core_);
  return *this;
}

core_range::iterator core_range::begin() const noexcept {
  return detail::env_running() ? iterator(spdk_env_get_first_core()) : end();
}

std::size_t core_range::size() const noexcept {
  return detail::env_running() ? spdk_env_get_core_count() : 0;
}

std::optional<std::uint32_t> current_core() noexcept {
  if (!detail::env_running()) return std::nullopt;
  const std::uint32_t core = spdk_env_get_current_core();
  return core == SPDK_ENV_LCORE_ID_ANY ? std::nullopt : std::optional(core);
}

std::optional<std::uint32_t> first_core() noexcept {
  if (cores().empty()) return std::nullopt;
  return spdk_env_get_first_core();
}

}  // namespace spdk_io::inline SPDK_IO_ABI
