// SPDX-License-Identifier: BSD-3-Clause
// How connections and servers end while requests are under way: clients go, the device goes, the
// server is asked to stop.
#include "devices.hpp"
#include "serving.hpp"

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace {

using namespace block_test;
using nbd::command;
using nbd::status;
using spdk_io_test::deletion;
using spdk_io_test::open_delay;
using spdk_io_test::open_malloc;

constexpr std::uint32_t block = 512;

void send_reads(nbd_client& c, std::uint64_t count, std::uint32_t length = block) {
  for (std::uint64_t i = 0; i < count; ++i) c.send({.cookie = i, .length = length});
}

// --- a client goes ---

TEST(block_ends, io_of_a_client_that_goes_is_aborted) {
  serving s(open_delay());
  auto stays = s.ready_client();
  {
    auto c = s.ready_client();
    send_reads(c, 6);
    for (std::uint64_t i = 0; i < 4; ++i) {
      c.send({.what = command::write, .cookie = i, .offset = i * block, .length = block},
             bytes(block));
    }
    s.until([] { return in_flight() == 10; });
    s.turns();
    EXPECT_EQ(in_flight(), 10u);
    EXPECT_EQ(s.buffers_in_use(), 10u);
    EXPECT_EQ(s.server->clients(), 2u);
  }
  s.until([&] { return s.server->clients() == 1; });
  EXPECT_EQ(s.buffers_in_use(), 0u);
  EXPECT_TRUE(main_thread().operations().empty());
  EXPECT_TRUE(s.logged("disconnected between requests"));
  EXPECT_EQ(stays.ask({.what = command::flush}), status::ok);
}

// What cannot be aborted is waited for: its buffers are not given to others meanwhile.
TEST(block_ends, io_that_cannot_be_aborted_is_waited_for) {
  serving s(open_faulty());
  {
    auto c = s.ready_client();
    hold(sio::inject_on::read, 3);
    send_reads(c, 3);
    s.until([] { return in_flight() == 3; });
  }
  s.turns();
  EXPECT_TRUE(s.logged("disconnected between requests"));
  EXPECT_EQ(s.server->clients(), 1u);
  EXPECT_EQ(s.buffers_in_use(), 3u);
  EXPECT_EQ(in_flight(), 3u);
  let_go();
  s.until_alone();
  EXPECT_EQ(s.buffers_in_use(), 0u);
}

// On a device that could abort them.
TEST(block_ends, a_client_that_says_goodbye_gets_its_replies) {
  must(run(sio::create_bdev(sio::malloc_bdev{.name = "base", .size = 1 << 20})));
  must(run(sio::create_bdev(sio::delay_bdev{
      .name = "d0", .base = "base", .average_read = std::chrono::milliseconds(50)})));
  serving s(must(sio::bdev_desc::open("d0")));
  auto c = s.ready_client();
  send_reads(c, 3);
  c.send({.what = command::disconnect});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(c.take_answer().status, status::ok);
    EXPECT_EQ(c.take(block), bytes(block));
  }
  c.expect_closed();
  EXPECT_FALSE(c.reset());
  s.until_alone();
  EXPECT_TRUE(s.log.empty());
}

TEST(block_ends, a_client_that_goes_while_it_waits_for_a_buffer) {
  serving s(open_delay(), {.buffers = 2});
  {
    auto c = s.ready_client();
    auto other = s.ready_client();
    send_reads(other, 2);
    s.until([] { return in_flight() == 2; });
    send_reads(c, 1);
    s.until([&] { return s.server->buffers().waiting() == 1; });
  }
  // The other one's buffers go to who has gone, too; then that is noticed.
  s.until_alone();
  EXPECT_EQ(s.buffers_in_use(), 0u);
  EXPECT_EQ(s.server->buffers().waiting(), 0u);
}

// Replies that nobody reads fill the sockets. The connection that has them goes as others do.
TEST(block_ends, a_client_that_does_not_read) {
  constexpr std::uint32_t length = 256 << 10;
  serving s(open_malloc("m0"), {.max_request = length, .depth = 4});
  {
    asio::ip::tcp::socket silent(s.ctx);
    silent.connect({asio::ip::address_v4::loopback(), s.server->port()});
    bytes all = nbd::writer().put(std::uint32_t{3}).bytes();
    const bytes option = option_bytes(1);
    all.insert(all.end(), option.begin(), option.end());
    const bytes request = request_bytes({.length = length});
    for (int i = 0; i < 200; ++i) all.insert(all.end(), request.begin(), request.end());
    asio::write(silent, asio::buffer(all));
    // Fewer are answered than were asked for: four wait with their replies.
    s.until([&] { return s.buffers_in_use() == 4; });
    std::size_t same = 0;
    s.until([&] {
      same = s.buffers_in_use() == 4 && in_flight() == 0 ? same + 1 : 0;
      return same == 1000;
    });
    EXPECT_EQ(s.server->clients(), 1u);
    auto other = s.ready_client();
    EXPECT_EQ(other.read(0, block), bytes(block));
  }
  s.until_alone();
  EXPECT_EQ(s.buffers_in_use(), 0u);
  EXPECT_EQ(s.log.size(), 2u);
}

TEST(block_ends, no_more_clients_than_agreed) {
  serving s(open_malloc("m0"), {.clients = 2});
  std::optional<nbd_client> first(s.ready_client());
  auto second = s.ready_client();
  auto third = s.client();
  s.turns();
  EXPECT_EQ(third.received(), 0u);
  EXPECT_EQ(s.server->clients(), 2u);
  first.reset();
  third.go();
  EXPECT_EQ(third.read(0, block), bytes(block));
}

