// SPDX-License-Identifier: BSD-3-Clause
// The job of `spdk-io soak` on its threads: devices, load, trouble, the last check.
#pragma once

#include "failure.hpp"
#include "memory_use.hpp"
#include "soak_lane.hpp"
#include "soak_options.hpp"
#include "soak_stack.hpp"
#include "soak_trouble.hpp"
#include "stop_caller.hpp"

#include <spdk_io/spawned_thread.hpp>
#include <spdk_io/task.hpp>
#include <spdk_io/thread.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace spdk_io_tool {

// Thread: the first one's, which is `thread`. Destroyed after run()'s task, and before the thread.
class soak_job {
 public:
  // All of it outlives the job, which ends early once `stop_signal` is not 0. `files`: one for each
  // device with a shape that has one, in order. `last_wish` runs before the process ends because
  // nothing goes on any more.
  soak_job(spdk_io::thread& thread, const soak_options& options,
           const std::vector<std::string>& files, const int& stop_signal,
           std::function<void()> last_wish);

  // Fails if the job could not be done; what is wrong with data or memory is no failure of the job.
  spdk_io::task<outcome<void>> run();

  // What came of it.
  soak_counts counts() const;
  trouble_counts troubles() const;
  std::vector<std::string> problems() const;
  const memory_history& memory() const noexcept { return memory_; }
  std::uint64_t memory_waits() const noexcept { return memory_waits_; }
  std::chrono::duration<double> elapsed() const noexcept { return elapsed_; }
  const std::deque<soak_stack>& stacks() const noexcept { return stacks_; }
  std::uint64_t pool_size() const noexcept;

 private:
  using clock = std::chrono::steady_clock;

  struct party {
    spdk_io::thread_ref ref;
    spdk_io::thread* thread = nullptr;  // for use on it
  };

  std::string configuration() const;
  outcome<void> start_threads();
  void make_lanes(const std::vector<std::string>& files);
  spdk_io::task<outcome<void>> load();
  spdk_io::task<void> watch();
  spdk_io::task<outcome<void>> check_everything();
  spdk_io::task<outcome<void>> finish();

  // Runs a task of that thread there; the first failure ends the load, and is kept.
  template <class F>
  spdk_io::task<void> on(const spdk_io::thread_ref& where, F f);

  double share() const;  // of the run that has passed
  std::uint64_t ended() const;
  void report_line() const;
  [[noreturn]] void give_up();

  spdk_io::thread& thread_;
  const soak_options& options_;
  const std::vector<std::string>& files_;
  const int& stop_signal_;
  std::function<void()> last_wish_;

  stop_caller other_thread_;
  std::atomic<bool> ending_ = false;
  outcome<void> failure_;
  std::vector<spdk_io::spawned_thread> spawned_;
  std::deque<party> parties_;
  std::deque<soak_stack> stacks_;
  std::deque<soak_lane> lanes_;
  std::deque<soak_trouble> troubles_;

  clock::time_point start_;
  std::chrono::duration<double> elapsed_{};
  memory_history memory_;
  std::uint64_t memory_waits_ = 0;
};

}  // namespace spdk_io_tool
