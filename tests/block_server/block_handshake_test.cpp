// SPDX-License-Identifier: BSD-3-Clause
// Negotiation: what the server says of itself and its export, byte for byte where that is short.
#include "devices.hpp"
#include "serving.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace {

using namespace block_test;
using nbd::option_reply;
using nbd::status;
using spdk_io_test::open_malloc;
using spdk_io_test::temp_folder;

constexpr std::uint64_t size = 1 << 20;
constexpr std::uint16_t everything = 1 | 4 | 8 | 32 | 64 | 256;

nbd::server_options named(std::string name) { return {.name = std::move(name)}; }

void expect_served(nbd_client& c) {
  const bytes data(512, std::byte{0x5a});
  EXPECT_EQ(c.write(1024, data), status::ok);
  EXPECT_EQ(c.read(1024, 512), data);
}

TEST(block_handshake, greets) {
  serving s(open_malloc("m0", size));
  auto c = s.client();
  EXPECT_EQ(c.take(18), to_bytes({'N', 'B', 'D', 'M', 'A', 'G', 'I', 'C', 'I', 'H', 'A', 'V', 'E',
                                  'O', 'P', 'T', 0, 3}));
  s.turns();
  EXPECT_EQ(c.received(), 0u);
  EXPECT_FALSE(c.ended());
}

TEST(block_handshake, export_name_with_and_without_zeroes_behind) {
  serving s(open_malloc("m0", size), named("disk"));
  for (std::uint32_t flags : {0u, 1u, 2u, 3u}) {
    for (std::string_view name : {"", "disk"}) {
      auto c = s.client();
      c.greet(flags);
      c.send(option_bytes(1, nbd::writer().put(name)));
      EXPECT_EQ(c.take(10),
                to_bytes({0, 0, 0, 0, 0, 0x10, 0, 0, everything >> 8, everything & 0xff}));
      if ((flags & 2) == 0) {
        EXPECT_EQ(c.take(124), bytes(124));
      }
      expect_served(c);
    }
  }
}

TEST(block_handshake, export_name_of_nothing_ends_the_connection) {
  serving s(open_malloc("m0", size), named("disk"));
  auto c = s.client();
  c.greet();
  c.send(option_bytes(1, nbd::writer().put(std::string_view("disc"))));
  c.expect_closed();
  s.until_alone();
  EXPECT_TRUE(s.logged("a wish for an unknown export"));
}

// What both "info" and "go" are answered with.
void expect_description(nbd_client& c, std::uint32_t option) {
  const auto exported = c.take_option_answer();
  EXPECT_EQ(exported.option, option);
  EXPECT_EQ(exported.what, option_reply::info);
  EXPECT_EQ(exported.data,
            to_bytes({0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, everything >> 8, everything & 0xff}));
  const auto sizes = c.take_option_answer();
  EXPECT_EQ(sizes.option, option);
  EXPECT_EQ(sizes.what, option_reply::info);
  EXPECT_EQ(sizes.data, to_bytes({0, 3, 0, 0, 2, 0, 0, 0, 0x10, 0, 0, 4, 0, 0}));
  const auto end = c.take_option_answer();
  EXPECT_EQ(end.option, option);
  EXPECT_EQ(end.what, option_reply::ack);
  EXPECT_TRUE(end.data.empty());
}

TEST(block_handshake, go_begins_the_transmission) {
  serving s(open_malloc("m0", size), named("disk"));
  for (std::string_view name : {"", "disk"}) {
    auto c = s.client();
    c.greet();
    c.send(option_bytes(7, wish(name, {3, 999})));
    expect_description(c, 7);
    expect_served(c);
  }
}

TEST(block_handshake, info_does_not) {
  serving s(open_malloc("m0", size), named("disk"));
  auto c = s.client();
  c.greet();
  for (int i = 0; i < 2; ++i) {
    c.send(option_bytes(6, wish("disk", {3})));
    expect_description(c, 6);
  }
  c.send(option_bytes(7, wish("disk", {3})));
  expect_description(c, 7);
  expect_served(c);
}

TEST(block_handshake, list_names_the_export) {
  serving s(open_malloc("m0", size), named("disk"));
  auto c = s.client();
  c.greet();
  c.send(option_bytes(3));
  const auto entry = c.take_option_answer();
  EXPECT_EQ(entry.option, 3u);
  EXPECT_EQ(entry.what, option_reply::server);
  EXPECT_EQ(entry.data, to_bytes({0, 0, 0, 4, 'd', 'i', 's', 'k'}));
  EXPECT_EQ(c.take_option_answer().what, option_reply::ack);
  c.send(option_bytes(3, nbd::writer().put(std::string_view("?"))));
  EXPECT_EQ(c.take_option_answer().what, option_reply::invalid);
}

TEST(block_handshake, abort_is_acknowledged_and_ends_it) {
  serving s(open_malloc("m0", size));
  auto c = s.client();
  c.greet();
  c.send(option_bytes(2, nbd::writer().put(std::string_view("bye"))));
  const auto end = c.take_option_answer();
  EXPECT_EQ(end.option, 2u);
  EXPECT_EQ(end.what, option_reply::ack);
  c.expect_closed();
  EXPECT_FALSE(c.reset());
  s.until_alone();
  EXPECT_TRUE(s.log.empty());
}

