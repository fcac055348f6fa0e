// SPDX-License-Identifier: BSD-3-Clause
// Runtime initialisation on GLib: SPDK is one more source of the main loop, beside a timeout of the
// application. With GTK the loop is there already.
#include "runtime_app.hpp"

#include <spdk_io/adapters/glib.hpp>

int main() {
  auto env = sio::env::start({.name = "glib", .hugepages = false, .pci = false}).value();
  // [run]
  GMainLoop* loop = g_main_loop_new(nullptr, FALSE);
  auto thread = sio::thread::attach("worker-0").value();
  // [/run]
  int fired = 0;
  g_timeout_add(
      1,
      [](void* count) -> gboolean {
        ++*static_cast<int*>(count);
        return G_SOURCE_CONTINUE;
      },
      &fired);

  // [run]
  // The whole life of a program in one call: runs it, stops the poller task, drains …
  auto r = sio::run_until(loop, thread, run_app());
  // [/run]

  // … or by hand, as any other source of the loop.
  auto polling = sio::poller_task(thread, loop).value();
  auto disk = sio::bdev_desc::open("disk0").value();
  auto block = sio::dma_buffer::allocate(4096).value();
  sio::start(disk.read(block, 0), [&](sio::result<void> done) {
    r = done;
    g_main_loop_quit(loop);
  });
  g_main_loop_run(loop);
  sio::adapters::glib::rethrow(g_main_loop_get_context(loop));  // what a callback has thrown
  polling.stop();
  g_main_loop_unref(loop);
  return report(r, fired);
}
