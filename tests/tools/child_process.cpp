// SPDX-License-Identifier: BSD-3-Clause
// Spawning, watching and reading a child process.
#include "child_process.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>

namespace spdk_io_tool {
namespace {

void must(int code, const char* what) {
  if (code != 0) throw std::system_error(code, std::generic_category(), what);
}

std::string read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Until the last process has closed the other end, which reads as an error.
std::string read_terminal(int fd) {
  std::string out;
  char part[4096];
  for (;;) {
    const ssize_t got = ::read(fd, part, sizeof(part));
    if (got > 0) out.append(part, static_cast<std::size_t>(got));
    if (got == 0 || (got < 0 && errno != EINTR)) return out;
  }
}

}  // namespace

scratch_folder::scratch_folder() {
  std::string name = (std::filesystem::current_path() / "spdk-io-test-XXXXXX").string();
  if (!::mkdtemp(name.data())) must(errno, "mkdtemp");
  path_ = name;
}

scratch_folder::~scratch_folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::vector<std::string> scratch_folder::files() const {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(path_)) {
    out.push_back(entry.path().filename().string());
  }
  return out;
}

child_process::child_process(const std::string& folder, const std::vector<std::string>& command,
                             on where) {
  std::vector<char*> arguments;
  for (const auto& each : command) arguments.push_back(const_cast<char*>(each.c_str()));
  arguments.push_back(nullptr);

  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  must(::posix_spawn_file_actions_init(&files), "posix_spawn_file_actions_init");
  must(::posix_spawnattr_init(&attributes), "posix_spawnattr_init");
  ::posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  if (where == on::terminal) {
    terminal_ = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal_ < 0 || ::grantpt(terminal_) != 0 || ::unlockpt(terminal_) != 0) {
      must(errno, "posix_openpt");
    }
    ::posix_spawn_file_actions_addopen(&files, 1, ::ptsname(terminal_), O_RDWR | O_NOCTTY, 0);
    ::posix_spawn_file_actions_adddup2(&files, 1, 2);
  } else {
    const int flags = O_WRONLY | O_CREAT | O_TRUNC;
    ::posix_spawn_file_actions_addopen(&files, 1, (outputs_ / "out").c_str(), flags, 0600);
    ::posix_spawn_file_actions_addopen(&files, 2, (outputs_ / "err").c_str(), flags, 0600);
  }
  ::posix_spawn_file_actions_addchdir_np(&files, folder.c_str());
  sigset_t defaults;
  ::sigemptyset(&defaults);
  for (int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ}) ::sigaddset(&defaults, number);
  ::posix_spawnattr_setsigdefault(&attributes, &defaults);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  const int code =
      ::posix_spawn(&id_, arguments[0], &files, &attributes, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&files);
  ::posix_spawnattr_destroy(&attributes);
  must(code, arguments[0]);
}

child_process::~child_process() {
  if (!reaped_) {
    ::kill(id_, SIGKILL);
    ::waitpid(id_, nullptr, 0);
  }
  if (terminal_ >= 0) ::close(terminal_);
}

bool child_process::running() {
  if (!reaped_) reaped_ = ::waitpid(id_, &raw_status_, WNOHANG) == id_;
  return !reaped_;
}

void child_process::signal(int number) {
  if (running()) ::kill(id_, number);
}

ended child_process::wait() {
  ended end;
  if (terminal_ >= 0) end.out = read_terminal(terminal_);
  while (!reaped_) {
    const pid_t got = ::waitpid(id_, &raw_status_, 0);
    if (got < 0 && errno != EINTR) must(errno, "waitpid");
    reaped_ = got == id_;
  }
  end.status = WIFEXITED(raw_status_) ? WEXITSTATUS(raw_status_) : -WTERMSIG(raw_status_);
  if (terminal_ < 0) {
    end.out = read_all(outputs_ / "out");
    end.err = read_all(outputs_ / "err");
  }
  return end;
}

}  // namespace spdk_io_tool
