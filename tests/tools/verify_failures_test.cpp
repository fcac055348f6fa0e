// SPDX-License-Identifier: BSD-3-Clause
// `spdk-io verify` when it cannot, or will not: one clear line, its exit code, and nothing lost.
#include "verify_fixture.hpp"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <utility>

namespace spdk_io_tool {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class verify_failures : public verify_fixture {};

TEST_F(verify_failures, leaves_an_existing_file_alone) {
  std::ofstream(folder_ / "mine") << "precious";
  const ended end = run({"--size", "8M", "--file", "mine"});
  EXPECT_EQ(end.status, 2);
  EXPECT_EQ(end.err,
            "spdk-io: \"mine\" exists already: give --overwrite to destroy what it holds\n");
  EXPECT_EQ(content("mine"), "precious");
}

TEST_F(verify_failures, refuses_what_is_no_file) {
  expect_failure({"--file", folder_.path()}, 2, "neither a regular file nor a block device");
  expect_failure({"--file", "/dev/null", "--overwrite"}, 2, "neither a regular file nor");
}

TEST_F(verify_failures, refuses_a_block_device) {
  for (const char* device : {"/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/loop0", "/dev/ram0"}) {
    struct stat about = {};
    if (::stat(device, &about) != 0 || !S_ISBLK(about.st_mode)) continue;
    expect_failure({"--file", device}, 2, "is a block device: give --overwrite");
    return;
  }
  GTEST_SKIP() << "no block device to be refused on this machine";
}

TEST_F(verify_failures, says_why_a_path_cannot_be_written) {
  expect_failure({"--file", "no/such/folder/x"}, 1, "No such file or directory");
  expect_failure({"--file", "/proc/x"}, 1, "cannot create \"/proc/x\"");
}

TEST_F(verify_failures, says_why_an_argument_is_wrong) {
  expect_failure({"--bogus"}, 2, "--bogus");
  expect_failure({"extra"}, 2, "extra");
  expect_failure({"--size", "12X"}, 2, "\"12X\" is not a size");
  expect_failure({"--size", "0"}, 2, "--size 0 is not a multiple");
  expect_failure({"--size", "5000"}, 2, "is not a multiple");
  expect_failure({"--block-size", "1000"}, 2, "--block-size 1000");
  expect_failure({"--depth", "0"}, 2, "--depth 0");
  expect_failure({"--depth", "many"}, 2, "many");
  expect_failure({"--seed", "0xzz"}, 2, "\"0xzz\" is not a 64-bit number");
  expect_failure({"--device", "floppy"}, 2, "\"floppy\" is none of");
  expect_failure({"--device", "null"}, 2, "nothing to verify");
  expect_failure({"--device", "malloc", "--file", "x"}, 2, "has no file");
  expect_failure({"--idle", "sleep"}, 2, "\"sleep\" is none of");
  expect_failure({"--size", "8M", "--corrupt-block", "2048"}, 2, "the blocks are 0 to 2047");
}

// Before anything is made: the kernel would end the process, and leave the file.
TEST_F(verify_failures, refuses_more_memory_than_there_is) {
  expect_failure({"--depth", "65536", "--block-size", "64M", "--size", "4T"}, 1,
                 "not enough memory for --depth 65536");
  expect_failure({"--device", "malloc", "--size", "4T"}, 1, "not enough memory");
}

TEST_F(verify_failures, needs_a_subcommand) {
  const ended end = child_process(folder_.path(), {SPDK_IO_COMMAND}).wait();
  EXPECT_EQ(end.status, 2);
  EXPECT_THAT(end.err, HasSubstr("subcommand"));
}

class small_file_system {
 public:
  explicit small_file_system(std::string where) : where_(std::move(where)) {
    ::mkdir(where_.c_str(), 0700);
    mounted_ = ::mount("tmpfs", where_.c_str(), "tmpfs", 0, "size=4m") == 0;
  }
  ~small_file_system() {
    if (mounted_) ::umount2(where_.c_str(), MNT_DETACH);
    ::rmdir(where_.c_str());
  }
  bool mounted() const noexcept { return mounted_; }

 private:
  std::string where_;
  bool mounted_;
};

TEST_F(verify_failures, finds_a_full_disk_before_any_io) {
  small_file_system full(folder_ / "full");
  if (!full.mounted()) GTEST_SKIP() << "mounting a small file system needs privileges";
  const ended end = run({"--size", "8M", "--file", "full/x"});
  EXPECT_EQ(end.status, 1);
  EXPECT_EQ(end.err,
            "spdk-io: no room for \"full/x\": 8 MiB needed, 4 MiB free on its file "
            "system\n");
  EXPECT_NE(::access((folder_ / "full/x").c_str(), F_OK), 0);
}

TEST_F(verify_failures, leaves_an_existing_file_alone_when_there_is_no_room) {
  small_file_system full(folder_ / "full");
  if (!full.mounted()) GTEST_SKIP() << "mounting a small file system needs privileges";
  std::ofstream(folder_ / "full/mine") << "still here";
  const ended end = run({"--size", "8M", "--file", "full/mine", "--overwrite"});
  EXPECT_EQ(end.status, 1);
  EXPECT_THAT(end.err, HasSubstr("no room for \"full/mine\""));
  EXPECT_EQ(content("full/mine"), "still here");
}

TEST_F(verify_failures, says_when_files_may_not_be_that_large) {
  const ended end = run_in_shell("ulimit -f 1024; exec \"$0\" \"$@\"", {"--size", "8M"});
  EXPECT_EQ(end.status, 1);
  EXPECT_THAT(end.err, HasSubstr("File too large"));
  EXPECT_THAT(folder_.files(), IsEmpty());
}

TEST_F(verify_failures, fails_when_the_report_cannot_be_written) {
  if (::access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full here";
  const ended end = run_in_shell("exec \"$0\" \"$@\" > /dev/full", {"--size", "1M"});
  EXPECT_EQ(end.status, 1);
  EXPECT_EQ(end.err, "spdk-io: cannot write the report\n");
  EXPECT_THAT(folder_.files(), IsEmpty());
}

}  // namespace
}  // namespace spdk_io_tool
