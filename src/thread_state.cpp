// SPDX-License-Identifier: BSD-3-Clause
// One turn of a thread, and the end of one.
#include "thread_state.hpp"

#include "bdev_io_reuse.hpp"
#include "concat.hpp"
#include "forced_exit.hpp"
#include "poller_state.hpp"
#include "subsystem_state.hpp"
#include "thread_registry.hpp"

#include <spdk_io/detail/fatal.hpp>
#include <spdk_io/detail/io_core.hpp>
#include <spdk_io/detail/os_thread.hpp>
#include <spdk_io/detail/root.hpp>
#include <spdk_io/zcopy.hpp>

#include <spdk/env.h>
#include <spdk/thread.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI::detail {

constinit thread_local thread_state* current_thread = nullptr;
constinit thread_local bool in_reactor_event = false;

constinit thread_local const char os_thread_mark = 0;

namespace {

// While it lives, this OS thread acts for `next`, for the library and for SPDK.
class acting_for {
 public:
  explicit acting_for(thread_state& next) noexcept
      : before_(std::exchange(current_thread, &next)), native_before_(spdk_get_thread()) {
    if (native_before_ != next.native) spdk_set_thread(next.native);
  }
  ~acting_for() {
    if (current_thread == before_ && spdk_get_thread() == native_before_) return;
    // What ran may have ended the thread that was current before. Where none of ours was, the
    // SPDK thread is the program's business, as it was.
    current_thread = is_live(before_) ? before_ : nullptr;
    spdk_set_thread(current_thread ? current_thread->native : before_ ? nullptr : native_before_);
  }
  acting_for(const acting_for&) = delete;
  acting_for& operator=(const acting_for&) = delete;

 private:
  thread_state* before_;
  spdk_thread* native_before_;
};

// For a message: ": a, b, and 3 more", or nothing.
std::string list_of(const std::vector<operation_info>& operations) {
  constexpr std::size_t enough = 8;
  std::string out;
  for (std::size_t i = 0; i < std::min(operations.size(), enough); ++i) {
    out += concat(i == 0 ? ": " : ", ", operations[i].message());
  }
  if (operations.size() > enough) out += concat(", and ", operations.size() - enough, " more");
  return out;
}

void link_to(node_ring& list, message_node* node) noexcept {
  while (node) {
    message_node* next = node->next_message;
    list.push_back(*node);
    node = next;
  }
}

}  // namespace

native_turn::native_turn(spdk_thread* next) noexcept : before_(spdk_get_thread()), next_(next) {
  if (before_ != next_) spdk_set_thread(next_);
}

native_turn::~native_turn() {
  if (before_ != next_) spdk_set_thread(before_);
}

thread_state* thread_of_callback() noexcept {
  spdk_thread* native = spdk_get_thread();
  return native ? find_local_thread(native) : nullptr;
}

void start_as(thread_state& t, owned_coroutine& root) {
  acting_for it(t);
  root.start();
}

void reset_as(thread_state& t, owned_coroutine& root) noexcept {
  acting_for it(t);
  root.reset();
}

thread_state::thread_state(spdk_thread* thread, std::string_view label)
    : native(thread), name(label), id(spdk_thread_get_id(thread)), os_thread(this_os_thread()) {}

bool thread_state::on_own_os_thread() const noexcept { return os_thread == this_os_thread(); }

// Counts the nesting of a thread's turns. One that ended inside its own turn is kept until here.
class thread_state::turn {
 public:
  explicit turn(thread_state& s) noexcept : self_(s) { ++self_.turns_; }
  ~turn() {
    if (--self_.turns_ == 0 && self_.keep_) [[unlikely]]
      std::exchange(self_.keep_, nullptr);
  }
  turn(const turn&) = delete;
  turn& operator=(const turn&) = delete;

 private:
  thread_state& self_;
};

std::size_t thread_state::poll(std::uint32_t max_messages) {
  if (inside_spdk() || !on_own_os_thread() || phase == thread_phase::exited) [[unlikely]] {
    misuse(inside_spdk() ? "thread::poll() called from inside spdk_thread_poll() of the same "
                           "thread: leave raw SPDK callbacks first"
                         : "thread::poll() called for a thread of another OS thread, or an ended "
                           "one");
    return 0;
  }
  turn now(*this);
  acting_for me(*this);
  std::size_t done = poll_native(max_messages);
  if (!ready.empty()) {
    idle_runs = 0;
    done += run_ready(max_messages);
  }
  return done;
}

