// SPDX-License-Identifier: BSD-3-Clause
// `spdk-io verify` from outside: what it does, prints, finds, and removes afterwards.
#include "pattern.hpp"
#include "verify_fixture.hpp"

#include <cstddef>
#include <cstdlib>
#include <span>
#include <string>

namespace spdk_io_tool {
namespace {

using testing::ContainsRegex;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class verify : public verify_fixture {};

TEST_F(verify, reports_and_removes_its_file) {
  const ended end = run({"--size", "8M"});
  EXPECT_EQ(end.status, 0) << end.err;
  EXPECT_THAT(end.out, HasSubstr("provider: "));
  EXPECT_THAT(end.out, HasSubstr("8 MiB in 2048 blocks of 4 KiB"));
  EXPECT_THAT(end.out, HasSubstr("32 requests in flight"));
  EXPECT_THAT(end.out, ContainsRegex("MiB/s +IOPS +time +p50 +p99 +p99.9 +max\n"));
  EXPECT_THAT(end.out, ContainsRegex("\n  write +[0-9.]+ +[0-9]+ "));
  EXPECT_THAT(end.out, ContainsRegex("\n  read +[0-9.]+ +[0-9]+ "));
  EXPECT_THAT(end.out, ContainsRegex("every 1 ms: fired [0-9]+ times, .* worst "));
  EXPECT_THAT(end.out, ContainsRegex("[0-9]+ requests? waited for memory"));
  EXPECT_THAT(end.out, EndsWith("\nverified 2048 blocks, 0 errors\n"));
  EXPECT_THAT(end.err, IsEmpty());
  EXPECT_THAT(folder_.files(), IsEmpty());
}

TEST_F(verify, prints_plain_text_when_piped) {
  const ended end = run({"--size", "8M"});
  EXPECT_EQ(end.status, 0) << end.err;
  EXPECT_THAT(end.out + end.err, Not(HasSubstr("\x1b")));
  EXPECT_THAT(end.out + end.err, Not(HasSubstr("\r")));
}

TEST_F(verify, shows_its_progress_on_a_terminal) {
  ::setenv("TERM", "xterm", 1);
  child_process child(folder_.path(), verify_command({"--size", "8M"}),
                      child_process::on::terminal);
  const ended end = child.wait();
  EXPECT_EQ(end.status, 0) << end.out;
  EXPECT_THAT(end.out, ContainsRegex("\rwrite +[0-9]+ %"));
  EXPECT_THAT(end.out, HasSubstr("\x1b[K"));
  EXPECT_THAT(end.out, HasSubstr("verified 2048 blocks, 0 errors"));
}

TEST_F(verify, runs_on_every_kind_of_device) {
  for (const arguments& rest : {arguments{"--device", "uring", "--idle", "spin"},
                                arguments{"--device", "aio", "--block-size", "64k"},
                                arguments{"--device", "malloc", "--block-size", "512"},
                                arguments{"--depth", "1", "--block-size", "512"},
                                arguments{"--depth", "1000", "--block-size", "12k"}}) {
    arguments all = rest;
    all.insert(all.end(), {"--size", "1536k"});
    const ended end = run(all);
    SCOPED_TRACE(testing::PrintToString(rest));
    EXPECT_EQ(end.status, 0) << end.err;
    EXPECT_THAT(end.out, HasSubstr(" blocks, 0 errors\n"));
    EXPECT_THAT(folder_.files(), IsEmpty());
  }
}

// The file, read here without SPDK, holds what the options say.
TEST_F(verify, really_writes_the_pattern) {
  const ended end =
      run({"--size", "2M", "--file", "kept", "--keep", "--seed", "0x2a", "--generation", "7"});
  EXPECT_EQ(end.status, 0) << end.err;
  EXPECT_THAT(end.out, HasSubstr("seed 0x2a, generation 7"));
  EXPECT_THAT(end.out, HasSubstr("kept kept\n"));
  const std::string data = content("kept");
  ASSERT_EQ(data.size(), 2u << 20);
  const pattern expected(42, 7);
  for (std::size_t block = 0; block < data.size() / 4096; ++block) {
    auto bytes = std::as_bytes(std::span(data)).subspan(block * 4096, 4096);
    auto wrong = expected.check(block, bytes);
    EXPECT_FALSE(wrong) << expected.explain(*wrong) << " in block " << block;
  }
}

TEST_F(verify, finds_a_corrupted_byte) {
  for (const char* device : {"uring", "aio"}) {
    const ended end = run({"--size", "8M", "--device", device, "--corrupt-block", "1234"});
    EXPECT_EQ(end.status, 1) << end.err;
    EXPECT_THAT(end.out, EndsWith("\nverified 2048 blocks, 1 error at block 1234\n"));
    EXPECT_THAT(end.out, ContainsRegex("\n  block 1234: byte [0-9]+ of the block is 0x.. "));
    EXPECT_THAT(folder_.files(), IsEmpty());
  }
}

TEST_F(verify, overwrites_when_told_to_and_keeps_what_it_did_not_make) {
  std::ofstream(folder_ / "mine") << "worthless";
  const ended end = run({"--size", "2M", "--file", "mine", "--overwrite"});
  EXPECT_EQ(end.status, 0) << end.err;
  EXPECT_EQ(content("mine").size(), 2u << 20);
}

TEST_F(verify, tells_its_version_and_provider) {
  const ended end = child_process(folder_.path(), {SPDK_IO_COMMAND, "--version"}).wait();
  EXPECT_EQ(end.status, 0);
  EXPECT_THAT(end.out, ContainsRegex("^spdk-io [0-9.]+ on .*provider: (spdk|lite)"));
}

}  // namespace
}  // namespace spdk_io_tool
