// SPDX-License-Identifier: BSD-3-Clause
// Making, reserving, corrupting and removing the file under test.
#include "test_file.hpp"

#include "units.hpp"

#include <fmt/format.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace spdk_io_tool {
namespace {

constexpr std::uint64_t allocation_step = std::uint64_t(1) << 30;

std::unexpected<failure> failed_call(std::string_view what, const std::string& path, int code) {
  return failed(fmt::format("cannot {} \"{}\": {}", what, path, std::strerror(code)));
}

bool same_file(const struct stat& a, const struct stat& b) noexcept {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

// What is there already: a descriptor for it, if it may be taken.
outcome<int> open_existing(const test_file_options& o) {
  struct stat about = {};
  if (::stat(o.path.c_str(), &about) != 0) return failed_call("open", o.path, errno);
  const bool device = S_ISBLK(about.st_mode);
  if (!device && !S_ISREG(about.st_mode)) {
    return refused(fmt::format("\"{}\" is neither a regular file nor a block device", o.path));
  }
  if (!o.overwrite) {
    return refused(fmt::format("\"{}\" {}: give --overwrite to destroy what it holds", o.path,
                               device ? "is a block device" : "exists already"));
  }
  // O_EXCL without O_CREAT: the kernel refuses a block device that is mounted or otherwise held.
  const int fd = ::open(o.path.c_str(), O_RDWR | O_CLOEXEC | (device ? O_EXCL : 0));
  if (fd >= 0) return fd;
  if (errno == EBUSY) return refused(fmt::format("\"{}\" is in use (mounted?)", o.path));
  return failed_call("open", o.path, errno);
}

// Bytes that are free for everybody, as df says; nothing where the file system does not say.
std::optional<std::uint64_t> free_space(int fd) {
  struct statvfs space = {};
  if (::fstatvfs(fd, &space) != 0 || space.f_blocks == 0) return std::nullopt;
  return std::uint64_t(space.f_bavail) * space.f_frsize;
}

std::unexpected<failure> no_room(const std::string& path, int fd, std::uint64_t needed) {
  const auto have = free_space(fd);
  return failed(fmt::format("no room for \"{}\": {} needed, {} free on its file system", path,
                            format_size(needed), have ? format_size(*have) : "less"));
}

}  // namespace

outcome<test_file> test_file::open(const test_file_options& o,
                                   const std::function<int()>& stopped) {
  int fd = ::open(o.path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  const bool made = fd >= 0;
  if (!made) {
    if (errno != EEXIST && errno != EISDIR) return failed_call("create", o.path, errno);
    auto existing = open_existing(o);
    if (!existing) return std::unexpected(existing.error());
    fd = *existing;
  }
  test_file file(o, fd, made);
  struct stat about = {};
  if (::fstat(fd, &about) != 0) return failed_call("look at", o.path, errno);
  file.block_device_ = S_ISBLK(about.st_mode);
  auto ready = file.block_device_ ? file.take_device(o.size) : file.reserve(o.size, stopped);
  if (!ready) {
    file.keep_ = false;
    return std::unexpected(ready.error());
  }
  return file;
}

test_file::~test_file() {
  remove();
  if (fd_ >= 0) ::close(fd_);
}

outcome<void> test_file::take_device(std::uint64_t size) {
  const off_t end = ::lseek(fd_, 0, SEEK_END);
  if (end < 0) return failed_call("look at", path_, errno);
  if (static_cast<std::uint64_t>(end) >= size) return {};
  return refused(fmt::format("\"{}\" has {}, less than --size {}", path_,
                             format_size(static_cast<std::uint64_t>(end)), format_size(size)));
}

// Space first, length last: an existing file that cannot be had in full is left as it was.
outcome<void> test_file::reserve(std::uint64_t size, const std::function<int()>& stopped) {
  struct stat before = {};
  if (::fstat(fd_, &before) != 0) return failed_call("look at", path_, errno);
  const std::uint64_t has = static_cast<std::uint64_t>(before.st_blocks) * 512;
  if (const auto room = free_space(fd_); room && size > has && size - has > *room) {
    return no_room(path_, fd_, size - has);  // before all that is free is taken from others
  }
  auto ok = allocate(size, stopped);
  const auto length = ok ? static_cast<off_t>(size) : before.st_size;
  if (::ftruncate(fd_, length) != 0 && ok) return failed_call("resize", path_, errno);
  return ok;
}

outcome<void> test_file::allocate(std::uint64_t size, const std::function<int()>& stopped) {
  for (std::uint64_t at = 0; at < size;) {
    if (int signal = stopped(); signal != 0) {
      return std::unexpected(failure{exit_signal_base + signal, "interrupted"});
    }
    const std::uint64_t step = std::min(allocation_step, size - at);
    const int code = ::posix_fallocate(fd_, static_cast<off_t>(at), static_cast<off_t>(step));
    if (code == 0) at += step;
    if (code == 0 || code == EINTR) continue;
    if (code == ENOSPC || code == EDQUOT) {
      // The part that was had goes back first, so that the line tells what is free for us.
      if (made_ && ::ftruncate(fd_, 0) != 0) return failed_call("resize", path_, errno);
      return no_room(path_, fd_, size);
    }
    return failed(fmt::format("cannot make \"{}\" {} large: {}", path_, format_size(size),
                              std::strerror(code)));
  }
  return {};
}

outcome<void> test_file::settle() const {
  if (::fdatasync(fd_) != 0) return failed_call("sync", path_, errno);
  // Advice: what cannot be dropped (a RAM file system) stays.
  ::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED);
  return {};
}

outcome<void> test_file::flip_byte(std::uint64_t offset) const {
  std::byte value{};
  const auto at = static_cast<off_t>(offset);
  if (::pread(fd_, &value, 1, at) != 1) return failed_call("read", path_, errno);
  value ^= std::byte{1};
  if (::pwrite(fd_, &value, 1, at) != 1) return failed_call("write", path_, errno);
  return settle();
}

std::optional<bool> test_file::opened_direct() const {
  struct stat mine = {};
  std::unique_ptr<DIR, int (*)(DIR*)> open_files(::opendir("/proc/self/fd"), ::closedir);
  if (!open_files || ::fstat(fd_, &mine) != 0) return std::nullopt;
  while (const dirent* entry = ::readdir(open_files.get())) {
    const int fd = std::atoi(entry->d_name);  // "." and "..": 0, which is not the file
    struct stat other = {};
    if (fd == fd_ || ::fstat(fd, &other) != 0 || !same_file(mine, other)) continue;
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags >= 0) return (flags & O_DIRECT) != 0;
  }
  return std::nullopt;
}

void test_file::remove() noexcept {
  if (!std::exchange(made_, false) || keep_) return;
  struct stat mine = {};
  struct stat there = {};
  // Not what somebody else may have put in its place.
  if (::fstat(fd_, &mine) == 0 && ::lstat(path_.c_str(), &there) == 0 && same_file(mine, there)) {
    ::unlink(path_.c_str());
  }
}

}  // namespace spdk_io_tool
