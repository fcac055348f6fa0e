// SPDX-License-Identifier: BSD-3-Clause
// A case in a process of its own: for what happens once in a process, or ends it. The parent must
// not have started SPDK: such tests are BARE.
#pragma once

#include <gtest/gtest.h>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

namespace spdk_io_test {

struct process_end {
  int status = 0;  // as waitpid() gives it
  std::string out;
  std::string err;
};

namespace detail {

inline std::string content(int fd) {
  std::string text;
  char part[4096];
  lseek(fd, 0, SEEK_SET);
  for (ssize_t n; (n = read(fd, part, sizeof(part))) > 0;)
    text.append(part, static_cast<std::size_t>(n));
  close(fd);
  return text;
}

}  // namespace detail

// Runs f in a forked process, to its end. Its exit code tells whether expectations failed there.
template <class F>
process_end in_own_process(F f) {
  std::fflush(nullptr);
  const int out = memfd_create("stdout", 0);
  const int err = memfd_create("stderr", 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    try {
      f();
    } catch (const std::exception& e) {
      ADD_FAILURE() << "an exception left the test: " << e.what();
    }
    std::exit(testing::Test::HasFailure() ? 1 : 0);
  }
  process_end end;
  waitpid(child, &end.status, 0);
  end.out = detail::content(out);
  end.err = detail::content(err);
  return end;
}

inline testing::AssertionResult passed(const process_end& end) {
  if (WIFEXITED(end.status) && WEXITSTATUS(end.status) == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "wait status " << end.status << '\n' << end.out << end.err;
}

// It ended by abort(), after this text on stderr.
inline testing::AssertionResult aborted_with(const process_end& end, std::string_view text) {
  if (WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGABRT &&
      end.err.find(text) != std::string::npos)
    return testing::AssertionSuccess();
  return testing::AssertionFailure()
         << "wait status " << end.status << ", wanted abort() and \"" << text << "\"\n"
         << end.out << end.err;
}

}  // namespace spdk_io_test