// Accepting needs a file descriptor: while there is none, the client waits.
TEST(block_ends, out_of_file_descriptors) {
#ifdef BLOCK_TEST_SANITIZED
  GTEST_SKIP() << "UBSan needs file descriptors itself";
#endif
  serving s(open_malloc("m0"));
  asio::ip::tcp::socket c(s.ctx, asio::ip::tcp::v4());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = ::dup(0);
  ASSERT_GE(next, 0);
  ::close(next);
  const rlimit none{.rlim_cur = static_cast<rlim_t>(next), .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  c.connect({asio::ip::address_v4::loopback(), s.server->port()});
  s.until([&] { return s.logged("accepting a client: Too many open files"); });
  EXPECT_EQ(s.server->clients(), 0u);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  s.until([&] { return s.server->clients() == 1; });
  s.until([&] { return c.available() == 18; });
}

// --- the device goes ---

TEST(block_ends, the_device_is_removed) {
  std::optional<serving> s(std::in_place, open_delay());
  std::optional<deletion> under_way;
  {
    auto c = s->ready_client();
    auto idle = s->ready_client();
    send_reads(c, 5);
    s->until([] { return in_flight() == 5; });
    under_way.emplace("d0");
    for (int i = 0; i < 5; ++i) EXPECT_EQ(c.take_answer().status, status::shutting_down);
    c.expect_closed();
    EXPECT_FALSE(c.reset());
    idle.expect_closed();
  }
  s->until([&] { return s->ended.has_value(); });
  ASSERT_FALSE(*s->ended);
  EXPECT_EQ(s->ended->error(), std::errc::no_such_device);
  EXPECT_EQ(s->ended->error().message(), "the device was removed");
  EXPECT_TRUE(s->logged("the device was removed"));
  s->expect_nothing_left();
  EXPECT_TRUE(under_way->still_waits());
  s.reset();
  under_way->wait();
}

TEST(block_ends, a_larger_device_is_served_at_once) {
  serving s(spdk_io_test::open_null("n0", 1 << 20));
  auto c = s.ready_client();
  EXPECT_EQ(c.write(1 << 20, bytes(block)), status::no_space);
  must(run(sio::resize_bdev("n0", 2 << 20)));
  s.until([&] { return s.logged("the device has 2097152 bytes now"); });
  EXPECT_EQ(c.write(1 << 20, bytes(block)), status::ok);
}

// --- the server is asked to stop ---

TEST(block_ends, stop_answers_what_is_under_way) {
  serving s(open_faulty(), {.clients = 3});
  auto c = s.ready_client();
  auto in_handshake = s.client();
  in_handshake.greet();
  auto idle = s.ready_client();
  auto not_accepted = s.client();
  hold(sio::inject_on::read, 3);
  send_reads(c, 3);
  c.send({.what = command::write, .cookie = 3, .length = block}, bytes(10));
  s.until([] { return in_flight() == 3; });
  s.turns();
  s.server->stop();
  idle.expect_closed();
  in_handshake.expect_closed();
  not_accepted.expect_closed();
  // Comes too late, and is not read.
  c.send({.cookie = 77, .length = block});
  s.turns();
  EXPECT_FALSE(s.ended);
  EXPECT_EQ(in_flight(), 3u);
  EXPECT_EQ(c.received(), 0u);
  let_go();
  for (int i = 0; i < 3; ++i) {
    const answer got = c.take_answer();
    EXPECT_EQ(got.status, status::ok);
    EXPECT_LT(got.cookie, 3u);
    EXPECT_EQ(c.take(block), bytes(block));
  }
  c.expect_closed();
  EXPECT_FALSE(c.reset());
  s.until([&] { return s.ended.has_value(); });
  EXPECT_TRUE(*s.ended);
  EXPECT_TRUE(s.log.empty());
}

TEST(block_ends, stop_flushes_when_the_last_client_has_gone) {
  serving s(open_faulty());
  auto c = s.ready_client();
  EXPECT_EQ(c.write(0, bytes(block)), status::ok);
  hold(sio::inject_on::flush, 1);
  s.server->stop();
  c.expect_closed();
  s.until([] {
    const auto all = main_thread().operations();
    return all.size() == 1 && all[0].kind == sio::operation_kind::flush;
  });
  s.turns();
  EXPECT_FALSE(s.ended);
  let_go();
  s.until([&] { return s.ended.has_value(); });
  EXPECT_TRUE(*s.ended);
}

TEST(block_ends, a_flush_that_fails_at_the_end_is_told) {
  serving s(open_faulty());
  must(run(sio::inject_error("EE_base", {.on = sio::inject_on::flush})));
  s.server->stop();
  s.until([&] { return s.ended.has_value(); });
  ASSERT_FALSE(*s.ended);
  EXPECT_EQ(s.ended->error().what(), sio::operation_kind::flush);
}

TEST(block_ends, stop_now_does_not_wait) {
  serving s(open_delay());
  auto c = s.ready_client();
  send_reads(c, 5);
  s.until([] { return in_flight() == 5; });
  s.server->stop();
  s.turns();
  EXPECT_FALSE(s.ended);
  EXPECT_EQ(in_flight(), 5u);
  s.server->stop_now();
  s.until([&] { return s.ended.has_value(); });
  s.expect_nothing_left();
  c.expect_closed();
}

// Before run() has begun, before anybody has come, and twice.
TEST(block_ends, stop_with_nobody_there) {
  for (int turns : {0, 1, 50}) {
    serving s(open_malloc("m" + std::to_string(turns)));
    s.turns(turns);
    s.server->stop();
    s.server->stop();
    s.until([&] { return s.ended.has_value(); });
    EXPECT_TRUE(*s.ended);
  }
}

}  // namespace
