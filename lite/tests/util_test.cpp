// SPDX-License-Identifier: BSD-3-Clause
// CPU sets, strings, UUIDs, iovec copies and the log.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "spdk/cpuset.h"
#include "spdk/log.h"
#include "spdk/string.h"
#include "spdk/util.h"
#include "spdk/uuid.h"

namespace {

struct c_free {
  void operator()(void* p) const { std::free(p); }
};
using c_string = std::unique_ptr<char, c_free>;

std::string parsed(const char* mask) {
  spdk_cpuset set{};
  return spdk_cpuset_parse(&set, mask) == 0 ? spdk_cpuset_fmt(&set) : "invalid";
}

TEST(cpuset_test, text_forms) {
  EXPECT_EQ(parsed("0x1"), "1");
  EXPECT_EQ(parsed("F0f"), "f0f");
  EXPECT_EQ(parsed(" 0xff "), "ff");
  EXPECT_EQ(parsed("1,00000000"), "100000000");
  EXPECT_EQ(parsed("[0,2-4]"), "1d");
  EXPECT_EQ(parsed("[ 1 , 3 - 4 ]"), "1a");
  EXPECT_EQ(parsed("[64]"), "10000000000000000");
  for (const char* bad : {"", "xyz", "[", "[]", "[1", "[1-]", "[3-2]", "[a]", "[1024]"}) {
    EXPECT_EQ(parsed(bad), "invalid") << bad;
  }
  EXPECT_NE(spdk_cpuset_parse(nullptr, "1"), 0);
  spdk_cpuset set{};
  EXPECT_NE(spdk_cpuset_parse(&set, nullptr), 0);
}

TEST(cpuset_test, operations) {
  spdk_cpuset a{};
  spdk_cpuset b{};
  spdk_cpuset_parse(&a, "0b");
  spdk_cpuset_parse(&b, "06");
  spdk_cpuset c = a;
  spdk_cpuset_and(&c, &b);
  EXPECT_STREQ(spdk_cpuset_fmt(&c), "2");
  spdk_cpuset_copy(&c, &a);
  EXPECT_TRUE(spdk_cpuset_equal(&c, &a));
  spdk_cpuset_or(&c, &b);
  EXPECT_STREQ(spdk_cpuset_fmt(&c), "f");
  spdk_cpuset_copy(&c, &a);
  spdk_cpuset_xor(&c, &b);
  EXPECT_STREQ(spdk_cpuset_fmt(&c), "d");
  EXPECT_FALSE(spdk_cpuset_equal(&c, &a));
  spdk_cpuset_negate(&c);
  EXPECT_EQ(spdk_cpuset_count(&c), 1024u - 3u);
  spdk_cpuset_zero(&c);
  EXPECT_EQ(spdk_cpuset_count(&c), 0u);
  EXPECT_STREQ(spdk_cpuset_fmt(&c), "0");
  spdk_cpuset_set_cpu(&c, 1023, true);
  EXPECT_TRUE(spdk_cpuset_get_cpu(&c, 1023));
  spdk_cpuset_set_cpu(&c, 1023, false);
  EXPECT_FALSE(spdk_cpuset_get_cpu(&c, 1023));
  std::vector<std::uint32_t> members;
  spdk_cpuset_for_each_cpu(
      &a,
      [](void* ctx, std::uint32_t cpu) {
        static_cast<std::vector<std::uint32_t>*>(ctx)->push_back(cpu);
      },
      &members);
  EXPECT_EQ(members, (std::vector<std::uint32_t>{0, 1, 3}));
  spdk_cpuset* const allocated = spdk_cpuset_alloc();
  EXPECT_EQ(spdk_cpuset_count(allocated), 0u);
  spdk_cpuset_free(allocated);
}

TEST(string_test, formatting) {
  c_string text{spdk_sprintf_alloc("%s-%d", "a", 1)};
  EXPECT_STREQ(text.get(), "a-1");
  text.reset(spdk_sprintf_append_realloc(text.release(), "+%d", 22));
  EXPECT_STREQ(text.get(), "a-1+22");
}

TEST(string_test, trimming) {
  std::array<char, 32> text{};
  std::strcpy(text.data(), " \t a b \n");
  EXPECT_STREQ(spdk_str_trim(text.data()), "a b");
  std::strcpy(text.data(), "  ");
  EXPECT_STREQ(spdk_str_trim(text.data()), "");
  std::strcpy(text.data(), "line\r\n\n");
  EXPECT_EQ(spdk_str_chomp(text.data()), 3u);
  EXPECT_STREQ(text.data(), "line");
  std::strcpy(text.data(), "MiXed");
  EXPECT_STREQ(spdk_strlwr(text.data()), "mixed");
  EXPECT_EQ(spdk_str_trim(nullptr), nullptr);
}

std::vector<std::string> separated(const char* line) {
  std::string copy{line};
  char* position = copy.data();
  std::vector<std::string> fields;
  while (const char* const field = spdk_strsepq(&position, " ,")) {
    fields.emplace_back(field);
  }
  return fields;
}

TEST(string_test, quoted_fields) {
  using fields = std::vector<std::string>;
  EXPECT_EQ(separated("a b,  c"), (fields{"a", "b", "c"}));
  EXPECT_EQ(separated("'a b' \"c, d\"e f\\ g"), (fields{"a b", "c, de", "f g"}));
  EXPECT_EQ(separated("\"a\\\"b\" 'c\\d'"), (fields{"a\"b", "c\\d"}));
  EXPECT_EQ(separated("a "), (fields{"a"}));
}

TEST(string_test, padding) {
  std::array<char, 6> field{};
  spdk_strcpy_pad(field.data(), "abc", field.size(), ' ');
  EXPECT_EQ(std::string(field.data(), field.size()), "abc   ");
  EXPECT_EQ(spdk_strlen_pad(field.data(), field.size(), ' '), 3u);
  spdk_strcpy_pad(field.data(), "abcdefgh", field.size(), ' ');
  EXPECT_EQ(std::string(field.data(), field.size()), "abcdef");
  EXPECT_EQ(spdk_strlen_pad("", 0, ' '), 0u);
}

TEST(string_test, network_addresses) {
  struct split {
    std::string host, port;
  };
  const auto parse = [](const char* address) -> split {
    std::string copy{address};
    char* host = nullptr;
    char* port = nullptr;
    if (spdk_parse_ip_addr(copy.data(), &host, &port) != 0) {
      return {"invalid", ""};
    }
    return {host, port != nullptr ? port : "none"};
  };
  EXPECT_EQ(parse("10.0.0.1:80").host, "10.0.0.1");
  EXPECT_EQ(parse("10.0.0.1:80").port, "80");
  EXPECT_EQ(parse("10.0.0.1").port, "none");
  EXPECT_EQ(parse("10.0.0.1:").port, "none");
  EXPECT_EQ(parse("[::1]:80").host, "::1");
  EXPECT_EQ(parse("[::1]:80").port, "80");
  EXPECT_EQ(parse("[::1").host, "invalid");
  EXPECT_EQ(parse("[::1]x").host, "invalid");
}

TEST(string_test, capacities) {
  std::uint64_t bytes = 0;
  bool prefix = true;
  EXPECT_EQ(spdk_parse_capacity("512", &bytes, &prefix), 0);
  EXPECT_EQ(bytes, 512u);
  EXPECT_FALSE(prefix);
  EXPECT_EQ(spdk_parse_capacity("4K", &bytes, &prefix), 0);
  EXPECT_EQ(bytes, 4096u);
  EXPECT_TRUE(prefix);
  EXPECT_EQ(spdk_parse_capacity("2gB", &bytes, nullptr), 0);
  EXPECT_EQ(bytes, std::uint64_t{2} << 30);
  EXPECT_LT(spdk_parse_capacity("12x", &bytes, nullptr), 0);
}

TEST(string_test, numbers) {
  EXPECT_EQ(spdk_strtol("42", 10), 42);
  EXPECT_EQ(spdk_strtol("0x2a", 0), 42);
  EXPECT_EQ(spdk_strtol("42x", 10), -EINVAL);
  EXPECT_EQ(spdk_strtol("-1", 10), -ERANGE);
  EXPECT_EQ(spdk_strtoll("9223372036854775807", 10), INT64_MAX);
  EXPECT_EQ(spdk_strtoll("9223372036854775808", 10), -ERANGE);
}

TEST(string_test, arrays) {
  char** const fields = spdk_strarray_from_string("a:b;:c", ":;");
  ASSERT_NE(fields, nullptr);
  std::vector<std::string> seen;
  for (char** field = fields; *field != nullptr; ++field) {
    seen.emplace_back(*field);
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"a", "b", "", "c"}));
  char** const copy = spdk_strarray_dup(const_cast<const char**>(fields));
  EXPECT_STREQ(copy[3], "c");
  EXPECT_EQ(copy[4], nullptr);
  EXPECT_NE(copy[0], fields[0]);
  spdk_strarray_free(copy);
  spdk_strarray_free(fields);
  spdk_strarray_free(nullptr);
}

