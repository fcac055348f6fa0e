// SPDX-License-Identifier: BSD-3-Clause
// Clients that do not keep to the protocol: the connection is closed, the log says why, the others
// are served, and nothing is left.
#include "serving.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace block_test;
using nbd::command;
using nbd::status;
using spdk_io_test::open_malloc;

constexpr std::uint32_t block = 512;

class block_malformed : public testing::Test {
 protected:
  // Whatever happened, a client that behaves is served; and the rest is as if nothing had been.
  void expect_unharmed(std::string_view logged) {
    s.until_alone();
    s.expect_nothing_left();
    EXPECT_TRUE(s.logged(logged)) << (s.log.empty() ? "nothing was logged" : s.log.back());
    EXPECT_EQ(s.log.size(), 1u);
    s.log.clear();
    auto good = s.ready_client();
    EXPECT_EQ(good.read(0, block), bytes(block));
    good.send({.what = command::disconnect});
    good.expect_closed();
    s.until_alone();
    EXPECT_TRUE(s.log.empty());
  }

  serving s{open_malloc("m0", 1 << 20), {.max_request = 64 << 10, .clients = 2, .depth = 4}};
};

bytes first(bytes all, std::size_t n) {
  all.resize(n);
  return all;
}

TEST_F(block_malformed, flags_that_were_not_offered) {
  for (std::uint32_t flags : {4u, 0x80000001u}) {
    auto c = s.client();
    c.greet(flags);
    c.expect_closed();
    expect_unharmed("flags that nobody offered; closed");
  }
}

TEST_F(block_malformed, option_with_a_wrong_magic_number) {
  auto c = s.client();
  c.greet();
  bytes wrong = option_bytes(7, wish(""));
  wrong[7] ^= std::byte{1};
  c.send(wrong);
  c.expect_closed();
  expect_unharmed("an option with a wrong magic number; closed");
}

TEST_F(block_malformed, option_with_more_data_than_there_is_memory_for) {
  for (std::uint32_t length : {65537u, 0xffffffffu}) {
    auto c = s.client();
    c.greet();
    c.send(nbd::writer().put(nbd::option_magic).put(std::uint32_t{1}).put(length).bytes());
    c.expect_closed();
    expect_unharmed("an option with " + std::to_string(length) + " bytes of data; closed");
  }
}

TEST_F(block_malformed, request_with_a_wrong_magic_number) {
  for (std::uint32_t magic : {0u, 0x12560953u, 0x25609514u, nbd::simple_reply_magic}) {
    auto c = s.ready_client();
    bytes wrong = request_bytes({.length = block});
    const bytes other = nbd::writer().put(magic).bytes();
    std::ranges::copy(other, wrong.begin());
    c.send(wrong);
    c.expect_closed();
    expect_unharmed("a request with a wrong magic number; closed");
  }
}

TEST_F(block_malformed, write_with_more_data_than_anybody_reads) {
  for (std::uint32_t length : {(32u << 20) + block, 0xfffffe00u}) {
    auto c = s.ready_client();
    c.send({.what = command::write, .length = length});
    c.expect_closed();
    expect_unharmed("a write of " + std::to_string(length) + " bytes; closed");
  }
}

TEST_F(block_malformed, gone_in_the_handshake) {
  const bytes option = option_bytes(7, wish("disk", {3}));
  {
    auto c = s.client();
    c.take(18);
  }
  expect_unharmed("disconnected in the handshake");
  for (std::size_t n = 0; n < option.size(); ++n) {
    auto c = s.client();
    c.greet();
    c.send(first(option, n));
    s.turns(20);
    EXPECT_EQ(c.received(), 0u);
    c.disconnect();
    expect_unharmed("disconnected in the handshake");
  }
  auto c = s.client();
  c.take(18);
  c.send(to_bytes({0, 0}));
  s.turns(20);
  c.disconnect();
  expect_unharmed("disconnected in the handshake");
}

TEST_F(block_malformed, gone_in_a_request) {
  const bytes request = request_bytes({.what = command::write, .length = block}, bytes(block));
  for (std::size_t n : {0, 1, 4, 8, 27, 28, 29, 539}) {
    auto c = s.ready_client();
    c.send(first(request, n));
    s.turns(20);
    EXPECT_EQ(c.received(), 0u);
    c.disconnect();
    expect_unharmed(n == 0   ? "disconnected between requests"
                    : n < 28 ? "disconnected within a request"
                             : "disconnected within the data of a write");
  }
}

// As before, where the data is thrown away.
TEST_F(block_malformed, gone_in_a_write_that_is_refused) {
  auto c = s.ready_client();
  c.send({.what = command::write, .length = 1 << 20}, bytes(100000));
  s.turns(20);
  c.disconnect();
  expect_unharmed("disconnected within the data of a write");
}

TEST_F(block_malformed, byte_by_byte_is_slow_but_right) {
  auto c = s.client();
  auto dribble = [&](const bytes& all) {
    for (std::byte each : all) {
      c.send(bytes{each});
      s.turns(3);
    }
  };
  c.take(18);
  dribble(nbd::writer().put(std::uint32_t{3}).bytes());
  dribble(option_bytes(1));
  c.take(10);
  const bytes data(block, std::byte{0x11});
  dribble(request_bytes({.what = command::write, .cookie = 5, .length = block}, data));
  EXPECT_EQ(c.take_answer().cookie, 5u);
  dribble(request_bytes({.cookie = 6, .length = block}));
  EXPECT_EQ(c.take_answer().cookie, 6u);
  EXPECT_EQ(c.take(block), data);
}

// Noise in each phase: what comes of it is a refusal or the end of the connection, and never more
// than that.
TEST_F(block_malformed, noise) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    auto c = s.client();
    if (seed % 3 != 0) c.greet();
    if (seed % 3 == 2) {
      c.send(option_bytes(7, wish("")));
      for (int i = 0; i < 3; ++i) c.take_option_answer();
    }
    for (int i = 0; i < 8; ++i) {
      // What begins right gets further.
      nbd::writer out;
      if (random() % 2 == 0) {
        if (seed % 3 == 2) {
          out.put(nbd::request_magic).put(static_cast<std::uint16_t>(random() % 4));
          out.put(static_cast<std::uint16_t>(random() % 10)).put(random());
          out.put(random() % 3 == 0 ? random() : random() % 4096 * block);
          out.put(static_cast<std::uint32_t>(random() % 5000));
        } else {
          out.put(nbd::option_magic).put(static_cast<std::uint32_t>(random() % 12));
          out.put(static_cast<std::uint32_t>(random() % 3000));
        }
      }
      bytes noise(random() % 3000);
      for (std::byte& each : noise) each = static_cast<std::byte>(random());
      c.send(out.put(std::span<const std::byte>(noise)).bytes());
      s.turns(10);
    }
    c.disconnect();
    s.until_alone();
    s.expect_nothing_left();
  }
  auto good = s.ready_client();
  EXPECT_EQ(good.ask({.what = command::flush}), status::ok);
}

}  // namespace
