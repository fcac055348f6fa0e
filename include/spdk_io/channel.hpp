// SPDX-License-Identifier: BSD-3-Clause
// channel<T>: from any number of senders, on any OS threads, to one receiver.
#pragma once

#include <spdk_io/detail/channel_core.hpp>
#include <spdk_io/detail/operation.hpp>
#include <spdk_io/detail/wait_point.hpp>
#include <spdk_io/error.hpp>

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

template <class T>
class channel;

namespace detail {

// What is known at once, to be awaited.
struct known_result {
  result<void> value;
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  result<void> await_resume() const noexcept { return value; }
};

template <class T>
class channel_ring final : public channel_core {
 public:
  static channel_ring& make(std::size_t capacity) {
    const std::size_t count = cells_for(capacity);
    return *new channel_ring(std::make_unique<cell[]>(count), count, capacity);
  }

  // `value` is moved from only if it is done. Any thread.
  put try_put(T& value) noexcept {
    bool alive = true;
    const put how = try_put_locked(value, alive);
    if (!alive) [[unlikely]]
      serve();
    return how;
  }
  // The same where the lock is held already.
  put try_put_locked(T& value) noexcept {
    bool alive = true;
    return try_put_locked(value, alive);
  }

  // Requires: has_element().
  T take() noexcept {
    T* const first = value_at(head());
    T value(std::move(*first));
    first->~T();
    advance();
    return value;
  }

  void drop_elements() noexcept {
    while (has_element()) {
      value_at(head())->~T();
      advance();
    }
  }

 private:
  struct cell {
    sequence turn{0};
    alignas(T) std::byte value[sizeof(T)];
  };

  channel_ring(std::unique_ptr<cell[]> cells, std::size_t count, std::size_t capacity) noexcept
      : channel_core(cells.get(), sizeof(cell), count, capacity, destroy),
        cells_(std::move(cells)),
        mask_(count - 1) {}
  ~channel_ring() { drop_elements(); }
  static void destroy(channel_core& core) noexcept { delete static_cast<channel_ring*>(&core); }

  put try_put_locked(T& value, bool& alive) noexcept {
    std::uint64_t position = 0;
    if (const put how = take_position(position); how != put::done) return how;
    ::new (static_cast<void*>(cells_[position & mask_].value)) T(std::move(value));
    alive = publish(position);
    return put::done;
  }
  T* value_at(std::uint64_t position) noexcept {
    return std::launder(reinterpret_cast<T*>(cells_[position & mask_].value));
  }

  const std::unique_ptr<cell[]> cells_;
  const std::uint64_t mask_;
};

}  // namespace detail

// What channel<T>::send() and sender::send() return.
template <class T>
class [[nodiscard]] channel_send_operation
    : public detail::operation_base<channel_send_operation<T>, result<void>, detail::send_wait> {
  using base = detail::operation_base<channel_send_operation, result<void>, detail::send_wait>;

 public:
  channel_send_operation(detail::channel_ring<T>* ring, T&& value) noexcept
      : base(std::in_place, ring, put_value), value_(std::move(value)) {}
  channel_send_operation(channel_send_operation&&) = default;
  channel_send_operation& operator=(channel_send_operation&&) = delete;
  ~channel_send_operation() {
    detail::leave_promise(*this);
    this->settle();
  }

  bool begin() noexcept { return this->start(); }
  result<void> finish() { return this->outcome(); }

  // See operation_base. On an OS thread without an SPDK thread this sleeps until there is room.
  result<void> get() && {
    if (detail::attached_here()) return std::move(static_cast<base&>(*this)).get();
    detail::sleeping_caller caller;
    this->sleep_until_done(caller);
    if (begin()) caller.wait();
    result<void> r = finish();
    caller.rethrow();
    return r;
  }

 private:
  static detail::channel_core::put put_value(detail::send_wait& wait) noexcept {
    auto& self = static_cast<channel_send_operation&>(wait);
    return static_cast<detail::channel_ring<T>&>(self.core()).try_put_locked(self.value_);
  }

  T value_;
};

