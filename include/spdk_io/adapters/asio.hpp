// SPDX-License-Identifier: BSD-3-Clause
// SPDK as one task among others on a standalone Asio io_context, with coroutines and completion
// tokens. Only this header includes Asio.
#pragma once

#include <spdk_io/detail/operation.hpp>
#include <spdk_io/detail/os_thread.hpp>
#include <spdk_io/poller_coroutine.hpp>
#include <spdk_io/run_until.hpp>
#include <spdk_io/start.hpp>

#include <asio/associated_allocator.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/basic_waitable_timer.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/co_spawn.hpp>
#include <asio/dispatch.hpp>
#include <asio/execution/context.hpp>
#include <asio/execution_context.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/query.hpp>
#include <asio/recycling_allocator.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/system_executor.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/wait_traits.hpp>

#include <atomic>
#include <chrono>
#include <concepts>
#include <exception>
#include <forward_list>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string_view>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {
namespace adapters::asio {

// The executor that poller_task() takes. The io_context is run by one OS thread, the one that
// the polled spdk_io::thread belongs to.
class executor {
 public:
  static constexpr bool post_is_thread_safe = true;

  class timer {
   public:
    explicit timer(::asio::io_context& ctx) : timer_(ctx) {}
    template <class F>
    void start(std::chrono::nanoseconds duration, F f) {
      timer_.expires_after(duration);
      timer_.async_wait([f = std::move(f)](const ::asio::error_code& e) {
        if (!e) f();
      });
    }
    void cancel() { timer_.cancel(); }

   private:
    ::asio::steady_timer timer_;
  };

  explicit executor(::asio::io_context& ctx) noexcept : ctx_(&ctx) {}

  template <class F>
  void post(F f) {
    ::asio::post(*ctx_, std::move(f));
  }
  timer new_timer() { return timer(*ctx_); }
  bool run_one() { return ctx_->run_one() != 0; }
  std::string_view name() const noexcept { return "an asio::io_context"; }

 private:
  ::asio::io_context* ctx_;
};

namespace detail {

// Asio's side of a poller coroutine.
class runtime {
 public:
  explicit runtime(const ::asio::any_io_executor& ex)
      : timer_(std::make_shared<::asio::steady_timer>(ex)) {}

  auto yield() { return ::asio::post(timer_->get_executor(), ::asio::use_awaitable); }
  ::asio::awaitable<void> sleep_for(std::chrono::nanoseconds duration) {
    timer_->expires_after(duration);
    ::asio::error_code ignored;  // cancelled: woken early
    co_await timer_->async_wait(::asio::redirect_error(::asio::use_awaitable, ignored));
  }
  void wake() noexcept {
    ::asio::post(timer_->get_executor(), [timer = timer_] { timer->cancel(); });
  }

 private:
  std::shared_ptr<::asio::steady_timer> timer_;
};

inline ::asio::awaitable<void> poll_on_this_executor(
    std::shared_ptr<spdk_io::detail::thread_state> state, idle::backoff policy,
    std::stop_token stop, poll_budget budget) {
  auto ex = co_await ::asio::this_coro::executor;
  co_await spdk_io::detail::poll_with_backoff<::asio::awaitable<void>>(
      std::move(state), runtime(ex), policy, std::move(stop), budget);
}

inline ::asio::awaitable<void> spin_on_this_executor(
    std::shared_ptr<spdk_io::detail::thread_state> state, std::stop_token stop,
    poll_budget budget) {
  auto ex = co_await ::asio::this_coro::executor;
  auto yield = [ex] { return ::asio::post(ex, ::asio::use_awaitable); };
  co_await spdk_io::detail::poll_spinning<::asio::awaitable<void>>(std::move(state), yield,
                                                                   std::move(stop), budget);
}

}  // namespace detail

// The poller task as a coroutine of Asio's own, spawned like any other task of the loop:
//   asio::co_spawn(ctx, sio::adapters::asio::poller_task(thread, sio::idle::backoff()),
//                  asio::detached);
// It ends when `stop` is requested or the thread ends. See spdk_io::poller_coroutine().
inline ::asio::awaitable<void> poller_task(thread& t, idle::backoff policy = {},
                                           std::stop_token stop = {}, poll_budget budget = {}) {
  return detail::poll_on_this_executor(t.shared_state(), policy, std::move(stop), budget);
}
inline ::asio::awaitable<void> poller_task(thread& t, idle::spin, std::stop_token stop = {},
                                           poll_budget budget = {}) {
  return detail::spin_on_this_executor(t.shared_state(), std::move(stop), budget);
}

}  // namespace adapters::asio

