// SPDX-License-Identifier: BSD-3-Clause
// A program on GLib that calls SPDK's C API beside the library.
#include <spdk_io/adapters/glib.hpp>
#include <spdk_io/spdk_io.hpp>

#include <spdk/bdev.h>
#include <spdk/version.h>

#include <iostream>

namespace sio = spdk_io;

namespace {

sio::task<sio::result<void>> app() {
  auto made = co_await sio::create_bdev(sio::null_bdev{.name = "nothing", .size = 1 << 20});
  if (!made) co_return std::unexpected(made.error());
  auto found = sio::bdev::find("nothing");
  if (!found) co_return std::unexpected(found.error());
  std::cout << spdk_bdev_get_product_name(found->native_handle()) << '\n';
  co_return sio::result<void>();
}

}  // namespace

int main() {
  auto env = sio::env::start({.name = "consumer", .hugepages = false, .pci = false}).value();
  auto thread = sio::thread::attach("main").value();
  GMainLoop* loop = g_main_loop_new(nullptr, FALSE);
  auto r = sio::run_until(loop, thread, app());
  g_main_loop_unref(loop);
  if (!r) std::cout << r.error() << '\n';
  std::cout << SPDK_VERSION_STRING << "\nprovider: " << sio::provider_name() << '\n';
  return r ? 0 : 1;
}