std::size_t thread_state::run_without_polling() {
  turn now(*this);
  acting_for me(*this);
  std::size_t done = after_native_poll();
  if (!ready.empty()) {
    idle_runs = 0;
    done += run_ready(0);
  }
  return done;
}

// Stands behind what is ready now: what is linked meanwhile waits for the next turn. A nested turn
// may take it out, having run all that stood before it.
class thread_state::end_of_run : public ready_node {
 public:
  explicit end_of_run(thread_state& s) noexcept : ready_node(reached), self_(s) {
    s.ready.node_ring::push_back(*this);
  }
  ~end_of_run() {
    if (linked()) node_ring::erase(*this);
  }
  end_of_run(const end_of_run&) = delete;
  end_of_run& operator=(const end_of_run&) = delete;

 private:
  static void reached(ready_node& node) { ++static_cast<end_of_run&>(node).self_.idle_runs; }

  thread_state& self_;
};

inline void thread_state::run_first() {
  ready_node& node = ready.pop_front();
  if (node.io_stage == io_core::stage_held) [[likely]] {
    if (ready.front().io_stage == io_core::stage_held) {
      prefetch_for_reuse(static_cast<io_core&>(ready.front()).held_);
    }
    static_cast<io_core&>(node).give_back();
  }
  node.run(node);
}

// At most so many entries; 0 for all. Requires: there are some.
std::size_t thread_state::run_ready(std::uint32_t most) {
  if (ready.has_one()) {
    run_first();
    return std::exchange(idle_runs, 0) == 0 ? 1 : 0;
  }
  const end_of_run end(*this);
  std::size_t ran = 0;
  if (most == 0) [[likely]] {
    for (; end.linked(); ++ran) run_first();
  } else {
    for (; end.linked() && ran < most; ++ran) run_first();
  }
  return ran - std::min(ran, std::exchange(idle_runs, 0));
}

std::size_t thread_state::poll_without_user_code(std::uint32_t max_messages) {
  acting_for me(*this);
  const std::size_t done = poll_native(max_messages);
  give_back_held();
  return done;
}

bool thread_state::give_back_held() noexcept {
  if (!may_hold_) return false;
  may_hold_ = false;
  bool any = false;
  // Giving back may link further ones, at the end, and takes none out.
  for (ready_node* node = &ready.front(); node != ready.end(); node = node->next) {
    if (node->io_stage != io_core::stage_held) continue;
    static_cast<io_core*>(node)->stop_holding();
    any = true;
  }
  return any;
}

// While this OS thread acts for it.
inline std::size_t thread_state::poll_native(std::uint32_t max_messages) {
  hurdles.enter_poll();
  int rc = spdk_thread_poll(native, max_messages, 0);
  hurdles.leave_poll();
  may_hold_ = true;
  std::size_t done = rc > 0 ? 1 : 0;
  if (!adopted.empty()) [[unlikely]]
    poll_adopted(max_messages);
  return done + after_native_poll();
}

inline std::size_t thread_state::after_native_poll() {
  if (!messages.empty() || !returns.empty()) deliver_messages();
  if (!timers.empty()) expire_timers();
  waiting.poll();
  if (!internal.empty()) [[unlikely]]
    return run_internal();
  return 0;
}

void thread_state::deliver_messages() noexcept {
  link_to(ready, messages.take());
  link_to(internal, returns.take());
}

void thread_state::expire_timers() noexcept {
  const std::uint64_t now = spdk_get_ticks();
  while (!timers.empty() && timers.next_due() <= now) {
    timer_node& due = timers.first();
    timers.cancel(due);
    due.expire(due);
  }
}

std::size_t thread_state::run_internal() noexcept {
  std::size_t ran = 0;
  for (; !internal.empty(); ++ran) {
    ready_node& node = internal.pop_front();
    node.run(node);
  }
  return ran;
}

// SPDK's modules make threads of their own and expect them to be polled by somebody.
void thread_state::poll_adopted(std::uint32_t max_messages) {
  for (std::size_t i = 0; i < adopted.size(); ++i) {
    spdk_thread* thread = adopted[i];
    spdk_thread_poll(thread, max_messages, 0);
    if (!spdk_thread_is_exited(thread)) continue;
    adopted.erase(adopted.begin() + static_cast<std::ptrdiff_t>(i--));
    spdk_thread_destroy(thread);
  }
}

