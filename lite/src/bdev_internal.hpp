// SPDX-License-Identifier: BSD-3-Clause
// What the sources of the block device layer share: its channels, descriptors and the steps
// of an I/O. Modules see bdev_module.hpp only.
#pragma once

#include "bdev_module.hpp"
#include "buffer_pool.hpp"
#include "spdk/thread.h"

#include <cstdint>
#include <mutex>

struct spdk_bdev_desc {
  spdk_bdev* bdev = nullptr;
  spdk_thread* thread = nullptr;
  spdk_bdev_event_cb_t event_cb = nullptr;
  void* event_arg = nullptr;
  spdk_bdev_desc* next = nullptr;  ///< of the same device; guarded by the device's mutex
  bool write = false;

  std::mutex mutex;
  unsigned events_under_way = 0;
  bool closed = false;
};

namespace spdk_lite {

struct mgmt_channel;

/// One per thread and channel of a module, which several devices may share: I/O that the
/// module had no resources for waits here.
struct shared_resource {
  mgmt_channel* mgmt = nullptr;
  spdk_io_channel* module_channel = nullptr;
  std::uint32_t refs = 0;
  std::uint64_t io_outstanding = 0;
  std::uint64_t nomem_threshold = 0;
  bool nomem_abort_in_progress = false;
  bdev_io_queue nomem_io;
  spdk_poller* nomem_poller = nullptr;
  tail_link<shared_resource> link{};
};

/// One per thread: the cache of I/O objects and those who wait for one.
struct mgmt_channel {
  bdev_io_queue cache;
  std::uint32_t cache_count = 0;
  std::uint32_t cache_size = 0;
  TAILQ_HEAD(, spdk_bdev_io_wait_entry) waiting;
  tail_queue<shared_resource, &shared_resource::link> resources;
  buffer_channel buffers;
};

/// One per thread and device: the context of the spdk_io_channel that users hold.
struct bdev_channel {
  spdk_bdev* bdev = nullptr;
  spdk_io_channel* module_channel = nullptr;
  shared_resource* shared = nullptr;
  std::uint64_t io_outstanding = 0;
  bool reset_in_progress = false;
  tail_queue<spdk_bdev_io, &spdk_bdev_io::submitted_link> submitted;
};

inline bdev_channel* to_bdev_channel(spdk_io_channel* ch) {
  return static_cast<bdev_channel*>(spdk_io_channel_get_ctx(ch));
}

// bdev_channel.cpp
inline constexpr std::size_t zero_buffer_size = 1024 * 1024;
void* zero_buffer();
int bdev_channel_create(void* io_device, void* ctx);
void bdev_channel_destroy(void* io_device, void* ctx);
spdk_bdev_io* channel_get_io(bdev_channel* ch);

// bdev_registry.cpp
void unregister_all_bdevs(void (*done)(void*), void* arg);
void bdev_destroy(void* io_device);

// bdev_submit.cpp
void bdev_io_init(spdk_bdev_io* io, spdk_bdev_desc* desc, bdev_channel* ch, spdk_bdev_io_type type,
                  spdk_bdev_io_completion_cb cb, void* cb_arg);
void bdev_io_submit(spdk_bdev_io* io);
/// The end of an I/O that has its final status, split or not; later if inside a submission.
void bdev_io_deliver(void* io);
void bdev_io_put_buf(spdk_bdev_io* io);
/// Queues the I/O itself for another attempt once an I/O object is to be had.
void bdev_io_wait(spdk_bdev_io* io, spdk_bdev_io_wait_cb cb);
bool abort_queued_io(spdk_bdev_io* target);
spdk_bdev_io* abort_waiting_for_buffer(mgmt_channel* mgmt, void* cb_arg);
void abort_queued_ios(bdev_channel* ch);
void call_back(spdk_bdev_io* io);

// bdev_split.cpp
bool bdev_io_should_split(const spdk_bdev_io* io);
void bdev_io_split(spdk_bdev_io* io);
void bdev_split_child_done(spdk_bdev_io* child, bool success, void* parent);

// bdev_reset.cpp
void bdev_reset_finish(spdk_bdev_io* io);

}  // namespace spdk_lite