TEST(block_handshake, goes_on_after_what_it_refuses) {
  serving s(open_malloc("m0", size), named("disk"));
  auto c = s.client();
  c.greet();
  // TLS, structured replies, and what nobody has defined; the last with as much data as may be.
  for (std::uint32_t each : {5u, 8u, 10u, 123456u}) {
    c.send(option_bytes(
        each, nbd::writer().put(std::string_view(std::string(each == 10 ? 65536 : 3, 'x')))));
    const auto refused = c.take_option_answer();
    EXPECT_EQ(refused.option, each);
    EXPECT_EQ(refused.what, option_reply::unsupported);
  }
  for (std::uint32_t each : {6u, 7u}) {
    c.send(option_bytes(each, wish("tape")));
    EXPECT_EQ(c.take_option_answer().what, option_reply::unknown);
  }
  c.send(option_bytes(7, wish("disk")));
  expect_description(c, 7);
  expect_served(c);
}

TEST(block_handshake, lengths_that_contradict_each_other_are_invalid) {
  serving s(open_malloc("m0", size), named("disk"));
  auto c = s.client();
  c.greet();
  const std::uint32_t four = 4;
  const std::uint16_t one = 1;
  nbd::writer wrong[6];
  wrong[1].put(one);                                          // half a length
  wrong[2].put(four);                                         // and no name
  wrong[3].put(four).put(std::string_view("disk"));           // and no number
  wrong[4].put(four).put(std::string_view("disk")).put(one);  // and no wish
  wrong[5].put(std::uint32_t{0xffffffff}).put(std::string_view("disk")).put(one);
  for (const nbd::writer& each : wrong) {
    for (std::uint32_t option : {6u, 7u}) {
      c.send(option_bytes(option, each));
      EXPECT_EQ(c.take_option_answer().what, option_reply::invalid);
    }
  }
  c.send(option_bytes(7, wish("disk", {3}).put(one)));  // one wish more than announced
  EXPECT_EQ(c.take_option_answer().what, option_reply::invalid);
  c.send(option_bytes(7, wish("disk")));
  expect_description(c, 7);
}

TEST(block_handshake, what_the_device_cannot_do_is_not_offered) {
  const temp_folder folder;
  spdk_io_test::create_device(spdk_io_test::kind::uring, folder, "u0", size);
  serving s(must(sio::bdev_desc::open("u0")));
  auto c = s.client();
  EXPECT_EQ(c.go(), 1 | 64 | 256);  // neither flush nor trim; SPDK writes the zeroes
  EXPECT_EQ(c.ask({.what = nbd::command::flush}), status::invalid);
  EXPECT_EQ(c.ask({.what = nbd::command::trim, .length = 512}), status::invalid);
  EXPECT_EQ(c.write(0, bytes(512), nbd::fua), status::invalid);
  expect_served(c);
}

TEST(block_handshake, read_only_by_choice_and_by_access) {
  must(run(sio::create_bdev(sio::malloc_bdev{.name = "m0", .size = size})));
  for (auto access : {sio::access::read_only, sio::access::read_write}) {
    serving s(must(sio::bdev_desc::open("m0", access)), {.read_only = true});
    auto c = s.client();
    EXPECT_EQ(c.go(), 1 | 2 | 256);
    EXPECT_EQ(c.write(0, bytes(512)), status::not_permitted);
    EXPECT_EQ(c.ask({.what = nbd::command::trim, .length = 512}), status::not_permitted);
    EXPECT_EQ(c.ask({.what = nbd::command::write_zeroes, .length = 512}), status::not_permitted);
    EXPECT_EQ(c.read(0, 512), bytes(512));
  }
  serving s(must(sio::bdev_desc::open("m0", sio::access::read_only)));
  auto c = s.client();
  EXPECT_EQ(c.go(), 1 | 2 | 256);
}

TEST(block_handshake, options_that_cannot_be_served_are_errors) {
  auto disk = open_malloc("m0", size);
  turning loop;
  auto listen = [&](nbd::server_options o) {
    auto r = nbd::server::listen(loop.ctx, {asio::ip::address_v4::loopback(), 0}, disk, o);
    EXPECT_FALSE(r);
    return r ? std::string() : r.error().message();
  };
  EXPECT_EQ(listen({.max_request = 1000}),
            "requests of 1000 bytes cannot be served from blocks of 512");
  EXPECT_EQ(listen({.max_request = 0}), "requests of 0 bytes cannot be served from blocks of 512");
  EXPECT_EQ(listen({.clients = 0}), "a server for no clients, or no requests");
  EXPECT_EQ(listen({.depth = 0}), "a server for no clients, or no requests");

  serving s(disk);
  const auto taken =
      nbd::server::listen(loop.ctx, {asio::ip::address_v4::loopback(), s.server->port()}, disk, {});
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error(), std::errc::address_in_use);
}

}  // namespace
