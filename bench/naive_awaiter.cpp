// SPDX-License-Identifier: BSD-3-Clause
// For comparison, what most wrap callbacks with at first: each await allocates a completion, and
// the callback resumes the coroutine from inside SPDK. Nothing is safe about it: not destruction,
// not cancellation, not a failed submission.
#include "io_candidates.hpp"

#include <spdk/bdev.h>
#include <spdk/thread.h>

#include <coroutine>
#include <exception>
#include <memory>

namespace bench {
namespace {

struct completion {
  std::coroutine_handle<> waiting;
  bool success = false;
};

struct naive_device {
  spdk_bdev_desc* desc;
  spdk_io_channel* channel;
  void* buffer;
};

class naive_read {
 public:
  naive_read(naive_device& device, std::uint64_t offset)
      : completion_(std::make_unique<completion>()), device_(device), offset_(offset) {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> waiting) {
    completion_->waiting = waiting;
    return spdk_bdev_read(device_.desc, device_.channel, device_.buffer, offset_, io_world::io_size,
                          on_read, completion_.get()) == 0;
  }
  bool await_resume() const noexcept { return completion_->success; }

 private:
  static void on_read(spdk_bdev_io* io, bool success, void* argument) {
    spdk_bdev_free_io(io);
    auto& done = *static_cast<completion*>(argument);
    done.success = success;
    done.waiting.resume();
  }

  std::unique_ptr<completion> completion_;
  naive_device& device_;
  std::uint64_t offset_;
};

struct fire_and_forget {
  struct promise_type {
    fire_and_forget get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }
  };
};

fire_and_forget reads(naive_device& device, io_load& load, std::uint32_t& running) {
  std::uint64_t offset = 0;
  while (load.take(offset)) {
    const bool success = co_await naive_read(device, offset);
    if (!success) load.failed();
  }
  --running;
}

}  // namespace

void naive_awaiter(io_world& world, io_run run) {
  io_load load(world, run.count);
  naive_device device{world.disk().native_handle(), world.channel().native_handle(),
                      world.buffer().data()};
  std::uint32_t running = run.depth;
  for (std::uint32_t i = 0; i < run.depth; ++i) reads(device, load, running);
  while (running > 0) spdk_thread_poll(world.thread().native_handle(), 0, 0);
  load.check();
}

}  // namespace bench
