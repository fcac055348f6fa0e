// SPDX-License-Identifier: BSD-3-Clause
// The start of SPDK's subsystems from a configuration: once per process, so each case is a
// process of its own under ctest.
#include "devices.hpp"

#include <spdk_io/subsystems.hpp>

#include <thread>

namespace spdk_io_test {
namespace {

using sio::init_subsystems;

std::string bdev_config(const std::string& calls) {
  return R"({"subsystems":[{"subsystem":"bdev","config":[)" + calls + "]}]}";
}

std::string malloc_call(const std::string& name, const std::string& blocks = "2048") {
  return R"({"method":"bdev_malloc_create","params":{"name":")" + name + R"(","num_blocks":)" +
         blocks + R"(,"block_size":512}})";
}

std::string options_call(unsigned pool, unsigned cache) {
  return R"({"method":"bdev_set_options","params":{"bdev_io_pool_size":)" + std::to_string(pool) +
         R"(,"bdev_io_cache_size":)" + std::to_string(cache) + "}}";
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

void expect_failure(const sio::result<void>& r, std::errc code, std::string_view text) {
  ASSERT_FALSE(r) << "expected: " << text;
  EXPECT_TRUE(r.error() == code) << r.error() << ": " << r.error().error_code();
  EXPECT_EQ(r.error().what(), sio::operation_kind::load_config);
  EXPECT_EQ(r.error().message(), text);
}

TEST(subsystems, without_a_configuration_there_are_no_devices) {
  must(run(init_subsystems()));
  EXPECT_TRUE(sio::list_bdevs().empty());
  must(run(sio::create_bdev(sio::null_bdev{.name = "n0", .size = 512})));
}

TEST(subsystems, text_creates_devices) {
  must(run(init_subsystems(bdev_config(
      malloc_call("m0") +
      R"(,{"method":"bdev_null_create","params":{"name":"n0","num_blocks":8,"block_size":4096}})"))));
  EXPECT_EQ(sio::list_bdevs().size(), 2u);
  EXPECT_EQ(must(sio::bdev::find("m0")).size(), 1u << 20);
  auto disk = must(sio::bdev_desc::open("m0"));
  auto buffer = must(sio::dma_buffer::zeroed(512));
  must(run(disk.read(buffer, 0)));
}

TEST(subsystems, nothing_happens_before_it_is_polled) {
  sio::task_scope scope;
  scope.spawn(init_subsystems(bdev_config(malloc_call("m0"))));
  EXPECT_EQ(scope.running(), 1u);
  EXPECT_TRUE(sio::list_bdevs().empty());
  must(run(scope.join()));
  EXPECT_EQ(sio::list_bdevs().size(), 1u);
}

TEST(subsystems, file_creates_devices) {
  temp_folder folder;
  const auto path = folder.path("config.json");
  write_file(path, bdev_config(malloc_call("m0")));
  must(run(init_subsystems(sio::config_file{path})));
  EXPECT_TRUE(sio::bdev::find("m0"));
}

TEST(subsystems, files_that_cannot_be_read_are_named) {
  temp_folder folder;
  const auto missing = folder.path("missing.json");
  expect_failure(run(init_subsystems(sio::config_file{missing})),
                 std::errc::no_such_file_or_directory,
                 "init_subsystems: cannot read \"" + missing + "\": No such file or directory");
  const auto empty = folder.file("empty.json", 0);
  expect_failure(run(init_subsystems(sio::config_file{empty})), std::errc::invalid_argument,
                 "init_subsystems: \"" + empty + "\" is empty");
  expect_failure(run(init_subsystems(sio::config_file{folder.path("")})), std::errc::is_a_directory,
                 "init_subsystems: cannot read \"" + folder.path("") + "\": Is a directory");
  // None of these started anything.
  must(run(init_subsystems(bdev_config(malloc_call("m0")))));
}

TEST(subsystems, text_that_does_not_parse_is_refused_and_may_be_repaired) {
  for (const char* wrong : {"{", "nonsense", R"({"subsystems":[)", R"({"subsystems":})", "\x01"}) {
    auto r = run(init_subsystems(wrong));
    ASSERT_FALSE(r) << wrong;
    EXPECT_TRUE(r.error() == std::errc::invalid_argument) << wrong << ": " << r.error();
    EXPECT_TRUE(r.error().message().starts_with("configuration: ")) << r.error();
    EXPECT_GT(r.error().message().size(), std::string("configuration: ").size());
    EXPECT_EQ(r.error().message().find('\n'), std::string::npos) << r.error();
  }
  must(run(init_subsystems(bdev_config(malloc_call("m0")))));
  EXPECT_TRUE(sio::bdev::find("m0"));
}

TEST(subsystems, wrong_types_in_the_frame_are_refused) {
  for (const char* wrong : {R"([])", R"({"subsystems":5})", R"({"subsystems":[5]})",
                            R"({"subsystems":[{"subsystem":"bdev","config":[{"method":5}]}]})"}) {
    auto r = run(init_subsystems(wrong));
    ASSERT_FALSE(r) << wrong;
    EXPECT_TRUE(r.error().message().starts_with("configuration: ")) << r.error();
  }
}

TEST(subsystems, wrong_types_of_parameters_fail_in_spdks_words) {
  auto r = run(init_subsystems(bdev_config(malloc_call("m0", "\"many\""))));
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::invalid_argument) << r.error();
  EXPECT_EQ(r.error().what(), sio::operation_kind::load_config);
  EXPECT_NE(r.error().message().find("spdk_json_decode_object failed"), std::string::npos)
      << r.error();
  EXPECT_FALSE(sio::bdev::find("m0"));
}

TEST(subsystems, a_failing_call_says_why_in_spdks_words) {
  // The name is taken: by the call before.
  auto r = run(init_subsystems(bdev_config(malloc_call("m0") + "," + malloc_call("m0"))));
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::file_exists) << r.error();
  EXPECT_TRUE(r.error().message().starts_with("configuration: ")) << r.error();
  EXPECT_NE(r.error().message().find("m0"), std::string::npos) << r.error();
  // The subsystems run: what was created before the failure is there, and more can be made.
  EXPECT_TRUE(sio::bdev::find("m0"));
  must(run(sio::create_bdev(sio::null_bdev{.name = "n0", .size = 512})));
}

TEST(subsystems, an_unknown_method_is_refused) {
  auto r = run(init_subsystems(bdev_config(R"({"method":"bdev_make_coffee","params":{}})")));
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message(), "configuration: Method 'bdev_make_coffee' was not found");
  must(run(sio::create_bdev(sio::null_bdev{.name = "n0", .size = 512})));
}

