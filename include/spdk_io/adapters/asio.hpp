// SPDX-License-Identifier: BSD-3-Clause
// SPDK as one task among others on a standalone Asio io_context, with coroutines and completion
// tokens. Only this header includes Asio.
#pragma once

#include <spdk_io/detail/operation.hpp>
#include <spdk_io/poller_coroutine.hpp>
#include <spdk_io/run_until.hpp>
#include <spdk_io/start.hpp>

#include <asio/associated_allocator.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/bind_executor.hpp>
#include <asio/co_spawn.hpp>
#include <asio/dispatch.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/system_executor.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <exception>
#include <memory>
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

// poller_task() on an io_context, for a task that is kept in a handle:
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

// An operation on its way to an Asio handler: allocated with the handler's allocator, freed
// before the handler is dispatched to its executor. It counts as work of that executor.
template <class Op, class Handler>
struct async_state {
  using value = typename Op::value_type;
  struct deliver {
    async_state* self;
    void operator()(value v) const { async_state::finish(self, std::move(v)); }
  };

  async_state(Op op, Handler h)
      : handler(std::move(h)),
        work(::asio::get_associated_executor(handler)),
        state(std::move(op), deliver{this}) {}

  static void finish(async_state* self, value v) {
    using allocator = typename std::allocator_traits<
        ::asio::associated_allocator_t<Handler>>::template rebind_alloc<async_state>;
    Handler handler = std::move(self->handler);
    auto work = std::move(self->work);
    allocator a(::asio::get_associated_allocator(handler));
    std::allocator_traits<allocator>::destroy(a, self);
    std::allocator_traits<allocator>::deallocate(a, self, 1);
    // Without an executor of its own a handler gets Asio's system executor, which would end the
    // program over an exception; it is called here, on the loop, as Asio's own I/O does it.
    if constexpr (std::is_same_v<::asio::associated_executor_t<Handler>, ::asio::system_executor>) {
      std::move(handler)(std::move(v));
    } else {
      ::asio::dispatch(work.get_executor(),
                       [handler = std::move(handler), v = std::move(v)]() mutable {
                         std::move(handler)(std::move(v));
                       });
    }
  }

  static void start(Op op, Handler h) {
    using allocator = typename std::allocator_traits<
        ::asio::associated_allocator_t<Handler>>::template rebind_alloc<async_state>;
    allocator a(::asio::get_associated_allocator(h));
    async_state* self = std::allocator_traits<allocator>::allocate(a, 1);
    ::new (static_cast<void*>(self)) async_state(std::move(op), std::move(h));
    self->state.start();
  }

  Handler handler;
  ::asio::executor_work_guard<::asio::associated_executor_t<Handler>> work;
  pending<Op, deliver> state;
};

}  // namespace adapters::asio::detail

// operation.async(token): any of the library's operations with an Asio completion token, e.g.
//   auto r = co_await disk.read(block, 0).async(asio::use_awaitable);
// The completion signature is void(T), with T the operation's result. The handler's associated
// executor and allocator are used.
namespace detail {

// Found by its argument, whose base class is in this namespace.
template <operation Op, class Token>
auto async_start(Op op, Token&& token) {
  using value = typename Op::value_type;
  return ::asio::async_initiate<Token, void(value)>(
      [](auto handler, Op started) {
        using handler_type = std::decay_t<decltype(handler)>;
        adapters::asio::detail::async_state<Op, handler_type>::start(std::move(started),
                                                                     std::move(handler));
      },
      token, std::move(op));
}

}  // namespace detail
}  // namespace spdk_io::inline SPDK_IO_ABI
