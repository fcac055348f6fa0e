// SPDX-License-Identifier: BSD-3-Clause
// A receiver that writes down how it was completed, and senders connected to one.
#pragma once

#include "spdk_test.hpp"

#include <spdk_io/adapters/execution.hpp>

#include <exception>
#include <functional>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>

namespace spdk_io_test {

namespace words = sio::adapters::execution::vocabulary;

// What a sender sends, by the first of its signatures.
template <class Signatures>
struct sent;
template <class... Others>
struct sent<words::completion_signatures<words::set_value_t(), Others...>> {
  using type = std::monostate;
};
template <class T, class... Others>
struct sent<words::completion_signatures<words::set_value_t(T), Others...>> {
  using type = T;
};

// How a receiver was completed.
template <class T>
struct completion {
  int times = 0;
  std::optional<T> value;
  std::optional<sio::error> error;
  std::exception_ptr exception;
  bool stopped = false;
  std::thread::id os_thread;
  std::uint64_t thread = 0;  // the SPDK thread that was current; 0: none
  std::move_only_function<void()> then;

  bool done() const noexcept { return times > 0; }
  void note() noexcept {
    ++times;
    os_thread = std::this_thread::get_id();
    if (auto here = sio::thread::current()) thread = here->id();
    if (then) std::exchange(then, nullptr)();
  }
};

template <class Token>
struct with_token {
  Token token;
  Token query(words::get_stop_token_t) const noexcept { return token; }
};

template <class T, class Token>
struct receiver {
  using receiver_concept = words::receiver_tag;

  completion<T>* into;
  [[no_unique_address]] Token token;

  void set_value() noexcept
    requires std::is_same_v<T, std::monostate>
  {
    into->value.emplace();
    into->note();
  }
  template <class U>
  void set_value(U&& value) noexcept {
    into->value.emplace(std::forward<U>(value));
    into->note();
  }
  void set_error(sio::error e) noexcept {
    into->error = e;
    into->note();
  }
  void set_error(std::exception_ptr e) noexcept {
    into->exception = std::move(e);
    into->note();
  }
  void set_stopped() noexcept {
    into->stopped = true;
    into->note();
  }
  with_token<Token> get_env() const noexcept { return {token}; }
};

// A sender that sends a T (monostate: nothing), connected; start() starts it.
template <class T, class Sender, class Token = words::never_stop_token>
class connected_as {
 public:
  explicit connected_as(Sender sender, Token token = {})
      : state_(words::connect(std::move(sender), receiver<T, Token>{&how, std::move(token)})) {}
  connected_as(const connected_as&) = delete;
  connected_as& operator=(const connected_as&) = delete;

  void start() noexcept { words::start(state_); }
  bool done() const noexcept { return how.done(); }

  completion<T> how;

 private:
  words::connect_result_t<Sender, receiver<T, Token>> state_;
};

// The same for the library's own senders, whose first signature says what they send.
template <class Sender, class Token = words::never_stop_token>
class connected
    : public connected_as<typename sent<words::completion_signatures_of_t<Sender>>::type, Sender,
                          Token> {
 public:
  explicit connected(Sender sender, Token token = {})
      : connected::connected_as(std::move(sender), std::move(token)) {}
};

}  // namespace spdk_io_test