// What channel<T>::next() returns.
template <class T>
class [[nodiscard]] channel_next_operation
    : public detail::operation_base<channel_next_operation<T>, result<std::optional<T>>,
                                    detail::point_wait> {
  using base =
      detail::operation_base<channel_next_operation, result<std::optional<T>>, detail::point_wait>;

 public:
  explicit channel_next_operation(detail::channel_ring<T>* ring) noexcept
      : base(std::in_place, ring ? &ring->point() : nullptr), ring_(ring) {}
  channel_next_operation(channel_next_operation&&) = default;
  channel_next_operation& operator=(channel_next_operation&&) = delete;
  ~channel_next_operation() {
    detail::leave_promise(*this);
    this->settle("a stream");
  }

  bool begin() noexcept {
    if (!this->claim() || !ring_->must_wait()) return false;
    this->suspend();
    return true;
  }
  result<std::optional<T>> finish() {
    if (this->failed()) return std::unexpected(this->failure(operation_kind::next, "channel"));
    this->release();
    if (ring_->has_element()) return std::optional<T>(ring_->take());
    return std::optional<T>();
  }

 private:
  detail::channel_ring<T>* ring_;
};

// A bounded queue: a stream for its receiver, a sink for its senders.
//   channel<request> requests(64);
//   std::jthread other([to = requests.get_sender()]() mutable {
//     while (…) if (auto r = to.send(read_request()).get(); !r) break;    // sleeps while it is
//     full to.close();
//   });
//   for (;;) {
//     auto each = co_await requests.next();
//     if (!each) co_return std::unexpected(each.error());
//     if (!*each) break;                                  // closed, and all of it received
//     handle(**each);
//   }
//
// Where there is room, a send takes no lock and allocates nothing; a receiver that waits is woken
// by one message to its thread, also from sleep, and finds all that has come by then. Senders that
// wait for room queue, and are not overtaken. What one sender sends is received in that order.
//
// Closing (on either side) ends it after what was sent before: each send that succeeded is
// received, and later ones fail with broken_pipe, as those do that wait for room. When the receiver
// goes, what it has not received is destroyed, and senders get broken_pipe too. Senders that go
// change nothing.
//
// Thread: senders any; next() is for one SPDK thread, the one that calls it first. The channel
// itself may be destroyed on any thread while nobody awaits next(); who does goes on with
// operation_canceled, and that is for its OS thread. When the receiver's thread ends, next() ends,
// and senders are told once it is missed: destroy the channel by then.
// T is moved without exceptions.
template <class T>
class channel {
  static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>);

 public:
  class sender;

  // How many elements it holds: at least 1. Allocates them.
  explicit channel(std::size_t capacity) : ring_(&detail::channel_ring<T>::make(capacity)) {}
  channel(channel&& other) noexcept : ring_(std::exchange(other.ring_, nullptr)) {}
  channel& operator=(channel&& other) noexcept {
    std::swap(ring_, other.ring_);
    return *this;
  }
  ~channel() {
    if (!ring_) return;
    ring_->receiver_goes();
    ring_->drop_elements();
    ring_->unreference();
  }

  // co_await gives a result<std::optional<T>>: an element; nothing if it is closed and empty, and
  // ever after; or an error; without suspending where one is there.
  // Errors: device_or_resource_busy (somebody awaits it already), operation_not_permitted (another
  // thread than the first one, or none), operation_canceled (stopped; the channel was destroyed;
  // the thread is ending), bad_file_descriptor (moved from). Cancellation: at once, and no element
  // is lost. Destroying the awaiting coroutine on its thread is always safe, and loses none either.
  // Requires: the channel lives until it is awaited.
  [[nodiscard]] channel_next_operation<T> next() noexcept {
    return channel_next_operation<T>(ring_);
  }

  // For other threads, and to be kept: copyable. An empty one of a channel that was moved from.
  sender get_sender() const noexcept { return sender(ring_); }

  // See sender.
  [[nodiscard]] channel_send_operation<T> send(T value) noexcept {
    return channel_send_operation<T>(ring_, std::move(value));
  }
  result<void> try_send(T&& value) { return sender::try_send_to(ring_, value); }
  result<void> try_send(const T& value) {
    T copy(value);
    return sender::try_send_to(ring_, copy);
  }
  detail::known_result flush() { return sender::flush_of(ring_); }
  detail::known_result close() { return sender::close_of(ring_); }
  bool closed() const noexcept { return !ring_ || ring_->closed(); }
  std::size_t capacity() const noexcept { return ring_ ? ring_->capacity() : 0; }

 private:
  detail::channel_ring<T>* ring_;  // null: moved from
};

