// SPDX-License-Identifier: BSD-3-Clause
// Allocation of DMA memory.
#include <spdk_io/dma_buffer.hpp>

#include "concat.hpp"
#include "env_state.hpp"

#include <spdk/env.h>

#include <bit>
#include <limits>

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

// DPDK's arithmetic overflows near the end of the range, and then grants what cannot be.
constexpr std::size_t most_bytes = std::numeric_limits<std::ptrdiff_t>::max();
constexpr std::size_t most_alignment = std::size_t{1} << 30;

}  // namespace

result<dma_buffer> dma_buffer::make(std::size_t bytes, std::size_t alignment, int numa, bool zero) {
  auto refuse = [&](std::errc code, std::string_view why) {
    return std::unexpected(
        error(code, operation_kind::allocate,
              detail::concat("allocation of ", bytes, " bytes of DMA memory: ", why)));
  };
  if (!detail::env_running()) {
    return refuse(std::errc::operation_not_permitted,
                  "no environment (call spdk_io::env::start() first and keep it)");
  }
  if (bytes == 0) return refuse(std::errc::invalid_argument, "the size is zero");
  if (!std::has_single_bit(alignment)) {
    return refuse(std::errc::invalid_argument,
                  detail::concat("alignment ", alignment, " is not a power of two"));
  }
  void* data = nullptr;
  if (bytes <= most_bytes && alignment <= most_alignment) {
    data = (zero ? spdk_zmalloc : spdk_malloc)(
        bytes, alignment, nullptr, numa < 0 ? SPDK_ENV_NUMA_ID_ANY : numa, SPDK_MALLOC_DMA);
  }
  if (!data) {
    return refuse(std::errc::not_enough_memory,
                  "out of DMA memory (env_options.memory_mib sets how much there is)");
  }
  return dma_buffer(static_cast<std::byte*>(data), bytes);
}

result<dma_buffer> dma_buffer::allocate(std::size_t bytes, std::size_t alignment, int numa) {
  return make(bytes, alignment, numa, false);
}

result<dma_buffer> dma_buffer::zeroed(std::size_t bytes, std::size_t alignment, int numa) {
  return make(bytes, alignment, numa, true);
}

dma_buffer::~dma_buffer() {
  if (data_) spdk_free(data_);
}

}  // namespace spdk_io::inline SPDK_IO_ABI
