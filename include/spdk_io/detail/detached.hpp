// SPDX-License-Identifier: BSD-3-Clause
// A coroutine that nobody awaits: it starts at once and frees itself at its end.
#pragma once

#include <spdk_io/detail/fatal.hpp>

#include <coroutine>

namespace spdk_io::inline SPDK_IO_ABI::detail {

struct detached {
  struct promise_type {
    detached get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { fatal_exception("a detached coroutine"); }
  };
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
