// SPDX-License-Identifier: BSD-3-Clause
// task_scope: any number of coroutines that run side by side and are joined together.
#pragma once

#include <spdk_io/awaitable.hpp>
#include <spdk_io/detail/fatal.hpp>
#include <spdk_io/detail/root.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/local_stop_token.hpp>
#include <spdk_io/stop_aware_promise.hpp>

#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {

// Spawned coroutines start at once and run as their awaits complete. join() waits for all and
// reports the first failure: a result that holds an error, or an exception.
//
// Cancellation: what is spawned has the scope's stop token. The first failure asks the rest to
// stop, as request_stop() does, and so does a stop request to the coroutine that awaits join().
// A scope that was asked to stop takes on nothing more: what is spawned then is stopped at its
// first await. After join() it starts anew.
//
// Thread: one; what is spawned ends on it. The destructor destroys what has not ended (whose
// I/O in flight it waits for, see io_operation); a failure that was never joined is lost then,
// except that an exception nobody joined for ends the program with its message.
class task_scope {
 public:
  task_scope() = default;
  task_scope(const task_scope&) = delete;
  task_scope& operator=(const task_scope&) = delete;
  ~task_scope() {
    while (first_) delete first_;
    if (exception_) report_lost_exception();
  }

  // Takes over `what` (a task, an operation; anything awaitable) and starts it. Its value, if
  // it is not a failed result, is dropped. Two allocations.
  template <awaitable A>
  void spawn(A&& what) {
    using owned = std::remove_cvref_t<A>;
    static_assert(!std::is_lvalue_reference_v<A>, "spawn() takes its task over: std::move it");
    auto* added = new child_of<owned>(*this, std::forward<A>(what));
    added->coroutine.set_stop_token(get_stop_token());
    ++running_;
    added->coroutine.start(child::ended, added);
  }

  std::size_t running() const noexcept { return running_; }

  // Asks everything that runs here to stop, and what is spawned from now on. Cancelled I/O ends
  // with errc::operation_canceled once SPDK has let go of it; join() waits for that.
  void request_stop() noexcept { stop_->request_stop(); }
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

  struct child {
    explicit child(task_scope& s) noexcept : scope(s), next(s.first_) {
      if (next) next->prev = this;
      s.first_ = this;
    }
    virtual ~child() {
      (prev ? prev->next : scope.first_) = next;
      if (next) next->prev = prev;
    }
    child(const child&) = delete;
    child& operator=(const child&) = delete;
    virtual void report() = 0;

    static void ended(void* argument) {
      auto* self = static_cast<child*>(argument);
      task_scope& scope = self->scope;
      self->report();
      delete self;
      if (scope.exception_ || scope.error_) scope.request_stop();
      if (--scope.running_ == 0 && scope.joining_) std::exchange(scope.joining_, nullptr).resume();
    }

    task_scope& scope;
    child* prev = nullptr;
    child* next;
    detail::owned_coroutine coroutine;
  };

  template <class A>
  struct child_of final : child {
    using value = std::remove_cvref_t<await_result_t<A>>;
    child_of(task_scope& s, A&& what) : child(s) {
      this->coroutine = detail::run_into<A>(std::move(what), outcome);
    }
    ~child_of() override { this->coroutine.reset(); }
    void report() override {
      task_scope& s = this->scope;
      if (s.exception_ || s.error_) return;
      if (outcome.exception()) s.exception_ = outcome.exception();
      if constexpr (detail::is_result<value>::value) {
        if (outcome.value() && !outcome.value()->has_value()) s.error_ = outcome.value()->error();
      }
    }
    detail::outcome<value> outcome;
  };

  void report_lost_exception() noexcept {
    try {
      std::rethrow_exception(exception_);
    } catch (...) {
      detail::fatal_exception("a task_scope that was not joined");
    }
  }

  child* first_ = nullptr;
  std::size_t running_ = 0;
  std::coroutine_handle<> joining_;
  std::optional<local_stop_source> stop_{std::in_place};  // renewed by join()
  std::optional<error> error_;
  std::exception_ptr exception_;
};

}  // namespace spdk_io::inline SPDK_IO_ABI
