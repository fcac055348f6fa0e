// SPDX-License-Identifier: BSD-3-Clause
// Names and paths that nobody should use, in every call that takes one: either a clear error, or
// the thing is there under exactly that name. A name with a NUL never means what stands before it.
#include "devices.hpp"

#include <spdk_io/app.hpp>
#include <spdk_io/stacked_bdev_options.hpp>
#include <spdk_io/subsystems.hpp>

#include <spdk/thread.h>

#include <functional>

namespace spdk_io_test {
namespace {

using namespace std::string_literals;

struct hostile_name {
  std::string label;
  std::string name;
};

// SPDK takes these.
std::vector<hostile_name> odd_names() {
  return {{"a single character", "x"},
          {"255 characters", std::string(255, 'n')},
          {"a newline", "a\nb"},
          {"only a newline", "\n"},
          {"a carriage return and a tab", "\r\ta"},
          {"a terminal's escape sequence", "\x1b[31mred\x1b[0m"},
          {"the first and the last control character", "\x01\x1f"},
          {"DEL", "a\x7f"},
          {"a quotation mark", "a\"b\",\"num_blocks\":1,\"x\":\""},
          {"backslashes", "\\a\\\\"},
          {"what looks like an escaped NUL", "m0\\u0000"},
          {"blanks around it", " a "},
          {"only blanks", "   "},
          {"a format", "%s%n%d%999999s"},
          {"a path", "../../etc/passwd"},
          {"braces", "{}{0}"},
          {"UTF-8", "caf\xc3\xa9 \xf0\x9f\x98\x80"},
          {"the largest code point", "\xf4\x8f\xbf\xbf"}};
}

std::vector<hostile_name> impossible_names() {
  return {{"nothing", ""},
          {"a NUL after a device's name", "m0\0"s},
          {"a NUL in it", "m0\0x"s},
          {"a NUL first", "\0m0"s},
          {"only a NUL", "\0"s},
          {"256 characters", std::string(256, 'n')},
          {"10 kB", std::string(10'000, 'n')},
          {"10 kB after a device's name", "m0" + std::string(10'000, '\0')},
          {"a megabyte", std::string(1'000'000, 'n')}};
}

// Of a device: SPDK's JSON is UTF-8, which these are not.
std::vector<hostile_name> no_texts() {
  return {
      {"a byte that UTF-8 has not", "m0\xff"}, {"a continuation first", "\x80"},
      {"an end too early", "caf\xc3"},         {"more bytes than needed", "\xc0\x80"},
      {"a surrogate", "\xed\xa0\x80"},         {"beyond the last code point", "\xf4\x90\x80\x80"}};
}

std::vector<hostile_name> operator+(std::vector<hostile_name> a, std::vector<hostile_name> b) {
  std::ranges::move(b, std::back_inserter(a));
  return a;
}

// For people: one line, which says something.
template <class T>
void expect_refused(const sio::result<T>& r, std::initializer_list<std::errc> codes,
                    std::string_view begin = {}) {
  ASSERT_FALSE(r) << "it was taken";
  const std::string text = r.error().message();
  EXPECT_TRUE(std::ranges::any_of(codes, [&](std::errc c) { return r.error() == c; }))
      << r.error().error_code() << ": " << text;
  EXPECT_TRUE(text.starts_with(begin)) << text;
  EXPECT_GT(text.size(), 10u) << text;
  EXPECT_TRUE(std::ranges::none_of(text, [](char c) { return (c >= 0 && c < ' ') || c == '\x7f'; }))
      << text;
}

std::vector<std::string> device_names() {
  std::vector<std::string> out;
  for (const auto& each : sio::list_bdevs()) out.push_back(each.name);
  return out;
}

// Exactly this name leads to the device, and it can be read.
void expect_found(const std::string& name) {
  EXPECT_EQ(must(sio::bdev::find(name)).name(), name);
  EXPECT_EQ(std::ranges::count(device_names(), name), 1);
  auto disk = must(sio::bdev_desc::open(name));
  EXPECT_EQ(disk.bdev().name(), name);
  auto buffer = must(sio::dma_buffer::zeroed(4096));
  must(run(disk.read(buffer, 0)));
  // Its errors are lines as well.
  expect_refused(run(disk.read(buffer, 1)), {std::errc::invalid_argument}, "read of 4096 bytes");
}

// The ways to make a device of a name of one's own, on a base or a file where one is needed.
class hostile_names : public testing::Test {
 protected:
  using creator = std::function<sio::result<std::string>(std::string_view)>;
  struct kind_of_device {
    std::string label;
    creator create;
  };

  std::vector<kind_of_device> kinds() {
    return {
        {"malloc",
         [](auto n) {
           return run(sio::create_bdev(sio::malloc_bdev{.name = n, .size = 1 << 20}));
         }},
        {"null",
         [](auto n) { return run(sio::create_bdev(sio::null_bdev{.name = n, .size = 1 << 20})); }},
        {"uring",
         [this](auto n) {
           return run(sio::create_bdev(sio::uring_bdev{.name = n, .file = file}));
         }},
        {"aio",
         [this](auto n) { return run(sio::create_bdev(sio::aio_bdev{.name = n, .file = file})); }},
        {"passthru",
         [](auto n) {
           return run(sio::create_bdev(sio::passthru_bdev{.name = n, .base = "base"}));
         }},
        {"delay",
         [](auto n) { return run(sio::create_bdev(sio::delay_bdev{.name = n, .base = "base"})); }}};
  }
  void make_bases() {
    create_device(kind::malloc, folder, "base");
    create_device(kind::malloc, folder, "m0");
  }

  temp_folder folder;
  const std::string file = folder.file("file", 1 << 20);
};

TEST_F(hostile_names, odd_devices_are_found_again) {
  make_bases();
  const auto before = device_names();
  for (const auto& [label, create] : kinds()) {
    SCOPED_TRACE(label);
    for (const auto& odd : odd_names()) {
      SCOPED_TRACE(odd.label);
      EXPECT_EQ(must(create(odd.name)), odd.name);
      expect_found(odd.name);
      expect_refused(create(odd.name), {std::errc::file_exists}, "creation of \"");
      must(run(sio::delete_bdev(odd.name)));
      expect_refused(sio::bdev::find(odd.name), {std::errc::no_such_device}, "look-up of \"");
      ASSERT_EQ(device_names(), before);
    }
  }
}

TEST_F(hostile_names, impossible_devices_are_refused) {
  make_bases();
  const auto before = device_names();
  for (const auto& [label, create] : kinds()) {
    SCOPED_TRACE(label);
    for (const auto& bad : impossible_names() + no_texts()) {
      SCOPED_TRACE(bad.label);
      const auto r = create(bad.name);
      expect_refused(r, {std::errc::invalid_argument}, "creation of \"");
      const std::string text = message_of(r);
      EXPECT_TRUE(text.find("1 to 255 characters and no NUL") != text.npos ||
                  text.find("UTF-8") != text.npos)
          << text;
      EXPECT_LT(text.size(), 2000u);
      ASSERT_EQ(device_names(), before);
    }
    EXPECT_EQ(must(create("good")), "good");
    must(run(sio::delete_bdev("good")));
  }
}

// Their names are made of the base's.
TEST_F(hostile_names, odd_bases_give_odd_names) {
  for (const auto& odd : odd_names()) {
    SCOPED_TRACE(odd.label);
    create_device(kind::malloc, folder, odd.name, 8 << 20);
    if (odd.name.size() < 253) {
      EXPECT_EQ(must(run(sio::create_bdev(sio::error_bdev{.base = odd.name}))), "EE_" + odd.name);
      expect_found("EE_" + odd.name);
      must(run(sio::inject_error("EE_" + odd.name, {.how = sio::inject_how::failure})));
      must(run(sio::clear_errors("EE_" + odd.name)));
      must(run(sio::delete_bdev("EE_" + odd.name)));
    }
    const auto parts = must(run(sio::create_bdev(sio::split_bdev{.base = odd.name, .count = 2})));
    EXPECT_EQ(parts, (std::vector{odd.name + "p0", odd.name + "p1"}));
    for (const auto& part : parts) expect_found(part);
    for (const auto& part : parts) must(run(sio::delete_bdev(part)));
    must(run(sio::delete_bdev(odd.name)));
    ASSERT_TRUE(device_names().empty());
  }
}

// m0 is an error device on a delay device here, so that all of these would have something to do.
TEST_F(hostile_names, a_name_that_is_not_there_is_no_other_device) {
  create_device(kind::malloc, folder, "m0");
  create_device(kind::null, folder, "n0");
  must(run(sio::create_bdev(sio::delay_bdev{.name = "d0", .base = "m0"})));
  must(run(sio::create_bdev(sio::error_bdev{.base = "d0"})));
  create_device(kind::aio, folder, "a0");
  const auto before = device_names();
  using namespace std::chrono_literals;
  using checked = std::function<void(std::string_view, std::initializer_list<std::errc>)>;
  struct use {
    std::string label;
    checked with;
  };
  const use uses[] = {
      {"open", [](auto n, auto c) { expect_refused(sio::bdev_desc::open(n), c, "open of \""); }},
      {"open for reading",
       [](auto n, auto c) {
         expect_refused(sio::bdev_desc::open(n, sio::access::read_only), c, "open of \"");
       }},
      {"find", [](auto n, auto c) { expect_refused(sio::bdev::find(n), c, "look-up of \""); }},
      {"delete",
       [](auto n, auto c) { expect_refused(run(sio::delete_bdev(n)), c, "deletion of \""); }},
      {"resize",
       [](auto n, auto c) {
         expect_refused(run(sio::resize_bdev(n, 2 << 20)), c, "resizing of \"");
       }},
      {"rescan",
       [](auto n, auto c) { expect_refused(run(sio::rescan_bdev(n)), c, "rescan of \""); }},
      {"inject", [](auto n, auto c) { expect_refused(run(sio::inject_error(n, {})), c); }},
      {"clear", [](auto n, auto c) { expect_refused(run(sio::clear_errors(n)), c); }},
      {"resume",
       [](auto n, auto c) {
         const auto r = run(sio::resume_pending(n));
         if (!r && r.error() == std::errc::not_supported) return;  // before v26.05
         expect_refused(r, c);
       }},
      {"set_delay",
       [](auto n, auto c) {
         expect_refused(run(sio::set_delay(n, {.average_read = 5us})), c, "latencies of \"");
       }},
      {"base of a passthru",
       [](auto n, auto c) {
         expect_refused(run(sio::create_bdev(sio::passthru_bdev{.name = "new", .base = n})), c,
                        "creation of \"");
       }},
      {"base of a delay",
       [](auto n, auto c) {
         expect_refused(run(sio::create_bdev(sio::delay_bdev{.name = "new", .base = n})), c,
                        "creation of \"");
       }},
      {"base of an error device",
       [](auto n, auto c) {
         expect_refused(run(sio::create_bdev(sio::error_bdev{.base = n})), c, "creation of \"");
       }},
      {"base of a split", [](auto n, auto c) {
         expect_refused(run(sio::create_bdev(sio::split_bdev{.base = n})), c, "creation of \"");
       }}};
  for (const auto& use : uses) {
    SCOPED_TRACE(use.label);
    for (const std::string& there : before) {
      for (const auto& like : {there + "\0"s, there + "\0x"s, "\0"s + there}) {
        use.with(like, {std::errc::no_such_device, std::errc::invalid_argument});
      }
    }
    for (const auto& bad : odd_names() + impossible_names() + no_texts()) {
      SCOPED_TRACE(bad.label);
      use.with(bad.name, {std::errc::no_such_device, std::errc::invalid_argument});
    }
    ASSERT_EQ(device_names(), before);
  }
  EXPECT_EQ(must(sio::bdev::find("n0")).size(), 1u << 20);
  expect_found("EE_d0");
}

// --- paths ---

TEST_F(hostile_names, odd_files_are_used_under_exactly_that_path) {
  for (kind k : {kind::uring, kind::aio}) {
    SCOPED_TRACE(std::string(to_string(k)));
    for (const auto& odd : odd_names()) {
      if (odd.name.find('/') != odd.name.npos) continue;
      SCOPED_TRACE(odd.label);
      const std::string path = folder.file(odd.name, 1 << 20);
      const auto made = k == kind::uring
                            ? run(sio::create_bdev(sio::uring_bdev{.name = "d0", .file = path}))
                            : run(sio::create_bdev(sio::aio_bdev{.name = "d0", .file = path}));
      must(made);
      {
        auto disk = must(sio::bdev_desc::open("d0"));
        auto buffer = must(sio::dma_buffer::zeroed(4096));
        fill_pattern(buffer.bytes(), 3);
        must(run(disk.write(buffer, 8192)));
      }
      must(run(sio::resize_bdev("d0", 2 << 20)));
      must(run(sio::delete_bdev("d0")));
      const auto content = content_of(path);
      ASSERT_EQ(content.size(), 2u << 20);
      EXPECT_TRUE(has_pattern(std::span(content).subspan(8192, 4096), 3));
      std::filesystem::remove(path);
    }
  }
}

TEST_F(hostile_names, impossible_files_are_refused) {
  struct bad_path {
    std::string label;
    std::string path;
    std::string says;
  };
  const bad_path all[] = {
      {"nothing", "", "cannot open \"\": No such file or directory"},
      {"a NUL after a file's path", file + "\0"s, "NUL"},
      {"a NUL in it", file + "\0.img"s, "NUL"},
      {"a NUL first", "\0"s + file, "NUL"},
      {"10 kB", folder.path(std::string(10'000, 'f')), "File name too long"},
      {"10 kB of folders", folder.path(""s) + std::string(10'000, '/') + "none", ""},
      {"a folder", folder.path(""), "Is a directory"},
      {"below a file", file + "/x", "Not a directory"},
      {"a newline, and not there", folder.path("no\nne"), "No such file or directory"},
      {"no UTF-8", folder.file("f\xff", 1 << 20), "UTF-8"},
      {"no UTF-8, and not there", folder.path("g\xff"), "No such file or directory"},
      {"a device of characters", "/dev/zero", ""},
  };
  for (const auto& [label, path, says] : all) {
    SCOPED_TRACE(label);
    for (const auto& r : {run(sio::create_bdev(sio::uring_bdev{.name = "d0", .file = path})),
                          run(sio::create_bdev(sio::aio_bdev{.name = "d0", .file = path}))}) {
      ASSERT_FALSE(r);
      expect_refused(r, {r.error().code()}, "creation of \"d0\"");
      EXPECT_NE(message_of(r).find(says), std::string::npos) << message_of(r);
    }
    ASSERT_TRUE(device_names().empty());
  }
  must(run(sio::create_bdev(sio::aio_bdev{.name = "d0", .file = file})));
}

TEST_F(hostile_names, paths_of_configurations) {
  const std::string config = folder.path("config.json");
  std::ofstream(config) << R"({"subsystems":[{"subsystem":"bdev","config":[]}]})";
  for (const auto& path : {config + "\0"s, config + "\0.old"s, "\0"s + config, "\0"s, ""s,
                           folder.path(std::string(10'000, 'c')), folder.path("no\nne"),
                           folder.path("\xff"), folder.path("")}) {
    const auto r = run(sio::init_subsystems(sio::config_file{path}));
    ASSERT_FALSE(r) << path;
    expect_refused(r, {r.error().code()}, "init_subsystems: ");
    if (path.find('\0') != path.npos) {
      EXPECT_TRUE(r.error() == std::errc::invalid_argument) << r.error();
      EXPECT_NE(message_of(r).find("NUL"), std::string::npos) << message_of(r);
    }
  }
  // A path need not be UTF-8 here.
  const std::string odd = folder.path("\xff\n");
  std::filesystem::copy_file(config, odd);
  must(run(sio::init_subsystems(sio::config_file{odd})));
}

// --- UUIDs ---

TEST_F(hostile_names, impossible_uuids_are_refused) {
  make_bases();
  const auto before = device_names();
  const std::string uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
  for (const auto& bad : {uuid + "\0"s, uuid + "\0x"s, "\0"s, uuid + "0", uuid.substr(1), "uuid"s,
                          "\n"s, "\xff"s, std::string(10'000, '0'), "{" + uuid + "}"}) {
    SCOPED_TRACE(testing::PrintToString(bad));
    for (const auto& r :
         {run(sio::create_bdev(sio::malloc_bdev{.name = "d0", .size = 4096, .uuid = bad})),
          run(sio::create_bdev(sio::null_bdev{.name = "d0", .size = 4096, .uuid = bad})),
          run(sio::create_bdev(sio::uring_bdev{.name = "d0", .file = file, .uuid = bad})),
          run(sio::create_bdev(sio::aio_bdev{.name = "d0", .file = file, .uuid = bad})),
          run(sio::create_bdev(sio::passthru_bdev{.name = "d0", .base = "base", .uuid = bad})),
          run(sio::create_bdev(sio::delay_bdev{.name = "d0", .base = "base", .uuid = bad}))}) {
      expect_refused(r, {std::errc::invalid_argument}, "creation of \"d0\"");
      EXPECT_NE(message_of(r).find("UUID"), std::string::npos) << message_of(r);
    }
    ASSERT_EQ(device_names(), before);
  }
  must(run(sio::create_bdev(sio::null_bdev{.name = "d0", .size = 4096, .uuid = uuid})));
  EXPECT_EQ(must(sio::bdev::find("d0")).info().uuid, uuid);
  expect_refused(sio::bdev::find(uuid + "\0"s), {std::errc::no_such_device});
}

// --- threads ---

TEST(hostile_thread_names, odd_ones_are_kept) {
  for (const auto& odd : odd_names() + no_texts()) {
    SCOPED_TRACE(odd.label);
    auto t = must(sio::thread::create(odd.name));
    EXPECT_EQ(t.name(), odd.name);
    EXPECT_EQ(t.ref().name(), odd.name);
    EXPECT_EQ(spdk_thread_get_name(t.native_handle()), odd.name);
    expect_refused(sio::thread::attach(odd.name), {std::errc::already_connected}, "thread \"");
    auto spawned = must(sio::thread::spawn(odd.name));
    EXPECT_EQ(spawned.ref().name(), odd.name);
  }
}

TEST(hostile_thread_names, impossible_ones_are_refused) {
  const auto before = sio::thread::count();
  for (const auto& bad : impossible_names()) {
    SCOPED_TRACE(bad.label);
    auto made = sio::thread::create(bad.name);
    expect_refused(made, {std::errc::invalid_argument}, "thread \"");
    EXPECT_LT(message_of(made).size(), 1000u);
    expect_refused(sio::thread::spawn(bad.name), {std::errc::invalid_argument}, "thread \"");
    auto attached = sio::thread::attach(bad.name);  // has one already
    expect_refused(attached, {std::errc::already_connected}, "thread \"");
    EXPECT_LT(message_of(attached).size(), 2000u);
    EXPECT_EQ(sio::thread::count(), before);
  }
}

// --- the environment, and the framework: refused before they look whether one runs already ---

sio::task<void> nothing() { co_return; }

TEST(hostile_options, texts_of_the_environment) {
  for (const auto& bad : impossible_names()) {
    SCOPED_TRACE(bad.label);
    expect_refused(sio::env::start({.name = bad.name}), {std::errc::invalid_argument}, "env: ");
    expect_refused(sio::app::run({.name = bad.name}, nothing()), {std::errc::invalid_argument},
                   "app: ");
  }
  for (const auto& bad : {"0x1\0"s, "0x1\0zz"s, "\0"s, "-l\0"s}) {
    expect_refused(sio::env::start({.core_mask = bad}), {std::errc::invalid_argument}, "env: ");
    expect_refused(sio::app::run({.core_mask = bad}, nothing()), {std::errc::invalid_argument},
                   "app: ");
    expect_refused(sio::env::start({.extra_args = {"--a", bad}}), {std::errc::invalid_argument},
                   "env: ");
    expect_refused(sio::app::run({.extra_args = bad}, nothing()), {std::errc::invalid_argument},
                   "app: ");
    expect_refused(sio::app::run({.rpc_socket = bad}, nothing()), {std::errc::invalid_argument},
                   "app: ");
    expect_refused(sio::app::run({.config_file = bad}, nothing()), {std::errc::invalid_argument},
                   "app: ");
  }
  // What could be is refused for the environment that runs.
  expect_refused(sio::env::start({.name = "caf\xc3\xa9"}), {std::errc::already_connected}, "env: ");
  expect_refused(sio::app::run({.name = "a\nb"}, nothing()), {std::errc::already_connected},
                 "app: ");
}

}  // namespace
}  // namespace spdk_io_test