// poller_task() on an io_context, for a task that is kept in a handle, which goes before ctx does:
//   auto polling = sio::poller_task(thread, ctx, sio::idle::spin());
template <class Idle = idle::backoff>
result<running_poller_task<adapters::asio::executor>> poller_task(thread& t,
                                                                  ::asio::io_context& ctx,
                                                                  Idle policy = {},
                                                                  poll_budget budget = {}) {
  return poller_task(t, adapters::asio::executor(ctx), policy, budget);
}

// run_until() on an io_context: `app` is anything generically awaitable (a spdk_io::task) or an
// asio::awaitable. The io_context may have other work; it is left as it is when app has ended.
// Where the io_context is stopped before, an asio::awaitable stays in it, suspended: what it has in
// flight is complete when run_until() returns, and it goes on where the io_context is run again, or
// is destroyed with it.
template <awaitable A, class Idle = idle::backoff>
std::remove_cvref_t<await_result_t<A>> run_until(::asio::io_context& ctx, thread& t, A&& app,
                                                 Idle policy = {}) {
  auto work = ::asio::make_work_guard(ctx);
  return run_until(adapters::asio::executor(ctx), t, std::forward<A>(app), policy);
}
template <class T, class Idle = idle::backoff>
T run_until(::asio::io_context& ctx, thread& t, ::asio::awaitable<T> app, Idle policy = {}) {
  auto work = ::asio::make_work_guard(ctx);
  auto polling = poller_task(t, adapters::asio::executor(ctx), policy);
  if (!polling) return spdk_io::detail::fail_with<T>(polling.error());
  // Shared: an app that has not ended when this returns or throws lives on in the io_context.
  auto outcome = std::make_shared<spdk_io::detail::outcome<T>>();
  ::asio::co_spawn(ctx, std::move(app), [outcome](std::exception_ptr e, auto... value) {
    if (e) {
      outcome->set_exception(std::move(e));
    } else {
      outcome->set(std::move(value)...);
    }
  });
  while (!outcome->done() && ctx.run_one() != 0) {
  }
  polling->stop();
  spdk_io::detail::drain(t);
  if (!outcome->done()) return spdk_io::detail::fail_with<T>(spdk_io::detail::loop_stopped(t));
  return outcome->take();
}

namespace adapters::asio::detail {

// The operations in flight whose handlers belong to one Asio context. Asio destroys the handlers of
// a context that goes without calling them, and with them the coroutines that they resume: this
// service does so for the library's operations, each after SPDK has let go of its buffer.
class operations : public ::asio::execution_context::service {
 public:
  struct node {
    node* prev = nullptr;
    node* next = nullptr;
    void (*settle)(node&) noexcept = nullptr;  // waits until SPDK has let go; runs no user code
    void (*drop)(node&) noexcept = nullptr;    // frees it, then what its handler owns
  };

  using key_type = operations;
  static inline ::asio::execution_context::id id;

  explicit operations(::asio::execution_context& owner)
      : ::asio::execution_context::service(owner) {}
  // Once more: the handlers that other services have destroyed may have started something.
  ~operations() override {
    drop_all();
    generation_.fetch_add(1, std::memory_order_relaxed);
  }

