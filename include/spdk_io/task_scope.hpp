// SPDX-License-Identifier: BSD-3-Clause
// task_scope: any number of coroutines that run side by side and are joined together.
#pragma once

#include <spdk_io/awaitable.hpp>
#include <spdk_io/detail/operation.hpp>
#include <spdk_io/detail/waiter_queue.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/local_stop_token.hpp>
#include <spdk_io/stop_aware_promise.hpp>

#include <coroutine>
#include <cstddef>
#include <exception>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

template <awaitable A>
class spawn_operation;

struct task_scope_options {
  static constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

  std::size_t limit = unlimited;  // of what spawn_when_free() has running at once; at least 1
};

// Spawned coroutines start at once and run as their awaits complete. join() waits for all and
// reports the first failure: a result that holds an error, or an exception.
//
// Cancellation: what is spawned has the scope's stop token. The first failure asks the rest to
// stop, as request_stop() does, and so does a stop request to the coroutine that awaits join().
// A scope that was asked to stop takes on nothing more: what is spawned then is stopped at its
// first await, and spawn_when_free() fails. After join() it starts anew.
//
// Thread: one; what is spawned ends on it. The destructor destroys what has not ended (whose I/O in
// flight it waits for, see io_operation); a failure that was never joined is lost then, except that
// an exception nobody joined for ends the program with its message. Who waits in spawn_when_free()
// is resumed with an error.
class task_scope {
 public:
  task_scope() = default;
  explicit task_scope(task_scope_options options) noexcept : limit_(options.limit) {}
  task_scope(const task_scope&) = delete;
  task_scope& operator=(const task_scope&) = delete;
  ~task_scope();

  // Takes over `what` (a task, an operation; anything awaitable) and starts it. Its value, if
  // it is not a failed result, is dropped. One allocation, beside the task's own. Not held up by
  // the limit, and does not count there.
  template <awaitable A>
  void spawn(A&& what) {
    static_assert(!std::is_lvalue_reference_v<A>, "spawn() takes its task over: std::move it");
    start(run<A>(std::forward<A>(what)), nullptr);
  }

  // The same once fewer than the limit run:
  //   task_scope scope({.limit = 32});
  //   for (auto& each : files)
  //     if (auto r = co_await scope.spawn_when_free(check(each)); !r) break;
  //   co_return co_await scope.join();
  // so that there are never more than 32 frames, however many files. First come, first served;
  // whoever waits is resumed from thread::poll(), with `what` started in its turn.
  // Gives a result<void>. Errors: operation_canceled (whoever awaits, or the scope, was asked to
  // stop, as it is by the first failure; the scope was destroyed; the thread is ending),
  // operation_not_permitted (another thread than that of the scope's first such call, or none),
  // invalid_argument (a limit of 0). `what` was not started then, and is destroyed with the
  // operation. Cancellation: a stop request, or the end of with_timeout(), takes it from the queue
  // at once. Requires: the scope lives until it is awaited; what was spawned in this way does not
  // itself wait here for a place in the same scope (where all do, none ever ends; what spawn() has
  // started may). join() does not wait for who waits here, unless that runs in the scope. The first
  // such call allocates the queue.
  template <awaitable A>
  [[nodiscard]] auto spawn_when_free(A&& what) {
    static_assert(!std::is_lvalue_reference_v<A>, "the scope takes its task over: std::move it");
    return spawn_operation<A>(*this, std::forward<A>(what));
  }

  std::size_t running() const noexcept { return running_; }
  std::size_t limit() const noexcept { return limit_; }
  // In spawn_when_free().
  std::size_t waiting() const noexcept { return places_ ? places_->waiting() : 0; }

  // Asks everything that runs here to stop, and what is spawned from now on. Cancelled I/O ends
  // with errc::operation_canceled once SPDK has let go of it; join() waits for that.
  void request_stop() noexcept;
  local_stop_token get_stop_token() noexcept { return stop_->get_token(); }

  // co_await scope.join(): resumes when nothing is running, also what was spawned meanwhile.
  // Gives the first error, or rethrows the first exception. The scope can be used again.
  // One join at a time.
  [[nodiscard]] auto join() noexcept { return joiner(*this); }

 private:
  class joiner {
   public:
    explicit joiner(task_scope& scope) noexcept : scope_(scope) {}
    joiner(joiner&& other) noexcept : scope_(other.scope_) {}  // before it is awaited
    joiner& operator=(joiner&&) = delete;
    ~joiner() {
      if (suspended_) scope_.joining_ = nullptr;
    }

    bool await_ready() const noexcept { return scope_.running_ == 0; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> parent) {
      scope_.joining_ = parent;
      suspended_ = true;
      on_stop_.emplace(detail::stop_token_of(parent), stop_scope{scope_});
    }
    result<void> await_resume() {
      on_stop_.reset();
      suspended_ = false;
      scope_.stop_.emplace();
      if (auto e = std::exchange(scope_.exception_, nullptr)) std::rethrow_exception(e);
      if (auto e = std::exchange(scope_.error_, std::nullopt)) return std::unexpected(*e);
      return {};
    }

