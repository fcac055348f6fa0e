// SPDX-License-Identifier: BSD-3-Clause
// A place where one coroutine at a time waits for something of its own thread: for the next element
// of a stream, for room in a sink.
//
// The point lies with what is waited for; the wait is the base of an operation. A wait that need
// not suspend claims the point until its result is taken, so that nobody else takes what it found.
#pragma once

#include <spdk_io/detail/node_ring.hpp>
#include <spdk_io/error.hpp>

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI::detail {

class thread_state;
class point_wait;

class wait_point {
 public:
  wait_point() = default;
  wait_point(const wait_point&) = delete;
  wait_point& operator=(const wait_point&) = delete;
  ~wait_point() { close(); }

  // What is waited for goes: who waits is told so, at the thread's next turn.
  void close() noexcept;

  // Somebody is suspended here.
  bool waited_for() const noexcept { return link_.linked(); }

  // From a continuation of the thread: resumes who waits, who may destroy all of this.
  // Requires: waited_for(). What leaves that code leaves this.
  void wake();
  // The same at the thread's next turn, from anywhere on its OS thread.
  void wake_later() noexcept;

  // The thread that it belongs to, from the first wait on.
  thread_state* home() const noexcept { return home_.get(); }
  // That thread acts here now.
  inline bool at_home() const noexcept;
  // Ends the program if this is another OS thread than that of a thread that has not ended.
  // (Both, and what an element takes besides, are in src/wait_steps.hpp.)
  inline void check_os_thread(std::string_view what) const noexcept;

 private:
  friend class point_wait;
  struct link : ready_node {
    explicit link(wait_point& p) noexcept : ready_node(thread_ends), point(&p) {}
    static void thread_ends(ready_node& node);
    wait_point* point;
  };

  [[gnu::cold]] void check_os_thread_by_home(std::string_view what) const noexcept;

  std::shared_ptr<thread_state> home_;
  point_wait* user_ = nullptr;  // who waits, or has claimed it
  link link_{*this};            // in the thread's `waits`, while somebody is suspended
};

class point_wait : public ready_node {
 public:
  static constexpr bool waits_on_own_thread = true;  // see operation.hpp

  void request_stop() noexcept;
  void refuse_stopped() noexcept { end_ = end::stopped; }

 protected:
  point_wait() noexcept : point_(nullptr) {}
  explicit point_wait(wait_point* point) noexcept : point_(point) {}  // null: moved from
  point_wait(point_wait&& other) noexcept
      : ready_node(std::move(other)),  // which takes the base's part only
        point_(other.point_) {}        // NOLINT(bugprone-use-after-move)
  point_wait& operator=(point_wait&&) = delete;
  ~point_wait() = default;

  // First of all. False: it may not be waited for here; failed() from now on.
  bool claim() noexcept;
  // The same, where the thread is known; and the point too, now if not before.
  inline bool claim_here(wait_point* point) noexcept;
  // Suspends. Requires: claim() was true.
  void suspend() noexcept;
  inline void suspend_here() noexcept;
  // The result is taken. Requires: not failed().
  void release() noexcept {
    point_->user_ = nullptr;
    claimed_ = false;
  }
  // From the destructor. True: what it has claimed, or waits for, is given up.
  bool settle(std::string_view what) noexcept { return (claimed_ || linked()) && give_up(what); }

  bool failed() const noexcept { return end_ != end::none; }
  // Why; `what` for the message, such as "stream".
  error failure(operation_kind kind, std::string_view what) const;

 private:
  friend class wait_point;
  enum class end : std::uint8_t {
    none,
    stopped,
    thread_ending,
    owner_gone,
    busy,
    no_thread,
    wrong_thread,
    no_owner,
  };
  [[gnu::cold]] bool claim_with_checks() noexcept;
  [[gnu::cold]] bool give_up(std::string_view what) noexcept;
  bool refuse(end why) noexcept {
    end_ = why;
    return false;
  }
  void leave(end why) noexcept;

  wait_point* point_;
  thread_state* home_ = nullptr;  // once it is claimed
  end end_ = end::none;
  bool claimed_ = false;
};

inline void wait_point::wake() {
  node_ring::erase(link_);
  user_->run(*user_);
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
