// SPDX-License-Identifier: BSD-3-Clause
// Requests and their replies: contents, order, refusals, errors of the device, and what is done
// when there are more requests than buffers.
#include "devices.hpp"
#include "serving.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace block_test;
using nbd::command;
using nbd::status;
using spdk_io_test::fill_pattern;
using spdk_io_test::has_pattern;
using spdk_io_test::open_malloc;

constexpr std::uint32_t block = 512;

bytes pattern(std::size_t length, std::uint64_t seed) {
  bytes out(length);
  fill_pattern(out, seed);
  return out;
}

// --- contents ---

// A client that owns a part of the device, and knows what is there. Its requests under way do not
// overlap, so that what each of them reads or leaves is certain.
class owner {
 public:
  owner(serving& s, std::span<std::byte> model, std::uint64_t offset, std::uint64_t seed)
      : client_(s.ready_client()), model_(model), offset_(offset), random_(seed) {}

  std::size_t under_way() const { return under_way_.size(); }

  void send_one() {
    const std::uint64_t blocks = model_.size() / block;
    const std::uint64_t length = 1 + random_() % 16;
    const std::uint64_t first = random_() % (blocks - length + 1);
    for (const auto& [cookie, other] : under_way_) {
      if (first < other.first + other.length && other.first < first + length) return;
    }
    send(first, length);
  }

  void receive_one() {
    const answer got = client_.take_answer();
    EXPECT_EQ(got.status, status::ok);
    const auto found = under_way_.find(got.cookie);
    ASSERT_NE(found, under_way_.end());
    const sent r = found->second;
    under_way_.erase(found);
    if (r.what != command::read) return;
    const auto expected = model_.subspan(r.first * block, r.length * block);
    EXPECT_TRUE(std::ranges::equal(client_.take(expected.size()), expected));
    ++reads;
  }

  int reads = 0;

 private:
  struct sent {
    command what = command::read;
    std::uint64_t first = 0;  // block, of this owner's
    std::uint64_t length = 0;
  };

  void send(std::uint64_t first, std::uint64_t length) {
    static constexpr command kinds[] = {command::read,  command::read,         command::write,
                                        command::write, command::write_zeroes, command::trim,
                                        command::flush};
    const command what = kinds[random_() % std::size(kinds)];
    const auto part = model_.subspan(first * block, length * block);
    if (what == command::write) fill_pattern(part, random_());
    // (Malloc devices read zeroes after a trim.)
    if (what == command::trim || what == command::write_zeroes)
      std::ranges::fill(part, std::byte{0});
    const std::uint64_t cookie = random_();
    under_way_[cookie] = {what, first, length};
    nbd::request r{.what = what, .cookie = cookie};
    if (what != command::read && random_() % 4 == 0) r.flags = nbd::fua;
    if (what != command::flush) {
      r.offset = offset_ + first * block;
      r.length = static_cast<std::uint32_t>(length * block);
    }
    client_.send(r, what == command::write ? std::span<const std::byte>(part)
                                           : std::span<const std::byte>());
  }

  nbd_client client_;
  std::span<std::byte> model_;
  std::uint64_t offset_;
  std::mt19937_64 random_;
  std::map<std::uint64_t, sent> under_way_;  // by cookie
};

void use_at_random(std::uint64_t seed, std::size_t buffers) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  constexpr std::size_t clients = 4;
  constexpr std::size_t part = std::size_t{96} * block;
  const std::string name = "m" + std::to_string(seed);
  auto disk = open_malloc(name, clients * part);
  bytes model(clients * part);
  std::mt19937_64 random(seed);
  {
    serving s(disk, {.max_request = 16 * block, .depth = 8, .buffers = buffers});
    std::vector<owner> owners;
    owners.reserve(clients);
    for (std::size_t i = 0; i < clients; ++i)
      owners.emplace_back(s, std::span(model).subspan(i * part, part), i * part, random());
    for (int step = 0; step < 600; ++step) {
      owner& one = owners[random() % clients];
      if (one.under_way() == 0 || (one.under_way() < 12 && random() % 2 == 0)) {
        one.send_one();
      } else {
        one.receive_one();
      }
      if (testing::Test::HasFatalFailure()) return;
    }
    int reads = 0;
    for (owner& each : owners) {
      while (each.under_way() != 0) each.receive_one();
      reads += each.reads;
    }
    EXPECT_GT(reads, 30);
  }
  auto all = must(sio::dma_buffer::allocate(model.size()));
  must(run(disk.read(all, 0)));
  EXPECT_TRUE(std::ranges::equal(all.bytes(), model));
  disk = {};
  must(run(sio::delete_bdev(name)));
}

