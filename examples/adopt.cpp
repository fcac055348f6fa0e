// A program that was written with SPDK's C API, and moves over bit by bit: its thread, its device,
// its memory. It starts SPDK, and ends it, as it always did.
#include <spdk_io/spdk_io.hpp>

#include <spdk/bdev.h>
#include <spdk/env.h>
#include <spdk/init.h>
#include <spdk/log.h>
#include <spdk/rpc.h>
#include <spdk/thread.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>

namespace sio = spdk_io;

// --- the old program: callbacks ---

struct old_program {
  spdk_thread* thread = nullptr;
  spdk_bdev_desc* desc = nullptr;
  spdk_io_channel* channel = nullptr;
  void* buffer = nullptr;
  int writes_left = 0;

  void poll() { spdk_thread_poll(thread, 0, 0); }
  void next_write();
  static void written(spdk_bdev_io* io, bool success, void* context);
};

void check(bool fine, const char* what) {
  if (fine) return;
  std::fprintf(stderr, "%s failed\n", what);
  std::abort();
}

void old_program::written(spdk_bdev_io* io, bool success, void* context) {
  auto& self = *static_cast<old_program*>(context);
  check(success, "a write of the old program");
  spdk_bdev_free_io(io);
  if (--self.writes_left > 0) self.next_write();
}

void old_program::next_write() {
  const auto offset = static_cast<std::uint64_t>(writes_left) * 4096;
  check(spdk_bdev_write(desc, channel, buffer, offset, 4096, written, this) == 0, "submission");
}

void start(old_program& old) {
  spdk_env_opts opts = {};
  opts.opts_size = sizeof(opts);
  spdk_env_opts_init(&opts);
  opts.name = "old";
  opts.mem_size = 512;
  opts.no_huge = true;
  opts.no_pci = true;
  spdk_log_set_print_level(SPDK_LOG_ERROR);
  check(spdk_env_init(&opts) == 0, "spdk_env_init()");
  check(spdk_thread_lib_init(nullptr, 0) == 0, "spdk_thread_lib_init()");
  old.thread = spdk_thread_create("old", nullptr);
  spdk_set_thread(old.thread);
  int result = 1;
  spdk_subsystem_init([](int rc, void* out) { *static_cast<int*>(out) = rc; }, &result);
  while (result == 1) old.poll();
  check(result == 0, "spdk_subsystem_init()");
  spdk_rpc_set_state(SPDK_RPC_RUNTIME);
}

void on_event(spdk_bdev_event_type, spdk_bdev*, void*) {}

void open(old_program& old, const char* device) {
  check(spdk_bdev_open_ext(device, true, on_event, &old, &old.desc) == 0, "spdk_bdev_open_ext()");
  old.channel = spdk_bdev_get_io_channel(old.desc);
  old.buffer = spdk_dma_zmalloc(4096, 4096, nullptr);
}

void stop(old_program& old) {
  bool done = false;
  spdk_subsystem_fini([](void* flag) { *static_cast<bool*>(flag) = true; }, &done);
  while (!done) old.poll();
  spdk_thread_exit(old.thread);
  while (!spdk_thread_is_exited(old.thread)) old.poll();
  spdk_thread_destroy(old.thread);
  spdk_thread_lib_fini();
  spdk_env_fini();
}

// --- what is new: coroutines ---

// [coroutine]
// New code, beside the callbacks of the old: on the same descriptor, at the same time.
sio::task<sio::result<void>> check_blocks(sio::bdev_desc disk, int blocks) {
  auto buffer = sio::dma_buffer::allocate(4096);
  if (!buffer) co_return std::unexpected(buffer.error());
  for (int block = 0; block < blocks; ++block) {
    const auto offset = static_cast<std::uint64_t>(block) * 4096;
    if (auto r = co_await disk.read(*buffer, offset); !r) co_return r;
  }
  co_return sio::result<void>();
}
// [/coroutine]

// [step]
// One step of the way: the old program keeps its thread, and lends it; its device, with the
// channel and the memory, goes over for good.
sio::result<void> step(old_program& old) {
  auto thread = sio::thread::from_native(old.thread, sio::ownership::borrow);
  if (!thread) return std::unexpected(thread.error());
  auto disk = sio::bdev_desc::from_native(old.desc, sio::ownership::adopt);
  if (!disk) return std::unexpected(disk.error());
  auto channel = sio::io_channel::from_native(*disk, old.channel, sio::ownership::adopt);
  if (!channel) return std::unexpected(channel.error());
  auto memory = sio::dma_buffer::from_native(old.buffer, 4096);

  old.writes_left = 16;
  old.next_write();  // callbacks go on by themselves, while the thread is polled
  auto checked = sio::block_on(*thread, check_blocks(*disk, 16));
  while (old.writes_left > 0) thread->poll();
  if (!checked) return checked;

  auto counted = sio::block_on(*thread, sio::device_statistics(*disk));
  if (!counted) return std::unexpected(counted.error());
  std::cout << counted->write.bytes << " bytes written, by callbacks\n"
            << (counted->read.bytes >= 65536 ? "as many read" : "fewer read")
            << ", by a coroutine\n";
  return {};  // the device is closed, its channel put, the memory freed; the thread goes on
}
// [/step]

int main() {
  old_program old;
  start(old);
  {
    // The device to work on; an old program would have it from its configuration.
    auto thread = sio::thread::from_native(old.thread, sio::ownership::borrow).value();
    sio::block_on(thread, sio::create_bdev(sio::malloc_bdev{
                              .name = "disk0", .size = 1 << 20, .block_size = 4096}))
        .value();
  }
  open(old, "disk0");
  auto r = step(old);
  if (!r) std::cerr << r.error() << '\n';
  stop(old);
  return r ? 0 : 1;
}
