// SPDX-License-Identifier: BSD-3-Clause
#include "file_io.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>

namespace bench {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

direct_file::direct_file(const std::string& path)
    : fd_(open(path.c_str(), O_RDWR | O_DIRECT | O_NOATIME | O_CLOEXEC)) {
  if (fd_ < 0) fail("cannot open " + path);
  const off_t end = lseek(fd_, 0, SEEK_END);  // also of a block device
  if (end < 0) {
    close(fd_);
    fail("cannot find the size of " + path);
  }
  size_ = static_cast<std::uint64_t>(end);
}

direct_file::~direct_file() { close(fd_); }

void fill(std::byte* memory, std::size_t size) noexcept {
  spdk_io_tool::splitmix random(size);
  for (std::size_t at = 0; at < size; at += sizeof(std::uint64_t)) {
    const std::uint64_t word = random();
    std::memcpy(memory + at, &word, std::min(sizeof word, size - at));
  }
}

aligned_memory make_buffer(std::size_t size) {
  aligned_memory out(static_cast<std::byte*>(std::aligned_alloc(4096, size)), &std::free);
  if (!out) throw std::bad_alloc();
  fill(out.get(), size);
  return out;
}

void prepare_file(const std::string& path, std::uint64_t size) {
  constexpr std::size_t part = std::size_t(1) << 20;
  const aligned_memory memory = make_buffer(part);
  // Direct, so that a file system that cannot do it says so here.
  const int fd =
      open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (fd < 0) fail("cannot make " + path);
  bool ok = true;
  for (std::uint64_t done = 0; ok && done < size;) {
    const ssize_t n = write(fd, memory.get(), std::min<std::uint64_t>(part, size - done));
    ok = n > 0;
    if (ok) done += static_cast<std::uint64_t>(n);
  }
  ok = ok && fsync(fd) == 0;
  const int error = errno;
  close(fd);
  errno = error;
  if (!ok) fail("cannot fill " + path);
}

}  // namespace bench
