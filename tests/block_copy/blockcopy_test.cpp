// SPDX-License-Identifier: BSD-3-Clause
// The program from outside: what it does to files, what it says, how it ends.
#include "child_process.hpp"
#include "crc32c.hpp"
#include "texts.hpp"

#include <gtest/gtest.h>

#include <sched.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <random>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

namespace {

using spdk_io_tool::child_process;
using spdk_io_tool::ended;

constexpr std::size_t size = 1 << 20;

std::string text_of(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string checksum_of(std::string_view text) {
  return block_copy::hexadecimal(crc32c_of(std::as_bytes(std::span(text))));
}

class blockcopy : public testing::Test {
 protected:
  void SetUp() override {
    std::mt19937 random(1);
    for (char& each : content) each = static_cast<char>(random() | 1);  // no zeroes
    std::ofstream(folder / "from.img", std::ios::binary) << content;
    std::ofstream(folder / "to.img").close();
    std::filesystem::resize_file(folder / "to.img", size);
  }
  static std::vector<std::string> command(std::initializer_list<std::string> arguments) {
    std::vector<std::string> all{BLOCKCOPY};
    all.insert(all.end(), arguments);
    return all;
  }
  ended copy(std::initializer_list<std::string> arguments) {
    return child_process(folder.path(), command(arguments)).wait();
  }
  std::string copied() const { return text_of(folder / "to.img"); }

  // A device "slow" that reads from.img, as slowly as said.
  void make_slow_device(int microseconds) {
    const std::string latency = std::to_string(microseconds);
    std::ofstream(folder / "slow.json")
        << R"({"subsystems": [{"subsystem": "bdev", "config": [
             {"method": "bdev_aio_create",
              "params": {"name": "base", "filename": "from.img", "block_size": 512}},
             {"method": "bdev_delay_create",
              "params": {"base_bdev_name": "base", "name": "slow", "avg_read_latency": )"
        << latency << R"(, "p99_read_latency": )" << latency
        << R"(, "avg_write_latency": 0, "p99_write_latency": 0}}]}]})";
  }

  spdk_io_tool::scratch_folder folder;
  std::string content = std::string(size, ' ');
};

TEST_F(blockcopy, a_file) {
  const ended end = copy({"from.img", "to.img"});
  EXPECT_EQ(end.status, 0);
  EXPECT_EQ(end.err, "");
  EXPECT_EQ(end.out,
            "1048576 bytes copied, 1048576 verified, CRC-32C " + checksum_of(content) + '\n');
  EXPECT_EQ(copied(), content);
}

TEST_F(blockcopy, a_part_to_another_place) {
  const ended end = copy({"--offset", "100", "--length", "5001", "--to", "9000", "--chunk", "600",
                          "--progress", "from.img", "to.img"});
  EXPECT_EQ(end.status, 0) << end.err;
  EXPECT_NE(end.err.find("copied 5001 of 5001 bytes\n"), std::string::npos) << end.err;
  EXPECT_NE(end.err.find("verified 5001 of 5001 bytes\n"), std::string::npos) << end.err;
  std::string wanted(size, '\0');
  wanted.replace(9000, 5001, content, 100, 5001);
  EXPECT_EQ(copied(), wanted);
}

TEST_F(blockcopy, to_memory) {
  EXPECT_EQ(copy({"from.img", "malloc:1M:4k"}).status, 0);
  const ended end = copy({"from.img", "malloc:512k"});
  EXPECT_EQ(end.status, 1);
  EXPECT_EQ(end.err,
            "blockcopy: write of 1048576 bytes at 0 to destination: past the end (device has "
            "524288 bytes)\n");
}

TEST_F(blockcopy, mistakes) {
  ended end = copy({"from.img"});
  EXPECT_EQ(end.status, 2);
  EXPECT_EQ(end.err,
            "blockcopy: one SOURCE and one DESTINATION are needed (see blockcopy --help)\n");
  end = copy({"from.img", "nowhere.img"});
  EXPECT_EQ(end.status, 1);
  EXPECT_NE(end.err.find("nowhere.img"), std::string::npos) << end.err;
  end = copy({"--help"});
  EXPECT_EQ(end.status, 0);
  EXPECT_NE(end.out.find("--resume-from"), std::string::npos);
}

TEST_F(blockcopy, the_same_file_by_another_name) {
  std::filesystem::create_symlink("from.img", folder / "link.img");
  const ended end = copy({"from.img", "uring:link.img"});
  EXPECT_EQ(end.status, 1);
  EXPECT_EQ(end.err, "blockcopy: link.img is the same file on both sides\n");
}

// Which would be missing.
TEST_F(blockcopy, the_end_of_a_file_that_is_no_block) {
  std::filesystem::resize_file(folder / "from.img", size - 412);
  const ended end = copy({"from.img", "to.img"});
  EXPECT_EQ(end.status, 1);
  EXPECT_EQ(end.out, "");
  EXPECT_NE(end.err.find("from.img"), std::string::npos) << end.err;
  EXPECT_EQ(copied(), std::string(size, '\0'));
}

TEST_F(blockcopy, a_destination_that_is_claimed) {
  make_slow_device(0);
  const ended end = copy({"--config", "slow.json", "to.img", "bdev:base"});
  EXPECT_EQ(end.status, 1);
  EXPECT_NE(end.err.find("claimed by a module of SPDK"), std::string::npos) << end.err;
  EXPECT_EQ(text_of(folder / "from.img"), content);
}

TEST_F(blockcopy, an_error_of_the_source) {
  std::ofstream(folder / "faulty.json") << R"({"subsystems": [{"subsystem": "bdev", "config": [
      {"method": "bdev_aio_create",
       "params": {"name": "base", "filename": "from.img", "block_size": 512}},
      {"method": "bdev_error_create", "params": {"base_name": "base"}},
      {"method": "bdev_error_inject_error",
       "params": {"name": "EE_base", "io_type": "read", "error_type": "failure", "num": 1}}]}]})";
  const ended end = copy({"--config", "faulty.json", "--no-verify", "--resume-from", "512k",
                          "--chunk", "64k", "bdev:EE_base", "to.img"});
  EXPECT_EQ(end.status, 1);
  EXPECT_EQ(end.out, "");
  EXPECT_EQ(end.err,
            "blockcopy: read of 65536 bytes at 524288 from EE_base: internal device error (NVMe "
            "0/06h)\nblockcopy: the first 524288 of 1048576 bytes are durable; go on with "
            "--resume-from 524288\n");
}

