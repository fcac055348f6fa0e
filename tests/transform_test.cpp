// SPDX-License-Identifier: BSD-3-Clause
// A function of each element, on the way.
#include "stream_model.hpp"

#include <spdk_io/channel.hpp>
#include <spdk_io/read_stream.hpp>
#include <spdk_io/transform.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace spdk_io_test {
namespace {

TEST(transform, of_each_element) {
  sio::channel<int> c(4);
  auto texts = sio::transform(c, [](int i) { return std::to_string(i * i); });
  static_assert(sio::stream<decltype(texts)>);
  static_assert(std::same_as<sio::stream_value_t<decltype(texts)>, std::string>);
  for (int i : {1, 2, 3}) must(c.try_send(i));
  c.close();
  EXPECT_EQ(must(run(texts.next())), "1");
  EXPECT_EQ(must(run(texts.next())), "4");
  EXPECT_EQ(must(run(texts.next())), "9");
  EXPECT_EQ(must(run(texts.next())), std::nullopt);
}

TEST(transform, owns_what_it_is_given) {
  auto disk = open_malloc("m0");
  auto sizes =
      sio::transform(sio::transform(sio::read_stream(disk, {.length = 5000, .chunk = 4096}),
                                    [](sio::read_chunk chunk) { return chunk.size(); }),
                     [](std::size_t size) { return std::make_unique<std::size_t>(size); });
  EXPECT_EQ(**must(run(sizes.next())), 4096u);
  auto moved = std::move(sizes);
  EXPECT_EQ(**must(run(moved.next())), 904u);
  EXPECT_FALSE(must(run(moved.next())));
}

TEST(transform, errors_and_exceptions_come_through) {
  sio::read_stream broken{sio::bdev_desc()};
  int calls = 0;
  auto counted = sio::transform(broken, [&](const sio::read_chunk&) { return ++calls; });
  auto r = run(counted.next());
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::bad_file_descriptor);
  EXPECT_EQ(calls, 0);
  sio::channel<int> c(2);
  auto throwing = sio::transform(c, [](int i) -> int {
    if (i == 1) throw std::runtime_error("no");
    return i;
  });
  must(c.try_send(1));
  must(c.try_send(2));
  EXPECT_THROW(run(throwing.next()), std::runtime_error);
  EXPECT_EQ(must(run(throwing.next())), 2);
}

TEST(transform, is_stopped_and_destroyed_where_the_stream_waits) {
  sio::channel<int> c(2);
  auto twice = sio::transform(c, [](int i) { return 2 * i; });
  sio::local_stop_source stop;
  const auto one = [](auto& from) -> sio::task<sio::result<std::optional<int>>> {
    co_return co_await from.next();
  };
  started stopped(sio::with_stop_token(stop.get_token(), one(twice)));
  EXPECT_FALSE(stopped.done());
  stop.request_stop();
  poll_until([&] { return stopped.done(); });
  EXPECT_TRUE(stopped.take().error() == std::errc::operation_canceled);
  {
    started given_up(one(twice));
    EXPECT_FALSE(given_up.done());
  }
  must(c.try_send(4));
  EXPECT_EQ(must(run(twice.next())), 8);
}

}  // namespace
}  // namespace spdk_io_test
