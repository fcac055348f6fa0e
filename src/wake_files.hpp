// SPDX-License-Identifier: BSD-3-Clause
// The files that end the sleep of a thread in interrupt mode, behind one that a loop can watch: that
// of SPDK's thread, those of the threads that its modules made, a timer, and one to be poked from
// anywhere.
#pragma once

#include <spdk_io/abi.hpp>

#include <atomic>
#include <chrono>
#include <utility>

namespace spdk_io::inline SPDK_IO_ABI::detail {

class thread_state;

// A file descriptor that is closed with it.
class owned_file {
 public:
  explicit owned_file(int file) noexcept : file_(file) {}
  owned_file(owned_file&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  owned_file& operator=(owned_file&&) = delete;
  ~owned_file();

  int get() const noexcept { return file_; }
  explicit operator bool() const noexcept { return file_ >= 0; }

 private:
  int file_;
};

class wake_files {
 public:
  explicit wake_files(thread_state& t) noexcept;
  wake_files(const wake_files&) = delete;
  wake_files& operator=(const wake_files&) = delete;

  // False: the process has no more file descriptors.
  bool complete() const noexcept { return complete_; }

  // Readable from when one of them is, for as long as it is.
  int set() const noexcept { return set_.get(); }
  bool readable() const noexcept;

  // Whether SPDK's threads are among them: not while they are polled.
  void include_threads(bool include) noexcept;
  // The threads that modules have made since.
  void look_for_adopted() noexcept;

  // Readable after so long.
  void start_timer(std::chrono::nanoseconds after) noexcept;
  // Any thread: readable now.
  void poke() noexcept;
  // The end of the sleep: neither poked nor timed any more.
  void clear() noexcept;

 private:
  bool add(int file) noexcept;

  thread_state& thread_;
  owned_file set_;
  owned_file timer_;
  owned_file poked_;
  int of_thread_;
  bool complete_;
  bool includes_threads_ = true;
  bool timing_ = false;
  std::atomic<bool> was_poked_ = false;  // after it was made readable: clear() is never too early
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
