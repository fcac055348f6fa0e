// SPDX-License-Identifier: BSD-3-Clause
// Buffers in a row, as an argument.
#pragma once

#include <spdk_io/dma_buffer.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>

namespace spdk_io::inline SPDK_IO_ABI {

// What writev() and its like take: any contiguous range (an array, a std::vector, a std::span) of
// const_dma_span or of dma_span. A view: the range and the buffers live until the operation has
// completed.
class gather_list {
 public:
  template <class R>
    requires(!std::same_as<std::remove_cvref_t<R>, gather_list>) &&
            std::convertible_to<R&&, std::span<const const_dma_span>>
  gather_list(R&& range) noexcept : gather_list(std::span<const const_dma_span>(range), 0) {}

  template <class R>
    requires(!std::same_as<std::remove_cvref_t<R>, gather_list>) &&
            std::convertible_to<R&&, std::span<const dma_span>>
  gather_list(R&& range) noexcept : gather_list(std::span<const dma_span>(range), 0) {}

  std::size_t size() const noexcept { return size_; }

  // The array of iovec that C calls take: they know no const, but leave it alone. Never null.
  void* array() const noexcept { return const_cast<void*>(array_); }

 private:
  template <class Span>
  gather_list(std::span<Span> spans, int) noexcept
      : array_(spans.empty() ? static_cast<const void*>(&none) : spans.data()),
        size_(spans.size()) {}

  static constexpr dma_span none = {};

  const void* array_;
  std::size_t size_;
};

}  // namespace spdk_io::inline SPDK_IO_ABI