TEST(block_requests, random_use_by_several_clients) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) use_at_random(seed, 0);
}

TEST(block_requests, random_use_with_fewer_buffers_than_requests) {
  for (std::uint64_t seed = 21; seed <= 26; ++seed) use_at_random(seed, 3);
}

// --- order ---

TEST(block_requests, answered_as_they_end_not_as_they_came) {
  auto disk = open_faulty();
  serving s(std::move(disk), {.depth = 32});
  auto c = s.ready_client();
  for (std::uint64_t i = 0; i < 32; ++i)
    EXPECT_EQ(c.write(i * block, pattern(block, i)), status::ok);

  hold(sio::inject_on::read, 16);
  for (std::uint64_t i = 0; i < 16; ++i)
    c.send({.cookie = i, .offset = i * block, .length = block});
  for (std::uint64_t i = 16; i < 32; ++i) {
    c.send({.what = command::write, .cookie = i, .offset = i * block, .length = block},
           pattern(block, 100 + i));
  }
  std::set<std::uint64_t> written;
  for (int i = 0; i < 16; ++i) {
    const answer got = c.take_answer();
    EXPECT_EQ(got.status, status::ok);
    written.insert(got.cookie);
  }
  EXPECT_EQ(written.size(), 16u);
  EXPECT_EQ(*written.begin(), 16u);
  s.turns();
  EXPECT_EQ(c.received(), 0u);
  EXPECT_EQ(in_flight(), 16u);
  EXPECT_EQ(s.buffers_in_use(), 16u);

  let_go();
  std::set<std::uint64_t> read;
  for (int i = 0; i < 16; ++i) {
    const answer got = c.take_answer();
    EXPECT_EQ(got.status, status::ok);
    EXPECT_TRUE(has_pattern(c.take(block), got.cookie));
    read.insert(got.cookie);
  }
  EXPECT_EQ(read.size(), 16u);
  EXPECT_EQ(*read.rbegin(), 15u);
}

// All of them are ready at once, and are written in several parts each.
TEST(block_requests, long_replies_do_not_mix) {
  constexpr std::uint32_t length = 1 << 20;
  auto disk = open_faulty(std::uint64_t{8} * length);
  auto data = must(sio::dma_buffer::allocate(length));
  for (std::uint64_t i = 0; i < 8; ++i) {
    fill_pattern(data.bytes(), i);
    must(run(disk.write(data, i * length)));
  }
  serving s(std::move(disk), {.max_request = length, .clients = 1, .depth = 8});
  auto c = s.ready_client();
  hold(sio::inject_on::read, 8);
  for (std::uint64_t i = 0; i < 8; ++i)
    c.send({.cookie = i, .offset = i * length, .length = length});
  s.until([] { return in_flight() == 8; });
  let_go();
  for (int i = 0; i < 8; ++i) {
    const answer got = c.take_answer();
    ASSERT_EQ(got.status, status::ok);
    ASSERT_LT(got.cookie, 8u);
    ASSERT_TRUE(has_pattern(c.take(length), got.cookie));
  }
}

// Also those that need no buffer; the socket is read no further.
TEST(block_requests, no_more_than_the_depth_of_one_client_at_once) {
  serving s(open_faulty(), {.clients = 2, .depth = 4});
  auto c = s.ready_client();
  hold(sio::inject_on::read, 4);
  for (std::uint64_t i = 0; i < 7; ++i) c.send({.cookie = i, .length = block});
  c.send({.what = command::flush, .cookie = 7});
  s.until([] { return in_flight() == 4; });
  s.turns();
  EXPECT_EQ(in_flight(), 4u);
  EXPECT_EQ(c.received(), 0u);
  auto other = s.ready_client();
  EXPECT_EQ(other.read(0, block), bytes(block));
  let_go();
  for (int i = 0; i < 8; ++i) {
    const answer got = c.take_answer();
    EXPECT_EQ(got.status, status::ok);
    if (got.cookie != 7) c.take(block);
  }
}

