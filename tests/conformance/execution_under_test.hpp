// SPDX-License-Identifier: BSD-3-Clause
// A loop that has a scheduler, and no more, for the conformance suite. (A run_loop of
// std::execution cannot be run one turn at a time, nor again after finish(); execution_library_test
// runs that.)
#pragma once

#include <spdk_io/adapters/execution.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>

namespace spdk_io_test {

namespace words = spdk_io::adapters::execution::vocabulary;

class loop_under_test {
  struct node {
    node* next = nullptr;
    void (*run)(node&) noexcept = nullptr;
    void (*drop)(node&) noexcept = nullptr;
  };

  template <class Receiver>
  struct state : node {
    using operation_state_concept = words::operation_state_tag;

    state(loop_under_test& l, Receiver r) : loop(l), receiver(std::move(r)) {
      this->run = [](node& n) noexcept {
        words::set_value(std::move(static_cast<state&>(n).receiver));
      };
      this->drop = [](node& n) noexcept {
        words::set_stopped(std::move(static_cast<state&>(n).receiver));
      };
    }
    state(const state&) = delete;
    state& operator=(const state&) = delete;
    void start() & noexcept { loop.push(*this); }

    loop_under_test& loop;
    Receiver receiver;
  };

 public:
  static constexpr std::string_view name = "execution";
  static constexpr bool watches_files = false;

  struct scheduler {
    using scheduler_concept = words::scheduler_tag;

    struct sender {
      using sender_concept = words::sender_tag;
      template <class Self, class... Env>
      static consteval auto get_completion_signatures() noexcept {
        return words::completion_signatures<words::set_value_t(), words::set_stopped_t()>();
      }
      template <class Receiver>
      state<Receiver> connect(Receiver r) const {
        return {*loop, std::move(r)};
      }
      loop_under_test* loop;
    };
    sender schedule() const noexcept { return {loop}; }
    friend bool operator==(const scheduler&, const scheduler&) = default;

    loop_under_test* loop;
  };

  struct executor_type : spdk_io::adapters::execution::executor<scheduler> {
    explicit executor_type(loop_under_test& l) : executor(scheduler{&l}), whole(&l) {}
    bool run_one() { return whole->run_one(); }
    loop_under_test* whole;
  };

  loop_under_test() = default;
  loop_under_test(const loop_under_test&) = delete;
  loop_under_test& operator=(const loop_under_test&) = delete;
  ~loop_under_test() {
    while (node* first = take()) first->drop(*first);
  }

  executor_type executor() { return executor_type(*this); }

  // The oldest of what is scheduled, or of the timers that are due, waiting if there is neither.
  bool run_one() {
    std::unique_lock lock(mutex_);
    for (;;) {
      if (stopped_) return false;
      if (!timers_.empty() && timers_.begin()->first <= clock::now()) {
        const auto due = std::move(timers_.extract(timers_.begin()).mapped());
        lock.unlock();
        due();
        return true;
      }
      if (first_) {
        node& next = *std::exchange(first_, first_->next);
        lock.unlock();
        next.run(next);
        spdk_io::adapters::execution::rethrow();
        return true;
      }
      if (timers_.empty()) {
        wake_.wait(lock);
      } else {
        wake_.wait_until(lock, timers_.begin()->first);
      }
    }
  }
  void stop() { set_stopped(true); }
  void restart() { set_stopped(false); }
  void after(std::chrono::nanoseconds duration, std::function<void()> f) {
    std::lock_guard lock(mutex_);
    timers_.emplace(clock::now() + duration, std::move(f));
  }
  void every(std::chrono::nanoseconds period, std::function<void()> f) {
    repeat(clock::now() + period, period, std::make_shared<std::function<void()>>(std::move(f)));
  }

 private:
  using clock = std::chrono::steady_clock;

  void repeat(clock::time_point due, std::chrono::nanoseconds period,
              const std::shared_ptr<std::function<void()>>& f) {
    std::lock_guard lock(mutex_);
    timers_.emplace(due, [this, due, period, f] {
      repeat(due + period, period, f);
      (*f)();
    });
  }

  void push(node& last) noexcept {
    std::lock_guard lock(mutex_);
    last.next = nullptr;
    (first_ ? last_->next : first_) = &last;
    last_ = &last;
    wake_.notify_one();
  }
  node* take() noexcept {
    std::lock_guard lock(mutex_);
    return first_ ? std::exchange(first_, first_->next) : nullptr;
  }
  void set_stopped(bool to) {
    std::lock_guard lock(mutex_);
    stopped_ = to;
    wake_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  node* first_ = nullptr;
  node* last_ = nullptr;
  std::multimap<clock::time_point, std::function<void()>> timers_;
  bool stopped_ = false;
};

}  // namespace spdk_io_test
