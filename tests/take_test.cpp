// SPDX-License-Identifier: BSD-3-Clause
// So many elements and no more, and the stream goes on behind them.
#include "stream_model.hpp"

#include <spdk_io/channel.hpp>
#include <spdk_io/read_stream.hpp>
#include <spdk_io/take.hpp>

namespace spdk_io_test {
namespace {

TEST(take, the_first_ones) {
  sio::channel<int> c(8);
  for (int i = 0; i < 5; ++i) must(c.try_send(i));
  auto two = sio::take(c, 2);
  static_assert(sio::stream<decltype(two)>);
  EXPECT_EQ(must(run(two.next())), 0);
  EXPECT_EQ(must(run(two.next())), 1);
  EXPECT_EQ(must(run(two.next())), std::nullopt);
  EXPECT_EQ(must(run(two.next())), std::nullopt);
  EXPECT_EQ(must(run(c.next())), 2);
  c.close();
  auto many = sio::take(c, 100);
  EXPECT_EQ(must(run(many.next())), 3);
  EXPECT_EQ(must(run(many.next())), 4);
  EXPECT_EQ(must(run(many.next())), std::nullopt);
}

// The end comes at once, though the stream would wait for ever.
TEST(take, does_not_ask_for_more) {
  sio::channel<int> c(1);
  auto none = sio::take(c, 0);
  started one(none.next());
  ASSERT_TRUE(one.done());
  EXPECT_EQ(must(one.take()), std::nullopt);
  auto first = sio::take(sio::take(c, 1), 5);
  started waiting(first.next());
  EXPECT_FALSE(waiting.done());
  must(c.try_send(7));
  poll_until([&] { return waiting.done(); });
  EXPECT_EQ(must(waiting.take()), 7);
  started end(first.next());
  ASSERT_TRUE(end.done());
  EXPECT_EQ(must(end.take()), std::nullopt);
}

TEST(take, errors_do_not_count) {
  auto three = sio::take(sio::read_stream(sio::bdev_desc()), 1);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(run(three.next()).error() == std::errc::bad_file_descriptor);
  }
}

}  // namespace
}  // namespace spdk_io_test