TEST(block_requests, more_requests_than_buffers_are_all_answered) {
  constexpr std::uint32_t length = 128 << 10;
  constexpr std::uint64_t requests = 200;  // 25 MB for each: more than sockets keep
  serving s(open_faulty(), {.max_request = length, .depth = 16, .buffers = 2});
  auto one = s.ready_client();
  auto other = s.ready_client();
  hold(sio::inject_on::write, 2);
  for (std::uint64_t i = 0; i < requests; ++i) {
    for (nbd_client* c : {&one, &other}) {
      const std::uint64_t offset = c == &one ? 0 : length;
      c->send({.what = command::write, .cookie = i, .offset = offset, .length = length},
              pattern(length, i));
    }
  }
  s.until([] { return in_flight() == 2; });
  s.until([&] { return s.server->buffers().waiting() == 2; });
  // Neither of them is read any more.
  s.turns(2000);
  EXPECT_EQ(in_flight(), 2u);
  EXPECT_EQ(s.server->buffers().waiting(), 2u);
  EXPECT_TRUE(one.sending());
  EXPECT_TRUE(other.sending());
  EXPECT_EQ(one.received() + other.received(), 0u);

  let_go();
  for (nbd_client* c : {&one, &other}) {
    std::set<std::uint64_t> answered;
    for (std::uint64_t i = 0; i < requests; ++i) {
      const answer got = c->take_answer();
      EXPECT_EQ(got.status, status::ok);
      answered.insert(got.cookie);
    }
    EXPECT_EQ(answered.size(), requests);
  }
}

// --- refusals ---

TEST(block_requests, refused_without_asking_the_device) {
  constexpr std::uint64_t size = 1 << 20;
  constexpr std::uint32_t most = 64 << 10;
  serving s(open_malloc("m0", size), {.max_request = most});
  auto c = s.ready_client();
  auto refused = [&](nbd::request r) {
    r.cookie = r.offset ^ 0x77;
    const bytes data(r.what == command::write ? r.length : 0, std::byte{0xff});
    const status got = c.ask(r, data);
    EXPECT_EQ(main_thread().statistics().io_in_flight, 0u);
    return got;
  };
  for (command each : {command::read, command::write, command::trim, command::write_zeroes}) {
    SCOPED_TRACE(static_cast<int>(each));
    EXPECT_EQ(refused({.what = each, .offset = 1, .length = block}), status::invalid);
    EXPECT_EQ(refused({.what = each, .offset = 0, .length = block + 1}), status::invalid);
    EXPECT_EQ(refused({.what = each, .offset = 0, .length = 0}), status::invalid);
    EXPECT_EQ(refused({.flags = 1 << 5, .what = each, .length = block}), status::invalid);
    const bool fills = each == command::write || each == command::write_zeroes;
    const status past_end = fills ? status::no_space : status::invalid;
    EXPECT_EQ(refused({.what = each, .offset = size, .length = block}), past_end);
    EXPECT_EQ(refused({.what = each, .offset = size - block, .length = 2 * block}), past_end);
    EXPECT_EQ(refused({.what = each, .offset = 0 - std::uint64_t{block}, .length = 2 * block}),
              past_end);
  }
  EXPECT_EQ(refused({.what = command::read, .length = most + block}), status::invalid);
  EXPECT_EQ(refused({.what = command::write, .length = most + block}), status::invalid);
  EXPECT_EQ(refused({.what = command::write, .length = 32 << 20}), status::invalid);
  EXPECT_EQ(refused({.what = command::read, .length = 0xfffffe00}), status::invalid);
  EXPECT_EQ(refused({.flags = nbd::no_hole, .what = command::write, .length = block}),
            status::invalid);
  EXPECT_EQ(refused({.what = command::flush, .length = block}), status::invalid);
  EXPECT_EQ(refused({.what = command::flush, .offset = block}), status::invalid);
  for (int unknown : {5, 7, 8, 999})
    EXPECT_EQ(refused({.what = static_cast<command>(unknown), .length = block}), status::invalid);
  // Nothing of it was written, and requests go on.
  EXPECT_EQ(c.read(0, most), bytes(most));
  EXPECT_EQ(c.read(size - block, block), bytes(block));
  EXPECT_TRUE(s.log.empty());
}