TEST(string_test, replacement) {
  std::array<char, 12> text{};
  EXPECT_EQ(spdk_strcpy_replace(text.data(), text.size(), "a.b.c", ".", "--"), 0);
  EXPECT_STREQ(text.data(), "a--b--c");
  EXPECT_EQ(spdk_strcpy_replace(text.data(), 7, "a.b.c", ".", "--"), -EINVAL);
  EXPECT_EQ(spdk_strcpy_replace(nullptr, 7, "a", ".", "-"), -EINVAL);
}

TEST(string_test, error_texts) {
  EXPECT_STREQ(spdk_strerror(ENOMEM), "Cannot allocate memory");
  std::array<char, 8> small{};
  spdk_strerror_r(ENOMEM, small.data(), small.size());
  EXPECT_STREQ(small.data(), "Cannot ");
  const std::array<char, 3> zeros{};
  EXPECT_TRUE(spdk_mem_all_zero(zeros.data(), zeros.size()));
  EXPECT_FALSE(spdk_mem_all_zero("\0x", 2));
}

TEST(uuid_test, text_forms) {
  spdk_uuid uuid{};
  std::array<char, SPDK_UUID_STRING_LEN> text{};
  EXPECT_EQ(spdk_uuid_parse(&uuid, "00112233-4455-6677-8899-AABBCCDDEEFF"), 0);
  EXPECT_EQ(uuid.u.raw[0], 0x00);
  EXPECT_EQ(uuid.u.raw[15], 0xff);
  EXPECT_EQ(spdk_uuid_fmt_lower(text.data(), text.size(), &uuid), 0);
  EXPECT_STREQ(text.data(), "00112233-4455-6677-8899-aabbccddeeff");
  EXPECT_EQ(spdk_uuid_fmt_lower(text.data(), text.size() - 1, &uuid), -EINVAL);
  EXPECT_EQ(spdk_uuid_parse(&uuid, "00112233-4455-6677-8899-AABBCCDDEEF"), -EINVAL);
  EXPECT_EQ(spdk_uuid_parse(&uuid, "00112233x4455-6677-8899-AABBCCDDEEFF"), -EINVAL);
  EXPECT_EQ(spdk_uuid_parse(&uuid, "g0112233-4455-6677-8899-AABBCCDDEEFF"), -EINVAL);
  EXPECT_EQ(spdk_uuid_parse(&uuid, ""), -EINVAL);
}