TEST(subsystems, a_second_start_is_refused) {
  must(run(init_subsystems(bdev_config(malloc_call("m0")))));
  expect_failure(run(init_subsystems(bdev_config(malloc_call("m1")))), std::errc::already_connected,
                 "init_subsystems: SPDK's subsystems are running already; add devices with "
                 "create_bdev()");
  EXPECT_FALSE(run(init_subsystems()));
  EXPECT_EQ(sio::list_bdevs().size(), 1u);
}

// The second one waits for its turn, and then finds that it is too late.
TEST(subsystems, two_starts_at_once_are_serial) {
  sio::result<void> first = std::unexpected(sio::error());
  sio::result<void> second;
  auto body = [&]() -> sio::task<void> {
    auto both = co_await sio::when_all(init_subsystems(bdev_config(malloc_call("m0"))),
                                       init_subsystems(bdev_config(malloc_call("m1"))));
    first = std::get<0>(both);
    second = std::get<1>(both);
  };
  run(body());
  EXPECT_TRUE(first) << message_of(first);
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error() == std::errc::already_connected);
  EXPECT_TRUE(sio::bdev::find("m0"));
}

TEST(subsystems, only_the_first_thread_starts_them) {
  {
    auto second = must(sio::thread::create("second"));
    sio::result<void> r;
    bool done = false;
    auto body = [&]() -> sio::task<void> {
      auto moved = co_await second.ref().schedule();
      EXPECT_TRUE(moved);
      r = co_await init_subsystems();
      done = true;
    };
    sio::task_scope scope;
    scope.spawn(body());
    while (!done) second.poll();
    expect_failure(r, std::errc::operation_not_permitted,
                   "init_subsystems: must run on the first SPDK thread of the process, \"main\", "
                   "not on \"second\"");
  }
  std::string text;
  std::thread([&] {
    // No thread at all: it fails at once, so that nobody needs to poll.
    sio::task_scope scope;
    auto body = [&]() -> sio::task<void> {
      auto r = co_await init_subsystems();
      text = message_of(r);
    };
    scope.spawn(body());
  }).join();
  EXPECT_EQ(text,
            "init_subsystems: no SPDK thread is attached here (call spdk_io::thread::attach() "
            "first)");
  must(run(init_subsystems()));
}

TEST(subsystems, start_up_options_take_effect) {
  must(run(init_subsystems(bdev_config(options_call(4, 1) +
                                       R"(,{"method":"bdev_null_create","params":{"name":"n0",)"
                                       R"("num_blocks":1024,"block_size":512}})"))));
  auto disk = must(sio::bdev_desc::open("n0"));
  auto buffer = must(sio::dma_buffer::zeroed(512));
  sio::task_scope scope;
  for (int i = 0; i < 10; ++i) scope.spawn(disk.read(buffer, 0));
  EXPECT_GE(main_thread().statistics().memory_waits, 6u);  // four bdev_ios for ten operations
  must(run(scope.join()));
}

// The counterpart: with SPDK's defaults ten operations need not wait.
TEST(subsystems, default_options_have_memory_for_all) {
  auto disk = open_null("n0");
  auto buffer = must(sio::dma_buffer::zeroed(512));
  sio::task_scope scope;
  for (int i = 0; i < 10; ++i) scope.spawn(disk.read(buffer, 0));
  EXPECT_EQ(main_thread().statistics().memory_waits, 0u);
  must(run(scope.join()));
}

TEST(subsystems, impossible_options_fail_in_spdks_words) {
  auto r = run(init_subsystems(bdev_config(options_call(1, 1))));
  ASSERT_FALSE(r);
  EXPECT_NE(r.error().message().find("bdev_io_pool_size"), std::string::npos) << r.error();
  must(run(init_subsystems(bdev_config(options_call(2, 1)))));
}

}  // namespace
}  // namespace spdk_io_test
