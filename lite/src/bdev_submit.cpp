// SPDX-License-Identifier: BSD-3-Clause
// An I/O's way through the layer: to the module, back from it, around again when the module
// had no resources, and through a buffer of the layer's own where the caller's will not do.
#include "bdev_internal.hpp"
#include "spdk/env.h"
#include "spdk/log.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace spdk_lite {
namespace {

constexpr std::uint64_t nomem_threshold_count = 8;
constexpr std::uint64_t nomem_retry_us = 10 * 1000;

void increment_outstanding(spdk_bdev_io* io) {
  ++io->ch->io_outstanding;
  ++io->ch->shared->io_outstanding;
}

void hand_to_module(spdk_bdev_io* io) {
  io->in_submit = true;
  io->bdev->submit(io->ch->module_channel, io);
  io->in_submit = false;
}

/// Retries in order. Not before some I/O has come back: a module often frees its resources
/// only after the completion callback, and one large I/O may need what several small ones hold.
void retry_nomem(shared_resource* shared) {
  if (shared->nomem_abort_in_progress || shared->io_outstanding > shared->nomem_threshold) {
    return;
  }
  while (spdk_bdev_io* io = shared->nomem_io.pop_front()) {
    increment_outstanding(io);
    io->bdev->submit(io->ch->module_channel, io);
    if (io == shared->nomem_io.front()) {
      break;  // no luck again
    }
  }
}

int nomem_poll(void* arg) {
  auto* shared = static_cast<shared_resource*>(arg);
  if (!shared->nomem_io.empty()) {
    retry_nomem(shared);
  }
  if (!shared->nomem_io.empty() && shared->io_outstanding == 0) {
    return SPDK_POLLER_BUSY;
  }
  spdk_poller_unregister(&shared->nomem_poller);
  return SPDK_POLLER_IDLE;
}

void queue_nomem(spdk_bdev_io* io) {
  shared_resource* shared = io->ch->shared;
  io->status = io_status::pending;
  const std::uint64_t outstanding = shared->io_outstanding;
  shared->nomem_threshold =
      std::max(outstanding / 2, outstanding - std::min(outstanding, nomem_threshold_count));
  shared->nomem_io.push_front(io);
  if (outstanding == 0 && shared->nomem_poller == nullptr) {
    // No completion will trigger the retry.
    shared->nomem_poller = spdk_poller_register(nomem_poll, shared, nomem_retry_us);
  }
}

bool has_buffer(const spdk_bdev_io* io) {
  return io->iovs != nullptr && io->iovs[0].iov_base != nullptr;
}

bool buffers_aligned(const spdk_bdev_io* io) {
  const std::uintptr_t mask = io->bdev->buf_align() - 1;
  return mask == 0 || std::all_of(io->iovs, io->iovs + io->iovcnt, [mask](const iovec& iov) {
           return (reinterpret_cast<std::uintptr_t>(iov.iov_base) & mask) == 0;
         });
}

void gather(std::byte* to, std::size_t len, const iovec* from, int count) {
  for (int i = 0; i < count && len != 0; ++i) {
    const std::size_t n = std::min(len, from[i].iov_len);
    std::memcpy(to, from[i].iov_base, n);
    to += n;
    len -= n;
  }
}

void scatter(const iovec* to, int count, const std::byte* from, std::size_t len) {
  for (int i = 0; i < count && len != 0; ++i) {
    const std::size_t n = std::min(len, to[i].iov_len);
    std::memcpy(to[i].iov_base, from, n);
    from += n;
    len -= n;
  }
}

/// Metadata of its own follows the data in the layer's buffer.
void set_md_buf(spdk_bdev_io* io) {
  if (!spdk_bdev_is_md_separate(io->bdev)) {
    return;
  }
  void* md = static_cast<std::byte*>(io->iovs[0].iov_base) + io->iovs[0].iov_len;
  if (io->md_buf != nullptr) {
    io->orig_md_buf = io->md_buf;
    if (io->type == SPDK_BDEV_IO_TYPE_WRITE) {
      std::memcpy(md, io->md_buf, io->num_blocks * io->bdev->md_len);
    }
  }
  io->md_buf = md;
}

void get_buf_complete(spdk_bdev_io* io, bool success) {
  io->get_buf_cb(spdk_bdev_io_get_io_channel(io), io, success);
}

void use_bounce_buffer(spdk_bdev_io* io, void* aligned) {
  io->bounced = true;
  io->orig_iovs = io->iovs;
  io->orig_iovcnt = io->iovcnt;
  io->bounce_iov = {aligned, io->buf_len};
  io->iovs = &io->bounce_iov;
  io->iovcnt = 1;
  if (io->type == SPDK_BDEV_IO_TYPE_WRITE) {
    gather(static_cast<std::byte*>(aligned), io->buf_len, io->orig_iovs, io->orig_iovcnt);
  }
}

void set_buf(spdk_bdev_io* io, void* buf) {
  const std::uintptr_t mask = io->bdev->buf_align() - 1;
  auto* aligned = reinterpret_cast<void*>((reinterpret_cast<std::uintptr_t>(buf) + mask) & ~mask);
  io->buf = buf;
  if (has_buffer(io)) {
    use_bounce_buffer(io, aligned);
  } else {
    bdev_io_set_buf(io, aligned, io->buf_len);
  }
  set_md_buf(io);
  get_buf_complete(io, true);
}

std::size_t pool_buf_len(const spdk_bdev_io* io) {
  const std::size_t md = spdk_bdev_is_md_separate(io->bdev) ? io->num_blocks * io->bdev->md_len : 0;
  return io->buf_len + io->bdev->buf_align() - 1 + md;
}

void finish_bounce(spdk_bdev_io* io) {
  if (io->type == SPDK_BDEV_IO_TYPE_READ) {
    scatter(io->orig_iovs, io->orig_iovcnt, static_cast<std::byte*>(io->bounce_iov.iov_base),
            io->bounce_iov.iov_len);
  }
  if (io->orig_md_buf != nullptr) {
    if (io->type == SPDK_BDEV_IO_TYPE_READ) {
      std::memcpy(io->orig_md_buf, io->md_buf, io->num_blocks * io->bdev->md_len);
    }
    io->md_buf = io->orig_md_buf;
  }
  io->iovs = io->orig_iovs;
  io->iovcnt = io->orig_iovcnt;
  io->bounced = false;
  bdev_io_put_buf(io);
}

/// Takes out of the queue and completes as aborted; counted first, as the completion discounts.
void complete_queued_as_aborted(bdev_io_queue& queue, spdk_bdev_io* io) {
  queue.remove(io);
  if (io->type != SPDK_BDEV_IO_TYPE_RESET) {
    increment_outstanding(io);
  }
  bdev_io_complete(io, io_status::aborted);
}

void abort_all(bdev_io_queue& queue, const bdev_channel* ch) {
  for (spdk_bdev_io* io = queue.front(); io != nullptr;) {
    spdk_bdev_io* next = bdev_io_queue::next(io);
    if (io->ch == ch) {
      complete_queued_as_aborted(queue, io);
    }
    io = next;
  }
}

}  // namespace