TEST(uuid_test, generation_and_comparison) {
  spdk_uuid a{};
  spdk_uuid b{};
  EXPECT_TRUE(spdk_uuid_is_null(&a));
  spdk_uuid_generate(&a);
  spdk_uuid_generate(&b);
  EXPECT_FALSE(spdk_uuid_is_null(&a));
  EXPECT_NE(spdk_uuid_compare(&a, &b), 0);
  EXPECT_EQ(a.u.raw[6] >> 4, 4);
  spdk_uuid_copy(&b, &a);
  EXPECT_EQ(spdk_uuid_compare(&a, &b), 0);
  spdk_uuid_set_null(&b);
  EXPECT_TRUE(spdk_uuid_is_null(&b));
}

TEST(uuid_test, from_a_name) {
  // The example of RFC 9562, appendix A.4: "www.example.com" in the DNS namespace.
  spdk_uuid dns{};
  ASSERT_EQ(spdk_uuid_parse(&dns, "6ba7b810-9dad-11d1-80b4-00c04fd430c8"), 0);
  const std::string name = "www.example.com";
  spdk_uuid uuid{};
  EXPECT_EQ(spdk_uuid_generate_sha1(&uuid, &dns, name.data(), name.size()), 0);
  std::array<char, SPDK_UUID_STRING_LEN> text{};
  spdk_uuid_fmt_lower(text.data(), text.size(), &uuid);
  EXPECT_STREQ(text.data(), "2ed6657d-e927-568b-95e1-2665a8aea6a2");
}

