// SPDX-License-Identifier: BSD-3-Clause
// Storage as senders: composed with the algorithms of std::execution, started on an SPDK thread.
// Built where there is an implementation of std::execution.
#include <spdk_io/adapters/execution.hpp>
#include <spdk_io/spdk_io.hpp>

#if defined(SPDK_IO_EXECUTION_STDEXEC)
namespace ex = stdexec;
#elif defined(SPDK_IO_EXECUTION_BEMAN)
namespace ex = beman::execution;
#else
namespace ex = std::execution;
#endif

#include <algorithm>
#include <exception>
#include <iostream>
#include <tuple>

namespace sio = spdk_io;
using namespace std::chrono_literals;

struct print {
  void operator()(const sio::error& e) const noexcept { std::cout << e << '\n'; }
  // For algorithms that allow for an exception in any case.
  void operator()(const std::exception_ptr&) const noexcept { std::cout << "an exception\n"; }
};

int main() {
  auto env = sio::env::start({.name = "senders", .hugepages = false, .pci = false}).value();
  auto main_thread = sio::thread::attach("main").value();
  sio::run_until(main_thread, sio::create_bdev(sio::malloc_bdev{.name = "disk0", .size = 1 << 20}))
      .value();
  auto disk = sio::bdev_desc::open("disk0").value();
  auto first = sio::dma_buffer::zeroed(4096).value();
  auto second = sio::dma_buffer::zeroed(4096).value();
  std::ranges::fill(first, std::byte{'a'});

  // An OS thread that runs an SPDK thread; this one, meanwhile, waits.
  auto worker = sio::thread::spawn("worker").value();

  // [pipeline]
  // Nothing happens before it is started; then it is the worker's channel that is used.
  auto copy = ex::starts_on(sio::scheduler(worker.ref()), disk.write(first, 0)) |
              ex::let_value([&]() noexcept { return disk.read(second, 0); }) |
              ex::then([&]() noexcept { return std::ranges::equal(first, second); });
  auto [same] = ex::sync_wait(std::move(copy)).value();
  std::cout << "the same: " << std::boolalpha << same << '\n';
  // [/pipeline]

  // [errors]
  // An error is the library's, as it is, wherever it happened.
  ex::sync_wait(ex::starts_on(sio::scheduler(worker.ref()), disk.read(first, 1 << 30)) |
                ex::upon_error(print()));
  // [/errors]

  // [all]
  // Together: the first failure stops the others, and is the result once they have ended.
  auto all = ex::when_all(disk.read(first, 0), disk.read(second, 1), sio::sleep_for(1h));
  ex::sync_wait(ex::starts_on(sio::scheduler(worker.ref()), std::move(all)) |
                ex::upon_error(print()));
  // [/all]
}