bool thread_state::deliver(message_node& node) noexcept {
  if (!(node.internal ? returns : messages).push(node)) [[unlikely]] {
    if (!on_own_os_thread() || !takes_own_messages_) return false;
    ready.push_back(node);
  }
  wake_if_asleep();
  return true;
}

void thread_state::wake() noexcept {
  if (!asleep.exchange(false, std::memory_order_seq_cst)) return;
  // Held while the waker runs: set_waker() waits for it, so that a poller task cannot vanish
  // under a message of another thread.
  std::lock_guard lock(waker_mutex_);
  if (waker_ && !waker_->wake(*waker_)) asleep.store(true, std::memory_order_seq_cst);
}

void thread_state::set_waker(waker* w) noexcept {
  std::lock_guard lock(waker_mutex_);
  waker_ = w;
}

std::size_t thread_state::io_in_flight() const noexcept {
  std::size_t count = 0;
  auto add = [&](const ready_node&) { ++count; };
  waiting.waiters().for_each(add);
  for (const auto& [desc, channel] : channels) {
    channel->in_flight.for_each(add);
    channel->parked.for_each(add);
    count += channel->ending;
  }
  waiting.targets().for_each(add);
  retries.targets().for_each(add);
  return count;
}

bool thread_state::io_at_spdk() const noexcept {
  for (const auto& [desc, channel] : channels) {
    if (channel->io_at_spdk()) return true;
  }
  return false;
}

std::vector<operation_info> thread_state::operations() const {
  std::vector<operation_info> out;
  auto add = [&](const ready_node& node) {
    out.push_back(static_cast<const io_core&>(node).info());
  };
  ready.for_each([&](const ready_node& node) {
    if (node.io_stage != 0) add(node);
  });
  for (const auto& [desc, channel] : channels) {
    channel->in_flight.for_each(add);
    channel->parked.for_each(add);
    channel->held.for_each([&](const ready_node& node) {
      out.push_back(static_cast<const zcopy_buffer::link&>(node).buffer->info());
    });
  }
  waiting.waiters().for_each(add);
  waiting.targets().for_each(add);
  retries.targets().for_each(add);
  return out;
}

bool thread_state::lends() const noexcept {
  return std::ranges::any_of(channels, [](const auto& each) { return each.second->lent > 0; });
}

void thread_state::take_back_lent() noexcept {
  for (const auto& [desc, channel] : channels) {
    while (!channel->held.empty()) {
      static_cast<zcopy_buffer::link&>(channel->held.front()).buffer->end_unawaited();
    }
  }
}

void thread_state::shut_down() noexcept {
  if (!on_own_os_thread()) {
    fatal(concat("thread \"", name,
                 "\" destroyed on another OS thread than its own; a thread "
                 "belongs to the OS thread that attached it"));
  }
  if (inside_spdk()) {
    fatal(concat("thread \"", name,
                 "\" destroyed inside spdk_thread_poll(); leave raw SPDK "
                 "callbacks first"));
  }
  if (turns_ > 0) keep_ = shared_from_this();
  spdk_thread* const before = spdk_get_thread();
  spdk_thread* const borrowed = at_end == native_end::leave ? native : nullptr;
  {
    acting_for me(*this);
    phase = thread_phase::exiting;
    for (auto& [desc, channel] : channels) {
      channel->stop_accepting();
    }
    stop_pollers(*this);
    cancel_timers();
    end_event_waits();
    end_waits();
    drain_user_code();
    give_back();
    exit_native();
  }
  if (borrowed && before == borrowed) spdk_set_thread(borrowed);
  wake_if_asleep();  // its poller task, to stop: no file of the thread's would
}

void thread_state::cancel_timers() noexcept {
  timer_node* kept = nullptr;
  while (!timers.empty()) {
    timer_node& node = timers.first();
    timers.cancel(node);
    if (node.outlasts_thread) {
      node.next = std::exchange(kept, &node);
      continue;
    }
    node.due = 0;  // tells the sleeper that it was not its time
    node.expire(node);
  }
  while (kept) timers.arm(*std::exchange(kept, kept->next));
}