TEST(util_test, logarithms) {
  EXPECT_EQ(spdk_u32log2(0), 0u);
  EXPECT_EQ(spdk_u32log2(1), 0u);
  EXPECT_EQ(spdk_u32log2(4096), 12u);
  EXPECT_EQ(spdk_u64log2((std::uint64_t{1} << 40) + 5), 40u);
}

TEST(util_test, iovec_copies) {
  std::string source = "abcdefghij";
  std::array<char, 10> target{};
  std::array<iovec, 2> in{{{source.data(), 3}, {source.data() + 3, 7}}};
  std::array<iovec, 2> out{{{target.data(), 5}, {target.data() + 5, 3}}};
  EXPECT_EQ(spdk_iovcpy(in.data(), in.size(), out.data(), out.size()), 8u);
  EXPECT_EQ(std::string(target.data(), 8), "abcdefgh");
  std::array<char, 10> flat{};
  spdk_copy_iovs_to_buf(flat.data(), 6, in.data(), static_cast<int>(in.size()));
  EXPECT_EQ(std::string(flat.data(), 6), "abcdef");
  std::string text = "0123456789";
  spdk_copy_buf_to_iovs(out.data(), static_cast<int>(out.size()), text.data(), text.size());
  EXPECT_EQ(std::string(target.data(), 8), "01234567");
  spdk_iov_memset(out.data(), static_cast<int>(out.size()), 'z');
  EXPECT_EQ(std::string(target.data(), 8), "zzzzzzzz");
  spdk_iov_xfer position{};
  spdk_iov_xfer_init(&position, out.data(), static_cast<int>(out.size()));
  EXPECT_EQ(spdk_iov_xfer_from_buf(&position, "12", 2), 2u);
  EXPECT_EQ(spdk_iov_xfer_from_buf(&position, "345678", 6), 6u);
  EXPECT_EQ(spdk_iov_xfer_from_buf(&position, "9", 1), 0u);
  EXPECT_EQ(std::string(target.data(), 8), "12345678");
}

TEST(util_test, iovec_copy_ends_at_an_empty_segment) {
  std::string source = "abcdef";
  std::array<char, 6> target{};
  std::array<iovec, 3> in{{{source.data(), 2}, {source.data() + 2, 0}, {source.data() + 2, 4}}};
  iovec out{target.data(), target.size()};
  EXPECT_EQ(spdk_iovcpy(in.data(), in.size(), &out, 1), 2u);
  EXPECT_EQ(std::string(target.data(), 3), std::string("ab\0", 3));
}

TEST(util_test, overlapping_iovecs) {
  std::string text = "abcdef";
  iovec from{text.data(), 5};
  iovec to{text.data() + 1, 5};
  EXPECT_EQ(spdk_iovmove(&from, 1, &to, 1), 5u);
  EXPECT_EQ(text, "aabcde");
}

// ---- the log ----

std::vector<std::string> messages;

void keep(int level, const char*, int, const char* function, const char* format, va_list args) {
  std::array<char, 100> text{};
  std::vsnprintf(text.data(), text.size(), format, args);
  messages.push_back(std::to_string(level) + " " + (function != nullptr ? function : "-") + " " +
                     text.data());
}

class log_test : public testing::Test {
 protected:
  void SetUp() override { messages.clear(); }
  void TearDown() override {
    spdk_log_close();
    spdk_log_set_level(SPDK_LOG_ERROR);
    spdk_log_set_print_level(SPDK_LOG_ERROR);
    spdk_log_enable_timestamps(true);
  }
};

void log_something() { SPDK_ERRLOG("number %d", 5); }

TEST_F(log_test, starts_at_the_error_level) {
  EXPECT_EQ(spdk_log_get_level(), SPDK_LOG_ERROR);
  EXPECT_EQ(spdk_log_get_print_level(), SPDK_LOG_ERROR);
}

TEST_F(log_test, own_function_gets_messages_of_all_levels) {
  spdk_log_open(keep);
  log_something();
  spdk_log(SPDK_LOG_DEBUG, nullptr, -1, nullptr, "debug");
  EXPECT_EQ(messages, (std::vector<std::string>{"0 log_something number 5", "4 - debug"}));
}

