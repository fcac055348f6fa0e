// SPDX-License-Identifier: BSD-3-Clause
// Random programs of locks, semaphores, events, scopes and when_any, whose parts are stopped and
// destroyed at random, compared with a model: one inside a lock, permits conserved, first come
// first served, and nobody waits for ever.
#include "devices.hpp"
#include "started.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace spdk_io_test {
namespace {

// While it lives, that is one more.
class one_more {
 public:
  explicit one_more(std::uint64_t& count, std::uint64_t n = 1) : count_(&count), n_(n) {
    *count_ += n_;
  }
  one_more(const one_more&) = delete;
  one_more& operator=(const one_more&) = delete;
  ~one_more() { *count_ -= n_; }

 private:
  std::uint64_t* count_;
  std::uint64_t n_;
};

// What must hold of a primitive, kept beside it: whoever is inside may outlive it.
struct model {
  std::uint64_t inside = 0;
  std::uint64_t tickets = 0;      // of those who had to wait
  std::uint64_t last_served = 0;  // of them
  std::uint64_t sets = 0;
  std::uint64_t passed = 0;
  std::uint64_t extra = 0;  // released by nobody who had it

  void served(std::uint64_t ticket) {
    if (ticket == 0) return;  // it did not wait
    EXPECT_GT(ticket, last_served) << "overtaken";
    last_served = ticket;
  }
};

template <class T>
struct watched {
  template <class... Arguments>
  explicit watched(Arguments... arguments)
      : primitive(std::make_unique<T>(arguments...)), state(std::make_shared<model>()) {}
  std::unique_ptr<T> primitive;
  std::shared_ptr<model> state;
};

class program {
 public:
  static constexpr std::uint64_t permits = 3;

  explicit program(std::uint64_t seed) : random_(seed) {
    for (std::size_t i = 0; i < actors; ++i) start();
  }

  void run() {
    for (int round = 0; round < 150; ++round) {
      disturb();
      main_thread().poll();
    }
    // Everybody else ends by himself, once all events have been set.
    for (int round = 0; round < 20'000 && !all_done(); ++round) {
      set_all();
      main_thread().poll();
    }
    EXPECT_TRUE(all_done()) << "somebody waits for ever";
    cast_.clear();
    for (auto& each : mutexes_) {
      EXPECT_EQ(each.state->inside, 0u);
      EXPECT_FALSE(each.primitive->locked());
      EXPECT_EQ(each.primitive->waiting(), 0u);
    }
    EXPECT_EQ(semaphore_.state->inside, 0u);
    EXPECT_EQ(semaphore_.primitive->available(), permits + semaphore_.state->extra);
    EXPECT_EQ(semaphore_.primitive->waiting(), 0u);
    EXPECT_EQ(turnstile_.primitive->waiting() + event_.primitive->waiting(), 0u);
  }

  std::uint64_t waits() const { return waits_; }
  std::uint64_t stops() const { return stops_; }
  std::uint64_t destroyed() const { return destroyed_; }

 private:
  static constexpr std::size_t actors = 12;

  struct actor {
    sio::local_stop_source stop;
    std::unique_ptr<started<sio::task<void>>> body;
  };

  std::uint64_t below(std::uint64_t n) { return random_() % n; }

  void start() {
    auto& added = *cast_.emplace_back(std::make_unique<actor>());
    auto with_token = [](actor& self, program& in) -> sio::task<void> {
      co_await sio::with_stop_token(self.stop.get_token(), in.play(&self));
    };
    added.body = std::make_unique<started<sio::task<void>>>(with_token(added, *this));
  }

  bool all_done() const {
    return std::ranges::all_of(cast_, [](const auto& each) { return each->body->done(); });
  }

  // Not `self`, which runs.
  void destroy_one(const actor* self) {
    const auto victim = below(cast_.size());
    if (cast_[victim].get() == self) return;
    if (!cast_[victim]->body->done()) ++destroyed_;
    cast_.erase(cast_.begin() + static_cast<std::ptrdiff_t>(victim));
  }

  void set_all() {
    ++event_.state->sets;
    event_.primitive->set();
    ++turnstile_.state->sets;
    turnstile_.primitive->set();
  }

  void disturb() {
    switch (below(12)) {
      case 0:
        destroy_one(nullptr);
        start();
        break;
      case 1: {
        auto& stopped = *cast_[below(cast_.size())];
        if (!stopped.body->done()) ++stops_;
        stopped.stop.request_stop();
        start();
        break;
      }
      case 2: event_.primitive->reset(); break;
      case 3: set_all(); break;
      case 4:
        semaphore_.primitive->release();
        ++semaphore_.state->extra;
        break;
      case 5:  // whoever waits there is told
        if (below(4) == 0) mutexes_[below(mutexes_.size())] = watched<sio::async_mutex>();
        if (below(4) == 0) semaphore_ = watched<sio::async_semaphore>(permits);
        if (below(4) == 0) event_ = watched<sio::async_event>();
        break;
      default: break;
    }
  }

  sio::task<void> linger() {
    for (auto n = below(3); n > 0; --n) co_await sio::yield();
  }

  static void expect_ends(const sio::error& e) {
    EXPECT_EQ(e.code(), std::errc::operation_canceled) << e;
  }

