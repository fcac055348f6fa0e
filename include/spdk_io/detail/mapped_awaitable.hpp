// SPDX-License-Identifier: BSD-3-Clause
// An awaitable with something done to its result. Nothing is allocated, and the coroutine that
// awaits, with its stop token, is the one that awaits the inner one.
#pragma once

#include <spdk_io/awaitable.hpp>

#include <coroutine>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI::detail {

// `Map` has skip(), true if the inner one is not awaited, and operator()(its result), or
// operator()() where it was skipped.
template <class Awaiter, class Map>
struct mapped_awaiter {
  Awaiter awaiter;
  Map map;
  bool skipped = false;

  bool await_ready() {
    skipped = map.skip();
    return skipped || awaiter.await_ready();
  }
  template <class Promise>
  auto await_suspend(std::coroutine_handle<Promise> waiting) {
    return awaiter.await_suspend(waiting);
  }
  auto await_resume() { return skipped ? map() : map(awaiter.await_resume()); }
};

template <class A, class Map>
class [[nodiscard]] mapped_awaitable {
 public:
  mapped_awaitable(A&& what, Map map) : what_(std::move(what)), map_(map) {}

  auto operator co_await() && {
    return mapped_awaiter<decltype(get_awaiter(std::move(what_))), Map>{
        get_awaiter(std::move(what_)), map_};
  }

 private:
  A what_;
  Map map_;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
