// SPDX-License-Identifier: BSD-3-Clause
// Rate limits. Each limit has a quota for a timeslice of a millisecond, which the channels
// share; what goes beyond it waits in its channel's queue. One thread, that of the first
// channel, starts each timeslice and then lets the channels submit, one after the other.
#include "bdev_internal.hpp"
#include "spdk/env.h"
#include "spdk/log.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>

namespace spdk_lite {

namespace {

constexpr int limit_count = SPDK_BDEV_QOS_NUM_RATE_LIMIT_TYPES;
constexpr std::uint64_t timeslice_us = 1000;
constexpr std::uint64_t none = UINT64_MAX;
constexpr std::uint64_t mib = 1024 * 1024;

bool counts_ios(int type) { return type == SPDK_BDEV_QOS_RW_IOPS_RATE_LIMIT; }

struct rate_limit {
  std::uint64_t per_second = 0;  ///< I/Os or bytes; 0: not set yet
  std::uint32_t least = 0;       ///< of a timeslice
  std::uint32_t quota = 0;       ///< of a timeslice; 0: does not limit
  /// Of the current timeslice; below 0 if the last I/O was larger than what was left: the
  /// next timeslice pays for it.
  std::atomic<std::int64_t> remaining = 0;
};

}  // namespace

struct qos {
  rate_limit limits[limit_count];
  bdev_channel* ch = nullptr;
  spdk_thread* thread = nullptr;  ///< of the poller; NULL while there is no channel
  std::uint64_t timeslice = 0;    ///< ticks
  std::uint64_t last_timeslice = 0;
  spdk_poller* poller = nullptr;
};

namespace {

// --- what an I/O costs ---

bool is_limited(const spdk_bdev_io* io) {
  return io->type == SPDK_BDEV_IO_TYPE_READ || io->type == SPDK_BDEV_IO_TYPE_WRITE ||
         (io->type == SPDK_BDEV_IO_TYPE_ZCOPY && io->zcopy.start);
}

bool is_read(const spdk_bdev_io* io) {
  return io->type == SPDK_BDEV_IO_TYPE_READ ||
         (io->type == SPDK_BDEV_IO_TYPE_ZCOPY && io->zcopy.populate);
}

/// Whether the limit applies, and in which amount.
bool cost(int type, const spdk_bdev_io* io, std::int64_t& amount) {
  amount = counts_ios(type) ? 1 : static_cast<std::int64_t>(io->num_blocks * io->bdev->block_len);
  switch (type) {
    case SPDK_BDEV_QOS_R_BPS_RATE_LIMIT: return is_read(io);
    case SPDK_BDEV_QOS_W_BPS_RATE_LIMIT: return !is_read(io);
    default: return true;
  }
}

/// Takes it from all quotas that apply, or from none. Anything left is enough.
bool take_quota(qos& q, const spdk_bdev_io* io) {
  if (!is_limited(io)) {
    return true;
  }
  std::int64_t amount = 0;
  for (int type = 0; type < limit_count; ++type) {
    rate_limit& limit = q.limits[type];
    if (limit.quota == 0 || !cost(type, io, amount)) {
      continue;
    }
    if (limit.remaining.fetch_sub(amount, std::memory_order_relaxed) > 0) {
      continue;
    }
    for (int taken = type; taken >= 0; --taken) {
      if (q.limits[taken].quota != 0 && cost(taken, io, amount)) {
        q.limits[taken].remaining.fetch_add(amount, std::memory_order_relaxed);
      }
    }
    return false;
  }
  return true;
}

void submit_queued(bdev_channel* ch, qos& q) {
  for (spdk_bdev_io* io = ch->rate_queue.front(); io != nullptr;) {
    spdk_bdev_io* next = bdev_io_queue::next(io);
    if (take_quota(q, io)) {
      ch->rate_queue.remove(io);
      submit_to_module(io);
    }
    io = next;
  }
}

// --- timeslices ---

void submit_channel(spdk_io_channel_iter* i) {
  bdev_channel* ch = to_bdev_channel(spdk_io_channel_iter_get_channel(i));
  // The limits may have been lifted since the walk began: then nothing is queued any more.
  if (qos* q = ch->bdev->qos; q != nullptr) {
    submit_queued(ch, *q);
  }
  // Where something is left there is no quota left either.
  spdk_for_each_channel_continue(i, ch->rate_queue.empty() ? 0 : 1);
}

int next_timeslice(void* arg) {
  auto* bdev = static_cast<spdk_bdev*>(arg);
  qos& q = *bdev->qos;
  const std::uint64_t now = spdk_get_ticks();
  if (q.thread == nullptr || now < q.last_timeslice + q.timeslice) {
    return SPDK_POLLER_IDLE;
  }
  for (rate_limit& limit : q.limits) {
    const std::int64_t rest = limit.remaining.exchange(0, std::memory_order_relaxed);
    if (rest < 0) {
      limit.remaining.store(rest, std::memory_order_relaxed);
    }
  }
  for (; now >= q.last_timeslice + q.timeslice; q.last_timeslice += q.timeslice) {
    for (rate_limit& limit : q.limits) {
      limit.remaining.fetch_add(limit.quota, std::memory_order_relaxed);
    }
  }
  spdk_for_each_channel(&bdev->handle, submit_channel, nullptr, nullptr);
  return SPDK_POLLER_BUSY;
}

void update_quotas(qos& q) {
  for (rate_limit& limit : q.limits) {
    if (limit.per_second == none) {
      limit.quota = 0;
      continue;
    }
    limit.quota = std::max(static_cast<std::uint32_t>(limit.per_second * timeslice_us / 1'000'000),
                           limit.least);
    limit.remaining.store(limit.quota, std::memory_order_release);
  }
}

void start_timeslices(qos& q, bdev_channel* ch) {
  spdk_io_channel* ref = spdk_io_channel_ref(spdk_io_channel_from_ctx(ch));
  q.ch = ch;
  q.thread = spdk_io_channel_get_thread(ref);
  for (int type = 0; type < limit_count; ++type) {
    q.limits[type].least = counts_ios(type) ? 1 : 512;
    if (q.limits[type].per_second == 0) {
      q.limits[type].per_second = none;
    }
  }
  update_quotas(q);
  q.timeslice = timeslice_us * spdk_get_ticks_hz() / 1'000'000;
  q.last_timeslice = spdk_get_ticks();
  q.poller = spdk_poller_register(next_timeslice, ch->bdev, timeslice_us);
}

void stop_timeslices(qos* q) {
  spdk_put_io_channel(spdk_io_channel_from_ctx(q->ch));
  spdk_poller_unregister(&q->poller);
}

// --- changing the limits ---

struct change {
  spdk_bdev* bdev;
  void (*cb)(void* arg, int status);
  void* arg;
};

void finish(change* c, int status) {
  const std::unique_ptr<change> owned(c);
  {
    const std::lock_guard lock(c->bdev->mutex);
    c->bdev->qos_change_in_progress = false;
  }
  if (c->cb != nullptr) {
    c->cb(c->arg, status);
  }
  bdev_remove_if_unused(c->bdev);  // a removal may have waited for this
}

void enable_channel(spdk_io_channel_iter* i) {
  bdev_channel* ch = to_bdev_channel(spdk_io_channel_iter_get_channel(i));
  spdk_bdev* bdev = ch->bdev;
  int rc = 0;
  {
    const std::lock_guard lock(bdev->mutex);
    if (bdev->state == spdk_bdev::phase::ready) {
      qos_enable_channel_locked(ch);
    } else if (bdev->qos != nullptr && bdev->qos->ch == nullptr) {
      qos_free(bdev);
      rc = -EAGAIN;
    }
  }
  spdk_for_each_channel_continue(i, rc);
}

void enabled(spdk_io_channel_iter* i, int status) {
  finish(static_cast<change*>(spdk_io_channel_iter_get_ctx(i)), status);
}

void updated(void* arg) {
  auto* c = static_cast<change*>(arg);
  {
    const std::lock_guard lock(c->bdev->mutex);
    update_quotas(*c->bdev->qos);
  }
  finish(c, 0);
}

void disable_channel(spdk_io_channel_iter* i) {
  bdev_channel* ch = to_bdev_channel(spdk_io_channel_iter_get_channel(i));
  ch->set_rate_limited(false);
  while (spdk_bdev_io* io = ch->rate_queue.pop_front()) {
    bdev_io_submit_unheld(io);
  }
  spdk_for_each_channel_continue(i, 0);
}

void disable(void* arg) {
  auto* c = static_cast<change*>(arg);
  std::unique_ptr<qos> old;
  {
    const std::lock_guard lock(c->bdev->mutex);
    old.reset(std::exchange(c->bdev->qos, nullptr));
  }
  if (old->thread != nullptr) {
    stop_timeslices(old.get());
  }
  finish(c, 0);
}

void all_disabled(spdk_io_channel_iter* i, int /*status*/) {
  auto* c = static_cast<change*>(spdk_io_channel_iter_get_ctx(i));
  spdk_thread* thread = nullptr;
  {
    const std::lock_guard lock(c->bdev->mutex);
    thread = c->bdev->qos->thread;
  }
  if (thread != nullptr) {
    spdk_thread_send_msg(thread, disable, c);
  } else {
    disable(c);
  }
}

/// From the user's units, in place, as SPDK does it.
void normalise(int type, std::uint64_t& limit) {
  std::uint64_t unit = 1000;
  if (!counts_ios(type)) {
    if (limit > UINT64_MAX / mib) {
      SPDK_WARNLOG("a rate limit of %llu MiB/s is beyond all measure\n",
                   static_cast<unsigned long long>(limit));
      limit = UINT64_MAX / mib;
    }
    limit *= mib;
    unit = mib;
  }
  if (const std::uint64_t excess = limit % unit; excess != 0) {
    SPDK_ERRLOG("a rate limit has to be a multiple of %llu: %llu is rounded up\n",
                static_cast<unsigned long long>(unit), static_cast<unsigned long long>(limit));
    limit += unit - excess;
  }
}

void set_limits(qos& q, const std::uint64_t* limits) {
  for (int type = 0; type < limit_count; ++type) {
    if (limits[type] != none) {
      q.limits[type].per_second = limits[type] != 0 ? limits[type] : none;
    }
  }
}

/// Whether no limit is left after the change.
bool removes_all(const qos* q, const std::uint64_t* limits) {
  for (int type = 0; type < limit_count; ++type) {
    if (limits[type] != none && limits[type] != 0) {
      return false;
    }
    if (limits[type] == none && q != nullptr) {
      const std::uint64_t current = q->limits[type].per_second;
      if (current != 0 && current != none) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace

void qos_submit(spdk_bdev_io* io) {
  if (io->type == SPDK_BDEV_IO_TYPE_ABORT && abort_in_queue(io->ch->rate_queue, io->abort_target)) {
    complete_in_submit(io, io_status::success);
    return;
  }
  io->ch->rate_queue.push_back(io);
  submit_queued(io->ch, *io->bdev->qos);
}

void qos_enable_channel_locked(bdev_channel* ch) {
  qos* q = ch->bdev->qos;
  if (q == nullptr) {
    return;
  }
  if (q->ch == nullptr) {
    start_timeslices(*q, ch);
  }
  ch->set_rate_limited(true);
}

void qos_start_locked(spdk_bdev* bdev) {
  if (bdev->qos != nullptr && bdev->qos->thread == nullptr) {
    bdev->qos_change_in_progress = true;
    spdk_for_each_channel(&bdev->handle, enable_channel, new change{bdev, nullptr, nullptr},
                          enabled);
  }
}

/// The limits stay, for the next channel. The poller stops by message, so the old state lives on.
void qos_stop_locked(spdk_bdev* bdev) {
  auto* next = new qos;
  qos* old = std::exchange(bdev->qos, next);
  for (int type = 0; type < limit_count; ++type) {
    next->limits[type].per_second = old->limits[type].per_second;
  }
  if (old->thread == nullptr) {
    delete old;
    return;
  }
  spdk_thread_send_msg(
      old->thread,
      [](void* arg) {
        const std::unique_ptr<qos> q(static_cast<qos*>(arg));
        stop_timeslices(q.get());
      },
      old);
}

void qos_stop_unused_locked(spdk_bdev* bdev) {
  if (bdev->qos != nullptr && bdev->qos->poller != nullptr && bdev->open_descs == nullptr) {
    qos_stop_locked(bdev);
  }
}

void qos_free(spdk_bdev* bdev) {
  delete bdev->qos;
  bdev->qos = nullptr;
}

}  // namespace spdk_lite

using namespace spdk_lite;

const char* spdk_bdev_get_qos_rpc_type(spdk_bdev_qos_rate_limit_type type) {
  constexpr const char* names[] = {"rw_ios_per_sec", "rw_mbytes_per_sec", "r_mbytes_per_sec",
                                   "w_mbytes_per_sec"};
  return names[type];
}

void spdk_bdev_get_qos_rate_limits(spdk_bdev* bdev, uint64_t* limits) {
  const std::lock_guard lock(bdev->mutex);
  for (int type = 0; type < limit_count; ++type) {
    const uint64_t limit = bdev->qos != nullptr ? bdev->qos->limits[type].per_second : none;
    limits[type] = limit == none ? 0 : counts_ios(type) ? limit : limit / mib;
  }
}

void spdk_bdev_set_qos_rate_limits(spdk_bdev* bdev, uint64_t* limits,
                                   void (*cb_fn)(void* cb_arg, int status), void* cb_arg) {
  for (int type = 0; type < limit_count; ++type) {
    if (limits[type] != none) {
      normalise(type, limits[type]);
    }
  }
  std::unique_lock lock(bdev->mutex);
  if (bdev->qos_change_in_progress) {
    lock.unlock();
    if (cb_fn != nullptr) {
      cb_fn(cb_arg, -EAGAIN);
    }
    return;
  }
  bdev->qos_change_in_progress = true;
  auto* c = new change{bdev, cb_fn, cb_arg};
  if (removes_all(bdev->qos, limits)) {
    if (bdev->qos == nullptr) {
      lock.unlock();
      finish(c, 0);
      return;
    }
    set_limits(*bdev->qos, limits);
    spdk_for_each_channel(&bdev->handle, disable_channel, c, all_disabled);
    return;
  }
  if (bdev->qos == nullptr) {
    bdev->qos = new qos;
  }
  set_limits(*bdev->qos, limits);
  if (bdev->qos->thread == nullptr) {
    spdk_for_each_channel(&bdev->handle, enable_channel, c, enabled);
  } else {
    spdk_thread_send_msg(bdev->qos->thread, updated, c);
  }
}
