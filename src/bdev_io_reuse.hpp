// SPDX-License-Identifier: BSD-3-Clause
// A bdev_io of SPDK is large, and one that is about to be freed and taken again has left the first
// level cache while the others of its batch completed.
#pragma once

#include <spdk_io/abi.hpp>

#include <spdk/bdev_module.h>

namespace spdk_io::inline SPDK_IO_ABI::detail {

// Asks for the lines that spdk_bdev_free_io() and the next submission touch first. A hint: `io` may
// be any address. Nothing where the provider does not show what a bdev_io is.
template <class Io>
[[gnu::always_inline]] inline void prefetch_for_reuse(const Io* io) noexcept {
  if constexpr (requires { &io->internal.buf_link; }) {
    __builtin_prefetch(&io->internal.ch, 1);
    __builtin_prefetch(&io->internal.buf_link, 1);
    __builtin_prefetch(&io->u, 1);
    __builtin_prefetch(&io->bdev, 1);
  }
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
