// SPDX-License-Identifier: BSD-3-Clause
// An SPDK thread as a scheduler. See execution.hpp.
#pragma once

#include <spdk_io/detail/call.hpp>
#include <spdk_io/detail/inbox.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/thread.hpp>
#include <spdk_io/thread_ref.hpp>

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI {
namespace adapters::execution::inline SPDK_IO_EXECUTION_VOCABULARY {

class scheduler;

namespace detail {

// The message to the thread is the operation state itself. A request to stop is looked at where it
// arrives, as run_loop does: it is never there for long.
template <class Receiver>
class schedule_state : private spdk_io::detail::message_node {
 public:
  using operation_state_concept = vocabulary::operation_state_tag;

  schedule_state(std::shared_ptr<spdk_io::detail::thread_state> target, Receiver&& receiver)
      : message_node(arrived), target_(std::move(target)), receiver_(std::move(receiver)) {}
  schedule_state(const schedule_state&) = delete;
  schedule_state& operator=(const schedule_state&) = delete;

  // Once it is sent, it may be completed and destroyed over there before send() returns.
  void start() & noexcept {
    const auto target = target_;
    if (auto sent = spdk_io::detail::send(target.get(), *this); !sent) {
      vocabulary::set_error(std::move(receiver_), error(sent.error()));
    }
  }

 private:
  static void arrived(spdk_io::detail::ready_node& node) {
    auto& self = static_cast<schedule_state&>(node);
    if constexpr (!spdk_io::detail::never_stops<std::remove_cvref_t<token_of<Receiver>>>) {
      if (vocabulary::get_stop_token(vocabulary::get_env(self.receiver_)).stop_requested()) {
        return vocabulary::set_stopped(std::move(self.receiver_));
      }
    }
    vocabulary::set_value(std::move(self.receiver_));
  }

  std::shared_ptr<spdk_io::detail::thread_state> target_;
  [[no_unique_address]] Receiver receiver_;
};

// What the sender knows of itself: where it completes. An error comes from wherever it was started.
class schedule_attributes {
 public:
  explicit schedule_attributes(thread_ref where) noexcept : where_(std::move(where)) {}

  template <class Tag, class... Env>
    requires(std::same_as<Tag, vocabulary::set_value_t> ||
             std::same_as<Tag, vocabulary::set_stopped_t>)
  scheduler query(vocabulary::get_completion_scheduler_t<Tag>, const Env&...) const noexcept;

 protected:
  thread_ref where_;
};

class [[nodiscard]] schedule_sender {
 public:
  using sender_concept = vocabulary::sender_tag;

  explicit schedule_sender(thread_ref where) noexcept : where_(std::move(where)) {}

  template <class Self, class... Env>
  static consteval auto get_completion_signatures() noexcept {
    return vocabulary::completion_signatures<
        vocabulary::set_value_t(), vocabulary::set_error_t(error), vocabulary::set_stopped_t()>();
  }
  template <class Receiver>
  schedule_state<Receiver> connect(Receiver receiver) const
      noexcept(std::is_nothrow_move_constructible_v<Receiver>) {
    return {where_.shared_state(), std::move(receiver)};
  }
  schedule_attributes get_env() const noexcept { return schedule_attributes(where_); }

 private:
  thread_ref where_;
};

}  // namespace detail

// Completes on an SPDK thread, from its poll():
//   ex::starts_on(sio::scheduler(thread), disk.read(buffer, 0))
//
// Used, and its senders started, on any OS thread, also on those that have no SPDK thread. Nothing
// is allocated; schedules are served in the order in which they were started, among the messages
// of thread_ref::send(). It keeps the thread's name and number, not the thread running.
//
// schedule() completes with
//   set_value()         on the thread
//   set_stopped()       on the thread, where a stop was requested before it got there
//   set_error(error)    in start(), where the thread has ended: errc::no_such_process
// Requires: an operation state that was started is not destroyed before it has completed. A thread
// that ends completes those that it has accepted.
class scheduler {
 public:
  using scheduler_concept = vocabulary::scheduler_tag;

  explicit scheduler(thread_ref where) noexcept : where_(std::move(where)) {}
  explicit scheduler(const thread& where) noexcept : where_(where.ref()) {}

  detail::schedule_sender schedule() const noexcept { return detail::schedule_sender(where_); }

  // Which thread it is.
  const thread_ref& thread_of() const noexcept { return where_; }

  // For those who ask a scheduler where its schedule() completes.
  template <class Tag, class... Env>
    requires(std::same_as<Tag, vocabulary::set_value_t> ||
             std::same_as<Tag, vocabulary::set_stopped_t>)
  scheduler query(vocabulary::get_completion_scheduler_t<Tag>, const Env&...) const noexcept {
    return *this;
  }

  // No more than that: it depends on who polls the thread, and how often.
  static constexpr vocabulary::forward_progress_guarantee query(
      vocabulary::get_forward_progress_guarantee_t) noexcept {
    return vocabulary::forward_progress_guarantee::weakly_parallel;
  }

  friend bool operator==(const scheduler&, const scheduler&) = default;

 private:
  thread_ref where_;
};

template <class Tag, class... Env>
  requires(std::same_as<Tag, vocabulary::set_value_t> ||
           std::same_as<Tag, vocabulary::set_stopped_t>)
scheduler detail::schedule_attributes::query(vocabulary::get_completion_scheduler_t<Tag>,
                                             const Env&...) const noexcept {
  return scheduler(where_);
}

}  // namespace adapters::execution::inline SPDK_IO_EXECUTION_VOCABULARY

using adapters::execution::scheduler;

}  // namespace spdk_io::inline SPDK_IO_ABI
