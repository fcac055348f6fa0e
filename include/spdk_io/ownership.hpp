// SPDX-License-Identifier: BSD-3-Clause
// Who gives back what from_native() takes: for programs that move over from SPDK's C API bit by
// bit.
#pragma once

#include <spdk_io/abi.hpp>

#include <cstdint>

namespace spdk_io::inline SPDK_IO_ABI {

enum class ownership : std::uint8_t {
  adopt,   // the library gives it back (closes, puts, exits) when its last handle is dropped
  borrow,  // the program does, as it always did; the library only uses it meanwhile
};

}  // namespace spdk_io::inline SPDK_IO_ABI
