// SPDX-License-Identifier: BSD-3-Clause
// The inbox: order, closing, and many senders at once.
#include <spdk_io/detail/inbox.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace sio = spdk_io;
using sio::detail::inbox;
using sio::detail::message_node;

namespace {

struct message : message_node {
  std::size_t sender = 0;
  std::size_t number = 0;
};

std::vector<std::size_t> numbers(message_node* first) {
  std::vector<std::size_t> out;
  for (; first; first = first->next_message) out.push_back(static_cast<message*>(first)->number);
  return out;
}

TEST(inbox, is_first_in_first_out) {
  inbox box;
  EXPECT_TRUE(box.empty());
  EXPECT_EQ(box.take(), nullptr);
  std::vector<message> messages(3);
  for (std::size_t i = 0; i < 3; ++i) {
    messages[i].number = i;
    EXPECT_TRUE(box.push(messages[i]));
  }
  EXPECT_FALSE(box.empty());
  EXPECT_FALSE(box.empty_seq_cst());
  EXPECT_EQ(numbers(box.take()), (std::vector<std::size_t>{0, 1, 2}));
  EXPECT_TRUE(box.empty());
  EXPECT_TRUE(box.empty_seq_cst());
}

TEST(inbox, closing_gives_what_is_left_and_refuses_the_rest_for_good) {
  inbox box;
  message accepted, late;
  accepted.number = 7;
  EXPECT_TRUE(box.push(accepted));
  EXPECT_EQ(numbers(box.close()), (std::vector<std::size_t>{7}));
  EXPECT_TRUE(box.empty());
  EXPECT_TRUE(box.empty_seq_cst());
  EXPECT_FALSE(box.push(late));
  EXPECT_EQ(box.take(), nullptr);
  EXPECT_FALSE(box.push(late));
  EXPECT_EQ(box.close(), nullptr);
}

TEST(inbox, keeps_each_senders_order_with_many_senders) {
  constexpr std::size_t senders = 4;
  constexpr std::size_t each = 5000;
  inbox box;
  std::vector<std::vector<message>> messages(senders);
  for (auto& m : messages) m = std::vector<message>(each);
  std::vector<std::jthread> threads;
  for (std::size_t s = 0; s < senders; ++s) {
    threads.emplace_back([&box, &own = messages[s], s] {
      for (std::size_t i = 0; i < each; ++i) {
        own[i].sender = s;
        own[i].number = i;
        ASSERT_TRUE(box.push(own[i]));
      }
    });
  }
  std::vector<std::size_t> next(senders, 0);
  for (std::size_t taken = 0; taken < senders * each;) {
    message_node* node = box.take();
    while (node) {
      auto& got = static_cast<message&>(*node);
      node = node->next_message;
      ASSERT_EQ(got.number, next[got.sender]);
      ++next[got.sender];
      ++taken;
    }
  }
  EXPECT_TRUE(box.empty());
}

// Whatever push() accepted comes out, and nothing that it refused.
TEST(inbox, loses_nothing_when_it_closes_under_its_senders) {
  constexpr std::size_t senders = 3;
  for (int round = 0; round < 100; ++round) {
    inbox box;
    std::vector<std::vector<message>> messages(senders);
    for (auto& m : messages) m = std::vector<message>(50);
    std::atomic<std::size_t> accepted{0};
    std::size_t got = 0;
    {
      std::vector<std::jthread> threads;
      for (auto& own : messages) {
        threads.emplace_back([&] {
          for (auto& m : own)
            if (box.push(m)) ++accepted;
        });
      }
      got += numbers(box.take()).size();
      got += numbers(box.close()).size();
    }
    ASSERT_EQ(got, accepted);
  }
}

}  // namespace