class stopped_blockcopy : public blockcopy {
 protected:
  // Stops it in the middle; gives how much is said to be durable.
  std::string stop(int signal) {
    make_slow_device(10'000);
    child_process child(folder.path(), command({"--config", "slow.json", "--chunk", "4k", "--depth",
                                                "2", "bdev:slow", "to.img"}));
    while (child.running() && copied()[0] == '\0') ::sched_yield();
    child.signal(signal);
    const ended end = child.wait();
    EXPECT_EQ(end.status, 128 + signal);
    EXPECT_EQ(end.out, "");
    std::smatch found;
    const bool said = std::regex_match(
        end.err, found,
        std::regex("blockcopy: stopped\nblockcopy: the first ([0-9]+) of 1048576 bytes are "
                   "durable; go on with --resume-from ([0-9]+)\n"));
    EXPECT_TRUE(said) << end.err;
    return said ? found[1].str() : "";
  }
};

TEST_F(stopped_blockcopy, by_ctrl_c_and_resumed) {
  const std::string durable = stop(SIGINT);
  const std::size_t bytes = std::stoull(durable);
  EXPECT_GT(bytes, 0U);
  EXPECT_LT(bytes, size);
  EXPECT_EQ(copied(), content.substr(0, bytes) + std::string(size - bytes, '\0'));

  const ended end = copy({"--resume-from", durable, "from.img", "to.img"});
  EXPECT_EQ(end.status, 0) << end.err;
  EXPECT_EQ(end.out, std::to_string(size - bytes) + " bytes copied, 1048576 verified, CRC-32C " +
                         checksum_of(content) + '\n');
  EXPECT_EQ(copied(), content);
}

TEST_F(stopped_blockcopy, by_sigterm) { EXPECT_NE(stop(SIGTERM), ""); }

}  // namespace
