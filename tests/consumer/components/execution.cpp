// SPDX-License-Identifier: BSD-3-Clause
// A program with senders, in the words of whichever std::execution there is, that calls SPDK's C
// API beside the library.
#include <spdk_io/adapters/execution.hpp>
#include <spdk_io/spdk_io.hpp>

#include <spdk/bdev.h>
#include <spdk/version.h>

#include <iostream>

namespace sio = spdk_io;
namespace words = sio::adapters::execution::vocabulary;

namespace {

struct receiver {
  using receiver_concept = words::receiver_tag;
  bool* done;
  void set_value() noexcept { *done = true; }
  void set_error(const sio::error& e) noexcept {
    std::cout << e << '\n';
    *done = true;
  }
  void set_stopped() noexcept { *done = true; }
};

}  // namespace

int main() {
  auto env = sio::env::start({.name = "consumer", .hugepages = false, .pci = false}).value();
  auto thread = sio::thread::attach("main").value();
  sio::run_until(thread, sio::create_bdev(sio::null_bdev{.name = "nothing", .size = 1 << 20}))
      .value();
  auto disk = sio::bdev_desc::open("nothing").value();
  auto buffer = sio::dma_buffer::zeroed(4096).value();
  bool done = false;
  auto reading = words::connect(disk.read(buffer, 0), receiver{&done});
  words::start(reading);
  while (!done) thread.poll();
  std::cout << spdk_bdev_get_product_name(sio::bdev::find("nothing").value().native_handle())
            << '\n'
            << SPDK_VERSION_STRING << "\nprovider: " << sio::provider_name() << '\n';
}
