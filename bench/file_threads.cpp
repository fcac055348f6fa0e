// SPDX-License-Identifier: BSD-3-Clause
// As many OS threads as I/Os in flight, each blocking in its own.
#include "file_io.hpp"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace bench {
namespace {

// Each thread's on a cache line of its own.
struct alignas(64) thread_count {
  std::atomic<std::uint64_t> completed{0};
};

struct shared_run {
  const file_job& job;
  const direct_file& file;
  std::vector<thread_count> counts;
  std::atomic<bool> over{false};
  std::atomic<int> error{0};
};

ssize_t transfer(const shared_run& run, std::byte* buffer, std::uint64_t offset) {
  const auto at = static_cast<off_t>(offset);
  return run.job.write ? pwrite(run.file.fd(), buffer, run.job.io_size, at)
                       : pread(run.file.fd(), buffer, run.job.io_size, at);
}

void blocking_loop(shared_run& run, std::uint32_t number, std::byte* buffer) {
  random_offsets offsets(run.file.size(), run.job.io_size, number + 1);
  std::atomic<std::uint64_t>& completed = run.counts[number].completed;
  std::uint64_t count = 0;  // this thread alone writes it, so that no locked addition is needed
  while (!run.over.load(std::memory_order_relaxed)) {
    const ssize_t n = transfer(run, buffer, offsets());
    if (n != static_cast<ssize_t>(run.job.io_size)) {
      run.error = n < 0 ? errno : EIO;
      run.over = true;
      return;
    }
    completed.store(++count, std::memory_order_relaxed);
  }
}

std::uint64_t completed(const shared_run& run) noexcept {
  std::uint64_t sum = 0;
  for (const thread_count& each : run.counts) {
    sum += each.completed.load(std::memory_order_relaxed);
  }
  return sum;
}

}  // namespace

file_figures threads_file_io(const file_job& job) {
  if (job.depth > most_threads) {
    throw std::runtime_error("at most " + std::to_string(most_threads) + " threads");
  }
  const direct_file file(job.file);
  shared_run run{.job = job, .file = file, .counts = std::vector<thread_count>(job.depth)};
  std::vector<aligned_memory> buffers;
  for (std::uint32_t i = 0; i < job.depth; ++i) buffers.push_back(make_buffer(job.io_size));
  file_figures figures{};
  {
    std::vector<std::jthread> threads;
    for (std::uint32_t i = 0; i < job.depth; ++i) {
      threads.emplace_back([&run, i, memory = buffers[i].get()] { blocking_loop(run, i, memory); });
    }
    std::this_thread::sleep_for(warm_up);
    const std::uint64_t before = completed(run);
    const measured_part part;
    std::this_thread::sleep_for(job.length);
    figures = part.end(completed(run) - before);
    run.over = true;
  }
  if (const int error = run.error; error != 0) {
    throw std::system_error(error, std::generic_category(), "an I/O failed");
  }
  return figures;
}

}  // namespace bench
