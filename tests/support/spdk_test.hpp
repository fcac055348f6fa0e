// SPDX-License-Identifier: BSD-3-Clause
// What tests share: one environment for the process, the attached first thread, and polling by
// hand. A test never sleeps and never looks at a clock: it polls until something is so.
#pragma once

#include <spdk_io/spdk_io.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace spdk_io_test {

namespace sio = spdk_io;

// The process's environment and first thread, attached to the OS thread of main(). Started by
// tests/support/main.cpp before the first test; SPDK cannot be started twice.
sio::thread& main_thread();

// Polls until `done()`; a test that would poll for ever is ended by ctest's timeout.
template <class Done>
void poll_until(Done done) {
  while (!done()) main_thread().poll();
}

// Runs an awaitable on the first thread; the usual way into a coroutine in a test.
template <class A>
auto run(A&& what) {
  return sio::block_on(main_thread(), std::forward<A>(what));
}

// The value of a result, or a failed test with its message.
template <class T>
T must(sio::result<T> r) {
  if (!r) {
    ADD_FAILURE() << r.error();
    throw std::bad_expected_access<sio::error>(r.error());
  }
  if constexpr (!std::is_void_v<T>) return std::move(*r);
}

bool on_spdk();  // the provider is SPDK itself, not lite

// A malloc or null device for one test, deleted (after its handles) by the caller or at the end
// of the process.
sio::bdev_desc open_malloc(std::string_view name, std::uint64_t size = 1 << 20,
                           std::uint32_t block_size = 512);
sio::bdev_desc open_null(std::string_view name, std::uint64_t size = 1 << 30,
                         std::uint32_t block_size = 512);
// Holds all I/O for an hour; on a malloc device, "base".
sio::bdev_desc open_delay(std::string_view name = "d0");

}  // namespace spdk_io_test
