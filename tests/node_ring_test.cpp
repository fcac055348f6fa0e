// SPDX-License-Identifier: BSD-3-Clause
// Nodes in a ring: order, and taking out what waits in the middle of a run.
#include <spdk_io/detail/node_ring.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

namespace sio = spdk_io;
using sio::detail::node_ring;
using sio::detail::ready_node;

namespace {

struct entry : ready_node {
  explicit entry(int i) : number(i) {}
  int number;
};

std::vector<int> numbers(node_ring& list) {
  std::vector<int> out;
  while (!list.empty()) out.push_back(static_cast<entry&>(list.pop_front()).number);
  return out;
}

TEST(node_ring, is_first_in_first_out) {
  node_ring list;
  EXPECT_TRUE(list.empty());
  entry a(1), b(2), c(3);
  for (auto* each : {&a, &b, &c}) list.push_back(*each);
  EXPECT_EQ(&list.front(), &a);
  EXPECT_FALSE(list.has_one());
  EXPECT_EQ(numbers(list), (std::vector{1, 2, 3}));
  EXPECT_TRUE(list.empty());
}

TEST(node_ring, pushes_to_the_front) {
  node_ring list;
  entry a(1), b(2);
  list.push_back(a);
  list.push_front(b);
  EXPECT_EQ(numbers(list), (std::vector{2, 1}));
}

TEST(node_ring, knows_what_is_linked) {
  node_ring list;
  entry a(1);
  EXPECT_FALSE(a.linked());
  EXPECT_FALSE(list.has_one());
  list.push_back(a);
  EXPECT_TRUE(list.has_one());
  EXPECT_TRUE(a.linked());
  list.pop_front();
  EXPECT_FALSE(a.linked());
  list.push_back(a);  // again
  list.erase(a);
  EXPECT_FALSE(a.linked());
  EXPECT_TRUE(list.empty());
}

TEST(node_ring, gives_up_any_entry) {
  for (int victim = 0; victim < 3; ++victim) {
    node_ring list;
    std::vector<std::unique_ptr<entry>> entries;
    for (int i = 0; i < 3; ++i) list.push_back(*entries.emplace_back(std::make_unique<entry>(i)));
    list.erase(*entries[static_cast<std::size_t>(victim)]);
    entries[static_cast<std::size_t>(victim)] = nullptr;
    std::vector<int> rest = {0, 1, 2};
    rest.erase(rest.begin() + victim);
    EXPECT_EQ(numbers(list), rest);
  }
}

TEST(node_ring, an_entry_that_runs_may_destroy_the_next) {
  static node_ring list;
  static std::unique_ptr<entry> next;
  static int ran;
  auto run_and_destroy_next = [](ready_node&) {
    ++ran;
    list.erase(*next);
    next = nullptr;
  };
  auto count = [](ready_node&) { ++ran; };
  ran = 0;
  entry first(0), last(2);
  next = std::make_unique<entry>(1);
  first.run = run_and_destroy_next;
  next->run = last.run = count;
  for (auto* each : {&first, next.get(), &last}) list.push_back(*each);
  while (!list.empty()) {
    ready_node& node = list.pop_front();
    node.run(node);
  }
  EXPECT_EQ(ran, 2);
}

TEST(node_ring, a_moved_entry_keeps_its_function_and_is_unlinked) {
  entry a(1);
  a.run = [](ready_node&) {};
  entry b = std::move(a);
  EXPECT_EQ(b.run, a.run);
  EXPECT_FALSE(a.linked());
  EXPECT_FALSE(b.linked());
}

}  // namespace
