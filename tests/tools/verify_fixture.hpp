// SPDX-License-Identifier: BSD-3-Clause
// What the tests of `spdk-io verify` share: an empty folder, and the command run in it.
#pragma once

#include "child_process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace spdk_io_tool {

using arguments = std::vector<std::string>;

inline arguments verify_command(const arguments& rest) {
  arguments out = {SPDK_IO_COMMAND, "verify"};
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

// The command as `script` starts it with exec "$0" "$@".
inline arguments verify_in_shell(const std::string& script, const arguments& rest) {
  arguments out = {"/bin/sh", "-c", script};
  for (const auto& each : verify_command(rest)) out.push_back(each);
  return out;
}

class verify_fixture : public testing::Test {
 protected:
  ended run(const arguments& rest) {
    return child_process(folder_.path(), verify_command(rest)).wait();
  }
  ended run_in_shell(const std::string& script, const arguments& rest) {
    return child_process(folder_.path(), verify_in_shell(script, rest)).wait();
  }

  // Fails with one line on stderr that says `why`, and leaves nothing behind.
  void expect_failure(const arguments& rest, int status, const std::string& why) {
    const ended end = run(rest);
    SCOPED_TRACE(testing::PrintToString(rest));
    EXPECT_EQ(end.status, status);
    EXPECT_THAT(end.err, testing::HasSubstr(why));
    EXPECT_EQ(std::count(end.err.begin(), end.err.end(), '\n'), 1) << end.err;
    EXPECT_THAT(end.out, testing::IsEmpty());
    EXPECT_THAT(folder_.files(), testing::IsEmpty());
  }

  std::string content(const std::string& name) const {
    std::ifstream in(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  scratch_folder folder_;
};

}  // namespace spdk_io_tool
