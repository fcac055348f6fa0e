// SPDX-License-Identifier: BSD-3-Clause
// What the sources of the block device layer share: its channels, descriptors and the steps
// of an I/O. Modules see bdev_module.hpp only.
#pragma once

#include "bdev_module.hpp"
#include "buffer_pool.hpp"
#include "spdk/histogram_data.h"
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
  bool hide_metadata = false;  ///< of a device without any

  std::mutex mutex;
  unsigned references = 0;  ///< events under way, and walks over the channels
  bool closed = false;

  spdk_bdev_io_timeout_cb timeout_cb = nullptr;
  void* timeout_arg = nullptr;
  std::uint64_t timeout_s = 0;
  spdk_poller* timeout_poller = nullptr;
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

/// A channel's copy of a range that is locked.
struct channel_range {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  spdk_bdev_io* owner = nullptr;
  bdev_channel* owner_ch = nullptr;  ///< set once the lock is held
  tail_link<channel_range> link{};
};

/// One per thread and device: the context of the spdk_io_channel that users hold.
struct bdev_channel {
  using submitted_queue = tail_queue<spdk_bdev_io, &spdk_bdev_io::submitted_link>;

  spdk_bdev* bdev = nullptr;
  spdk_io_channel* module_channel = nullptr;
  spdk_io_channel* accel_channel = nullptr;
  shared_resource* shared = nullptr;
  std::uint64_t io_outstanding = 0;
  bool held_up = false;  ///< reset_in_progress or rate_limited
  bool reset_in_progress = false;
  bool rate_limited = false;
  submitted_queue submitted;
  submitted_queue locked_out;  ///< they write what is locked, and are not submitted yet
  tail_queue<channel_range, &channel_range::link> locked_ranges;
  bdev_io_queue rate_queue;
  spdk_bdev_io_stat stat{};
  spdk_histogram_data* histogram = nullptr;

  void set_reset_in_progress(bool on) {
    reset_in_progress = on;
    held_up = reset_in_progress || rate_limited;
  }
  void set_rate_limited(bool on) {
    rate_limited = on;
    held_up = reset_in_progress || rate_limited;
  }
};

inline bdev_channel* to_bdev_channel(spdk_io_channel* ch) {
  return static_cast<bdev_channel*>(spdk_io_channel_get_ctx(ch));
}

/// The size of a block's part of a buffer.
inline std::uint32_t desc_block_size(const spdk_bdev_desc* desc) { return desc->bdev->block_len; }

// bdev_channel.cpp
inline constexpr std::size_t zero_buffer_size = 1024 * 1024;
void* zero_buffer();
int bdev_channel_create(void* io_device, void* ctx);
void bdev_channel_destroy(void* io_device, void* ctx);
spdk_bdev_io* channel_get_io(bdev_channel* ch);

// bdev_registry.cpp
void unregister_all_bdevs(void (*done)(void*), void* arg);
void bdev_destroy(void* io_device);
void bdev_continue_removal(void* bdev);
/// For what a removal waited for.
void bdev_remove_if_unused(spdk_bdev* bdev);
/// A descriptor that something under way refers to outlives its close.
void desc_hold(spdk_bdev_desc* desc);
void desc_release(spdk_bdev_desc* desc);

// bdev_open_async.cpp
void cancel_async_opens();

// bdev_submit.cpp
void bdev_io_init(spdk_bdev_io* io, spdk_bdev_desc* desc, bdev_channel* ch, spdk_bdev_io_type type,
                  spdk_bdev_io_completion_cb cb, void* cb_arg);
void bdev_io_submit(spdk_bdev_io* io);
/// The end of an I/O that has its final status, split or not; later if inside a submission.
void bdev_io_deliver(void* io);
void bdev_io_put_buf(spdk_bdev_io* io);
/// Queues the I/O itself for another attempt once an I/O object is to be had.
void bdev_io_wait(spdk_bdev_io* io, spdk_bdev_io_wait_cb cb);
bool abort_in_queue(bdev_io_queue& queue, spdk_bdev_io* target);
bool abort_queued_io(spdk_bdev_io* target);
spdk_bdev_io* abort_waiting_for_buffer(mgmt_channel* mgmt, void* cb_arg);
void abort_queued_ios(bdev_channel* ch);
void abort_rate_queue(bdev_channel* ch);
void call_back(spdk_bdev_io* io);
/// For an I/O that never got into the channel's list.
void bdev_io_deliver_unsubmitted(spdk_bdev_io* io, io_status status);
/// Past locks and splitting: aborted, held back by a rate limit, or to the module.
void bdev_io_submit_unheld(spdk_bdev_io* io);
void submit_to_module(spdk_bdev_io* io);
void complete_in_submit(spdk_bdev_io* io, io_status status);

// bdev_split.cpp
bool bdev_io_should_split(const spdk_bdev_io* io);
void bdev_io_split(spdk_bdev_io* io);
void bdev_split_child_done(spdk_bdev_io* child, bool success, void* parent);

// bdev_io.cpp
int bdev_readv(spdk_bdev_desc* desc, spdk_io_channel* ch, iovec* iov, int iovcnt, void* md,
               std::uint64_t offset_blocks, std::uint64_t num_blocks, spdk_bdev_io_completion_cb cb,
               void* cb_arg);
int bdev_writev(spdk_bdev_desc* desc, spdk_io_channel* ch, iovec* iov, int iovcnt, void* md,
                std::uint64_t offset_blocks, std::uint64_t num_blocks,
                spdk_bdev_io_completion_cb cb, void* cb_arg);

// bdev_lock.cpp
bool bdev_io_is_locked_out(const spdk_bdev_io* io);
/// Calls back when no other I/O on the range is in flight on any channel, and none will be
/// submitted, but by I/O with the owner as its callback argument.
void bdev_lock_range(spdk_bdev_io* owner, void (*locked)(spdk_bdev_io* owner));
void bdev_unlock_range(spdk_bdev_io* owner, void (*unlocked)(spdk_bdev_io* owner));
/// For a new channel: what is locked already. Requires: the device is locked.
void inherit_locked_ranges(bdev_channel* ch);
void drop_locked_ranges(bdev_channel* ch);

// bdev_stat.cpp
void stat_reset(spdk_bdev_io_stat& stat, spdk_bdev_reset_stat_mode mode);
void stat_add(spdk_bdev_io_stat& total, const spdk_bdev_io_stat& add);
void stat_count(spdk_bdev_io* io, std::uint64_t ticks);

// bdev_histogram.cpp
void histogram_for_new_channel(bdev_channel* ch);

// bdev_qos.cpp. Those that end in _locked need the device to be locked.
void qos_submit(spdk_bdev_io* io);
void qos_enable_channel_locked(bdev_channel* ch);
void qos_start_locked(spdk_bdev* bdev);
void qos_stop_locked(spdk_bdev* bdev);
void qos_stop_unused_locked(spdk_bdev* bdev);
void qos_free(spdk_bdev* bdev);

// bdev_reset.cpp
void bdev_reset_finish(spdk_bdev_io* io);

}  // namespace spdk_lite