void bdev_io_init(spdk_bdev_io* io, spdk_bdev_desc* desc, bdev_channel* ch, spdk_bdev_io_type type,
                  spdk_bdev_io_completion_cb cb, void* cb_arg) {
  io->bdev = desc->bdev;
  io->type = type;
  io->ch = ch;
  io->desc = desc;
  io->cb = cb;
  io->cb_arg = cb_arg;
  io->status = io_status::pending;
  io->in_submit = false;
  io->bounced = false;
  io->buf = nullptr;
  io->orig_md_buf = nullptr;
  io->nvme_cdw0 = 0;
  io->get_buf_cb = nullptr;
  io->wait_entry.dep_unblock = false;
  io->child = cb == bdev_split_child_done;
  io->split = !io->child && bdev_io_should_split(io);
}

void bdev_io_submit(spdk_bdev_io* io) {
  bdev_channel* ch = io->ch;
  // The parent of a child has been let through already.
  if (!ch->locked_ranges.empty() && !io->child && bdev_io_is_locked_out(io)) [[unlikely]] {
    ch->locked_out.push_back(io);
    return;
  }
  ch->submitted.push_back(io);
  io->submit_ticks = spdk_get_ticks();
  if (io->split) [[unlikely]] {
    bdev_io_split(io);
  } else {
    bdev_io_submit_unheld(io);
  }
}

