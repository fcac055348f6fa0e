// SPDX-License-Identifier: BSD-3-Clause
#include "messages.hpp"

#include "peer.hpp"

#include <spdk/thread.h>

#include <atomic>
#include <memory>

namespace bench {
namespace {

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