  // Those of one OS thread, which alone links and unlinks them. (Should the context go on another
  // one, the first I/O to be settled ends the program.)
  class list {
   public:
    explicit list(const void* os_thread) noexcept : owner(os_thread) {
      head_.prev = &head_;
      head_.next = &head_;
    }
    list(const list&) = delete;
    list& operator=(const list&) = delete;

    void push_back(node& n) noexcept {
      n.prev = head_.prev;
      n.next = &head_;
      head_.prev->next = &n;
      head_.prev = &n;
    }
    static void erase(node& n) noexcept {
      if (!n.next) return;
      n.prev->next = n.next;
      n.next->prev = n.prev;
      n.next = nullptr;
    }
    node* pop_front() noexcept {
      if (head_.next == &head_) return nullptr;
      node* first = head_.next;
      erase(*first);
      return first;
    }

    const void* const owner;

   private:
    node head_;
  };

  // This OS thread's list in the executor's context. Null where the executor has no context, as
  // Asio's system executor.
  template <class Executor>
  static list* of(const Executor& ex) {
    if constexpr (std::is_same_v<Executor, ::asio::system_executor>) {
      return nullptr;
    } else if constexpr (::asio::can_query<const Executor&, ::asio::execution::context_t>::value) {
      return &of_context(::asio::query(ex, ::asio::execution::context), ex);
    } else if constexpr (requires { ex.context(); }) {
      return &of_context(ex.context(), ex);
    } else {
      return nullptr;
    }
  }

 private:
  struct found {
    ::asio::execution_context* context;
    list* operations_there;
    unsigned generation;
  };

  template <class Executor>
  static list& of_context(::asio::execution_context& ctx, const Executor& ex) {
    const unsigned now = generation_.load(std::memory_order_relaxed);
    if (last_.context == &ctx && last_.generation == now) [[likely]]
      return *last_.operations_there;
    // The services that were there first are shut down last. Timers, with which coroutines wait for
    // others that they lend a buffer, are made to be there, where the context can have them without
    // a thread of its own for them.
    if (!::asio::has_service<operations>(ctx) &&
        ::asio::has_service<::asio::detail::io_context_impl>(ctx)) {
      ::asio::basic_waitable_timer<std::chrono::steady_clock,
                                   ::asio::wait_traits<std::chrono::steady_clock>, Executor>
          first(ex);
    }
    list& mine = ::asio::use_service<operations>(ctx).of_this_os_thread();
    last_ = {.context = &ctx, .operations_there = &mine, .generation = now};
    return mine;
  }

  list& of_this_os_thread() {
    const void* me = spdk_io::detail::this_os_thread();
    std::lock_guard lock(mutex_);
    for (list& each : in_flight_) {
      if (each.owner == me) return each;
    }
    return in_flight_.emplace_front(me);
  }

  void shutdown() noexcept override { drop_all(); }

  // All of them are settled before the first handler goes, since the buffer of one may belong to
  // the coroutine of another. And one by one from the front: what is destroyed with a handler may
  // end further ones, or start some.
  void drop_all() noexcept {
    for (;;) {
      while (node* first = first_in_flight()) {
        first->settle(*first);
        settled_.push_back(*first);
      }
      node* first = settled_.pop_front();
      if (!first) return;
      first->drop(*first);
    }
  }
  node* first_in_flight() noexcept {
    std::lock_guard lock(mutex_);
    for (list& each : in_flight_) {
      if (node* first = each.pop_front()) return first;
    }
    return nullptr;
  }

  // Where this OS thread looked last, valid while no context has gone.
  static inline std::atomic<unsigned> generation_{1};
  static inline constinit thread_local found last_{nullptr, nullptr, 0};