TEST(block_requests, zeroes_and_trims_may_be_longer_than_any_buffer) {
  constexpr std::uint64_t size = 1 << 20;
  serving s(open_malloc("m0", size), {.max_request = 4096, .buffers = 1});
  auto c = s.ready_client();
  for (std::uint16_t flags : {0, 1, 2}) {
    for (command each : {command::trim, command::write_zeroes}) {
      if (each == command::trim && flags == nbd::no_hole) continue;
      EXPECT_EQ(c.write(size / 2, pattern(4096, 3)), status::ok);
      EXPECT_EQ(c.ask({.flags = flags, .what = each, .length = size}), status::ok);
      EXPECT_EQ(c.read(size / 2, 4096), bytes(4096));
    }
  }
}

// --- the device fails ---

TEST(block_requests, errors_of_the_device_are_answered_and_requests_go_on) {
  serving s(open_faulty());
  auto c = s.ready_client();
  EXPECT_EQ(c.write(0, pattern(block, 1)), status::ok);
  auto fail_next = [](sio::inject_on which) {
    must(run(sio::inject_error("EE_base", {.on = which, .count = 1})));
  };
  fail_next(sio::inject_on::read);
  EXPECT_EQ(c.ask({.length = block}), status::io_error);  // and no data
  EXPECT_TRUE(has_pattern(c.read(0, block), 1));
  fail_next(sio::inject_on::write);
  EXPECT_EQ(c.write(0, pattern(block, 2)), status::io_error);
  fail_next(sio::inject_on::unmap);
  EXPECT_EQ(c.ask({.what = command::trim, .length = block}), status::io_error);
  fail_next(sio::inject_on::flush);
  EXPECT_EQ(c.ask({.what = command::flush}), status::io_error);
  EXPECT_EQ(c.ask({.what = command::flush}), status::ok);
  EXPECT_TRUE(has_pattern(c.read(0, block), 1));
}

TEST(block_requests, fua_is_answered_after_a_flush) {
  serving s(open_faulty());
  auto c = s.ready_client();
  for (command each : {command::write, command::trim, command::write_zeroes}) {
    SCOPED_TRACE(static_cast<int>(each));
    hold(sio::inject_on::flush, 1);
    const bytes data = each == command::write ? pattern(block, 7) : bytes();
    c.send({.flags = nbd::fua, .what = each, .cookie = 9, .length = block}, data);
    s.until([] {
      const auto all = main_thread().operations();
      return all.size() == 1 && all[0].kind == sio::operation_kind::flush;
    });
    s.turns();
    EXPECT_EQ(c.received(), 0u);
    // What was written is there already.
    EXPECT_EQ(c.read(0, block), each == command::write ? data : bytes(block));
    let_go();
    const answer got = c.take_answer();
    EXPECT_EQ(got.status, status::ok);
    EXPECT_EQ(got.cookie, 9u);
  }
  // Without it, and for what does not write, there is none.
  must(run(sio::inject_error("EE_base", {.on = sio::inject_on::flush, .count = 1})));
  EXPECT_EQ(c.write(0, bytes(block)), status::ok);
  EXPECT_EQ(c.ask({.flags = nbd::fua, .length = block}), status::ok);
  c.take(block);
  // A flush that fails is an error of the write.
  EXPECT_EQ(c.write(0, bytes(block), nbd::fua), status::io_error);
}

// What one client has flushed, others have written.
TEST(block_requests, a_client_sees_what_another_has_written) {
  serving s(open_malloc("m0"));
  auto one = s.ready_client();
  auto other = s.ready_client();
  for (std::uint64_t i = 0; i < 20; ++i) {
    EXPECT_EQ(one.write(i * block, pattern(block, i)), status::ok);
    EXPECT_TRUE(has_pattern(other.read(i * block, block), i));
  }
}

}  // namespace
