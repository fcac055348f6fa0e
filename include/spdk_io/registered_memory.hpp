// SPDX-License-Identifier: BSD-3-Clause
// The user's own memory, made known to SPDK so that devices can reach it.
#pragma once

#include <spdk_io/dma_buffer.hpp>
#include <spdk_io/error.hpp>

#include <cstddef>
#include <span>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

// Keeps memory registered that the program has mapped itself: a cache in hugepages, memory shared
// with another process, a file's pages. What views it converts to a dma_span.
//
// What qualifies: memory that is mapped, whose start and size are multiples of alignment(), and
// that is not registered already (what SPDK allocates is). For NVMe devices its pages must also
// stay where they are: hugepages that are touched already, or a machine with an IOMMU. SPDK does
// not check that, nor that the memory is mapped at all.
//
// Without PCI (env_options.pci = false) nothing is pinned or translated: registering only keeps
// the books, and the devices that exist then reach any memory. Without hugepages but with PCI,
// devices reach it through an IOMMU only.
//
// Any thread. The destructor unregisters. Requires: it goes after the I/O that uses the memory has
// completed, before the memory is unmapped, and before the env.
class registered_memory {
 public:
  // Bytes: 4096, or 2 MiB with releases of SPDK before v25.09.
  static std::size_t alignment() noexcept;

  // Errors: operation_not_permitted (no env); invalid_argument (empty, not aligned, not an address
  // of the process); device_or_resource_busy (part of it is registered already, or is SPDK's own);
  // what SPDK's translation says of memory that an IOMMU refuses (some releases keep that silent).
  static result<registered_memory> over(std::span<std::byte> memory);

  registered_memory() = default;  // empty
  registered_memory(registered_memory&& other) noexcept
      : memory_(std::exchange(other.memory_, {})) {}
  registered_memory& operator=(registered_memory&& other) noexcept {
    std::swap(memory_, other.memory_);
    return *this;
  }
  ~registered_memory();

  // Unregisters now, and tells what the destructor would keep to itself; empty from then on.
  // Error: what SPDK says, for instance that somebody else has unregistered it.
  result<void> unregister();

  std::byte* data() const noexcept { return memory_.data(); }
  std::size_t size() const noexcept { return memory_.size(); }  // bytes
  bool empty() const noexcept { return memory_.empty(); }
  std::byte* begin() const noexcept { return data(); }
  std::byte* end() const noexcept { return data() + size(); }
  std::span<std::byte> bytes() const noexcept { return memory_; }

  operator dma_span() const noexcept { return dma_span::trusted(memory_); }
  operator const_dma_span() const noexcept { return const_dma_span::trusted(memory_); }
  // Requires: the part lies inside.
  dma_span first(std::size_t n) const noexcept { return subspan(0, n); }
  dma_span subspan(std::size_t offset, std::size_t n) const noexcept {
    return dma_span::trusted(memory_.subspan(offset, n));
  }

 private:
  explicit registered_memory(std::span<std::byte> memory) noexcept : memory_(memory) {}

  std::span<std::byte> memory_;
};

}  // namespace spdk_io::inline SPDK_IO_ABI