  std::mutex mutex_;  // for the lists' list
  std::forward_list<list> in_flight_;
  list settled_{nullptr};  // of a context that is going
};

// In the cancellation slot of a handler whose operation is in flight. The slot may be emptied, by
// its signal's end, before the operation is complete: `place` tells which.
template <class Pending>
class slot_request {
 public:
  slot_request(Pending* operation, const slot_request** place) noexcept
      : operation_(operation), place_(place) {
    *place_ = this;
  }
  slot_request(const slot_request&) = delete;
  slot_request& operator=(const slot_request&) = delete;
  ~slot_request() { *place_ = nullptr; }

  // An aborted write may be done in part: "total" is more than can be promised.
  void operator()(::asio::cancellation_type_t type) const noexcept {
    constexpr auto honoured =
        ::asio::cancellation_type::terminal | ::asio::cancellation_type::partial;
    if (!!(type & honoured)) operation_->request_stop();
  }

 private:
  Pending* operation_;
  const slot_request** place_;
};

// Asio's own handler of use_awaitable: its coroutine is work of its executor already, from
// asio::co_spawn() to its end.
template <class Handler>
concept resumes_awaitable =
    std::derived_from<Handler,
                      ::asio::detail::awaitable_thread<::asio::associated_executor_t<Handler>>>;

struct counted_elsewhere {
  template <class Executor>
  explicit counted_elsewhere(const Executor&) noexcept {}
};

// Whether asio::dispatch() would call a function at once. It would go through an allocation, an
// indirect call and a memory fence to do so.
template <class Executor>
bool runs_here(const Executor& ex) noexcept {
  using of_context = ::asio::io_context::executor_type;
  if constexpr (std::is_same_v<Executor, of_context>) {
    return ex.running_in_this_thread();
  } else if constexpr (requires { ex.template target<of_context>(); }) {
    const of_context* inside = ex.template target<of_context>();
    return inside && inside->running_in_this_thread();
  } else {
    return false;
  }
}

// An operation on its way to an Asio handler: allocated with the handler's allocator, freed
// before the handler is dispatched to its executor. It counts as work of that executor.
template <class Op, class Handler>
class async_state : private operations::node {
  using value = typename Op::value_type;
  using handler_executor = ::asio::associated_executor_t<Handler>;
  using allocator = typename std::allocator_traits<::asio::associated_allocator_t<
      Handler, ::asio::recycling_allocator<void>>>::template rebind_alloc<async_state>;
  using memory = std::allocator_traits<allocator>;

  // Takes the state along where nobody is called, since the result is an exception.
  struct deliver {
    explicit deliver(async_state* state) noexcept : self(state) {}
    deliver(deliver&& other) noexcept : self(std::exchange(other.self, nullptr)) {}
    deliver& operator=(deliver&&) = delete;
    ~deliver() {
      if (self && !self->settled_) dissolve(*self);
    }
    void operator()(value&& v) { finish(*std::exchange(self, nullptr), std::move(v)); }

    async_state* self;
  };
  using request = slot_request<pending<Op, deliver>>;
  static constexpr bool stoppable = spdk_io::detail::stoppable_operation<Op>;

 public:
  static void start(Op&& op, Handler&& h) {
    operations::list* there = operations::of(::asio::get_associated_executor(h));
    allocator a = allocator_of(h);
    async_state* self = memory::allocate(a, 1);
    ::new (static_cast<void*>(self)) async_state(std::move(op), std::move(h));
    if constexpr (stoppable) self->connect();
    if (there) there->push_back(*self);
    self->state_->start();
  }

 private:
  using work = std::conditional_t<resumes_awaitable<Handler>, counted_elsewhere,
                                  ::asio::executor_work_guard<handler_executor>>;
  struct remains {
    Handler handler;
    [[no_unique_address]] work counted;
  };

  // By default, where Asio has the memory of its own operations.
  static allocator allocator_of(const Handler& h) noexcept {
    return allocator(::asio::get_associated_allocator(h, ::asio::recycling_allocator<void>()));
  }

  async_state(Op&& op, Handler&& h)
      : handler_(std::move(h)), work_(::asio::get_associated_executor(handler_)) {
    state_.emplace(std::move(op), deliver{this});
    settle = [](operations::node& n) noexcept { static_cast<async_state&>(n).let_go(); };
    drop = [](operations::node& n) noexcept { dissolve(static_cast<async_state&>(n)); };
  }

