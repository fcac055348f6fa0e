// SPDX-License-Identifier: BSD-3-Clause
// The timer queue against a model.
#include <spdk_io/detail/timer_queue.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <utility>
#include <vector>

namespace sio = spdk_io;
using sio::detail::timer_node;
using sio::detail::timer_queue;

namespace {

TEST(timer_queue, gives_the_earliest_first) {
  timer_queue queue;
  EXPECT_TRUE(queue.empty());
  timer_node late, early, middle;
  late.due = 30;
  early.due = 10;
  middle.due = 20;
  for (auto* each : {&late, &early, &middle}) queue.arm(*each);
  for (auto* expected : {&early, &middle, &late}) {
    EXPECT_EQ(&queue.first(), expected);
    EXPECT_EQ(queue.next_due(), expected->due);
    EXPECT_TRUE(expected->armed);
    queue.cancel(queue.first());
    EXPECT_FALSE(expected->armed);
  }
  EXPECT_TRUE(queue.empty());
}

TEST(timer_queue, keeps_the_order_of_arming_among_equals) {
  timer_queue queue;
  std::vector<timer_node> nodes(100);
  for (auto& node : nodes) {
    node.due = 5;
    queue.arm(node);
  }
  for (auto& node : nodes) {
    ASSERT_EQ(&queue.first(), &node);
    queue.cancel(node);
  }
}

TEST(timer_queue, a_cancelled_timer_can_be_armed_again) {
  timer_queue queue;
  timer_node a, b;
  a.due = 1;
  b.due = 2;
  queue.arm(a);
  queue.arm(b);
  queue.cancel(a);
  EXPECT_EQ(&queue.first(), &b);
  a.due = 3;
  queue.arm(a);
  EXPECT_EQ(&queue.first(), &b);
  queue.cancel(b);
  EXPECT_EQ(&queue.first(), &a);
}

// A heap of timers armed in order has as many siblings; none of this may recurse.
TEST(timer_queue, holds_very_many) {
  timer_queue queue;
  std::vector<timer_node> nodes(200'000);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    nodes[i].due = i;
    queue.arm(nodes[i]);
  }
  for (auto& node : nodes) {
    ASSERT_EQ(&queue.first(), &node);
    queue.cancel(node);
  }
}

TEST(timer_queue, agrees_with_a_model) {
  std::mt19937 random(20240229);
  timer_queue queue;
  std::vector<timer_node> nodes(64);
  using key = std::pair<std::uint64_t, std::uint64_t>;  // when, and the order of arming
  std::multimap<key, timer_node*> model;
  std::uint64_t armed = 0;
  for (int step = 0; step < 100'000; ++step) {
    timer_node& node = nodes[random() % nodes.size()];
    const bool take_first = random() % 4 == 0;
    timer_node* out = take_first && !model.empty() ? &queue.first() : &node;
    if (out->armed) {
      queue.cancel(*out);
      std::erase_if(model, [&](const auto& each) { return each.second == out; });
    } else {
      out->due = random() % 50;
      queue.arm(*out);
      model.emplace(key(out->due, armed++), out);
    }
    ASSERT_EQ(queue.empty(), model.empty());
    if (!model.empty()) {
      ASSERT_EQ(&queue.first(), model.begin()->second) << "at step " << step;
    }
  }
  for (; !model.empty(); model.erase(model.begin())) {
    ASSERT_EQ(&queue.first(), model.begin()->second);
    queue.cancel(queue.first());
  }
  EXPECT_TRUE(queue.empty());
}

}  // namespace
