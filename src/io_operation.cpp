// SPDX-License-Identifier: BSD-3-Clause
// Submission and completion of block I/O.
#include <spdk_io/io_operation.hpp>

#include "channel_state.hpp"
#include "thread_state.hpp"

#include <spdk_io/detail/fatal.hpp>

#include <spdk/bdev.h>

#include <sys/uio.h>

#include <cerrno>
#include <limits>

namespace spdk_io::inline SPDK_IO_ABI {

using detail::acting_thread;
using detail::channel_state;
using detail::thread_state;

namespace {

// For messages. A range may be so far out that its bytes have no number.
std::uint64_t in_bytes(std::uint64_t blocks, std::uint32_t block) noexcept {
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  return blocks > most / block ? most : blocks * block;
}

}  // namespace

bool io_operation::begin() noexcept {
  if (by_desc_ && !use_channel_of_this_thread()) [[unlikely]]
    return false;
  auto* ch = static_cast<channel_state*>(target_);
  thread_state* here = acting_thread();
  if (!ch || !here || ch->accepts.load(std::memory_order_relaxed) != here) [[unlikely]] {
    return refuse();
  }
  if (vectored_ ? !check_vector() : unit_ == unit::blocks && !check_capacity()) [[unlikely]] {
    return false;
  }
  ++ch->in_flight;
  if (here->waiting.empty()) [[likely]] {
    state_ = state::in_flight;
    int rc = submit();
    if (rc == 0) [[likely]] {
      here->wake_if_asleep();
      return true;
    }
    if (rc != -ENOMEM) {
      describe_failure(-rc);
      state_ = state::done;
      ch->completed();
      return false;
    }
  }
  state_ = state::waiting;
  here->waiting.push(*this);
  here->wake_if_asleep();
  return true;
}

bool io_operation::use_channel_of_this_thread() noexcept {
  auto* desc = static_cast<detail::desc_state*>(target_);
  if (!desc) return refuse(std::errc::bad_file_descriptor, fault::no_channel);
  auto found = desc->channel();
  if (!found) return refuse(found.error().code(), found.error().why());
  target_ = *found;
  by_desc_ = false;
  return true;
}

// The cold path of a start that cannot be: says why.
bool io_operation::refuse() noexcept {
  if (!target_) return refuse(std::errc::bad_file_descriptor, fault::no_channel);
  thread_state* here = acting_thread();
  if (!here) {
    detail::misuse("I/O started without an attached thread: call spdk_io::thread::attach() first");
    return refuse(std::errc::operation_not_permitted, fault::no_thread);
  }
  if (channel().accepts.load(std::memory_order_relaxed) == nullptr) {
    if (here->phase != detail::thread_phase::running) {
      return refuse(std::errc::operation_canceled, fault::thread_exiting);
    }
    // Either the descriptor is closed, or only the thread of this channel has ended.
    return channel().desc->closing()
               ? refuse(std::errc::no_such_device, fault::device_closed)
               : refuse(std::errc::operation_not_permitted, fault::wrong_thread);
  }
  detail::misuse(
      "I/O started on a channel of another thread: take one with bdev_desc::channel() "
      "on the thread that does the I/O");
  return refuse(std::errc::operation_not_permitted, fault::wrong_thread);
}

bool io_operation::refuse(std::errc code, fault why) noexcept {
  state_ = state::done;
  code_ = static_cast<int>(code);
  why_ = why;
  if (!target_) return false;
  const detail::desc_state& desc =
      by_desc_ ? *static_cast<detail::desc_state*>(target_) : *channel().desc;
  device_ = desc.name;
  if (unit_ == unit::blocks) {
    offset_ = in_bytes(offset_, desc.block_size);
    length_ = in_bytes(length_, desc.block_size);
  }
  return false;
}

bool io_operation::refuse_invalid(fault why) noexcept {
  return refuse(std::errc::invalid_argument, why);
}

bool io_operation::check_vector() noexcept {
  const auto* buffers = static_cast<const iovec*>(buffer_);
  const std::uint64_t count = capacity_;
  if (count == 0 || count > static_cast<std::uint64_t>(std::numeric_limits<int>::max())) {
    return refuse_invalid(fault::bad_vector);
  }
  std::uint64_t total = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    if (!buffers[i].iov_base || buffers[i].iov_len == 0 ||
        buffers[i].iov_len > std::numeric_limits<std::uint64_t>::max() - total) {
      return refuse_invalid(fault::bad_vector);
    }
    total += buffers[i].iov_len;
  }
  length_ = total;
  if (unit_ == unit::blocks) {
    const std::uint32_t block = channel().block_size;
    if (total % block != 0) {
      offset_ = in_bytes(offset_, block);
      unit_ = unit::bytes;
      block_size_ = block;
      return refuse_invalid(fault::misaligned_length);
    }
    length_ = total / block;
  }
  return true;
}

// The one place where a length could reach beyond its buffer.
bool io_operation::check_capacity() noexcept {
  if (kind_ == operation_kind::flush || length_ <= capacity_ / channel().block_size) return true;
  return refuse_invalid(fault::short_buffer);
}

int io_operation::submit() noexcept {
  if (vectored_) return submit_vector();
  // A null buffer means "give me yours" to SPDK; nobody could reach that one from here.
  if (!buffer_ && kind_ != operation_kind::flush) [[unlikely]] {
    why_ = fault::no_buffer;
    return -EINVAL;
  }
  return unit_ == unit::bytes ? submit_bytes() : submit_blocks();
}