// Nobody would be left to give back what they wait for. From now on nobody begins to wait.
void thread_state::end_waits() noexcept {
  while (!waits.empty()) waits.front().run(waits.front());
}

bool thread_state::drained() const noexcept {
  return nothing_ready() && !any_io() && calls_out == 0 && !lends();
}

// Everything accepted is finished: I/O, messages, and what they resume. What runs here may still
// send to this thread; other OS threads may not, since one that never stops sending would keep
// it alive. I/O that is started meanwhile is refused, so that this ends.
void thread_state::drain_user_code() noexcept {
  const std::uint64_t warn_at = spdk_get_ticks() + 5 * spdk_get_ticks_hz();
  bool warned = false;
  link_to(ready, messages.close());
  takes_own_messages_ = true;
  while (!drained()) {
    try {
      poll_without_user_code(0);
      if (!ready.empty()) run_ready(0);
      turn_other_local_threads(*this);
    } catch (...) {
      fatal_exception(concat("a continuation that ran while thread \"", name, "\" ended"));
    }
    cancel_timers();
    if (nothing_ready()) {
      // Nobody is left here who would end these. (Who holds them now finds them empty.) What waits
      // for memory, I/O or an abort, would wait for them.
      if (!io_at_spdk() || waiting.aborts_wait()) take_back_lent();
      // A call may be the deletion of a device that this thread has open.
      if (calls_out > 0 && !any_io()) close_opened();
    }
    if (!warned && spdk_get_ticks() > warn_at) {
      warned = true;
      std::fprintf(stderr,
                   "spdk-io: thread \"%s\" is ending, but waits for %zu I/O in flight and %zu "
                   "calls that have not come back%s\n",
                   name.c_str(), io_in_flight(), calls_out, list_of(operations()).c_str());
    }
  }
  takes_own_messages_ = false;
}

void thread_state::end_event_waits() noexcept {
  for (desc_state* desc : opened) {
    desc->end_event_wait(std::errc::operation_canceled, fault::thread_exiting);
  }
}

void thread_state::close_opened() noexcept {
  auto descriptors = opened;
  for (desc_state* desc : descriptors) desc->close();
}

// Channels first, then the descriptors opened here (whose channels on other threads retire by
// message), then, on the thread that started them, SPDK's subsystems.
void thread_state::give_back() noexcept {
  std::vector<channel_state*> mine;
  for (auto& [desc, channel] : channels) mine.push_back(channel);
  for (channel_state* channel : mine) channel->desc->retire(*channel);
  close_opened();
  pump_until(
      *this,
      [](const void* self) {
        const auto& state = *static_cast<const thread_state*>(self);
        return state.channels.empty() && state.opened.empty();
      },
      this, concat("the end of thread \"", name, "\": channels on other threads"));
  stop_subsystems(*this);
}

void thread_state::exit_native() noexcept {
  spdk_thread* const thread = native;
  const watched_exit exit;
  if (at_end != native_end::leave) {
    spdk_set_thread(native);
    spdk_thread_exit(native);
  }
  if (at_end == native_end::destroy)
    pump_until(
        *this,
        [](const void* self) {
          return spdk_thread_is_exited(static_cast<const thread_state*>(self)->native);
        },
        this, concat("the exit of SPDK thread \"", name, "\""));
  // From now on whoever delivers something is told that nobody takes it.
  link_to(internal, returns.close());
  run_internal();
  phase = thread_phase::exited;
  forget_thread(*this);
  spdk_set_thread(nullptr);
  native = nullptr;
  if (at_end != native_end::destroy) return;
  exit.report(thread, name);
  spdk_thread_destroy(thread);
}

void pump_until(thread_state& whose, bool (*done)(const void*), const void* argument,
                std::string_view what) noexcept {
  if (done(argument)) return;
  if (whose.inside_spdk()) {
    fatal(concat("cannot wait for ", what, " inside spdk_thread_poll() of its own thread \"",
                 whose.name, "\"; leave raw SPDK callbacks first"));
  }
  const std::uint64_t warn_at = spdk_get_ticks() + 5 * spdk_get_ticks_hz();
  bool warned = false;
  while (!done(argument)) {
    poll_local_threads();
    if (!warned && spdk_get_ticks() > warn_at) {
      warned = true;
      std::fprintf(stderr, "spdk-io: waiting for %.*s\n", static_cast<int>(what.size()),
                   what.data());
    }
  }
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
