// SPDX-License-Identifier: BSD-3-Clause
// What the environment's translation units share: whether it is up and how much memory it has.
#pragma once

#include <cstddef>

namespace spdk_lite {

/// Sets the limit for the memory of spdk_malloc() and friends, in bytes, and whether
/// spdk_vtophys() translates. Memory can be had from then on.
void start_memory(std::size_t limit, bool translate);

/// True once spdk_env_init() has succeeded. It stays true after spdk_env_fini(): what was
/// allocated remains usable until the process ends, as with SPDK.
bool env_is_up();

/// Prints one line to stderr and aborts: for misuse that corrupts memory in SPDK.
[[noreturn]] void die(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace spdk_lite
