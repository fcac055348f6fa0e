// SPDX-License-Identifier: BSD-3-Clause
// Runtime initialisation on Boost.Asio: as runtime_asio.cpp, with the other header and namespace.
#include "runtime_app.hpp"

#include <spdk_io/adapters/boost_asio.hpp>

#include <boost/asio/detached.hpp>

#include <chrono>
#include <stop_token>

namespace asio = boost::asio;
using namespace std::chrono_literals;

asio::awaitable<void> tick(int& fired) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (;; ++fired) {
    timer.expires_after(1ms);
    co_await timer.async_wait(asio::use_awaitable);
  }
}

// Sockets and timers by use_awaitable, and storage by the same token.
asio::awaitable<sio::result<void>> copy_first_block(const sio::bdev_desc& disk) {
  auto block = sio::dma_buffer::allocate(4096);
  if (!block) co_return std::unexpected(block.error());
  auto r = co_await disk.read(*block, 0).async(asio::use_awaitable);
  if (!r) co_return r;
  co_return co_await disk.write(*block, 4096).async(asio::use_awaitable);
}

int main() {
  auto env = sio::env::start({.name = "boost_asio", .hugepages = false, .pci = false}).value();
  asio::io_context ctx;
  auto thread = sio::thread::attach("worker-0").value();
  int fired = 0;
  asio::co_spawn(ctx, tick(fired), asio::detached);

  // The whole life of a program in one call: runs it, stops the poller task, drains …
  auto r = sio::run_until(ctx, thread, run_app());
  if (!r) return report(r, fired);

  // … or by hand, as any other task of the loop.
  std::stop_source stop;
  asio::co_spawn(ctx,
                 sio::adapters::boost_asio::poller_task(thread, sio::idle::backoff{50us, 1ms},
                                                        stop.get_token()),
                 asio::detached);
  auto disk = sio::bdev_desc::open("disk0").value();
  asio::co_spawn(ctx, copy_first_block(disk), [&](std::exception_ptr, sio::result<void> copied) {
    r = copied;
    stop.request_stop();
    ctx.stop();
  });
  ctx.run();
  return report(r, fired);
}