  sio::task<void> lock_all(const actor* self) {
    std::vector<std::shared_ptr<model>> models;  // go last
    std::vector<sio::async_mutex::scoped_lock> held;
    std::vector<std::unique_ptr<one_more>> inside;
    for (std::size_t i = below(mutexes_.size()); i < mutexes_.size(); ++i) {  // in one order
      auto& mutex = *mutexes_[i].primitive;
      models.push_back(mutexes_[i].state);
      auto& m = *models.back();
      const auto ticket = mutex.locked() ? ++m.tickets : 0;
      waits_ += ticket != 0;
      auto lock = co_await mutex.lock();
      if (!lock) {
        expect_ends(lock.error());
        break;
      }
      m.served(ticket);
      EXPECT_EQ(m.inside, 0u) << "two inside a lock";
      held.push_back(std::move(*lock));
      inside.push_back(std::make_unique<one_more>(m.inside));
      co_await linger();
      if (below(20) == 0) destroy_one(self);
    }
    co_await linger();
    inside.clear();
    while (!held.empty()) held.pop_back();
  }

  sio::task<void> take_permits() {
    const auto n = 1 + below(permits);
    auto state = semaphore_.state;
    auto& semaphore = *semaphore_.primitive;
    const bool waits = semaphore.waiting() > 0 || semaphore.available() < n;
    const auto ticket = waits ? ++state->tickets : 0;
    waits_ += ticket != 0;
    auto permit = co_await semaphore.acquire(n);
    if (!permit) {
      expect_ends(permit.error());
      co_return;
    }
    state->served(ticket);
    one_more inside(state->inside, n);
    EXPECT_LE(state->inside, permits + state->extra) << "more permits than there are";
    co_await linger();
  }

  sio::task<void> pass(watched<sio::async_event>& at, bool one_each) {
    auto state = at.state;
    const bool open = at.primitive->is_set();
    const auto sets = state->sets;
    const auto ticket = open ? 0 : ++state->tickets;
    waits_ += ticket != 0;
    auto r = co_await at.primitive->wait();
    if (!r) {
      expect_ends(r.error());
      co_return;
    }
    state->served(ticket);
    EXPECT_TRUE(open || state->sets > sets) << "nobody has set it";
    ++state->passed;
    EXPECT_TRUE(!one_each || state->passed <= state->sets) << "let through twice";
  }

  // Whoever loses leaves nothing behind.
  sio::task<void> whatever_comes_first() {
    auto models = std::array{mutexes_[0].state, mutexes_[1].state};
    auto first = co_await sio::when_any(mutexes_[0].primitive->lock(), linger(),
                                        mutexes_[1].primitive->lock(),
                                        semaphore_.primitive->acquire(), event_.primitive->wait());
    if (first.other_failure) ADD_FAILURE() << *first.other_failure;
    if (auto* lock = std::get_if<0>(&first.value); first.index == 0 && *lock) {
      EXPECT_EQ(models[0]->inside, 0u);
      one_more inside(models[0]->inside);
      co_await linger();
    }
    if (first.index != 2) co_return;
    if (auto& lock = std::get<2>(first.value); lock) {
      EXPECT_EQ(models[1]->inside, 0u);
      one_more inside(models[1]->inside);
      co_await linger();
    }
  }

  sio::task<sio::result<void>> worker(std::uint64_t& inside, std::uint64_t limit, bool fails) {
    one_more one(inside);
    EXPECT_LE(inside, limit);
    co_await linger();
    co_await take_permits();
    if (fails) {
      co_return std::unexpected(
          sio::error(std::errc::io_error, sio::operation_kind::none, "as told"));
    }
    co_return sio::result<void>();
  }

  sio::task<void> spawn_many() {
    std::uint64_t inside = 0;
    const auto limit = 1 + below(3);
    sio::task_scope scope({.limit = limit});
    bool fails = false;
    bool refused = false;
    for (int i = 0; i < 6; ++i) {
      const bool failing = below(10) == 0;
      auto r = co_await scope.spawn_when_free(worker(inside, limit, failing));
      if (!r) {
        expect_ends(r.error());
        refused = true;
        break;
      }
      fails = fails || failing;
    }
    auto r = co_await scope.join();
    EXPECT_FALSE(fails && !refused && r) << "a failure was lost";
    EXPECT_EQ(inside, 0u);
    EXPECT_EQ(scope.running(), 0u);
  }

  sio::task<void> play(const actor* self) {
    for (int steps = 0; steps < 6; ++steps) {
      auto token = co_await sio::current_stop_token();
      if (token.stop_requested()) co_return;
      switch (below(7)) {
        case 0:
        case 1: co_await lock_all(self); break;
        case 2: co_await take_permits(); break;
        case 3: co_await pass(event_, false); break;
        case 4: co_await pass(turnstile_, true); break;
        case 5: co_await whatever_comes_first(); break;
        default: co_await spawn_many(); break;
      }
    }
  }

  std::mt19937_64 random_;
  std::array<watched<sio::async_mutex>, 2> mutexes_;
  watched<sio::async_semaphore> semaphore_{permits};
  watched<sio::async_event> event_;
  watched<sio::async_event> turnstile_{sio::async_event_options{.auto_reset = true}};
  std::uint64_t waits_ = 0;
  std::uint64_t stops_ = 0;
  std::uint64_t destroyed_ = 0;
  std::vector<std::unique_ptr<actor>> cast_;  // go first
};

TEST(random_programs, keep_the_rules) {
  std::uint64_t waits = 0, stops = 0, destroyed = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    program one(seed);
    one.run();
    waits += one.waits();
    stops += one.stops();
    destroyed += one.destroyed();
    if (testing::Test::HasFailure()) return;
  }
  // That there was something to see.
  EXPECT_GT(waits, 10'000u);
  EXPECT_GT(stops, 1'000u);
  EXPECT_GT(destroyed, 1'000u);
}

// Not run to its end: destroyed as it stands, after so many turns.
TEST(random_programs, end_in_the_middle) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    for (int turns = 0; turns < 40; ++turns) {
      program one(seed);
      poll_times(turns);
    }
  }
  poll_times(5);
}

}  // namespace
}  // namespace spdk_io_test
