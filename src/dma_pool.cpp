// SPDX-License-Identifier: BSD-3-Clause
// One region of DMA memory, and which parts of it are free.
#include <spdk_io/dma_pool.hpp>

#include "concat.hpp"
#include "thread_state.hpp"

#include <bit>
#include <limits>
#include <memory>
#include <vector>

namespace spdk_io::inline SPDK_IO_ABI {

// The queue counts the buffers; which of them are free is known here. At least as many are as the
// queue has left and has granted to those who have not taken theirs yet.
class detail::pool_state final : public waiter_queue {
 public:
  pool_state(const dma_pool_options& options, std::size_t stride, dma_buffer region)
      : waiter_queue("a dma_pool", {.units = options.buffers}),
        size_(options.size),
        region_(std::move(region)) {
    free_.reserve(options.buffers);
    // The first ones last: what was given back last is taken first, while caches know it.
    for (std::size_t i = options.buffers; i-- > 0;) free_.push_back(region_.data() + i * stride);
  }

  std::size_t size() const noexcept { return size_; }
  dma_span pop() noexcept {
    std::byte* data = free_.back();
    free_.pop_back();
    return dma_span::trusted({data, size_});
  }
  void push(dma_span memory) noexcept { free_.push_back(memory.data()); }

 private:
  const std::size_t size_;
  dma_buffer region_;
  std::vector<std::byte*> free_;  // reserved in full
};

using detail::pool_state;

result<dma_pool> dma_pool::create(dma_pool_options options) {
  auto refuse = [&](std::errc code, std::string_view why) {
    return std::unexpected(
        error(code, operation_kind::allocate,
              detail::concat("allocation of a pool of ", options.buffers, " DMA buffers of ",
                             options.size, " bytes: ", why)));
  };
  if (!detail::acting_thread()) {
    return refuse(std::errc::operation_not_permitted,
                  "no SPDK thread is attached here (call spdk_io::thread::attach() first)");
  }
  if (options.buffers == 0) return refuse(std::errc::invalid_argument, "there are no buffers");
  if (options.size == 0) return refuse(std::errc::invalid_argument, "the size is zero");
  if (!std::has_single_bit(options.alignment)) {
    return refuse(std::errc::invalid_argument,
                  detail::concat("alignment ", options.alignment, " is not a power of two"));
  }
  constexpr std::size_t most = std::numeric_limits<std::ptrdiff_t>::max();
  const std::size_t most_each = most / options.buffers;
  if (options.alignment > most_each || options.size > most_each - (options.alignment - 1)) {
    return refuse(std::errc::not_enough_memory, "there is no such amount of memory");
  }
  const std::size_t stride = (options.size + options.alignment - 1) & ~(options.alignment - 1);
  auto region = dma_buffer::allocate(options.buffers * stride, options.alignment, options.numa);
  if (!region) return std::unexpected(region.error());
  return dma_pool(new pool_state(options, stride, std::move(*region)));
}

dma_pool::~dma_pool() {
  if (state_ && state_->close()) delete state_;
}

take_buffer_operation dma_pool::allocate() noexcept { return take_buffer_operation(state_); }

std::optional<pooled_buffer> dma_pool::try_allocate() noexcept {
  if (!state_ || !state_->try_take({.units = 1})) return std::nullopt;
  return pooled_buffer(*state_, state_->pop());
}

std::size_t dma_pool::available() const noexcept { return state_ ? state_->left().units : 0; }
std::size_t dma_pool::waiting() const noexcept { return state_ ? state_->waiting() : 0; }
std::size_t dma_pool::buffers() const noexcept { return state_ ? state_->limit().units : 0; }
std::size_t dma_pool::buffer_size() const noexcept { return state_ ? state_->size() : 0; }

void pooled_buffer::give_back() noexcept {
  pool_state* pool = std::exchange(pool_, nullptr);
  // Checked before the list is touched: another OS thread ends here.
  pool->check_os_thread();
  pool->push(std::exchange(memory_, {}));
  if (pool->give_back({.units = 1})) delete pool;
}

take_buffer_operation::~take_buffer_operation() {
  detail::leave_promise(*this);
  delete static_cast<pool_state*>(settle("a dma_pool"));
}

result<pooled_buffer> take_buffer_operation::finish() noexcept {
  if (!granted()) return std::unexpected(failure(operation_kind::take_buffer, "pool"));
  auto& pool = static_cast<pool_state&>(take());
  return pooled_buffer(pool, pool.pop());
}

}  // namespace spdk_io::inline SPDK_IO_ABI
