// SPDX-License-Identifier: BSD-3-Clause
// Memory that devices can reach: an owning buffer and views of it.
#pragma once

#include <spdk_io/error.hpp>

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

class const_dma_span;

// A view of DMA memory. It does not own: what it views must outlive every I/O that uses it.
// It converts from a dma_buffer only; for memory that SPDK can reach for another reason there
// is trusted(). The type has the layout of an iovec, so an array of them is a scatter list.
class dma_span {
 public:
  dma_span() = default;

  // For memory of a program that uses SPDK's C API. (For one's own there is registered_memory, for
  // ordinary memory read_bounced().)
  // Requires: the memory was allocated by SPDK or registered with it. SPDK does not check:
  // NVMe devices fail, or corrupt memory, where that is not true.
  static dma_span trusted(std::span<std::byte> memory) noexcept {
    return dma_span(memory.data(), memory.size());
  }

  std::byte* data() const noexcept { return static_cast<std::byte*>(vector_.iov_base); }
  std::size_t size() const noexcept { return vector_.iov_len; }  // bytes
  bool empty() const noexcept { return size() == 0; }
  std::byte* begin() const noexcept { return data(); }
  std::byte* end() const noexcept { return data() + size(); }
  operator std::span<std::byte>() const noexcept { return {data(), size()}; }

  // Requires: the part lies inside.
  dma_span first(std::size_t bytes) const noexcept { return subspan(0, bytes); }
  dma_span subspan(std::size_t offset, std::size_t bytes) const noexcept {
    return dma_span(data() + offset, bytes);
  }

 private:
  friend class dma_buffer;
  friend class const_dma_span;
  dma_span(std::byte* data, std::size_t bytes) noexcept : vector_{data, bytes} {}

  iovec vector_ = {nullptr, 0};
};

// The same for memory that is only read, that is, written to a device.
class const_dma_span {
 public:
  const_dma_span() = default;
  const_dma_span(dma_span s) noexcept : vector_(s.vector_) {}
  static const_dma_span trusted(std::span<const std::byte> memory) noexcept {
    return const_dma_span(memory.data(), memory.size());
  }

  const std::byte* data() const noexcept { return static_cast<const std::byte*>(vector_.iov_base); }
  std::size_t size() const noexcept { return vector_.iov_len; }  // bytes
  bool empty() const noexcept { return size() == 0; }
  const std::byte* begin() const noexcept { return data(); }
  const std::byte* end() const noexcept { return data() + size(); }
  operator std::span<const std::byte>() const noexcept { return {data(), size()}; }

  const_dma_span first(std::size_t bytes) const noexcept { return subspan(0, bytes); }
  const_dma_span subspan(std::size_t offset, std::size_t bytes) const noexcept {
    return const_dma_span(data() + offset, bytes);
  }

 private:
  friend class dma_buffer;
  const_dma_span(const std::byte* data, std::size_t bytes) noexcept
      : vector_{const_cast<std::byte*>(data), bytes} {}

  iovec vector_ = {nullptr, 0};
};

static_assert(sizeof(dma_span) == sizeof(iovec) && std::is_standard_layout_v<dma_span>);
static_assert(sizeof(const_dma_span) == sizeof(iovec) && std::is_standard_layout_v<const_dma_span>);

// Owns DMA memory. Any thread. Requires: the env is up when it is made and when it dies. It
// must outlive every I/O that uses it.
class dma_buffer {
 public:
  static constexpr std::size_t default_alignment = 4096;

  // `bytes` > 0; `alignment` in bytes, a power of two (a device's is bdev::alignment()); `numa`
  // is the node to allocate on, -1 for any.
  // Errors: no env; a size or alignment that cannot be; out of DMA memory (the message says how
  // much was asked for).
  static result<dma_buffer> allocate(std::size_t bytes, std::size_t alignment = default_alignment,
                                     int numa = -1);
  static result<dma_buffer> zeroed(std::size_t bytes, std::size_t alignment = default_alignment,
                                   int numa = -1);

  // Adopts memory from spdk_malloc(), spdk_dma_malloc() and the like: freed with spdk_dma_free().
  // To use such memory without owning it, there is dma_span::trusted(). Requires: `memory` is what
  // SPDK returned, with room for `bytes`; null with 0 is an empty buffer.
  static dma_buffer from_native(void* memory, std::size_t bytes) noexcept {
    return dma_buffer(static_cast<std::byte*>(memory), bytes);
  }

  // Gives the memory up: the caller frees it, with spdk_dma_free() or from_native().
  [[nodiscard]] std::byte* release() noexcept {
    size_ = 0;
    return std::exchange(data_, nullptr);
  }

  dma_buffer() = default;  // empty
  dma_buffer(dma_buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  dma_buffer& operator=(dma_buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~dma_buffer();

  std::byte* data() noexcept { return data_; }
  const std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }  // bytes
  bool empty() const noexcept { return size_ == 0; }
  std::byte* begin() noexcept { return data_; }
  std::byte* end() noexcept { return data_ + size_; }
  const std::byte* begin() const noexcept { return data_; }
  const std::byte* end() const noexcept { return data_ + size_; }
  std::span<std::byte> bytes() noexcept { return {data_, size_}; }
  std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }

  operator dma_span() noexcept { return dma_span(data_, size_); }
  operator const_dma_span() const noexcept { return const_dma_span(data_, size_); }
  dma_span first(std::size_t n) noexcept { return dma_span(data_, n); }
  dma_span subspan(std::size_t offset, std::size_t n) noexcept {
    return dma_span(data_ + offset, n);
  }

 private:
  dma_buffer(std::byte* data, std::size_t bytes) noexcept : data_(data), size_(bytes) {}
  static result<dma_buffer> make(std::size_t bytes, std::size_t alignment, int numa, bool zero);

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace spdk_io::inline SPDK_IO_ABI
