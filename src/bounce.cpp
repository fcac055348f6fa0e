// SPDX-License-Identifier: BSD-3-Clause
// I/O with ordinary memory, through a DMA buffer.
#include <spdk_io/bounce.hpp>

#include "concat.hpp"
#include "handle_access.hpp"
#include "thread_state.hpp"

#include <spdk/bdev.h>

#include <algorithm>
#include <cstring>

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

// Refuses what SPDK would refuse of a single I/O of that size: a range must not fail half way for
// a reason that was known at its start. Returns how much to transfer at once; 0 if the I/O itself
// will say why it cannot be, before the device sees it (an empty handle, one of another thread).
result<std::size_t> piece_size(const io_channel& channel, operation_kind what, std::size_t size,
                               std::uint64_t offset, std::size_t room) {
  const detail::channel_state* state = detail::handle_access::state_of(channel);
  detail::thread_state* here = detail::acting_thread();
  if (!state || !here || state->accepts.load(std::memory_order_relaxed) != here || size == 0) {
    return 0;
  }
  const std::uint32_t block = state->block_size;
  const std::uint64_t capacity = spdk_bdev_get_num_blocks(state->bdev) * block;
  fault why = fault::none;
  if (offset % block != 0) {
    why = fault::misaligned_offset;
  } else if (size % block != 0) {
    why = fault::misaligned_length;
  } else if (offset > capacity || size > capacity - offset) {
    why = fault::past_end;
  } else if (room < block) {
    why = fault::small_bounce_buffer;
  } else {
    return room - room % block;
  }
  return std::unexpected(error(error::io{.code = std::errc::invalid_argument,
                                         .what = what,
                                         .why = why,
                                         .device = state->name,
                                         .offset = offset,
                                         .length = size,
                                         .device_size = capacity,
                                         .block_size = block}));
}

}  // namespace

task<result<void>> read_bounced(io_channel channel, std::span<std::byte> memory,
                                std::uint64_t offset, dma_span through) {
  auto most = piece_size(channel, operation_kind::read, memory.size(), offset, through.size());
  if (!most) co_return std::unexpected(most.error());
  if (*most == 0) {
    auto refused = co_await channel.read(dma_span::trusted(memory), offset);
    co_return refused;
  }
  for (std::size_t at = 0; at < memory.size();) {
    const dma_span piece = through.first(std::min(*most, memory.size() - at));
    if (auto r = co_await channel.read(piece, offset + at); !r) co_return r;
    std::memcpy(memory.data() + at, piece.data(), piece.size());
    at += piece.size();
  }
  co_return result<void>();
}

task<result<void>> write_bounced(io_channel channel, std::span<const std::byte> memory,
                                 std::uint64_t offset, dma_span through) {
  auto most = piece_size(channel, operation_kind::write, memory.size(), offset, through.size());
  if (!most) co_return std::unexpected(most.error());
  if (*most == 0) {
    auto refused = co_await channel.write(const_dma_span::trusted(memory), offset);
    co_return refused;
  }
  for (std::size_t at = 0; at < memory.size();) {
    const dma_span piece = through.first(std::min(*most, memory.size() - at));
    std::memcpy(piece.data(), memory.data() + at, piece.size());
    if (auto r = co_await channel.write(piece, offset + at); !r) co_return r;
    at += piece.size();
  }
  co_return result<void>();
}

task<result<void>> read_bounced(bdev_desc device, std::span<std::byte> memory, std::uint64_t offset,
                                dma_span through) {
  auto channel = device.channel();
  if (!channel) co_return std::unexpected(channel.error());
  auto done = co_await read_bounced(std::move(*channel), memory, offset, through);
  co_return done;
}

task<result<void>> write_bounced(bdev_desc device, std::span<const std::byte> memory,
                                 std::uint64_t offset, dma_span through) {
  auto channel = device.channel();
  if (!channel) co_return std::unexpected(channel.error());
  auto done = co_await write_bounced(std::move(*channel), memory, offset, through);
  co_return done;
}

}  // namespace spdk_io::inline SPDK_IO_ABI