int io_operation::submit_bytes() noexcept {
  channel_state& ch = channel();
  switch (kind_) {
    case operation_kind::read:
      return spdk_bdev_read(ch.native_desc, ch.native, buffer_, offset_, length_, on_complete,
                            this);
    case operation_kind::write:
      return spdk_bdev_write(ch.native_desc, ch.native, buffer_, offset_, length_, on_complete,
                             this);
    case operation_kind::flush:
      return spdk_bdev_flush(ch.native_desc, ch.native, offset_, length_, on_complete, this);
    default: return -ENOTSUP;
  }
}

int io_operation::submit_blocks() noexcept {
  channel_state& ch = channel();
  switch (kind_) {
    case operation_kind::read:
      return spdk_bdev_read_blocks(ch.native_desc, ch.native, buffer_, offset_, length_,
                                   on_complete, this);
    case operation_kind::write:
      return spdk_bdev_write_blocks(ch.native_desc, ch.native, buffer_, offset_, length_,
                                    on_complete, this);
    case operation_kind::flush:
      return spdk_bdev_flush_blocks(ch.native_desc, ch.native, offset_, length_, on_complete, this);
    default: return -ENOTSUP;
  }
}

int io_operation::submit_vector() noexcept {
  channel_state& ch = channel();
  auto* buffers = static_cast<iovec*>(buffer_);
  auto count = static_cast<int>(capacity_);
  const bool read = kind_ == operation_kind::read;
  if (unit_ == unit::bytes) {
    return (read ? spdk_bdev_readv : spdk_bdev_writev)(ch.native_desc, ch.native, buffers, count,
                                                       offset_, length_, on_complete, this);
  }
  return (read ? spdk_bdev_readv_blocks : spdk_bdev_writev_blocks)(
      ch.native_desc, ch.native, buffers, count, offset_, length_, on_complete, this);
}

// Inside spdk_thread_poll(): records, links, and runs nothing of the user's.
void io_operation::on_complete(spdk_bdev_io* io, bool success, void* argument) {
  auto& self = *static_cast<io_operation*>(argument);
  if (!success) [[unlikely]] {
    std::uint32_t result = 0;
    int type = 0;
    int code = 0;
    int system = 0;
    spdk_bdev_io_get_nvme_status(io, &result, &type, &code);
    spdk_bdev_io_get_aio_status(io, &system);
    self.status_ = {static_cast<std::uint8_t>(type), static_cast<std::uint8_t>(code)};
    const bool aborted = type == 0 && (code == 0x07 || code == 0x08);
    self.describe_failure(aborted ? ECANCELED : system < 0 ? -system : EIO);
  }
  self.become_ready();
  // Last: freeing resubmits whoever waits for memory.
  spdk_bdev_free_io(io);
}

void io_operation::become_ready() noexcept {
  channel_state& ch = channel();
  thread_state& home = *ch.home;
  state_ = state::ready;
  target_ = &home;
  home.ready.push_back(*this);
  ch.completed();
}

// Keeps all that the error will say, while channel and device are there to be asked.
void io_operation::describe_failure(int code) noexcept {
  const channel_state& ch = channel();
  code_ = code;
  device_ = ch.name;
  const std::uint32_t block = ch.block_size;
  const std::uint64_t blocks = spdk_bdev_get_num_blocks(ch.bdev);
  const bool bytes = unit_ == unit::bytes;
  if (code == EBADF) why_ = fault::read_only;
  if (code == ENOTSUP) why_ = fault::unsupported;
  if (code == EINVAL && why_ == fault::none) {
    // SPDK answers all of these alike; a person wants to know which.
    const std::uint64_t first = bytes ? offset_ / block : offset_;
    const std::uint64_t count = bytes ? length_ / block : length_;
    if (bytes && offset_ % block != 0) {
      why_ = fault::misaligned_offset;
    } else if (bytes && length_ % block != 0) {
      why_ = fault::misaligned_length;
    } else if (first > blocks || count > blocks - first) {
      why_ = fault::past_end;
    }
  }
  if (!bytes) {
    offset_ = in_bytes(offset_, block);
    length_ = in_bytes(length_, block);
  }
  device_size_ = blocks * block;
  block_size_ = block;
}

error io_operation::make_error() const noexcept {
  return error(error::io{.code = std::errc{code_},
                         .what = kind_,
                         .why = why_,
                         .status = status_,
                         .device = device_,
                         .offset = offset_,
                         .length = length_,
                         .device_size = device_size_,
                         .block_size = static_cast<std::uint32_t>(block_size_)});
}

// What it is, while it has not ended. (Once it is ready, its channel may be gone.)
std::string io_operation::description() const {
  const channel_state* ch = state_ == state::ready ? nullptr : &channel();
  const std::uint32_t scale = ch && unit_ == unit::blocks ? ch->block_size : 1;
  return error(error::io{.code = std::errc::operation_in_progress,
                         .what = kind_,
                         .device = ch ? ch->name : 0,
                         .offset = in_bytes(offset_, scale),
                         .length = in_bytes(length_, scale)})
      .message();
}

// Its coroutine is being destroyed. Runs no user code and leaves nothing that SPDK could touch.
void io_operation::abandon() noexcept {
  thread_state& home =
      state_ == state::ready ? *static_cast<thread_state*>(target_) : *channel().home;
  if (!home.on_own_os_thread()) {
    detail::fatal("destroyed on another OS thread than its own while in flight: " + description() +
                  "; destroy coroutines on the thread whose operations they await");
  }
  if (state_ == state::waiting) {
    home.waiting.erase(*this);
    channel().completed();
    return;
  }
  if (state_ == state::in_flight) wait_until_ready();
  if (linked()) home.ready.erase(*this);
}

void io_operation::wait_until_ready() noexcept {
  const std::string what = description();
  detail::pump_until(
      *channel().home,
      [](const void* op) { return static_cast<const io_operation*>(op)->state_ == state::ready; },
      this, what);
}

}  // namespace spdk_io::inline SPDK_IO_ABI
