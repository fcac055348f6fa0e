// SPDX-License-Identifier: BSD-3-Clause
// A function for each element: plain, failing, awaited.
#include "stream_model.hpp"

#include <spdk_io/channel.hpp>
#include <spdk_io/for_each.hpp>
#include <spdk_io/read_stream.hpp>

#include <memory>
#include <stdexcept>
#include <vector>

namespace spdk_io_test {
namespace {

sio::error some_error() { return {std::errc::io_error, sio::operation_kind::none, "enough"}; }

// 0, 1, … and the end.
sio::channel<int> numbers(int count) {
  sio::channel<int> c(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) must(c.try_send(i));
  c.close();
  return c;
}

TEST(for_each, calls_a_plain_function) {
  std::vector<int> got;
  must(run(sio::for_each(numbers(3), [&](int i) { got.push_back(i); })));
  EXPECT_EQ(got, (std::vector{0, 1, 2}));
}

TEST(for_each, ends_with_the_first_error_of_the_function) {
  auto c = numbers(5);
  const auto until_two = [](int i) -> sio::result<void> {
    if (i == 2) return std::unexpected(some_error());
    return {};
  };
  EXPECT_EQ(message_of(run(sio::for_each(c, until_two))), "enough");
  EXPECT_EQ(must(run(c.next())), 3);  // it goes on where that was
  const auto later = [](int) -> sio::task<sio::result<void>> {
    co_await sio::yield();
    co_return std::unexpected(some_error());
  };
  EXPECT_EQ(message_of(run(sio::for_each(c, later))), "enough");
}

TEST(for_each, awaits_one_after_another) {
  int running = 0;
  std::vector<int> got;
  const auto slowly = [&](int i) -> sio::task<void> {
    EXPECT_EQ(++running, 1);
    co_await sio::yield();
    co_await sio::yield();
    got.push_back(i);
    --running;
  };
  must(run(sio::for_each(numbers(4), slowly)));
  EXPECT_EQ(got, (std::vector{0, 1, 2, 3}));
}

// With the library's operations, of a device of which each chunk is put somewhere else.
TEST(for_each, awaits_operations) {
  auto disk = open_malloc("m0");
  auto model = fill_device(disk, 1);
  sio::read_stream in(disk, {.length = 64 << 10, .chunk = 4096, .depth = 4});
  // The chunk has to outlive the write: it is kept by the coroutine.
  const auto put = [&](sio::read_chunk chunk) -> sio::task<sio::result<void>> {
    co_return co_await disk.write(chunk, chunk.offset() + (512 << 10));
  };
  must(run(sio::for_each(in, put)));
  std::copy_n(model.begin(), 64 << 10, model.begin() + (512 << 10));
  EXPECT_EQ(device_content(disk), model);
}

TEST(for_each, errors_of_the_stream_and_exceptions) {
  EXPECT_TRUE(run(sio::for_each(sio::read_stream(sio::bdev_desc()), [](const auto&) {
                FAIL();
              })).error() == std::errc::bad_file_descriptor);
  EXPECT_THROW(must(run(sio::for_each(numbers(1), [](int) { throw std::runtime_error("no"); }))),
               std::runtime_error);
}

TEST(for_each, is_stopped) {
  sio::channel<int> c(1);
  sio::local_stop_source stop;
  started waiting(sio::with_stop_token(stop.get_token(), sio::for_each(c, [](int) {})));
  EXPECT_FALSE(waiting.done());
  stop.request_stop();
  poll_until([&] { return waiting.done(); });
  EXPECT_TRUE(waiting.take().error() == std::errc::operation_canceled);
}

}  // namespace
}  // namespace spdk_io_test
