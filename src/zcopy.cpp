// SPDX-License-Identifier: BSD-3-Clause
// Lending a device's memory, and giving it back.
//
// A channel counts what it has lent (channel_state::lent), from the completion of the start to
// the submission of an end that is awaited, which is in flight then like any I/O, or to the
// completion of one that nobody awaits (channel_state::ending). It is not put before.
#include <spdk_io/zcopy.hpp>

#include "channel_state.hpp"
#include "plain_io.hpp"
#include "thread_state.hpp"

#include <spdk_io/detail/fatal.hpp>

#include <spdk/bdev.h>
#include <spdk/thread.h>

#include <cerrno>

namespace spdk_io::inline SPDK_IO_ABI {

using detail::channel_state;

zcopy_buffer::zcopy_buffer(channel_state& channel, spdk_bdev_io* io, operation_kind kind,
                           std::uint64_t offset, std::uint64_t length) noexcept
    : channel_(&channel), io_(io), offset_(offset), length_(length), kind_(kind) {
  channel.held.push_back(link_);
}

std::span<const dma_span> zcopy_buffer::parts() const noexcept {
  iovec* vector = nullptr;
  int count = 0;
  if (io_) spdk_bdev_io_get_iovec(io_, &vector, &count);
  return {reinterpret_cast<const dma_span*>(vector), static_cast<std::size_t>(count)};
}

void zcopy_buffer::take(zcopy_buffer& other) noexcept {
  channel_ = other.channel_;
  offset_ = std::exchange(other.offset_, 0);
  length_ = std::exchange(other.length_, 0);
  kind_ = other.kind_;
  if (!other.io_) return;
  io_ = other.let_go();
  channel_->held.push_back(link_);
}

spdk_bdev_io* zcopy_buffer::let_go() noexcept {
  detail::node_ring::erase(link_);
  offset_ = length_ = 0;
  return std::exchange(io_, nullptr);
}

operation_info zcopy_buffer::info() const noexcept {
  return {.kind = kind_,
          .state = operation_state::held,
          .device = detail::device_name(channel_->name),
          .offset = offset_,
          .length = length_};
}

// Nobody waits for the end, so it needs nothing of the buffer's: the channel is its state.
void zcopy_buffer::end_unawaited() noexcept {
  detail::thread_state& home = *channel_->home;
  if (!home.on_own_os_thread()) {
    detail::fatal("a zcopy_buffer was dropped on another OS thread than its own: " + info().what());
  }
  auto on_ended = [](spdk_bdev_io* io, bool, void* argument) {
    auto& channel = *static_cast<channel_state*>(argument);
    --channel.ending;
    --channel.lent;
    channel.completed();
    spdk_bdev_free_io(io);
  };
  ++channel_->ending;
  const detail::native_turn it(home.native);
  // It cannot fail: SPDK refuses only what is no zcopy, and needs no further memory.
  spdk_bdev_zcopy_end(let_go(), false, on_ended, channel_);
  home.wake_if_asleep();
}

zcopy_end_operation zcopy_buffer::commit() noexcept {
  return zcopy_end_operation(std::move(*this), operation_kind::zcopy_commit);
}

zcopy_end_operation zcopy_buffer::release() noexcept {
  return zcopy_end_operation(std::move(*this), operation_kind::zcopy_release);
}

namespace detail {

int zcopy_core::submit() noexcept {
  channel_state& ch = channel();
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  if (!in_blocks(first, count)) return -EINVAL;
  return spdk_bdev_zcopy_start(ch.native_desc, ch.native, nullptr, 0, first, count,
                               shape_.kind == operation_kind::zcopy_read, on_started, this);
}

void zcopy_core::on_started(spdk_bdev_io* io, bool success, void* argument) {
  auto& self = *static_cast<zcopy_core*>(argument);
  if (!success) {
    on_complete(io, success, static_cast<io_core*>(&self));
    return;
  }
  channel_state& ch = self.channel();
  ++ch.lent;
  self.lender_ = &ch;
  self.io_ = io;
  self.complete();
}

result<zcopy_buffer> zcopy_core::finish() noexcept {
  auto ended = io_core::finish();
  if (!ended) return std::unexpected(ended.error());
  to_bytes(place_.block_size);
  return zcopy_buffer(*lender_, std::exchange(io_, nullptr), shape_.kind, offset_, length_);
}

void zcopy_core::settle() noexcept {
  io_core::settle();
  if (io_) zcopy_buffer(*lender_, std::exchange(io_, nullptr), shape_.kind, offset_, length_);
}

zcopy_end_core::zcopy_end_core(zcopy_buffer&& buffer, operation_kind how) noexcept
    : io_core(buffer.channel_,
              {.kind = how,
               .form = io_form::special,
               .offset = buffer.offset_,
               .length = buffer.length_},
              false),
      buffer_(std::move(buffer)) {}

// Not as other I/O: the channel may be retiring, which waits for this, and needs no memory.
bool zcopy_end_core::begin() noexcept {
  if (buffer_.empty()) {
    target_ = nullptr;
    return refuse_invalid(fault::zcopy_ended);
  }
  channel_state& ch = channel();
  thread_state* here = acting_thread();
  if (!here) return refuse();
  if (ch.home != here) {
    misuse("a zcopy_buffer was committed or released on another thread than its own");
    return refuse(std::errc::operation_not_permitted, fault::wrong_thread);
  }
  put_in_flight(ch);
  --ch.lent;
  // As when it is dropped, this cannot fail.
  spdk_bdev_zcopy_end(buffer_.let_go(), shape_.kind == operation_kind::zcopy_commit, on_complete,
                      static_cast<io_core*>(this));
  here->wake_if_asleep();
  return true;
}

}  // namespace detail
}  // namespace spdk_io::inline SPDK_IO_ABI
