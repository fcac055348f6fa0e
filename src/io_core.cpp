// SPDX-License-Identifier: BSD-3-Clause
// Submission and completion of block I/O.
#include <spdk_io/detail/io_core.hpp>

#include "channel_state.hpp"
#include "plain_io.hpp"
#include "saturate.hpp"
#include "thread_state.hpp"

#include <spdk_io/detail/fatal.hpp>
#include <spdk_io/extended_io_operation.hpp>
#include <spdk_io/io_operation.hpp>
#include <spdk_io/zcopy.hpp>

#include <spdk/bdev.h>

#include <sys/uio.h>

#include <cerrno>
#include <limits>

namespace spdk_io::inline SPDK_IO_ABI {

// An awaiting coroutine's frame holds one of these for each co_await.
static_assert(sizeof(void*) != 8 || sizeof(io_operation) == 88);

namespace detail {

int io_core::submit_single() noexcept {
  // A null buffer means "give me yours" to SPDK; nobody could reach that one from here.
  if (!buffer_ && has_buffer()) [[unlikely]] {
    why_ = fault::no_buffer;
    return -EINVAL;
  }
  return shape_.unit == io_unit::bytes ? submit_bytes() : submit_blocks();
}

int io_core::submit() noexcept {
  switch (shape_.form) {
    case io_form::single: return submit_single();
    case io_form::vectored: return submit_vector();
    case io_form::special: break;
  }
  return submit_special();
}

bool io_core::begin_read(io_core& self, void* target, void* buffer, std::uint64_t offset,
                         std::uint64_t length) noexcept {
  return begin_plain<spdk_bdev_read, on_complete>(self, target, buffer, offset, length);
}

bool io_core::begin_write(io_core& self, void* target, void* buffer, std::uint64_t offset,
                          std::uint64_t length) noexcept {
  return begin_plain<spdk_bdev_write, on_complete>(self, target, buffer, offset, length);
}

bool io_core::begin_with_checks() noexcept {
  if (shape_.by_desc && !use_channel_of_this_thread()) return false;
  auto* ch = static_cast<channel_state*>(target_);
  thread_state* here = acting_thread();
  if (!ch || !here || ch->accepts.load(std::memory_order_relaxed) != here) return refuse();
  switch (shape_.form) {
    case io_form::single:
      if (shape_.unit == io_unit::blocks && !check_capacity()) return false;
      break;
    case io_form::vectored:
      if (!check_vector()) return false;
      break;
    case io_form::special:
      if (!prepare_special()) return false;
      break;
  }
  if (ch->timeout.enabled()) started_ = ch->timeout.start();
  if (!here->waiting.empty()) {
    here->waiting.push(*this);
  } else {
    put_in_flight(*ch);
    if (const int rc = submit(); rc != 0) return not_submitted(rc);
  }
  here->wake_if_asleep();
  return true;
}

// It waits for memory, or has failed.
bool io_core::not_submitted(int rc) noexcept {
  channel_state& ch = channel();
  if (rc == -ENOMEM && ch.home->waiting.empty() && ch.home->give_back_held()) rc = submit();
  if (rc == 0) {
    ch.home->wake_if_asleep();
    return true;
  }
  node_ring::erase(*this);
  if (rc == -ENOMEM) {
    ch.home->waiting.push(*this);
    ch.home->wake_if_asleep();
    return true;
  }
  describe_failure(-rc);
  io_stage = stage_done;
  ch.completed();
  return false;
}

bool io_core::use_channel_of_this_thread() noexcept {
  auto* desc = static_cast<desc_state*>(target_);
  if (!desc) return refuse(std::errc::bad_file_descriptor, fault::no_channel);
  auto found = desc->channel();
  if (!found) return refuse(found.error().code(), found.error().why());
  target_ = *found;
  shape_.by_desc = false;
  return true;
}

// The cold path of a start that cannot be: says why.
bool io_core::refuse() noexcept {
  if (!target_) return refuse(std::errc::bad_file_descriptor, fault::no_channel);
  thread_state* here = acting_thread();
  if (!here) {
    misuse("I/O started without an attached thread: call spdk_io::thread::attach() first");
    return refuse(std::errc::operation_not_permitted, fault::no_thread);
  }
  if (channel().accepts.load(std::memory_order_relaxed) == nullptr) {
    if (here->phase != thread_phase::running) {
      return refuse(std::errc::operation_canceled, fault::thread_exiting);
    }
    if (channel().home == here && channel().desc->removed.load(std::memory_order_relaxed)) {
      return refuse(std::errc::no_such_device, fault::device_removed);
    }
    // Either the descriptor is closed, or only the thread of this channel has ended.
    return channel().desc->closing()
               ? refuse(std::errc::no_such_device, fault::device_closed)
               : refuse(std::errc::operation_not_permitted, fault::wrong_thread);
  }
  misuse(
      "I/O started on a channel of another thread: take one with bdev_desc::channel() "
      "on the thread that does the I/O");
  return refuse(std::errc::operation_not_permitted, fault::wrong_thread);
}

bool io_core::refuse(std::errc code, fault why) noexcept {
  io_stage = stage_done;
  code_ = static_cast<int>(code);
  why_ = why;
  place_ = {};
  if (!target_) return false;
  const desc_state& desc = shape_.by_desc ? *static_cast<desc_state*>(target_) : *channel().desc;
  place_ = {.device = desc.name, .block_size = desc.block_size};
  to_bytes(desc.block_size);
  return false;
}

bool io_core::refuse_invalid(fault why) noexcept {
  return refuse(std::errc::invalid_argument, why);
}

bool io_core::check_vector() noexcept {
  std::uint64_t total = 0;
  if (!sum_of(static_cast<const iovec*>(buffer_), capacity_, total)) {
    return refuse_invalid(fault::bad_vector);
  }
  return take_length(total);
}

bool io_core::sum_of(const iovec* buffers, std::uint64_t count, std::uint64_t& total) noexcept {
  if (count == 0 || count > static_cast<std::uint64_t>(std::numeric_limits<int>::max())) {
    return false;
  }
  total = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    if (!buffers[i].iov_base || buffers[i].iov_len == 0 ||
        buffers[i].iov_len > std::numeric_limits<std::uint64_t>::max() - total) {
      return false;
    }
    total += buffers[i].iov_len;
  }
  return true;
}

// The length is what the buffers come to.
bool io_core::take_length(std::uint64_t bytes) noexcept {
  length_ = bytes;
  if (shape_.unit == io_unit::bytes) return true;
  const std::uint32_t block = channel().block_size;
  if (bytes % block != 0) {
    offset_ = saturating_product(offset_, block);
    shape_.unit = io_unit::bytes;
    return refuse_invalid(fault::misaligned_length);
  }
  length_ = bytes / block;
  return true;
}

// The one place where a length could reach beyond its buffer.
bool io_core::check_capacity() noexcept {
  if (!has_buffer() || length_ <= capacity_ / channel().block_size) return true;
  return refuse_invalid(fault::short_buffer);
}

bool io_core::prepare_special() noexcept {
  return is_zcopy_start() || static_cast<extended_io_core&>(*this).prepare();
}

int io_core::submit_special() noexcept {
  return is_zcopy_start() ? static_cast<zcopy_core&>(*this).submit()
                          : static_cast<extended_io_core&>(*this).submit();
}

int io_core::submit_bytes() noexcept {
  channel_state& ch = channel();
  switch (shape_.kind) {
    case operation_kind::read:
      return spdk_bdev_read(ch.native_desc, ch.native, buffer_, offset_, length_, on_complete,
                            this);
    case operation_kind::write:
      return spdk_bdev_write(ch.native_desc, ch.native, buffer_, offset_, length_, on_complete,
                             this);
    default: return submit_rare_bytes();
  }
}

int io_core::submit_blocks() noexcept {
  channel_state& ch = channel();
  switch (shape_.kind) {
    case operation_kind::read:
      return spdk_bdev_read_blocks(ch.native_desc, ch.native, buffer_, offset_, length_,
                                   on_complete, this);
    case operation_kind::write:
      return spdk_bdev_write_blocks(ch.native_desc, ch.native, buffer_, offset_, length_,
                                    on_complete, this);
    default: return submit_rare_blocks();
  }
}

// Functions of their own, so that reads and writes do not pay for so many cases.
int io_core::submit_rare_bytes() noexcept {
  channel_state& ch = channel();
  spdk_bdev_desc* desc = ch.native_desc;
  switch (shape_.kind) {
    case operation_kind::flush:
      return spdk_bdev_flush(desc, ch.native, offset_, length_, on_complete, this);
    case operation_kind::unmap:
      return spdk_bdev_unmap(desc, ch.native, offset_, length_, on_complete, this);
    case operation_kind::write_zeroes:
      return spdk_bdev_write_zeroes(desc, ch.native, offset_, length_, on_complete, this);
    case operation_kind::reset: return spdk_bdev_reset(desc, ch.native, on_complete, this);
    case operation_kind::compare: return submit_compare(nullptr, 0);
    default: return -ENOTSUP;
  }
}

int io_core::submit_rare_blocks() noexcept {
  channel_state& ch = channel();
  spdk_bdev_desc* desc = ch.native_desc;
  switch (shape_.kind) {
    case operation_kind::flush:
      return spdk_bdev_flush_blocks(desc, ch.native, offset_, length_, on_complete, this);
    case operation_kind::unmap:
      return spdk_bdev_unmap_blocks(desc, ch.native, offset_, length_, on_complete, this);
    case operation_kind::write_zeroes:
      return spdk_bdev_write_zeroes_blocks(desc, ch.native, offset_, length_, on_complete, this);
    case operation_kind::compare: return submit_compare(nullptr, 0);
    default: return -ENOTSUP;
  }
}

// SPDK has it in blocks only.
int io_core::submit_compare(iovec* buffers, int buffer_count) noexcept {
  channel_state& ch = channel();
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  if (!in_blocks(first, count)) return -EINVAL;
  if (!buffers) {
    return spdk_bdev_compare_blocks(ch.native_desc, ch.native, buffer_, first, count, on_complete,
                                    this);
  }
  return spdk_bdev_comparev_blocks(ch.native_desc, ch.native, buffers, buffer_count, first, count,
                                   on_complete, this);
}

bool io_core::in_blocks(std::uint64_t& first, std::uint64_t& count) noexcept {
  first = offset_;
  count = length_;
  if (shape_.unit == io_unit::blocks) return true;
  const std::uint32_t block = channel().block_size;
  first /= block;
  count /= block;
  return first * block == offset_ && count * block == length_;
}

int io_core::submit_vector() noexcept {
  channel_state& ch = channel();
  auto* buffers = static_cast<iovec*>(buffer_);
  auto count = static_cast<int>(capacity_);
  if (shape_.kind == operation_kind::compare) return submit_compare(buffers, count);
  const bool read = shape_.kind == operation_kind::read;
  if (shape_.unit == io_unit::bytes) {
    return (read ? spdk_bdev_readv : spdk_bdev_writev)(ch.native_desc, ch.native, buffers, count,
                                                       offset_, length_, on_complete, this);
  }
  return (read ? spdk_bdev_readv_blocks : spdk_bdev_writev_blocks)(
      ch.native_desc, ch.native, buffers, count, offset_, length_, on_complete, this);
}

// Inside spdk_thread_poll(), or inside the submission: records, links, and runs nothing of the
// user's.
void io_core::on_complete(spdk_bdev_io* io, bool success, void* argument) {
  auto& self = *static_cast<io_core*>(argument);
  thread_state& home = *self.channel().home;
  if (!success || !home.hurdles.none_to_complete()) [[unlikely]]
    return complete_with_checks(io, success, self);
  node_ring::erase(self);
  self.io_stage = stage_held;
  self.held_ = io;
  home.ready.node_ring::push_back(self);
}

void io_core::complete_with_checks(spdk_bdev_io* io, bool success, io_core& self) noexcept {
  if (!success) self.take_status(io);
  self.complete();
  // Last: freeing resubmits whoever waits for memory.
  spdk_bdev_free_io(io);
}

void io_core::take_status(spdk_bdev_io* io) noexcept {
  std::uint32_t result = 0;
  int type = 0;
  int code = 0;
  int system = 0;
  spdk_bdev_io_get_nvme_status(io, &result, &type, &code);
  spdk_bdev_io_get_aio_status(io, &system);
  status_ = {static_cast<std::uint8_t>(type), static_cast<std::uint8_t>(code)};
  const bool aborted = type == 0 && (code == 0x07 || code == 0x08);
  const bool miscompare = type == 2 && code == 0x85;
  if (miscompare) {
    why_ = fault::miscompare;
    describe_failure(EILSEQ);
  } else if (aborted) {
    if (stop_flags_ & for_timeout) why_ = fault::timed_out;
    describe_failure(stop_flags_ & for_timeout ? ETIMEDOUT : ECANCELED);
  } else if (unsupported()) {
    describe_failure(ENOTSUP);
  } else {
    describe_failure(system < 0 ? -system : EIO);
  }
}

// SPDK takes these from everybody, and fails them later where the device has no such thing.
bool io_core::unsupported() const noexcept {
  spdk_bdev* bdev = channel().bdev;
  if (shape_.kind == operation_kind::unmap) {
    return !spdk_bdev_io_type_supported(bdev, SPDK_BDEV_IO_TYPE_UNMAP);
  }
  return shape_.kind == operation_kind::reset &&
         !spdk_bdev_io_type_supported(bdev, SPDK_BDEV_IO_TYPE_RESET);
}

// From the ring of what is in flight to the list of what is ready.
void io_core::complete() noexcept {
  channel_state& ch = channel();
  if (ch.attention != 0) [[unlikely]]
    return complete_specially(ch);
  node_ring::erase(*this);
  become_ready(ch);
}

// Takes along what operations() will want to know, since the channel may go.
inline void io_core::note_ready(channel_state& ch) noexcept {
  place_ = {.device = ch.name, .block_size = ch.block_size};
  io_stage = stage_ready;
  target_ = ch.home;
}

void io_core::stop_holding() noexcept {
  spdk_bdev_io* const io = held_;
  note_ready(channel());
  spdk_bdev_free_io(io);
}

void io_core::become_ready(channel_state& ch) noexcept {
  thread_state& home = *ch.home;
  note_ready(ch);
  home.ready.push_back(*this);
}

// Something is being aborted on this channel, or it is retiring.
void io_core::complete_specially(channel_state& ch) noexcept {
  node_ring::erase(*this);
  if (stop_flags_ & abort_out) {
    // The abort's callback has this for its argument.
    ch.parked.push_back(*this);
    io_stage = stage_parked;
    return;
  }
  if (stop_flags_ & abort_wanted) ch.home->waiting.unwant_abort(*this);
  if (stop_flags_ & abort_later) ch.home->retries.forget(*this);
  become_ready(ch);
  ch.completed();
}

void io_core::to_bytes(std::uint32_t block_size) noexcept {
  if (shape_.unit == io_unit::bytes) return;
  shape_.unit = io_unit::bytes;
  offset_ = saturating_product(offset_, block_size);
  length_ = saturating_product(length_, block_size);
  if (shape_.kind == operation_kind::copy) {
    auto& source = static_cast<extended_io_core&>(*this).source_;
    source = saturating_product(source, block_size);
  }
}

// Keeps all that the error will say, while channel and device are there to be asked.
void io_core::describe_failure(int code) noexcept {
  const channel_state& ch = channel();
  code_ = code;
  const std::uint32_t block = ch.block_size;
  const std::uint64_t blocks = spdk_bdev_get_num_blocks(ch.bdev);
  if (code == EBADF) why_ = fault::read_only;
  if (code == ENOTSUP) why_ = fault::unsupported;
  if (code == EINVAL && why_ == fault::none) why_ = explain_invalid(blocks);
  to_bytes(block);
  place_ = {.device = ch.name, .block_size = block};
  device_size_ = blocks * block;
}

// SPDK answers all of these alike; a person wants to know which.
fault io_core::explain_invalid(std::uint64_t device_blocks) const noexcept {
  const std::uint32_t block = channel().block_size;
  const bool bytes = shape_.unit == io_unit::bytes;
  if (bytes && offset_ % block != 0) return fault::misaligned_offset;
  if (bytes && length_ % block != 0) return fault::misaligned_length;
  const std::uint64_t first = bytes ? offset_ / block : offset_;
  const std::uint64_t count = bytes ? length_ / block : length_;
  if (first > device_blocks || count > device_blocks - first) return fault::past_end;
  if (shape_.kind == operation_kind::compare_and_write &&
      count > spdk_bdev_get_acwu(channel().bdev)) {
    return fault::beyond_atomic_unit;
  }
  return fault::none;
}

error::io io_core::failure() const noexcept {
  return {.code = std::errc{code_},
          .what = shape_.kind,
          .why = why_,
          .status = status_,
          .device = place_.device,
          .offset = offset_,
          .length = length_,
          .device_size = device_size_,
          .block_size = place_.block_size};
}

error io_core::make_error() const noexcept { return error(failure()); }

// By pointer, to what is this OS thread's until the next failure: a place for an error that the
// compiler would have to hand over here would lie in the coroutine's frame.
const error* io_core::finish_with_checks() noexcept {
  static constinit thread_local error failed;
  io_stage = stage_done;
  if (code_ == 0) return nullptr;
  failed = make_error();
  return &failed;
}

operation_info io_core::info() const noexcept {
  const bool channel_may_be_gone = io_stage == stage_ready;
  const bool ready = channel_may_be_gone || io_stage == stage_held;
  const std::uint32_t name = channel_may_be_gone ? place_.device : channel().name;
  const std::uint32_t block_size = channel_may_be_gone ? place_.block_size : channel().block_size;
  const std::uint32_t scale = shape_.unit == io_unit::blocks ? block_size : 1;
  return {
      .kind = shape_.kind,
      .state = ready                       ? operation_state::completed
               : io_stage == stage_waiting ? operation_state::waiting_for_memory
                                           : operation_state::in_flight,
      .device = device_name(name),
      .offset = saturating_product(offset_, scale),
      .length = saturating_product(length_, scale),
      .source = shape_.kind == operation_kind::copy
                    ? saturating_product(static_cast<const extended_io_core&>(*this).source_, scale)
                    : 0};
}

// Its coroutine is being destroyed. Runs no user code and leaves nothing that SPDK could touch.
void io_core::abandon() noexcept {
  thread_state& home =
      io_stage == stage_ready ? *static_cast<thread_state*>(target_) : *channel().home;
  if (!home.on_own_os_thread()) {
    fatal("destroyed on another OS thread than its own while in flight: " + info().what() +
          "; destroy coroutines on the thread whose operations they await");
  }
  leave_promise(*this);
  if (io_stage == stage_waiting) {
    home.waiting.erase(*this);
    channel().completed();
    return;
  }
  if (io_stage != stage_ready && io_stage != stage_held) {
    stop(false);
    wait_until_ready();
  }
  if (linked()) node_ring::erase(*this);
  if (io_stage == stage_held) {
    const native_turn it(home.native);
    give_back();
  }
}

void io_core::wait_until_ready() noexcept {
  const std::string what = info().what();
  pump_until(
      *channel().home,
      [](const void* op) {
        const std::uint8_t at = static_cast<const io_core*>(op)->io_stage;
        return at == stage_ready || at <= stage_succeeded;  // the latter: see repeated_io
      },
      this, what);
}

}  // namespace detail
}  // namespace spdk_io::inline SPDK_IO_ABI