void bdev_io_submit_unheld(spdk_bdev_io* io) {
  const bdev_channel* ch = io->ch;
  if (!ch->held_up) [[likely]] {
    submit_to_module(io);
  } else if (ch->reset_in_progress) {
    complete_in_submit(io, io_status::aborted);
  } else {
    qos_submit(io);
  }
}

void complete_in_submit(spdk_bdev_io* io, io_status status) {
  io->in_submit = true;
  increment_outstanding(io);
  bdev_io_complete(io, status);
  io->in_submit = false;
}

void submit_to_module(spdk_bdev_io* io) {
  shared_resource* shared = io->ch->shared;
  if (io->type == SPDK_BDEV_IO_TYPE_ABORT && abort_queued_io(io->abort_target)) {
    complete_in_submit(io, io_status::success);
    return;
  }
  if (shared->nomem_io.empty()) [[likely]] {
    increment_outstanding(io);
    hand_to_module(io);
    return;
  }
  shared->nomem_io.push_back(io);
  if (shared->nomem_threshold == 0 && shared->io_outstanding == 0) {
    retry_nomem(shared);
  }
}

void bdev_io_complete(spdk_bdev_io* io, io_status status) {
  if (io->status != io_status::pending) [[unlikely]] {
    SPDK_ERRLOG("the module %s completed an I/O twice\n", spdk_bdev_get_module_name(io->bdev));
    assert(false);
  }
  io->status = status;
  if (io->type == SPDK_BDEV_IO_TYPE_RESET) [[unlikely]] {
    bdev_reset_finish(io);
    return;
  }
  shared_resource* shared = io->ch->shared;
  --io->ch->io_outstanding;
  --shared->io_outstanding;
  if (status == io_status::nomem) [[unlikely]] {
    queue_nomem(io);
    return;
  }
  if (io->bounced && status == io_status::success) [[unlikely]] {
    finish_bounce(io);
  }
  if (!shared->nomem_io.empty()) [[unlikely]] {
    retry_nomem(shared);
  }
  bdev_io_deliver(io);
}

void bdev_io_complete_aio(spdk_bdev_io* io, int aio_result) {
  if (aio_result == 0) {
    bdev_io_complete(io, io_status::success);
    return;
  }
  io->aio_result = aio_result;
  io->nvme_cdw0 = static_cast<std::uint32_t>(aio_result);  // SPDK keeps both in one place
  bdev_io_complete(io, io_status::aio_error);
}

void bdev_io_complete_nvme(spdk_bdev_io* io, int sct, int sc) {
  io_status status = io_status::nvme_error;
  if (sct == SPDK_NVME_SCT_GENERIC && sc == SPDK_NVME_SC_SUCCESS) {
    status = io_status::success;
  } else if (sct == SPDK_NVME_SCT_GENERIC && sc == SPDK_NVME_SC_ABORTED_BY_REQUEST) {
    status = io_status::aborted;
  }
  io->nvme_cdw0 = 0;
  io->nvme_sct = static_cast<std::uint8_t>(sct);
  io->nvme_sc = static_cast<std::uint8_t>(sc);
  bdev_io_complete(io, status);
}

io_status bdev_io_take_status(spdk_bdev_io* io, const spdk_bdev_io* base_io) {
  io->aio_result = base_io->aio_result;
  io->nvme_cdw0 = base_io->nvme_cdw0;
  io->nvme_sct = base_io->nvme_sct;
  io->nvme_sc = base_io->nvme_sc;
  return base_io->status;
}

void bdev_io_set_buf(spdk_bdev_io* io, void* buf, std::size_t len) {
  if (io->iovs == nullptr) {
    io->iovs = &io->iov;
    io->iovcnt = 1;
  }
  io->iovs[0] = {buf, len};
}

