// SPDX-License-Identifier: BSD-3-Clause
// The data behind SPDK threads, pollers and channels, shared by the translation units of the
// thread library.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "env_internal.hpp"
#include "message_queue.hpp"
#include "spdk/thread.h"

namespace spdk_lite {

/// The SPDK thread that the calling OS thread acts as.
extern constinit thread_local spdk_thread* current_thread
    __attribute__((tls_model("initial-exec")));

enum class thread_state : std::uint8_t { running, exiting, exited };

enum class poller_state : std::uint8_t {
  waiting,
  running,
  /// Dead; freed when its turn comes.
  unregistered,
  /// Becomes paused when its turn comes.
  pausing,
  paused,
};

/// Orders timed pollers by deadline; equal ones stay in the order of their insertion.
struct earlier_deadline {
  bool operator()(const spdk_poller* a, const spdk_poller* b) const;
};
using timer_queue = std::multiset<spdk_poller*, earlier_deadline>;

/// Pollers in the order of their registration, linked through themselves.
class poller_list {
 public:
  [[nodiscard]] bool empty() const { return first_ == nullptr; }
  [[nodiscard]] spdk_poller* first() const { return first_; }
  [[nodiscard]] spdk_poller* last() const { return last_; }
  void push_back(spdk_poller& poller);
  void remove(spdk_poller& poller);

 private:
  spdk_poller* first_ = nullptr;
  spdk_poller* last_ = nullptr;
};

struct io_device;

/// Called once after the poller that asked for it.
struct post_poller_handler {
  spdk_post_poller_fn fn;
  void* arg;
};
inline constexpr std::size_t max_post_poller_handlers = 4;

}  // namespace spdk_lite

struct spdk_poller {
  spdk_poller* previous = nullptr;
  spdk_poller* next = nullptr;
  /// Holds the poller's place in the timer queue while it is not in there, so that re-arming
  /// allocates nothing.
  spdk_lite::timer_queue::node_type timer;

  spdk_lite::poller_state state = spdk_lite::poller_state::waiting;
  std::uint64_t period_ticks = 0;
  std::uint64_t next_run_tick = 0;
  std::uint64_t run_count = 0;
  std::uint64_t busy_count = 0;
  spdk_poller_fn fn = nullptr;
  void* arg = nullptr;
  spdk_thread* thread = nullptr;
  std::string name;

  /// Interrupt mode: the library's own descriptor for this poller, if it has one, and what to
  /// call when the mode changes.
  spdk_interrupt* interrupt = nullptr;
  spdk_poller_set_interrupt_mode_cb set_mode = nullptr;
  void* set_mode_arg = nullptr;
};

struct alignas(SPDK_CACHE_LINE_SIZE) spdk_thread {
  std::atomic<std::uint64_t> last_tsc{0};
  spdk_thread_stats stats{};
  std::atomic<spdk_lite::thread_state> state{spdk_lite::thread_state::running};
  std::atomic<bool> in_interrupt{false};
  /// Within spdk_thread_poll().
  bool is_polled = false;
  /// Interrupt mode: a message that frees unregistered pollers is under way.
  bool reaping_pollers = false;
  bool is_bound = false;
  std::uint8_t post_poller_handler_count = 0;
  std::int32_t spinlocks_held = 0;
  std::atomic<spdk_msg_fn> critical_message{nullptr};

  spdk_lite::poller_list active_pollers;
  spdk_lite::poller_list paused_pollers;
  spdk_lite::timer_queue timed_pollers;
  std::array<spdk_lite::post_poller_handler, spdk_lite::max_post_poller_handlers>
      post_poller_handlers{};

  /// By device; guarded by the mutex of the devices.
  std::map<spdk_lite::io_device*, spdk_io_channel*> channels;
  int pending_unregisters = 0;
  /// for_each operations that this thread started.
  std::uint32_t for_eachs = 0;
  std::uint64_t exit_deadline = 0;

  int message_fd = -1;
  spdk_fd_group* fd_group = nullptr;

  std::uint64_t id = 0;
  std::string name;
  spdk_cpuset cpumask{};
  /// How many messages of the pool were set aside for this thread.
  std::size_t pool_share = 0;

  mutable spdk_lite::message_queue messages;
  // The runner's context follows.
};

namespace spdk_lite {

/// All threads in the order of creation.
struct thread_registry {
  std::mutex mutex;
  std::vector<spdk_thread*> threads;
  std::uint64_t next_id = 1;
};
thread_registry& registry();

/// What the thread library was initialised with.
struct library_state {
  spdk_new_thread_fn new_thread = nullptr;
  spdk_thread_op_fn op = nullptr;
  spdk_thread_op_supported_fn op_supported = nullptr;
  std::size_t ctx_size = 0;
  bool initialised = false;
  /// Messages of the pool that no thread has set aside.
  std::atomic<std::size_t> pool_free{0};
};
library_state& library();

// message.cpp
/// Runs up to `limit` messages that wait now; those that they send come later.
std::size_t run_messages(spdk_thread& thread, std::uint32_t limit);
/// Returns whether there was one.
bool run_critical_message(spdk_thread& thread);

// poller.cpp
int run_pollers(spdk_thread& thread, std::uint64_t now);
/// Puts a poller that is in no list among the active or the timed ones.
void insert_poller(spdk_thread& thread, spdk_poller& poller, std::uint64_t now);
void free_pollers(spdk_thread& thread);
/// Frees those that were unregistered, without waiting for their turn.
void reap_unregistered_pollers(spdk_thread& thread);

// interrupt.cpp
bool create_interrupts(spdk_thread& thread);
void destroy_interrupts(spdk_thread& thread);
bool create_poller_interrupt(spdk_poller& poller);
void destroy_poller_interrupt(spdk_poller& poller);
/// Makes the thread's interrupt descriptor readable.
void notify(const spdk_thread& thread);

// io_device.cpp
void report_registered_devices();
/// The name of any channel's device, or NULL if the thread has no channels.
std::string first_channel_name(const spdk_thread& thread);

// spinlock.cpp
/// Aborts if the thread would go on while it holds a spinlock.
void check_no_spinlock_held(const spdk_thread& thread);

/// For calls on the wrong thread, which SPDK's release build refuses with a log line.
void report_wrong_thread(const char* function, const char* object, const spdk_thread& owner);

}  // namespace spdk_lite

// What SPDK exports for its own modules, and declares in a header that it does not install: what
// a thread has, one after the other; NULL at the end.
extern "C" {
const char* spdk_poller_get_name(struct spdk_poller* poller);
spdk_poller* spdk_thread_get_first_active_poller(spdk_thread* thread);
spdk_poller* spdk_thread_get_next_active_poller(spdk_poller* prev);
spdk_poller* spdk_thread_get_first_timed_poller(spdk_thread* thread);
spdk_poller* spdk_thread_get_next_timed_poller(spdk_poller* prev);
spdk_poller* spdk_thread_get_first_paused_poller(spdk_thread* thread);
spdk_poller* spdk_thread_get_next_paused_poller(spdk_poller* prev);
const char* spdk_io_channel_get_io_device_name(spdk_io_channel* channel);
spdk_io_channel* spdk_thread_get_first_io_channel(spdk_thread* thread);
spdk_io_channel* spdk_thread_get_next_io_channel(spdk_io_channel* prev);
}
