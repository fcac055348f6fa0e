// SPDX-License-Identifier: BSD-3-Clause
// Registration of memory with SPDK.
#include <spdk_io/registered_memory.hpp>

#include "concat.hpp"
#include "env_state.hpp"

#include <spdk/env.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

constexpr std::size_t small_page = 4096;
constexpr std::size_t large_page = std::size_t{2} << 20;

std::unexpected<error> refuse(std::errc code, std::string_view what, std::string_view why) {
  return std::unexpected(
      error(code, operation_kind::register_memory, detail::concat(what, " with SPDK: ", why)));
}

std::string registration_of(std::size_t bytes) {
  return detail::concat("registration of ", bytes, " bytes of memory");
}

std::string why_not(std::span<std::byte> memory, int rc) {
  if (rc == -EBUSY) return "part of it is registered already, or is SPDK's own";
  if (rc != -EINVAL) return std::strerror(-rc);
  const std::size_t unit = registered_memory::alignment();
  const auto at = reinterpret_cast<std::uintptr_t>(memory.data());
  if (at % unit != 0) {
    return detail::concat("its start is not a multiple of ", unit, " (",
                          unit == small_page ? "map it with mmap()" : "map it with MAP_HUGETLB",
                          ")");
  }
  if (memory.size() % unit != 0) return detail::concat("its size is not a multiple of ", unit);
  return "SPDK takes no memory at this address";
}

}  // namespace

// The size of nothing is aligned, so only the address decides: SPDK refuses it, or does nothing.
std::size_t registered_memory::alignment() noexcept {
  static const std::size_t unit =
      spdk_mem_register(reinterpret_cast<void*>(small_page), 0) == 0 ? small_page : large_page;
  return unit;
}

result<registered_memory> registered_memory::over(std::span<std::byte> memory) {
  const std::string what = registration_of(memory.size());
  // SPDK has no table to write to before its environment is up, nor after.
  if (!detail::env_running()) {
    return refuse(std::errc::operation_not_permitted, what,
                  "no environment (call spdk_io::env::start() first and keep it)");
  }
  if (memory.empty()) return refuse(std::errc::invalid_argument, what, "the size is zero");
  if (int rc = spdk_mem_register(memory.data(), memory.size()); rc != 0) {
    return refuse(std::errc{-rc}, what, why_not(memory, rc));
  }
  return registered_memory(memory);
}

result<void> registered_memory::unregister() {
  const auto memory = std::exchange(memory_, {});
  if (memory.empty() || !detail::env_running()) return {};
  int rc = spdk_mem_unregister(memory.data(), memory.size());
  if (rc == 0) return {};
  return refuse(std::errc{-rc}, "the end of the " + registration_of(memory.size()),
                rc == -EINVAL || rc == -ERANGE ? "somebody else has unregistered it, or part of it"
                                               : std::strerror(-rc));
}

registered_memory::~registered_memory() {
  if (auto done = unregister(); !done) {
    std::fprintf(stderr, "spdk-io: %s\n", done.error().message().c_str());
  }
}

}  // namespace spdk_io::inline SPDK_IO_ABI
