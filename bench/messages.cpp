// SPDX-License-Identifier: BSD-3-Clause
#include "messages.hpp"

#include <spdk/thread.h>

#include <atomic>
#include <memory>
#include <optional>
#include <thread>

namespace bench {
namespace {

enum class polled_by { library, raw_loop, nobody };

// An SPDK thread on an OS thread of its own, which does nothing but poll it.
class peer {
 public:
  peer() : os_thread_([this] { run(); }) { started_.wait(false); }
  peer(const peer&) = delete;
  peer& operator=(const peer&) = delete;
  ~peer() {
    how_ = polled_by::nobody;
    os_thread_.join();
  }

  void poll_as(polled_by how) { how_ = how; }
  spdk_thread* native() const { return native_; }
  const sio::thread_ref& ref() const { return *ref_; }

 private:
  void run() {
    auto thread = must(sio::thread::attach("peer"));
    native_ = thread.native_handle();
    ref_ = thread.ref();
    started_ = true;
    started_.notify_one();
    for (;;) {
      switch (how_.load(std::memory_order_relaxed)) {
        case polled_by::library: thread.poll(); break;
        case polled_by::raw_loop: spdk_thread_poll(native_, 0, 0); break;
        case polled_by::nobody: return;
      }
    }
  }

  std::atomic<polled_by> how_{polled_by::library};
  std::atomic<bool> started_{false};
  spdk_thread* native_ = nullptr;
  std::optional<sio::thread_ref> ref_;
  std::thread os_thread_;
};

struct raw_trips {
  spdk_thread* here;
  spdk_thread* there;
  std::uint64_t left;

  void go() { spdk_thread_send_msg(there, arrived, this); }
  static void arrived(void* argument) {
    spdk_thread_send_msg(static_cast<raw_trips*>(argument)->here, back, argument);
  }
  static void back(void* argument) {
    auto& self = *static_cast<raw_trips*>(argument);
    if (--self.left > 0) self.go();
  }
};

void raw_round_trips(io_world& world, peer& other, std::uint64_t count) {
  other.poll_as(polled_by::raw_loop);
  spdk_thread* here = world.thread().native_handle();
  raw_trips trips{here, other.native(), count};
  trips.go();
  while (trips.left > 0) spdk_thread_poll(here, 0, 0);
}

sio::task<sio::result<void>> calls(const sio::thread_ref& ref, std::uint64_t count) {
  for (; count > 0; --count) {
    if (auto r = co_await ref.call([] {}); !r) co_return r;
  }
  co_return sio::result<void>();
}

void call_round_trips(io_world& world, peer& other, std::uint64_t count) {
  other.poll_as(polled_by::library);
  must(sio::run_until(world.thread(), calls(other.ref(), count), sio::idle::spin{}));
}

// Some messages at a time, so that SPDK's ring never fills: SPDK would end the program.
constexpr std::uint64_t burst = 256;

void raw_sends(io_world&, peer& other, std::uint64_t count) {
  other.poll_as(polled_by::raw_loop);
  std::atomic<std::uint64_t> received{0};
  for (std::uint64_t sent = 0; sent < count;) {
    for (std::uint64_t i = 0; i < burst && sent < count; ++i, ++sent) {
      spdk_thread_send_msg(
          other.native(),
          [](void* argument) {
            static_cast<std::atomic<std::uint64_t>*>(argument)->fetch_add(
                1, std::memory_order_release);
          },
          &received);
    }
    while (received.load(std::memory_order_acquire) < sent) {
    }
  }
}

void library_sends(io_world&, peer& other, std::uint64_t count) {
  other.poll_as(polled_by::library);
  std::atomic<std::uint64_t> received{0};
  for (std::uint64_t sent = 0; sent < count;) {
    for (std::uint64_t i = 0; i < burst && sent < count; ++i, ++sent) {
      must(other.ref().send([&received] { received.fetch_add(1, std::memory_order_release); }));
    }
    while (received.load(std::memory_order_acquire) < sent) {
    }
  }
}

}  // namespace

std::vector<candidate> message_candidates(io_world& world, std::uint64_t count) {
  auto other = std::make_shared<peer>();
  const auto with = [&](auto run) { return [=, &world] { run(world, *other, count); }; };
  return {{"raw", with(raw_round_trips)},
          {"call", with(call_round_trips)},
          {"raw_send", with(raw_sends)},
          {"send", with(library_sends)}};
}

}  // namespace bench
