// SPDX-License-Identifier: BSD-3-Clause
// I/O with ordinary memory (a vector, the stack, a mapped file), which devices cannot reach: by
// way of a buffer that they can.
#pragma once

#include <spdk_io/bdev_desc.hpp>
#include <spdk_io/dma_buffer.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/io_channel.hpp>
#include <spdk_io/task.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace spdk_io::inline SPDK_IO_ABI {

// Read into, or write from, `memory` through the DMA buffer `through`: piece by piece, as large as
// `through` is, one after the other, each copied by the CPU. Nothing is allocated but the task's
// frame. Whoever wants several in flight makes several calls, each with a buffer of its own.
//
// `offset` and the size of `memory` are in bytes and multiples of the block size; `through` holds
// at least one block, and is used for nothing else meanwhile. Memory and buffer must live until
// the task has completed.
//
// Errors: those of read() and write(). A range that cannot be is refused before anything is
// transferred; after an error of the device, which says at which offset, the pieces before it
// have been transferred.
//
// Thread, cancellation: as io_operation; destroying the task waits for the piece in flight.
task<result<void>> read_bounced(io_channel channel, std::span<std::byte> memory,
                                std::uint64_t offset, dma_span through);
task<result<void>> write_bounced(io_channel channel, std::span<const std::byte> memory,
                                 std::uint64_t offset, dma_span through);

// The same on the channel of the thread that awaits the task.
task<result<void>> read_bounced(bdev_desc device, std::span<std::byte> memory, std::uint64_t offset,
                                dma_span through);
task<result<void>> write_bounced(bdev_desc device, std::span<const std::byte> memory,
                                 std::uint64_t offset, dma_span through);

}  // namespace spdk_io::inline SPDK_IO_ABI