// May outlive the channel. All of it may be used on any OS thread, one object by one thread at a
// time.
template <class T>
class channel<T>::sender {
 public:
  sender() = default;  // empty
  sender(const sender& other) noexcept : sender(other.ring_) {}
  sender(sender&& other) noexcept : ring_(std::exchange(other.ring_, nullptr)) {}
  sender& operator=(sender other) noexcept {
    std::swap(ring_, other.ring_);
    return *this;
  }
  ~sender() {
    if (ring_) ring_->unreference();
  }

  // co_await gives a result<void>: the receiver will get it. Without suspending where there is room
  // and nobody waits for some; else it goes on from its thread's poll(). send(v).get() waits on an
  // OS thread without an SPDK thread, asleep.
  // Errors: broken_pipe (closed, or the receiver has gone; the value is destroyed),
  // operation_canceled (stopped; the thread is ending), operation_not_permitted (it would have to
  // wait, and no SPDK thread is attached here), bad_file_descriptor (empty).
  // Cancellation: a stop request, or the end of with_timeout(), ends the wait at once; what was
  // sent by then is success. Destroying the awaiting coroutine on its thread is always safe.
  // Requires: this, or the channel, lives until it is awaited.
  [[nodiscard]] channel_send_operation<T> send(T value) noexcept {
    return channel_send_operation<T>(ring_, std::move(value));
  }

  // Never waits. Errors: resource_unavailable_try_again (no room, or others wait for it), and those
  // of send(). `value` is moved from only if it was sent.
  result<void> try_send(T&& value) { return try_send_to(ring_, value); }
  result<void> try_send(const T& value) {
    T copy(value);
    return try_send_to(ring_, copy);
  }

  // A channel keeps nothing back: success, or broken_pipe where the receiver has gone.
  detail::known_result flush() { return flush_of(ring_); }
  // At once, whether it is awaited or not; more than once is harmless.
  detail::known_result close() { return close_of(ring_); }
  bool closed() const noexcept { return !ring_ || ring_->closed(); }

 private:
  friend class channel;
  explicit sender(detail::channel_ring<T>* ring) noexcept : ring_(ring) {
    if (ring_) ring_->reference();
  }

  static std::unexpected<error> empty() {
    return std::unexpected(error(std::errc::bad_file_descriptor, operation_kind::send,
                                 "send into a channel: the channel is empty (moved from)"));
  }
  static result<void> try_send_to(detail::channel_ring<T>* ring, T& value) {
    using put = detail::channel_core::put;
    if (!ring) return empty();
    const put how = ring->somebody_waits() && !ring->closed() ? put::full : ring->try_put(value);
    if (how == put::done) return {};
    if (how == put::closed) return std::unexpected(ring->refusal());
    return std::unexpected(
        error({.code = std::errc::resource_unavailable_try_again, .what = operation_kind::send}));
  }
  static detail::known_result flush_of(const detail::channel_ring<T>* ring) {
    if (!ring) return {empty()};
    if (ring->receiver_gone()) return {std::unexpected(ring->refusal())};
    return {};
  }
  static detail::known_result close_of(detail::channel_ring<T>* ring) {
    if (!ring) return {empty()};
    ring->close();
    return {};
  }

  detail::channel_ring<T>* ring_ = nullptr;
};

}  // namespace spdk_io::inline SPDK_IO_ABI