void bdev_io_deliver(void* arg) {
  auto* io = static_cast<spdk_bdev_io*>(arg);
  if (io->in_submit) [[unlikely]] {
    // The caller has not even returned from its submission, and may submit in the callback.
    spdk_thread_send_msg(spdk_bdev_io_get_thread(io), bdev_io_deliver, io);
    return;
  }
  io->ch->submitted.remove(io);
  stat_count(io, spdk_get_ticks() - io->submit_ticks);
  call_back(io);
}

void bdev_io_deliver_unsubmitted(spdk_bdev_io* io, io_status status) {
  io->status = status;
  spdk_thread_send_msg(
      spdk_bdev_io_get_thread(io), [](void* arg) { call_back(static_cast<spdk_bdev_io*>(arg)); },
      io);
}

void call_back(spdk_bdev_io* io) { io->cb(io, io->status == io_status::success, io->cb_arg); }

void bdev_io_wait(spdk_bdev_io* io, spdk_bdev_io_wait_cb cb) {
  io->wait_entry.bdev = io->bdev;
  io->wait_entry.cb_fn = cb;
  io->wait_entry.cb_arg = io;
  if (spdk_bdev_queue_io_wait(io->bdev, spdk_io_channel_from_ctx(io->ch), &io->wait_entry) != 0) {
    io->status = io_status::failed;
    call_back(io);
  }
}

void bdev_io_get_buf(spdk_bdev_io* io, get_buf_fn cb, std::uint64_t len) {
  io->get_buf_cb = cb;
  if (has_buffer(io) && buffers_aligned(io)) [[likely]] {
    cb(spdk_bdev_io_get_io_channel(io), io, true);
    return;
  }
  buffer_channel& buffers = io->ch->shared->mgmt->buffers;
  io->buf_len = len;
  if (pool_buf_len(io) > buffers.max_size()) {
    SPDK_ERRLOG("%zu bytes do not fit into a buffer of the pool\n", pool_buf_len(io));
    get_buf_complete(io, false);
    return;
  }
  if (void* buf = buffers.get(pool_buf_len(io), io, set_buf); buf != nullptr) {
    set_buf(io, buf);
  }
}

void bdev_io_put_buf(spdk_bdev_io* io) {
  void* buf = io->buf;
  io->buf = nullptr;
  io->ch->shared->mgmt->buffers.put(buf, pool_buf_len(io));
}

bool abort_in_queue(bdev_io_queue& queue, spdk_bdev_io* target) {
  if (!queue.contains(target)) {
    return false;
  }
  complete_queued_as_aborted(queue, target);
  return true;
}

bool abort_queued_io(spdk_bdev_io* target) {
  shared_resource* shared = target->ch->shared;
  if (abort_in_queue(shared->nomem_io, target)) {
    return true;
  }
  spdk_bdev_io* waiting =
      shared->mgmt->buffers.take_waiting([target](spdk_bdev_io* io) { return io == target; });
  if (waiting != nullptr) {
    get_buf_complete(waiting, false);
  }
  return waiting != nullptr;
}

spdk_bdev_io* abort_waiting_for_buffer(mgmt_channel* mgmt, void* cb_arg) {
  spdk_bdev_io* waiting =
      mgmt->buffers.take_waiting([cb_arg](spdk_bdev_io* io) { return io->cb_arg == cb_arg; });
  if (waiting != nullptr) {
    get_buf_complete(waiting, false);
  }
  return waiting;
}

void abort_queued_ios(bdev_channel* ch) {
  shared_resource* shared = ch->shared;
  shared->nomem_abort_in_progress = true;  // the completions must not resubmit the rest
  abort_all(shared->nomem_io, ch);
  shared->nomem_abort_in_progress = false;
  const auto ours = [ch](spdk_bdev_io* io) { return io->ch == ch; };
  while (spdk_bdev_io* io = shared->mgmt->buffers.take_waiting(ours)) {
    get_buf_complete(io, false);
  }
}

void abort_rate_queue(bdev_channel* ch) { abort_all(ch->rate_queue, ch); }

}  // namespace spdk_lite

using namespace spdk_lite;

spdk_io_channel* spdk_bdev_io_get_io_channel(spdk_bdev_io* io) { return io->ch->module_channel; }

spdk_thread* spdk_bdev_io_get_thread(spdk_bdev_io* io) {
  return spdk_io_channel_get_thread(io->ch->module_channel);
}
