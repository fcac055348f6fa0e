// SPDX-License-Identifier: BSD-3-Clause
// `spdk-io verify` ended by Ctrl-C and its like.
#include "verify_fixture.hpp"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <string>

namespace spdk_io_tool {
namespace {

using testing::ContainsRegex;
using testing::IsEmpty;

class verify_signals : public verify_fixture {};

// What tells a test that the job is writing: the first block has the pattern's mark.
bool writing(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  char first = 0;
  const bool begun = ::pread(fd, &first, 1, 0) == 1 && first == 's';
  ::close(fd);
  return begun;
}

void expect_clean_end(const scratch_folder& folder, int signal) {
  child_process child(folder.path(),
                      verify_command({"--size", "256M", "--block-size", "512", "--file", "x"}));
  while (child.running() && !writing(folder / "x")) ::sched_yield();
  ASSERT_TRUE(child.running()) << child.wait().err;
  child.signal(signal);
  const ended end = child.wait();
  EXPECT_EQ(end.status, 128 + signal);
  EXPECT_THAT(end.err, ContainsRegex("^spdk-io: interrupted: [0-9]+ of 524288 blocks written, "
                                     "[0-9]+ verified, 0 errors; \"x\" removed\n$"));
  EXPECT_THAT(end.out, IsEmpty());
  EXPECT_THAT(folder.files(), IsEmpty());
}

TEST_F(verify_signals, ends_cleanly_on_ctrl_c) { expect_clean_end(folder_, SIGINT); }
TEST_F(verify_signals, ends_cleanly_on_sigterm) { expect_clean_end(folder_, SIGTERM); }

TEST_F(verify_signals, keeps_a_file_that_it_did_not_make_on_ctrl_c) {
  std::ofstream(folder_ / "x") << "worthless";
  child_process child(folder_.path(), verify_command({"--size", "256M", "--block-size", "512",
                                                      "--file", "x", "--overwrite"}));
  while (child.running() && !writing(folder_ / "x")) ::sched_yield();
  child.signal(SIGINT);
  EXPECT_EQ(child.wait().status, 130);
  EXPECT_THAT(folder_.files(), testing::ElementsAre("x"));
}

// Where the parent ignores a signal (nohup, a background job), so does the command.
TEST_F(verify_signals, goes_on_when_the_signal_is_ignored) {
  child_process child(folder_.path(), verify_in_shell("trap '' INT; exec \"$0\" \"$@\"",
                                                      {"--size", "32M", "--file", "x"}));
  while (child.running() && !writing(folder_ / "x")) ::sched_yield();
  child.signal(SIGINT);
  const ended end = child.wait();
  EXPECT_EQ(end.status, 0) << end.err;
}

}  // namespace
}  // namespace spdk_io_tool
