// SPDX-License-Identifier: BSD-3-Clause
// What the ways to do I/O on one file have in common: what is to be done, where the next I/O goes,
// and when it counts. Each way has a file of its own and is run alone, once in a process.
#pragma once

#include "splitmix.hpp"

#include <sys/resource.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

namespace bench {

struct file_job {
  std::string file;
  std::string configuration;  // a JSON file for SPDK, which makes `bdev`: used instead of `file`
  std::string bdev;
  std::string core_mask;  // for SPDK, whose thread stays there; empty: it runs anywhere
  std::uint32_t io_size = 4096;
  std::uint32_t depth = 1;
  bool write = false;
  std::chrono::duration<double> length{1.0};  // of the part that counts
};

// What came before it does not count: caches and the device's queue fill up.
constexpr std::chrono::milliseconds warm_up{200};

struct file_figures {
  std::uint64_t ios;
  double seconds;
  double cpu_seconds;
};

// One coroutine for each I/O in flight, on a uring device of the library or on what SPDK's
// configuration makes.
file_figures library_file_io(const file_job& job);
// A loop by hand around liburing, as lite's engine uses it.
file_figures liburing_file_io(const file_job& job);
// One OS thread for each I/O in flight, which blocks in it.
file_figures threads_file_io(const file_job& job);

constexpr std::uint32_t most_threads = 128;

// User's and system's, of all threads of the process, the kernel's own for it included.
inline double cpu_seconds() noexcept {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  return static_cast<double>(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

// Begins when it is made.
class measured_part {
 public:
  using clock = std::chrono::steady_clock;

  measured_part() noexcept : began_(clock::now()), cpu_(bench::cpu_seconds()) {}
  file_figures end(std::uint64_t ios) const noexcept {
    const std::chrono::duration<double> took = clock::now() - began_;
    return {.ios = ios, .seconds = took.count(), .cpu_seconds = bench::cpu_seconds() - cpu_};
  }

 private:
  clock::time_point began_;
  double cpu_;
};

// Random multiples of the I/O's size, the same ones for the same seed.
class random_offsets {
 public:
  random_offsets(std::uint64_t device_size, std::uint32_t io_size, std::uint64_t seed) noexcept
      : random_(seed), places_(device_size / io_size), io_size_(io_size) {}

  // Requires: fewer than 2^32 places. A multiplication instead of a division.
  std::uint64_t operator()() noexcept { return ((random_() >> 32) * places_ >> 32) * io_size_; }

 private:
  spdk_io_tool::splitmix random_;
  std::uint64_t places_;
  std::uint64_t io_size_;
};

// When to go on and what counts, for an engine that has one thread. What is in flight when the
// measured part begins counts if it ends in it; what is in flight at its end does not.
class timed_load {
 public:
  timed_load(const file_job& job, std::uint64_t device_size)
      : offsets_(device_size, job.io_size, 1), length_(job.length), next_(clock::now() + warm_up) {}

  // True if another I/O is to be started, at `offset` (bytes).
  bool take(std::uint64_t& offset) noexcept {
    if (--until_look_ == 0) [[unlikely]]
      look();
    offset = offsets_();
    return !over_;
  }
  void completed() noexcept { ++completed_; }
  const file_figures& figures() const noexcept { return figures_; }

 private:
  using clock = measured_part::clock;
  static constexpr unsigned ios_between_looks = 16;  // the clock costs about as much as a tenth I/O

  [[gnu::noinline]] void look() noexcept {
    until_look_ = ios_between_looks;
    const clock::time_point now = clock::now();
    if (over_ || now < next_) return;
    if (!measuring_) {
      measuring_ = true;
      completed_ = 0;
      next_ = now + std::chrono::duration_cast<clock::duration>(length_);
      part_ = measured_part();
    } else {
      figures_ = part_.end(completed_);
      over_ = true;
    }
  }

  random_offsets offsets_;
  std::chrono::duration<double> length_;
  clock::time_point next_;  // when the measured part begins, or ends
  measured_part part_;
  file_figures figures_{};
  std::uint64_t completed_ = 0;
  unsigned until_look_ = ios_between_looks;
  bool measuring_ = false;
  bool over_ = false;
};

// A file, opened as lite opens it, but never through the page cache. Throws if it cannot be.
class direct_file {
 public:
  explicit direct_file(const std::string& path);
  direct_file(const direct_file&) = delete;
  direct_file& operator=(const direct_file&) = delete;
  ~direct_file();

  int fd() const noexcept { return fd_; }
  std::uint64_t size() const noexcept { return size_; }

 private:
  int fd_;
  std::uint64_t size_ = 0;
};

// Fills memory with what no device takes for zeroes, and so touches all of it.
void fill(std::byte* memory, std::size_t size) noexcept;

using aligned_memory = std::unique_ptr<std::byte[], decltype(&std::free)>;
aligned_memory make_buffer(std::size_t size);

// Makes the file anew, with all its blocks written.
void prepare_file(const std::string& path, std::uint64_t size);

}  // namespace bench
