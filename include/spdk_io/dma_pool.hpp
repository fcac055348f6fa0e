// SPDX-License-Identifier: BSD-3-Clause
// dma_pool: a fixed number of DMA buffers of one size, allocated once, taken and given back.
#pragma once

#include <spdk_io/detail/operation.hpp>
#include <spdk_io/detail/waiter_queue.hpp>
#include <spdk_io/dma_buffer.hpp>
#include <spdk_io/error.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

class take_buffer_operation;

namespace detail {
class pool_state;
}

struct dma_pool_options {
  std::size_t buffers = 0;                                // how many; at least 1
  std::size_t size = 0;                                   // bytes of each; at least 1
  std::size_t alignment = dma_buffer::default_alignment;  // bytes, of each; a power of two
  int numa = -1;                                          // the node to allocate on, -1 for any
};

// A buffer of a pool, used like a dma_buffer. It goes back to its pool when it is destroyed, and
// must outlive every I/O that uses it. Its contents are whatever was there last.
class pooled_buffer {
 public:
  pooled_buffer() = default;  // empty
  pooled_buffer(pooled_buffer&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)), memory_(std::exchange(other.memory_, {})) {}
  pooled_buffer& operator=(pooled_buffer&& other) noexcept {
    if (this != &other) {
      reset();
      pool_ = std::exchange(other.pool_, nullptr);
      memory_ = std::exchange(other.memory_, {});
    }
    return *this;
  }
  ~pooled_buffer() { reset(); }

  // Gives it back early. Afterwards it is empty.
  void reset() noexcept {
    if (pool_) give_back();
  }

  std::byte* data() noexcept { return memory_.data(); }
  const std::byte* data() const noexcept { return memory_.data(); }
  std::size_t size() const noexcept { return memory_.size(); }  // bytes
  bool empty() const noexcept { return memory_.empty(); }
  std::byte* begin() noexcept { return memory_.begin(); }
  std::byte* end() noexcept { return memory_.end(); }
  const std::byte* begin() const noexcept { return memory_.begin(); }
  const std::byte* end() const noexcept { return memory_.end(); }
  std::span<std::byte> bytes() noexcept { return memory_; }
  std::span<const std::byte> bytes() const noexcept { return {data(), size()}; }

  operator dma_span() noexcept { return memory_; }
  operator const_dma_span() const noexcept { return memory_; }
  dma_span first(std::size_t n) noexcept { return memory_.first(n); }
  dma_span subspan(std::size_t offset, std::size_t n) noexcept {
    return memory_.subspan(offset, n);
  }

 private:
  friend class dma_pool;
  friend class take_buffer_operation;
  pooled_buffer(detail::pool_state& pool, dma_span memory) noexcept
      : pool_(&pool), memory_(memory) {}
  void give_back() noexcept;

  detail::pool_state* pool_ = nullptr;
  dma_span memory_;
};

// Hands out buffers, and has coroutines wait for one when all are out:
//   auto pool = dma_pool::create({.buffers = 64, .size = 128 << 10});
//   …
//   auto buffer = co_await pool->allocate();
//   if (!buffer) co_return std::unexpected(buffer.error());
//   co_return co_await disk.read(*buffer, 0);       // the buffer goes back at the end of the scope
//
// First come, first served. A buffer that comes back is granted at once to who waits, who is
// resumed from thread::poll(), never from where it was given back. The memory is one allocation,
// made by create(); taking a buffer allocates nothing.
//
// Thread: the SPDK thread on which it was made: buffers are taken there, and given back and waited
// for on its OS thread (views of a buffer may be used anywhere). Taking one elsewhere is an error
// result, and in debug builds ends the program with a message; giving one back elsewhere ends the
// program in every build, unless the thread has ended. When the thread ends, those who wait are
// resumed with an error.
// Destroying the pool resumes those who wait with errc::operation_canceled. Buffers that are out
// keep the memory: it is freed with the last of them. Requires: the env is up until then.
class dma_pool {
 public:
  // Errors: invalid_argument (no buffers, a size of zero, an alignment that is no power of two),
  // operation_not_permitted (no env, or no thread attached here), not_enough_memory.
  static result<dma_pool> create(dma_pool_options options);

  dma_pool(dma_pool&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  dma_pool& operator=(dma_pool&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~dma_pool();

  // co_await gives a result<pooled_buffer>; at once, without suspending, where one is left and
  // nobody waits.
  // Errors: operation_not_permitted (another thread, or none), operation_canceled (stopped; the
  // pool was destroyed; the thread is ending), bad_file_descriptor (the pool was moved from).
  // Cancellation: a stop request, or the end of with_timeout(), takes it from the queue at once. A
  // buffer that was granted by then is the result. Destroying the awaiting coroutine on its thread
  // is always safe. Requires: the pool lives until it is awaited.
  [[nodiscard]] take_buffer_operation allocate() noexcept;

  // The same without waiting: nothing if no buffer is left, or others wait for one.
  [[nodiscard]] std::optional<pooled_buffer> try_allocate() noexcept;

  // Buffers that are left; granted ones count before who waited for them was resumed. These are 0
  // if it was moved from.
  std::size_t available() const noexcept;
  std::size_t waiting() const noexcept;
  std::size_t buffers() const noexcept;      // in all
  std::size_t buffer_size() const noexcept;  // bytes

 private:
  explicit dma_pool(detail::pool_state* state) noexcept : state_(state) {}

  detail::pool_state* state_;  // null: moved from
};

// What allocate() returns.
class [[nodiscard]] take_buffer_operation
    : public detail::operation_base<take_buffer_operation, result<pooled_buffer>, detail::waiter> {
 public:
  take_buffer_operation(take_buffer_operation&&) = default;
  take_buffer_operation& operator=(take_buffer_operation&&) = delete;
  ~take_buffer_operation();

  result<pooled_buffer> finish() noexcept;

 private:
  friend class dma_pool;
  explicit take_buffer_operation(detail::waiter_queue* queue) noexcept
      : operation_base(std::in_place, queue, detail::amount{.units = 1}) {}
};

}  // namespace spdk_io::inline SPDK_IO_ABI
