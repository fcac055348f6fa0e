// SPDX-License-Identifier: BSD-3-Clause
// The list of what is under way on a thread, in every state that an I/O can be in.
#include "devices.hpp"

#include <map>
#include <memory>
#include <sstream>
#include <thread>

namespace spdk_io_test {
namespace {

using sio::bdev_desc;
using sio::dma_buffer;
using sio::operation_info;
using sio::operation_kind;
using sio::operation_state;

// As messages, sorted: devices are listed in no particular order.
std::vector<std::string> listed() {
  std::vector<std::string> out;
  for (const auto& each : main_thread().operations()) out.push_back(each.message());
  std::ranges::sort(out);
  return out;
}

using callback = std::function<void(sio::result<void>)>;
using pending = sio::pending<sio::io_operation, callback>;

class operations : public testing::Test {
 protected:
  void SetUp() override { buffer = must(dma_buffer::zeroed(4096)); }
  void start(sio::io_operation op, callback done = [](auto) {}) {
    all.push_back(std::make_unique<pending>(std::move(op), std::move(done)));
    all.back()->start();
  }
  dma_buffer buffer;
  std::vector<std::unique_ptr<pending>> all;
};

TEST_F(operations, in_flight_in_bytes_and_in_blocks) {
  auto a = open_null("n0");
  auto b = open_malloc("m0");
  EXPECT_TRUE(main_thread().operations().empty());
  start(a.read(buffer, 512));
  start(a.write_blocks(buffer, 3, 2));
  start(b.unmap(0, 8192));
  start(b.reset());
  const auto list = main_thread().operations();
  ASSERT_EQ(list.size(), 4u);
  const auto read = std::ranges::find(list, operation_kind::read, &operation_info::kind);
  ASSERT_NE(read, list.end());
  EXPECT_EQ(*read, (operation_info{.kind = operation_kind::read,
                                   .state = operation_state::in_flight,
                                   .device = "n0",
                                   .offset = 512,
                                   .length = 4096}));
  EXPECT_EQ(listed(), (std::vector<std::string>{
                          "read of 4096 bytes at 512 from n0 (in flight)",
                          "reset of m0 (in flight)",
                          "unmap of 8192 bytes at 0 on m0 (in flight)",
                          "write of 1024 bytes at 1536 to n0 (in flight)",
                      }));
  poll_until([] { return main_thread().operations().empty(); });
  EXPECT_EQ(main_thread().statistics().io_in_flight, 0u);
  // What was listed is a copy.
  a = bdev_desc();
  must(run(sio::delete_bdev("n0")));
  EXPECT_EQ(read->device, "n0");
}

// One that has completed waits for its turn behind the others.
TEST_F(operations, completed_and_not_resumed_yet) {
  auto disk = open_null("n0");
  std::vector<std::string> seen;
  start(disk.read(buffer, 0), [&](auto) { seen = listed(); });
  start(disk.read_blocks(buffer, 8, 1));
  start(disk.write(buffer, 1 << 20));
  start(disk.flush(512, 1024));  // refused: its callback only waits for its turn
  poll_until([&] { return !seen.empty(); });
  EXPECT_EQ(seen, (std::vector<std::string>{
                      "read of 512 bytes at 4096 from n0 (completed, not resumed yet)",
                      "write of 4096 bytes at 1048576 to n0 (completed, not resumed yet)",
                  }));
  EXPECT_TRUE(main_thread().operations().empty());
}

// Failed ones too, whatever the unit: their range is in bytes by then.
TEST_F(operations, completed_with_an_error) {
  temp_folder folder;
  auto disk = open_device(kind::aio, folder, "d0");
  std::filesystem::resize_file(folder.path("d0"), 512 << 10);
  std::vector<std::string> seen;
  int failed = 0;
  for (int i = 0; i < 2; ++i) {
    start(disk.read_blocks(buffer, 1536, 2), [&](const auto& r) {
      failed += r ? 0 : 1;
      if (seen.empty()) seen = listed();
    });
  }
  poll_until([&] { return failed == 2; });
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_TRUE(seen[0].starts_with("read of 1024 bytes at 786432 from d0 (")) << seen[0];
}

TEST_F(operations, of_one_that_was_destroyed_nothing_is_left) {
  auto disk = open_null("n0");
  start(disk.read(buffer, 0));
  start(disk.read(buffer, 512));
  all.erase(all.begin());
  EXPECT_EQ(main_thread().operations().size(), 1u);
  all.clear();
  EXPECT_TRUE(main_thread().operations().empty());
  poll_times(10);
}

TEST_F(operations, of_awaiting_coroutines) {
  auto disk = open_malloc("m0");
  auto body = [&]() -> sio::task<void> {
    auto r = co_await disk.write(buffer, 0);
    EXPECT_TRUE(r) << message_of(r);
    r = co_await disk.write_zeroes_blocks(1, 2);
    EXPECT_TRUE(r) << message_of(r);
  };
  sio::task_scope scope;
  scope.spawn(body());
  EXPECT_EQ(listed(), std::vector<std::string>{"write of 4096 bytes at 0 to m0 (in flight)"});
  poll_until([&] {
    return listed() != std::vector<std::string>{"write of 4096 bytes at 0 to m0 (in flight)"};
  });
  EXPECT_EQ(listed(),
            std::vector<std::string>{"write of zeroes of 1024 bytes at 512 on m0 (in flight)"});
  must(run(scope.join()));
}

TEST(operations_without_memory, wait_for_it) {
  must(init_with_pool(2, 1));
  auto disk = open_null("n0");
  auto buffer = must(dma_buffer::zeroed(512));
  std::vector<std::unique_ptr<pending>> all;
  for (std::uint64_t i = 0; i < 10; ++i) {
    all.push_back(std::make_unique<pending>(disk.read_blocks(buffer, i, 1), [](auto) {}));
    all.back()->start();
  }
  std::map<operation_state, int> count;
  for (const auto& each : main_thread().operations()) ++count[each.state];
  EXPECT_EQ(count, (std::map<operation_state, int>{{operation_state::in_flight, 2},
                                                   {operation_state::waiting_for_memory, 8}}));
  EXPECT_EQ(listed()[9], "read of 512 bytes at 512 from n0 (in flight)");
  EXPECT_EQ(listed()[1], "read of 512 bytes at 1024 from n0 (waiting for memory)");
  poll_until([] { return main_thread().operations().empty(); });
}

TEST(operations_of_thread_ref, are_for_its_own_os_thread) {
  auto disk = open_null("n0");
  auto buffer = must(dma_buffer::zeroed(512));
  sio::start(disk.read(buffer, 0), [](auto) {});
  const auto ref = must(sio::thread::current());
  EXPECT_EQ(must(ref.operations()), main_thread().operations());
  EXPECT_EQ(must(ref.operations()).size(), 1u);
  std::string elsewhere;
  std::thread([&] { elsewhere = message_of(ref.operations()); }).join();
  EXPECT_EQ(elsewhere, "operations of thread \"" + std::string(ref.name()) +
                           "\": only its own OS thread may look (call() it, and ask there)");
  poll_until([] { return main_thread().operations().empty(); });

  auto second = std::optional(must(sio::thread::create("second")));
  const auto gone = second->ref();
  EXPECT_TRUE(must(gone.operations()).empty());
  second.reset();
  EXPECT_EQ(message_of(gone.operations()), "operations of thread \"second\": the thread has ended");
}

TEST(operation_info, in_words) {
  const operation_info copy{.kind = operation_kind::copy,
                            .state = operation_state::in_flight,
                            .device = "m0",
                            .offset = 8192,
                            .length = 4096,
                            .source = 512};
  EXPECT_EQ(copy.what(), "copy of 4096 bytes from 512 to 8192 on m0");
  std::ostringstream out;
  out << copy;
  EXPECT_EQ(out.str(), "copy of 4096 bytes from 512 to 8192 on m0 (in flight)");
}

}  // namespace
}  // namespace spdk_io_test
