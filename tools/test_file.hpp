// SPDX-License-Identifier: BSD-3-Clause
// The file (or block device) under test: made with all its space, or refused, and removed again.
#pragma once

#include "failure.hpp"

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace spdk_io_tool {

struct test_file_options {
  std::string path;
  std::uint64_t size = 0;  // bytes
  bool overwrite = false;  // take an existing file or block device
  bool keep = false;       // leave a file that was made here
};

// Owns a descriptor of its own, through the page cache, whatever SPDK uses; and the file, if it
// made it: then the destructor removes it (unless it is to be kept).
class test_file {
 public:
  // Makes the file and allocates its space, or takes an existing one. A regular file has exactly
  // `size` bytes afterwards; of a block device the first `size` are used. `stopped` is asked now
  // and then; if it gives a signal, the failure has its exit code.
  // Refused: something exists and overwrite is not set; it is in use, a folder, too small.
  // Failed: it cannot be made; there is no room. Nothing is left behind, and an existing file is
  // as it was.
  static outcome<test_file> open(const test_file_options& options,
                                 const std::function<int()>& stopped);

  test_file(test_file&& other) noexcept
      : path_(std::move(other.path_)),
        fd_(std::exchange(other.fd_, -1)),
        block_device_(other.block_device_),
        made_(std::exchange(other.made_, false)),
        keep_(other.keep_) {}
  test_file& operator=(test_file&&) = delete;
  ~test_file();

  const std::string& path() const noexcept { return path_; }
  bool made() const noexcept { return made_; }
  bool block_device() const noexcept { return block_device_; }

  // Brings what was written to stable storage and drops it from the page cache, so that the
  // next read comes from the device. Blocks. Any thread.
  outcome<void> settle() const;

  // Inverts one bit of one byte, in the file itself, and settles it. Blocks. Any thread.
  outcome<void> flip_byte(std::uint64_t offset) const;

  // Whether whoever else in this process has the file open goes around the page cache
  // (O_DIRECT). Nothing: nobody has.
  std::optional<bool> opened_direct() const;

  // Removes the file now, if it was made here and is not to be kept. Safe to call twice.
  void remove() noexcept;

 private:
  test_file(const test_file_options& o, int fd, bool made)
      : path_(o.path), fd_(fd), made_(made), keep_(o.keep) {}

  outcome<void> take_device(std::uint64_t size);
  outcome<void> reserve(std::uint64_t size, const std::function<int()>& stopped);
  outcome<void> allocate(std::uint64_t size, const std::function<int()>& stopped);

  std::string path_;
  int fd_;
  bool block_device_ = false;
  bool made_;
  bool keep_;
};

}  // namespace spdk_io_tool