  void connect() {
    auto slot = ::asio::get_associated_cancellation_slot(handler_);
    if (!slot.is_connected()) return;
    try {
      slot.template emplace<request>(&*state_, &in_slot_);
    } catch (...) {
      dissolve(*this);
      throw;
    }
  }

  void let_go() noexcept {
    if (in_slot_) ::asio::get_associated_cancellation_slot(handler_).clear();
    settled_ = true;
    state_.reset();
  }

  // Frees the state and leaves the handler, with whatever it owns.
  static remains dissolve(async_state& self) noexcept {
    operations::list::erase(self);
    self.let_go();
    remains left{std::move(self.handler_), std::move(self.work_)};
    allocator a = allocator_of(left.handler);
    memory::destroy(a, &self);
    memory::deallocate(a, &self, 1);
    return left;
  }

  static void finish(async_state& self, value&& v) {
    remains left = dissolve(self);
    // Without an executor of its own a handler gets Asio's system executor, which would end the
    // program over an exception; it is called here, on the loop, as Asio's own I/O does it.
    if constexpr (!std::is_same_v<handler_executor, ::asio::system_executor>) {
      const auto ex = ::asio::get_associated_executor(left.handler);
      if (!runs_here(ex)) {
        ::asio::dispatch(ex, [handler = std::move(left.handler), v = std::move(v)]() mutable {
          std::move(handler)(std::move(v));
        });
        return;
      }
    }
    std::move(left.handler)(std::move(v));
  }

  Handler handler_;
  [[no_unique_address]] work work_;
  const request* in_slot_ = nullptr;
  bool settled_ = false;
  std::optional<pending<Op, deliver>> state_;
};

}  // namespace adapters::asio::detail

// operation.async(token): any of the library's operations with an Asio completion token, e.g.
//   auto r = co_await disk.read(block, 0).async(asio::use_awaitable);
// The completion signature is void(T), with T the operation's result. The handler's associated
// executor, allocator and cancellation slot are used. with_timeout() and with_stop_token() of an
// operation are operations as well.
//
// Cancellation: terminal and partial requests ask the operation to end early; total ones are
// ignored, since an aborted write may have been done in part. The handler is called all the same,
// once SPDK has let go of the buffer: with errc::operation_canceled, or, where the device cannot
// abort or had done it, with the real result. The slot is cleared then. Emit on the OS thread of
// the operation.
//
// A context that is destroyed (on the OS thread of the I/O; anywhere else the program is ended,
// with a message) while operations of its handlers are in flight: each is asked to stop and waited
// for, then the handlers are destroyed without being called, and with them the coroutines that they
// would resume. So a buffer may belong to a coroutine that awaits an operation, a coroutine or a
// timer. Other Asio services (of sockets, channels, signals) are shut down before this one if they
// were first used after the first operation: a coroutine that waits there lends no buffers.
//
// A thread that is destroyed first completes what is in flight: the handlers are with their context
// then, and run there or are destroyed with it.
//
// A handler without an executor (asio::system_executor) belongs to no context: it is called from
// thread::poll(), or at the end of the thread, whatever contexts have gone meanwhile.
namespace detail {

// Found by its argument, whose base class is in this namespace.
template <operation Op, class Token>
auto async_start(Op&& op, Token&& token) {
  using value = typename Op::value_type;
  return ::asio::async_initiate<Token, void(value)>(
      []<class Handler>(Handler&& handler, Op&& started) {
        std::decay_t<Handler> own(std::forward<Handler>(handler));
        adapters::asio::detail::async_state<Op, std::decay_t<Handler>>::start(std::move(started),
                                                                              std::move(own));
      },
      token, std::move(op));
}

}  // namespace detail
}  // namespace spdk_io::inline SPDK_IO_ABI
