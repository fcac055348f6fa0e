// SPDX-License-Identifier: BSD-3-Clause
// What is under way on a thread, to be looked at when something hangs.
#pragma once

#include <spdk_io/error.hpp>

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>

namespace spdk_io::inline SPDK_IO_ABI {

enum class operation_state : std::uint8_t {
  waiting_for_memory,  // SPDK has no bdev_io for it, or others wait before it
  in_flight,           // at SPDK
  completed,           // whoever awaits it has not been resumed yet
  held,                // a zcopy_buffer that the program holds
};

// One I/O, as thread::operations() lists it: a copy, valid whatever becomes of it.
struct operation_info {
  operation_kind kind = operation_kind::none;
  operation_state state = operation_state::in_flight;
  std::string_view device;   // lives as long as the process
  std::uint64_t offset = 0;  // bytes
  std::uint64_t length = 0;  // bytes
  std::uint64_t source = 0;  // bytes; of a copy: where it reads

  // "read of 4096 bytes at 0 from Nvme0n1", without the state.
  std::string what() const;
  // "read of 4096 bytes at 0 from Nvme0n1 (in flight)"
  std::string message() const;
  friend std::ostream& operator<<(std::ostream& out, const operation_info& o);
  friend bool operator==(const operation_info&, const operation_info&) = default;
};

std::string_view to_string(operation_state state) noexcept;

}  // namespace spdk_io::inline SPDK_IO_ABI
