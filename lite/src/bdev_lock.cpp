// SPDX-License-Identifier: BSD-3-Clause
// Locks on ranges of blocks, which make compare and write one operation where the module has
// none. Each channel gets a copy of a locked range: the lock is held once all channels have
// it and no write to it is left in flight; later ones wait in their channel until it goes.
#include "bdev_internal.hpp"

#include <cassert>
#include <utility>

namespace spdk_lite {
namespace {

constexpr std::uint64_t recheck_us = 100;

using range_list = decltype(bdev_channel::locked_ranges);
using lock_list = decltype(spdk_bdev::locked_ranges);

bool overlap(std::uint64_t offset1, std::uint64_t length1, std::uint64_t offset2,
             std::uint64_t length2) {
  return length1 != 0 && length2 != 0 && offset1 < offset2 + length2 && offset2 < offset1 + length1;
}

bool overlaps_any(const range_lock& lock, const lock_list& locks) {
  for (const range_lock* it = locks.front(); it != nullptr; it = lock_list::next(it)) {
    if (overlap(lock.offset, lock.length, it->offset, it->length)) {
      return true;
    }
  }
  return false;
}

bool writes(spdk_bdev_io_type type) {
  switch (type) {
    case SPDK_BDEV_IO_TYPE_WRITE:
    case SPDK_BDEV_IO_TYPE_WRITE_UNCORRECTABLE:
    case SPDK_BDEV_IO_TYPE_UNMAP:
    case SPDK_BDEV_IO_TYPE_WRITE_ZEROES:
    case SPDK_BDEV_IO_TYPE_ZCOPY:
    case SPDK_BDEV_IO_TYPE_COPY: return true;
    default: return false;
  }
}

bool is_locked_out(const spdk_bdev_io* io, const channel_range& range) {
  return writes(io->type) &&
         overlap(range.offset, range.length, io->offset_blocks, io->num_blocks) &&
         !(range.owner_ch == io->ch && range.owner == io->cb_arg);
}

bool same(const channel_range& range, const range_lock& lock) {
  return range.offset == lock.offset && range.length == lock.length && range.owner == lock.owner;
}

channel_range* find(const bdev_channel* ch, const range_lock& lock) {
  channel_range* range = ch->locked_ranges.front();
  while (range != nullptr && !same(*range, lock)) {
    range = range_list::next(range);
  }
  return range;
}

// --- locking ---

int check_in_flight(void* arg) {
  auto* lock = static_cast<range_lock*>(arg);
  spdk_io_channel* io_ch = spdk_io_channel_iter_get_channel(lock->walk);
  const bdev_channel* ch = to_bdev_channel(io_ch);
  using queue = bdev_channel::submitted_queue;
  spdk_poller_unregister(&lock->poller);
  for (spdk_bdev_io* io = ch->submitted.front(); io != nullptr; io = queue::next(io)) {
    if (!is_locked_out(io, *lock->current)) {
      continue;
    }
    if (lock->channel_ref == nullptr) {
      lock->channel_ref = spdk_io_channel_ref(io_ch);  // must not go under the poller
    }
    lock->poller = spdk_poller_register(check_in_flight, lock, recheck_us);
    return SPDK_POLLER_BUSY;
  }
  if (lock->channel_ref != nullptr) {
    spdk_put_io_channel(std::exchange(lock->channel_ref, nullptr));
  }
  spdk_for_each_channel_continue(lock->walk, 0);
  return SPDK_POLLER_BUSY;
}

void lock_channel(spdk_io_channel_iter* i) {
  auto* lock = static_cast<range_lock*>(spdk_io_channel_iter_get_ctx(i));
  bdev_channel* ch = to_bdev_channel(spdk_io_channel_iter_get_channel(i));
  if (find(ch, *lock) != nullptr) {
    // A channel made meanwhile, which has inherited the range.
    spdk_for_each_channel_continue(i, 0);
    return;
  }
  lock->current = new channel_range{lock->offset, lock->length, lock->owner, nullptr, {}};
  if (lock->owner->ch == ch) {
    lock->of_owner = lock->current;
  }
  ch->locked_ranges.push_back(lock->current);
  lock->walk = i;
  check_in_flight(lock);
}

void all_locked(spdk_io_channel_iter* i, int /*status*/) {
  auto* lock = static_cast<range_lock*>(spdk_io_channel_iter_get_ctx(i));
  if (lock->of_owner != nullptr) {
    lock->of_owner->owner_ch = lock->owner->ch;
  }
  lock->cb(lock->owner);
}

void lock_channels(void* arg) {
  auto* lock = static_cast<range_lock*>(arg);
  spdk_for_each_channel(&lock->owner->bdev->handle, lock_channel, lock, all_locked);
}

// --- unlocking ---

void unlock_channel(spdk_io_channel_iter* i) {
  const auto* lock = static_cast<range_lock*>(spdk_io_channel_iter_get_ctx(i));
  bdev_channel* ch = to_bdev_channel(spdk_io_channel_iter_get_channel(i));
  if (channel_range* range = find(ch, *lock); range != nullptr) {
    ch->locked_ranges.remove(range);
    delete range;
  }
  // All try again, and those that another range concerns wait again.
  auto waiting = ch->locked_out.take();
  while (spdk_bdev_io* io = waiting.pop_front()) {
    bdev_io_submit(io);
  }
  spdk_for_each_channel_continue(i, 0);
}

/// Those that waited for this range only may go on.
void start_pending_locked(spdk_bdev* bdev, const range_lock& unlocked) {
  for (range_lock* it = bdev->pending_locks.front(); it != nullptr;) {
    range_lock* lock = std::exchange(it, lock_list::next(it));
    if (overlap(lock->offset, lock->length, unlocked.offset, unlocked.length) &&
        !overlaps_any(*lock, bdev->locked_ranges)) {
      bdev->pending_locks.remove(lock);
      bdev->locked_ranges.push_back(lock);
      spdk_thread_send_msg(lock->thread, lock_channels, lock);
    }
  }
}

void all_unlocked(spdk_io_channel_iter* i, int /*status*/) {
  auto* lock = static_cast<range_lock*>(spdk_io_channel_iter_get_ctx(i));
  spdk_bdev* bdev = lock->owner->bdev;
  {
    const std::lock_guard guard(bdev->mutex);
    start_pending_locked(bdev, *lock);
    if (bdev->state == spdk_bdev::phase::unregistering && bdev->locked_ranges.empty()) {
      spdk_thread_send_msg(spdk_thread_get_app_thread(), bdev_continue_removal, bdev);
    }
  }
  lock->cb(lock->owner);
  delete lock;
}

}  // namespace

bool bdev_io_is_locked_out(const spdk_bdev_io* io) {
  for (const channel_range* it = io->ch->locked_ranges.front(); it != nullptr;
       it = range_list::next(it)) {
    if (is_locked_out(io, *it)) {
      return true;
    }
  }
  return false;
}

void bdev_lock_range(spdk_bdev_io* owner, void (*locked)(spdk_bdev_io* owner)) {
  spdk_bdev* bdev = owner->bdev;
  auto* lock = new range_lock;
  lock->offset = owner->offset_blocks;
  lock->length = owner->num_blocks;
  lock->owner = owner;
  lock->thread = spdk_get_thread();
  lock->cb = locked;
  const std::lock_guard guard(bdev->mutex);
  if (overlaps_any(*lock, bdev->locked_ranges)) {
    bdev->pending_locks.push_back(lock);
    return;
  }
  bdev->locked_ranges.push_back(lock);
  lock_channels(lock);
}

void bdev_unlock_range(spdk_bdev_io* owner, void (*unlocked)(spdk_bdev_io* owner)) {
  spdk_bdev* bdev = owner->bdev;
  range_lock* lock = nullptr;
  {
    const std::lock_guard guard(bdev->mutex);
    lock = bdev->locked_ranges.front();
    while (lock != nullptr && lock->owner != owner) {
      lock = lock_list::next(lock);
    }
    assert(lock != nullptr);
    bdev->locked_ranges.remove(lock);  // new channels do not inherit it any more
  }
  lock->cb = unlocked;
  spdk_for_each_channel(&bdev->handle, unlock_channel, lock, all_unlocked);
}

void inherit_locked_ranges(bdev_channel* ch) {
  const lock_list& locks = ch->bdev->locked_ranges;
  for (const range_lock* it = locks.front(); it != nullptr; it = lock_list::next(it)) {
    ch->locked_ranges.push_back(new channel_range{it->offset, it->length, it->owner, nullptr, {}});
  }
}

void drop_locked_ranges(bdev_channel* ch) {
  while (channel_range* range = ch->locked_ranges.pop_front()) {
    delete range;
  }
}

}  // namespace spdk_lite