   private:
    struct stop_scope {
      task_scope& scope;
      void operator()() const noexcept { scope.request_stop(); }
    };
    task_scope& scope_;
    std::optional<local_stop_callback<stop_scope>> on_stop_;
    bool suspended_ = false;
  };

  // What runs here: a coroutine that its scope destroys at its end, or before.
  class child {
   public:
    struct promise_type : stop_aware_promise {
      promise_type() = default;
      promise_type(const promise_type&) = delete;
      promise_type& operator=(const promise_type&) = delete;
      ~promise_type() {
        if (!scope) return;
        (prev ? prev->next : scope->first_) = next;
        if (next) next->prev = prev;
        if (place && place->give_back({.units = 1})) delete place;
      }

      child get_return_object() noexcept {
        return child(std::coroutine_handle<promise_type>::from_promise(*this));
      }
      std::suspend_always initial_suspend() const noexcept { return {}; }
      struct final_awaiter {
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<promise_type> me) const noexcept {
          me.promise().ended();
        }
        void await_resume() const noexcept {}
      };
      final_awaiter final_suspend() const noexcept { return {}; }
      void return_value(std::optional<error> e) noexcept { failure = e; }
      void unhandled_exception() noexcept { exception = std::current_exception(); }

      void ended() noexcept {
        task_scope& in = *scope;
        // Before its place goes to the next one, which a failure forbids.
        in.note(failure, std::move(exception));
        std::coroutine_handle<promise_type>::from_promise(*this).destroy();
        in.one_ended();
      }

      task_scope* scope = nullptr;
      promise_type* prev = nullptr;
      promise_type* next = nullptr;
      detail::waiter_queue* place = nullptr;  // where it has one
      std::optional<error> failure;
      std::exception_ptr exception;
    };

    child(child&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    child& operator=(child&&) = delete;
    ~child() {
      if (handle_) handle_.destroy();
    }
    // Its scope's from now on.
    std::coroutine_handle<promise_type> release() noexcept {
      return std::exchange(handle_, nullptr);
    }

   private:
    explicit child(std::coroutine_handle<promise_type> h) noexcept : handle_(h) {}
    std::coroutine_handle<promise_type> handle_;
  };

  template <class A>
  static child run(A what) {
    using value = std::remove_cvref_t<await_result_t<A>>;
    if constexpr (detail::is_result<value>::value) {
      auto r = co_await std::move(what);
      if (!r) co_return r.error();
    } else {
      (void)co_await std::move(what);
    }
    co_return std::nullopt;
  }

  void start(child one, detail::waiter_queue* place);
  void note(const std::optional<error>& failure, std::exception_ptr exception) noexcept;
  void one_ended();
  detail::waiter_queue& places();
  [[noreturn]] void report_lost_exception() noexcept;

  template <awaitable A>
  friend class spawn_operation;

  child::promise_type* first_ = nullptr;
  std::size_t running_ = 0;
  const std::size_t limit_ = task_scope_options::unlimited;
  detail::waiter_queue* places_ = nullptr;  // of spawn_when_free(), once it was called
  std::coroutine_handle<> joining_;
  std::optional<local_stop_source> stop_{std::in_place};  // renewed by join()
  std::size_t stops_ = 0;                                 // how often it was asked
  std::optional<error> error_;
  std::exception_ptr exception_;
};

// What spawn_when_free() returns.
template <awaitable A>
class [[nodiscard]] spawn_operation
    : public detail::operation_base<spawn_operation<A>, result<void>, detail::waiter> {
  using base = detail::operation_base<spawn_operation<A>, result<void>, detail::waiter>;

 public:
  spawn_operation(spawn_operation&&) = default;
  spawn_operation& operator=(spawn_operation&&) = delete;
  ~spawn_operation() {
    detail::leave_promise(*this);
    delete this->settle("a place in a task_scope");
  }

  bool begin() noexcept {
    stops_ = scope_->stops_;
    if (!scope_->stop_->stop_requested()) return base::begin();
    this->refuse_stopped();
    return false;
  }
  result<void> finish() {
    // What was granted keeps the queue, which knows whether the scope has gone.
    if (this->granted()) {
      const bool gone = this->granted_by().closed();
      if (gone || scope_->stops_ != stops_) delete this->decline(gone);
    }
    if (!this->granted()) return std::unexpected(this->failure(operation_kind::spawn, "scope"));
    auto child = task_scope::run<A>(std::move(what_));
    scope_->start(std::move(child), &this->take());
    return {};
  }

 private:
  friend class task_scope;
  spawn_operation(task_scope& scope, A&& what)
      : base(std::in_place, &scope.places(), detail::amount{.units = 1}),
        scope_(&scope),
        what_(std::move(what)) {}

  task_scope* scope_;
  std::size_t stops_ = 0;
  A what_;
};

}  // namespace spdk_io::inline SPDK_IO_ABI
