// SPDX-License-Identifier: BSD-3-Clause
// Configurations that nobody should write: every one ends in an error of one line that says what
// is wrong, and the same process then starts and uses devices as if nothing had been. Where SPDK
// says less than lite, a second text is what lite says besides.
#include "devices.hpp"

#include <spdk_io/subsystems.hpp>

#include <cctype>
#include <ostream>

namespace spdk_io_test {
namespace {

using sio::init_subsystems;

struct row {
  std::string name;
  std::string json;
  std::string says;       // part of the error's message, on both providers
  std::string lite_says;  // and on lite
};

void PrintTo(const row& r, std::ostream* out) { *out << r.name; }

std::string repeated(std::string_view text, std::size_t times) {
  std::string out;
  out.reserve(text.size() * times);
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

std::string subsystem(std::string_view config) {
  return R"({"subsystems":[{"subsystem":"bdev","config":)" + std::string(config) + "}]}";
}
std::string calls(std::string_view all) { return subsystem("[" + std::string(all) + "]"); }
std::string call(std::string_view method, std::string_view params) {
  return R"({"method":")" + std::string(method) + R"(","params":)" + std::string(params) + "}";
}

const std::string good_call =
    call("bdev_malloc_create", R"({"name":"good","num_blocks":8,"block_size":512})");
const std::string good = calls(good_call);

// What holds of every refusal.
void expect_clear(const sio::result<void>& r, const row& what) {
  ASSERT_FALSE(r) << what.name << " was taken";
  const std::string text = r.error().message();
  const std::string begin = "configuration: ";
  EXPECT_NE(r.error().code(), std::errc{}) << what.name << ": " << text;
  EXPECT_EQ(r.error().what(), sio::operation_kind::load_config) << what.name << ": " << text;
  EXPECT_TRUE(text.starts_with(begin)) << what.name << ": " << text;
  EXPECT_GT(text.size(), begin.size()) << what.name << " has no reason";
  EXPECT_TRUE(std::ranges::none_of(text, [](char c) { return c >= 0 && c < ' '; }))
      << what.name << ": " << text;
  EXPECT_NE(text.find(what.says), std::string::npos)
      << what.name << " does not say \"" << what.says << "\": " << text;
  if (on_spdk()) return;
  EXPECT_NE(text.find(what.lite_says), std::string::npos)
      << what.name << " does not say \"" << what.lite_says << "\": " << text;
}

void expect_devices_work() {
  auto disk = open_malloc("afterwards", 64 << 10);
  auto out = must(sio::dma_buffer::zeroed(4096));
  auto in = must(sio::dma_buffer::zeroed(4096));
  fill_pattern(out.bytes(), 7);
  must(run(disk.write(out, 8192)));
  must(run(disk.read(in, 8192)));
  EXPECT_TRUE(has_pattern(in.bytes(), 7));
}

// --- refused as a whole, so that the process may try again ---

class rows {
 public:
  void add(std::string name, std::string json, std::string says = {}, std::string lite_says = {}) {
    all_.push_back({std::move(name), std::move(json), std::move(says), std::move(lite_says)});
  }
  std::vector<row> take() { return std::move(all_); }

 private:
  std::vector<row> all_;
};

// Values of the wrong kind where an array of objects is wanted, and so on.
std::vector<row> wrong_frames() {
  rows out;
  for (std::string_view other : {"5", "-1", "1.5", "\"text\"", "true", "null", "[]", "[{}]"}) {
    out.add("all of it is " + std::string(other), std::string(other));
  }
  for (std::string_view other : {"5", "\"bdev\"", "true", "{\"a\":[]}", "[[1]]"}) {
    const std::string text(other);
    const bool is_array = text.starts_with('[');
    const bool is_string = text.starts_with('"');
    const bool is_object = text.starts_with('{');
    if (!is_array) out.add("subsystems: " + text, R"({"subsystems":)" + text + "}", "'subsystems'");
    out.add("a subsystem: " + text, R"({"subsystems":[)" + text + "]}", "subsystem");
    if (!is_string) {
      out.add("a subsystem's name: " + text,
              R"({"subsystems":[{"subsystem":)" + text + R"(,"config":[]}]})", "subsystem");
      out.add("method: " + text, calls(R"({"method":)" + text + R"(,"params":{}})"),
              "config entry");
    }
    if (!is_array) out.add("config: " + text, subsystem(text), "subsystem");
    if (!is_array) out.add("a call: " + text, calls(text), "config entry");
    if (!is_object) {
      out.add("params: " + text, calls(call("bdev_malloc_create", text)), "config entry");
    }
  }
  return out.take();
}

std::vector<row> members() {
  const std::string a_subsystem = R"("subsystem":"bdev","config":[])";
  auto of = [](std::string_view all) { return R"({"subsystems":[{)" + std::string(all) + "}]}"; };
  rows out;
  out.add("subsystem without a name", of(R"("config":[])"), "subsystem");
  out.add("subsystem without a config", of(R"("subsystem":"bdev")"), "subsystem");
  out.add("subsystem with another member", of(a_subsystem + R"(,"x":1)"), "subsystem");
  out.add("subsystem with two names", of(a_subsystem + R"(,"subsystem":"bdev")"), "subsystem");
  out.add("subsystem with two configs", of(a_subsystem + R"(,"config":[])"), "subsystem");
  out.add("two lists of subsystems", R"({"subsystems":[],"subsystems":[]})");
  out.add("call without a method", calls(R"({"params":{}})"), "config entry");
  out.add("call with another member", calls(R"({"method":"m","x":1})"), "config entry");
  out.add("call with two methods", calls(R"({"method":"m","method":"m"})"), "config entry");
  out.add("call with two params", calls(R"({"method":"m","params":{},"params":{}})"),
          "config entry");
  out.add("NUL in a method", calls(R"({"method":"bdev_malloc_create\u0000x"})"), "",
          "config entry");
  out.add("unknown method", calls(call("bdev_make_coffee", "{}")),
          "Method 'bdev_make_coffee' was not found");
  out.add("empty method", calls(call("", "{}")), "Method '' was not found");
  out.add("method of 10 kB", calls(call(repeated("x", 10'000), "{}")), "Method 'xxxx");
  return out.take();
}

// Texts that are no JSON.
std::vector<row> wrong_texts() {
  rows out;
  auto add = [&](std::string name, std::string json) {
    out.add(std::move(name), std::move(json), "JSON", "at byte");
  };
  const char* texts[] = {"{",  "[",   "\"",      "nonsense",  "{]",      "{\"a\"}", "{\"a\":}",
                         "{,", "[,]", "[1,]",    "[1 2]",     "{1:2}",   "{'a':1}", "tru",
                         "-",  "01",  "1.",      ".5",        "+1",      "0x10",    "1e",
                         "/",  "/*",  "\"\\x\"", "\"\\u12\"", "\"\\u\"", "NaN",     "Infinity"};
  for (const char* text : texts) {
    out.add(std::string("text ") + text, text, "JSON");
    add(std::string("as a parameter: ") + text,
        calls(call("bdev_malloc_create", std::string(R"({"name":)") + text)));
  }
  for (std::string_view blank : {" ", "\n", " \t\r\n ", "// nothing\n", "/* nothing */"}) {
    add("nothing but blanks", std::string(blank));
  }
  using namespace std::string_view_literals;
  for (std::string_view bytes :
       {"\0"sv, "\1"sv, "\n"sv, "\x1f"sv, "\x80"sv, "\xff"sv, "\xc0\x80"sv, "\xc3"sv,
        "\xed\xa0\x80"sv, "\xf4\x90\x80\x80"sv, "\xf8\x88\x80\x80\x80"sv, "\\ud800"sv, "\\udc00"sv,
        "\\ud800\\ud800"sv}) {
    const std::string in(bytes);
    add("bytes in a name", calls(call("bdev_malloc_create", R"({"name":"a)" + in + R"(b"})")));
    add("bytes in a method", calls(call("bdev" + in, "{}")));
    add("bytes in a key", R"({"a)" + in + R"(":1})");
  }
  return out.take();
}

std::vector<row> nestings() {
  rows out;
  for (std::size_t levels : {65u, 10'000u, 1'000'000u}) {
    const std::string arrays = repeated("[", levels) + repeated("]", levels);
    const std::string objects = repeated("{\"a\":", levels) + "1" + repeated("}", levels);
    for (const std::string* nested : {&arrays, &objects}) {
      const std::string what =
          std::to_string(levels) + (nested == &arrays ? " arrays" : " objects");
      auto add = [&](const std::string& where, std::string json) {
        out.add(what + where, std::move(json), "JSON", "nested too deeply");
      };
      add("", *nested);
      add(" in an unknown member", R"({"x":)" + *nested + R"(,"subsystems":[]})");
      add(" as a subsystem", R"({"subsystems":[)" + *nested + "]}");
      add(" as a call", calls(*nested));
      add(" as a parameter", calls(call("bdev_malloc_create", R"({"name":)" + *nested + "}")));
    }
    out.add(std::to_string(levels) + " arrays left open", repeated("[", levels), "JSON",
            "nested too deeply");
  }
  return out.take();
}

void expect_refused_then_good(const std::vector<row>& all) {
  for (const row& each : all) {
    expect_clear(run(init_subsystems(each.json)), each);
    EXPECT_TRUE(sio::list_bdevs().empty()) << each.name;
    if (testing::Test::HasFatalFailure()) return;
  }
  must(run(init_subsystems(good)));
  EXPECT_TRUE(sio::bdev::find("good"));
  expect_devices_work();
}

TEST(hostile_config, wrong_kinds_of_values_in_the_frame) {
  expect_refused_then_good(wrong_frames());
}
TEST(hostile_config, missing_unknown_and_double_members) { expect_refused_then_good(members()); }
TEST(hostile_config, texts_that_are_no_json) { expect_refused_then_good(wrong_texts()); }
TEST(hostile_config, nesting_without_end) { expect_refused_then_good(nestings()); }

TEST(hostile_config, every_beginning_of_a_good_one) {
  rows out;
  for (std::size_t length = 1; length < good.size(); ++length) {
    out.add("the first " + std::to_string(length) + " bytes", good.substr(0, length), "JSON",
            "at byte");
  }
  expect_refused_then_good(out.take());
}

TEST(hostile_config, every_byte_of_a_good_one_replaced) {
  rows out;
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (int byte : {0x00, 0x01, 0x1f, 0x80, 0xc0, 0xff}) {
      std::string json = good;
      json[at] = static_cast<char>(byte);
      out.add("byte " + std::to_string(byte) + " at " + std::to_string(at), std::move(json), "JSON",
              "at byte");
    }
  }
  expect_refused_then_good(out.take());
}

// --- parameters of the wrong kind ---

constexpr std::string_view no_numbers[] = {"\"8\"",
                                           "\"many\"",
                                           "{}",
                                           "[]",
                                           "[8]",
                                           "null",
                                           "true",
                                           "-1",
                                           "-9223372036854775809",
                                           "1.5",
                                           "1e400",
                                           "1e-400",
                                           "18446744073709551616",
                                           "36893488147419103232"};
constexpr std::string_view no_small_numbers[] = {"4294967296", "18446744073709551615", "1e10"};
constexpr std::string_view no_strings[] = {
    "5", "1e400", "{}", "[]", "[\"a\"]", "null", "false", R"("\u0000")", R"("a\u0000b")"};
constexpr std::string_view no_booleans[] = {"0", "1", "\"true\"", "null", "{}", "[true]"};

// What both say of the parameters of a call. SPDK does not say of which.
constexpr std::string_view not_decoded = "a parameter is missing";

struct parameter {
  enum class kind { number, small_number, string, boolean };
  std::string_view method;
  std::string_view key;
  kind of;
  std::string_view others;  // which the call needs besides
};

void add_wrong(rows& out, const parameter& p) {
  auto add = [&](std::string_view value) {
    std::string params = "{\"" + std::string(p.key) + "\":" + std::string(value);
    if (!p.others.empty()) params += "," + std::string(p.others);
    // lite sees no JSON there, SPDK a number that it cannot use.
    const bool beyond_double = value == "1e400";
    out.add(std::string(p.method) + ", " + std::string(p.key) + ": " + std::string(value),
            calls(call(p.method, params + "}")),
            beyond_double ? std::string() : std::string(not_decoded),
            beyond_double ? "a number is too large at byte" : "");
  };
  using enum parameter::kind;
  if (p.of == number || p.of == small_number) std::ranges::for_each(no_numbers, add);
  if (p.of == small_number) std::ranges::for_each(no_small_numbers, add);
  if (p.of == string) std::ranges::for_each(no_strings, add);
  if (p.of == boolean) std::ranges::for_each(no_booleans, add);
}

// Those of the start do not start anything.
TEST(hostile_config, wrong_kinds_of_options) {
  using enum parameter::kind;
  rows out;
  for (std::string_view key : {"bdev_io_pool_size", "bdev_io_cache_size"}) {
    add_wrong(out, {"bdev_set_options", key, small_number, {}});
  }
  add_wrong(out, {"bdev_set_options", "bdev_auto_examine", boolean, {}});
  auto add = [&](std::string_view name, std::string_view params) {
    out.add(std::string(name), calls(call("bdev_set_options", params)), std::string(not_decoded));
  };
  add("an unknown option", R"({"bdev_io_pool_sizes":512})");
  add("an option twice", R"({"bdev_io_pool_size":512,"bdev_io_pool_size":512})");
  out.add("too few", calls(call("bdev_set_options", R"({"bdev_io_pool_size":0})")), "bdev_io_pool");
  expect_refused_then_good(out.take());
}

constexpr std::string_view wanted_by_malloc = R"("name":"bad","num_blocks":8,"block_size":512)";

std::vector<row> wrong_parameters() {
  using enum parameter::kind;
  rows out;
  const parameter all[] = {
      {"bdev_malloc_create", "num_blocks", number, R"("name":"bad","block_size":512)"},
      {"bdev_malloc_create", "block_size", small_number, R"("name":"bad","num_blocks":8)"},
      {"bdev_malloc_create", "name", string, R"("num_blocks":8,"block_size":512)"},
      {"bdev_malloc_create", "uuid", string, wanted_by_malloc},
      {"bdev_malloc_create", "md_interleave", boolean, wanted_by_malloc},
  };
  for (const auto& each : all) add_wrong(out, each);
  return out.take();
}

class hostile_call : public testing::TestWithParam<row> {};

// The subsystems run, but for what is refused as a whole.
TEST_P(hostile_call, is_refused_and_devices_work) {
  if (on_spdk() && GetParam().name == "null, block size 0") {
    GTEST_SKIP() << "SPDK divides by it, which ends the process";
  }
  auto r = run(init_subsystems(GetParam().json));
  expect_clear(r, GetParam());
  EXPECT_TRUE(sio::list_bdevs().empty());
  expect_devices_work();
}

std::string test_name(const testing::TestParamInfo<row>& info) {
  std::string out;
  for (char c : info.param.name) {
    const bool fits = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (fits) out += c;
    if (!fits && !out.ends_with('_')) out += '_';
  }
  return out + "_" + std::to_string(info.index);
}

std::vector<row> call_rows() {
  auto out = wrong_parameters();
  rows more;
  auto add = [&](std::string name, std::string_view method, std::string_view params,
                 std::string says) {
    more.add(std::move(name), calls(call(method, params)), std::move(says));
  };
  const std::string decoded(not_decoded);
  const std::string huge(10'000, 'x');
  more.add("no params", calls(R"({"method":"bdev_malloc_create"})"), "");
  add("empty params", "bdev_malloc_create", "{}", decoded);
  add("no num_blocks", "bdev_malloc_create", R"({"name":"bad","block_size":512})", decoded);
  add("no block_size", "bdev_malloc_create", R"({"name":"bad","num_blocks":8})", decoded);
  add("unknown parameter", "bdev_malloc_create",
      "{" + std::string(wanted_by_malloc) + R"(,"colour":"red"})", decoded);
  add("unknown parameter of 10 kB", "bdev_malloc_create",
      "{" + std::string(wanted_by_malloc) + ",\"" + huge + "\":1}", decoded);
  add("parameter twice", "bdev_malloc_create",
      "{" + std::string(wanted_by_malloc) + R"(,"name":"bad"})", decoded);
  // Sizes that no device can have.
  auto malloc = [&](std::string name, std::string_view blocks, std::string_view block_size) {
    add("malloc, " + name, "bdev_malloc_create",
        R"({"name":"bad","num_blocks":)" + std::string(blocks) + R"(,"block_size":)" +
            std::string(block_size) + "}",
        "");
  };
  auto null = [&](std::string name, std::string_view blocks, std::string_view block_size) {
    add("null, " + name, "bdev_null_create",
        R"({"name":"bad","num_blocks":)" + std::string(blocks) + R"(,"block_size":)" +
            std::string(block_size) + "}",
        "");
  };
  malloc("no blocks", "0", "512");
  malloc("2^64-1 blocks", "18446744073709551615", "512");
  malloc("2^40 blocks", "1099511627776", "512");
  null("no blocks", "0", "512");
  for (std::string_view size : {"0", "1", "3", "511", "513", "4294967295", "2147483649"}) {
    malloc("block size " + std::string(size), "8", size);
    null("block size " + std::string(size), "8", size);
  }
  // Texts that name nothing.
  auto stacked = [&](std::string_view method, std::string_view params, std::string_view says = {}) {
    add(std::string(method), method, params, std::string(says));
  };
  stacked("bdev_aio_create", R"({"name":"bad","filename":""})");
  stacked("bdev_uring_create", R"({"name":"bad","filename":"/no/such/file"})");
  stacked("bdev_aio_create", R"({"name":"bad","filename":")" + huge + R"("})");
  stacked("bdev_aio_create", R"({"name":"bad","filename":"/dev/null\u0000x"})");
  stacked("bdev_uring_create", R"({"name":"bad","filename":"/dev/null\u0000x"})");
  stacked("bdev_split_create", R"({"base_bdev":"none","split_count":"two"})");
  stacked("bdev_split_create", R"({"base_bdev":"none\u0000","split_count":2})");
  stacked("bdev_error_inject_error",
          R"({"name":"none","io_type":"coffee","error_type":"failure"})");
  stacked("bdev_set_qos_limit", R"({"name":"none","rw_ios_per_sec":1000})");
  stacked("bdev_set_qos_limit", R"({"name":"none","rw_ios_per_sec":"fast"})");
  std::ranges::move(more.take(), std::back_inserter(out));
  return out;
}

INSTANTIATE_TEST_SUITE_P(rows, hostile_call, testing::ValuesIn(call_rows()), test_name);

}  // namespace
}  // namespace spdk_io_test