TEST_F(log_test, print_level_governs_stderr) {
  spdk_log_set_level(SPDK_LOG_DISABLED);
  testing::internal::CaptureStderr();
  SPDK_NOTICELOG("hidden\n");
  SPDK_ERRLOG("shown\n");
  spdk_log_set_print_level(SPDK_LOG_NOTICE);
  SPDK_NOTICELOG("noted\n");
  SPDK_PRINTF("plain\n");
  spdk_log_set_print_level(SPDK_LOG_DISABLED);
  SPDK_ERRLOG("silent\n");
  const std::string output = testing::internal::GetCapturedStderr();
  EXPECT_EQ(output.find("hidden"), std::string::npos);
  EXPECT_NE(output.find("*ERROR*: shown\n"), std::string::npos);
  EXPECT_NE(output.find("util_test.cpp"), std::string::npos);
  EXPECT_NE(output.find("*NOTICE*: noted\n"), std::string::npos);
  EXPECT_NE(output.find("] plain\n"), std::string::npos);
  EXPECT_EQ(output.find("silent"), std::string::npos);
}

TEST_F(log_test, timestamps_can_be_left_out) {
  spdk_log_set_level(SPDK_LOG_DISABLED);
  spdk_log_set_print_level(SPDK_LOG_NOTICE);
  spdk_log_enable_timestamps(false);
  testing::internal::CaptureStderr();
  SPDK_PRINTF("%s\n", std::string(2000, 'x').c_str());
  EXPECT_EQ(testing::internal::GetCapturedStderr(), std::string(2000, 'x') + "\n");
}

int opened = 0;

TEST_F(log_test, open_and_close_get_their_context) {
  spdk_log_opts opts{};
  opts.size = sizeof opts;
  opts.open = [](void* ctx) { opened += *static_cast<int*>(ctx); };
  opts.close = [](void* ctx) { opened -= *static_cast<int*>(ctx); };
  int weight = 3;
  opts.user_ctx = &weight;
  spdk_log_open_ext(&opts);
  EXPECT_EQ(opened, 3);
  spdk_log_close();
  EXPECT_EQ(opened, 0);
  // Fields beyond the struct's stated size are not looked at.
  opts.size = offsetof(spdk_log_opts, open);
  opts.log = keep;
  spdk_log_open_ext(&opts);
  EXPECT_EQ(opened, 0);
  log_something();
  EXPECT_EQ(messages.size(), 1u);
}

TEST_F(log_test, syslog_levels) {
  EXPECT_EQ(spdk_log_to_syslog_level(SPDK_LOG_DISABLED), -1);
  EXPECT_EQ(spdk_log_to_syslog_level(SPDK_LOG_ERROR), LOG_ERR);
  EXPECT_EQ(spdk_log_to_syslog_level(SPDK_LOG_DEBUG), LOG_INFO);
}

spdk_log_flag flag_b{{nullptr, nullptr}, "testflag_b", false};
spdk_log_flag flag_a{{nullptr, nullptr}, "testflag_a", false};

TEST_F(log_test, flags) {
  spdk_log_register_flag("testflag_b", &flag_b);
  spdk_log_register_flag("testflag_a", &flag_a);
  std::vector<std::string> names;
  for (auto* flag = spdk_log_get_first_flag(); flag != nullptr;
       flag = spdk_log_get_next_flag(flag)) {
    names.emplace_back(flag->name);
  }
  EXPECT_EQ(std::ranges::count(names, "testflag_a"), 1);
  EXPECT_TRUE(std::ranges::is_sorted(names));
  EXPECT_EQ(spdk_log_set_flag("TESTFLAG_a"), 0);
  EXPECT_TRUE(spdk_log_get_flag("testflag_a"));
  EXPECT_FALSE(spdk_log_get_flag("testflag_b"));
  EXPECT_EQ(spdk_log_set_flag("testflag_*"), 0);
  EXPECT_TRUE(flag_b.enabled);
  EXPECT_EQ(spdk_log_clear_flag("all"), 0);
  EXPECT_FALSE(flag_a.enabled);
  EXPECT_EQ(spdk_log_set_flag("no_such_flag"), -EINVAL);
  EXPECT_FALSE(spdk_log_get_flag("no_such_flag"));
}

}  // namespace
