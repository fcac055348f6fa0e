// SPDX-License-Identifier: BSD-3-Clause
// The steps of the job, and the watch over it.
#include "soak_job.hpp"

#include "splitmix.hpp"
#include "stall_watch.hpp"
#include "units.hpp"

#include <spdk_io/sleep_for.hpp>
#include <spdk_io/subsystems.hpp>
#include <spdk_io/task_scope.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace spdk_io_tool {

namespace sio = spdk_io;

namespace {

constexpr std::size_t most_problems = 10;

}  // namespace

soak_job::soak_job(sio::thread& thread, const soak_options& options,
                   const std::vector<std::string>& files, const int& stop_signal,
                   std::function<void()> last_wish)
    : thread_(thread),
      options_(options),
      files_(files),
      stop_signal_(stop_signal),
      last_wish_(std::move(last_wish)) {}

std::uint64_t soak_job::pool_size() const noexcept {
  if (options_.pool != 0) return options_.pool;
  return 4 * options_.most_in_flight() + 256;  // aborts and emulated operations take some as well
}

std::string soak_job::configuration() const {
  // SPDK refuses a pool that cannot fill the caches of all its threads.
  const std::uint64_t cache =
      std::min<std::uint64_t>(256, pool_size() / (2 * (options_.threads + 2)));
  return fmt::format(R"({{"subsystems":[{{"subsystem":"bdev","config":[{{
    "method":"bdev_set_options","params":{{
      "bdev_io_pool_size":{},"bdev_io_cache_size":{}}}}}]}}]}})",
                     pool_size(), cache);
}

sio::task<outcome<void>> soak_job::run() {
  if (auto ok = co_await sio::init_subsystems(configuration()); !ok) {
    co_return failed(ok.error().message());
  }
  if (auto ok = start_threads(); !ok) co_return ok;
  make_lanes(files_);
  outcome<void> done = co_await load();
  if (done) done = co_await check_everything();
  // Also after a failure: the threads can end then, and the files go.
  if (auto ended = co_await finish(); done && !ended) done = ended;
  for (auto& each : spawned_) each.request_stop();
  co_return done;
}

outcome<void> soak_job::start_threads() {
  parties_.push_back({.ref = thread_.ref(), .thread = &thread_});
  for (std::uint32_t i = 1; i < options_.threads; ++i) {
    party& added = parties_.emplace_back(party{.ref = thread_.ref()});
    auto made = sio::thread::spawn(fmt::format("soak{}", i),
                                   [&added](sio::thread& t) { added.thread = &t; });
    if (!made) return failed(made.error().message());
    added.ref = made->ref();
    spawned_.push_back(std::move(*made));
  }
  return {};
}

void soak_job::make_lanes(const std::vector<std::string>& files) {
  splitmix seeds(options_.seed.value_or(0));
  auto file = files.begin();
  for (std::uint32_t number = 0; number < options_.devices; ++number) {
    const bool on_file = shape_of(number, options_).on_file;
    soak_stack& stack = stacks_.emplace_back(options_, number, on_file ? *file++ : std::string());
    std::vector<soak_lane*> of_device;
    const std::uint64_t share = options_.blocks() / options_.threads;
    for (std::uint32_t t = 0; t < options_.threads; ++t) {
      soak_lane& lane = lanes_.emplace_back(options_, stack.shape(),
                                            block_range{.first = t * share, .count = share},
                                            seeds(), parties_[t].ref, other_thread_, ending_);
      of_device.push_back(&lane);
    }
    troubles_.emplace_back(options_, stack, std::move(of_device), seeds(), ending_);
  }
}

template <class F>
sio::task<void> soak_job::on(const sio::thread_ref& where, F f) {
  outcome<void> done;
  if (auto called = co_await where.call(std::move(f)); called) {
    done = std::move(*called);
  } else {
    done = failed(called.error().message());
  }
  if (done || !failure_) co_return;
  failure_ = std::move(done);
  ending_ = true;
}

sio::task<outcome<void>> soak_job::load() {
  start_ = clock::now();
  sio::task_scope scope;
  for (auto& lane : lanes_) scope.spawn(on(lane.home(), [&lane] { return lane.run(); }));
  for (std::size_t i = 0; i < troubles_.size(); ++i) {
    // A device has its owner, whose descriptor it is.
    const party& owner = parties_[i % parties_.size()];
    scope.spawn(on(owner.ref, [&each = troubles_[i]] { return each.run(); }));
  }
  scope.spawn(watch());
  const stall_watch stall(
      std::chrono::ceil<clock::duration>(std::chrono::duration<double>(options_.stall)),
      [this] { return ended(); }, [this] { give_up(); });
  (void)co_await scope.join();
  elapsed_ = clock::now() - start_;
  co_return failure_;
}

double soak_job::share() const {
  const std::chrono::duration<double> passed = clock::now() - start_;
  const double by_time = passed.count() / options_.seconds;
  if (options_.operations == 0) return by_time;
  return std::max(by_time, static_cast<double>(ended()) / static_cast<double>(options_.operations));
}

std::uint64_t soak_job::ended() const {
  std::uint64_t sum = 0;
  for (const auto& lane : lanes_) sum += lane.ended();
  return sum;
}

// Ends the load in time, and samples the memory.
sio::task<void> soak_job::watch() {
  const auto every = [](double seconds) {
    return std::chrono::ceil<clock::duration>(std::chrono::duration<double>(seconds));
  };
  clock::time_point reported = start_;
  while (!ending_) {
    (void)co_await sio::sleep_for(std::min(every(0.1), every(options_.seconds / 50)));
    memory_.sample(share(), current_memory_use());
    if (options_.report > 0 && clock::now() - reported >= every(options_.report)) {
      reported = clock::now();
      report_line();
    }
    if (share() >= 1 || stop_signal_ != 0) ending_ = true;
  }
}

void soak_job::report_line() const {
  const std::chrono::duration<double> passed = clock::now() - start_;
  const memory_use now = current_memory_use();
  fmt::print("  {:6.0f} s  {:>12} operations, {:.0f}/s; {} resident, heap {}\n", passed.count(),
             ended(), static_cast<double>(ended()) / passed.count(), format_size(now.resident),
             format_size(now.heap));
  std::fflush(stdout);
}

// Nothing could be torn down any more. The library has said by then which operation it waits for.
void soak_job::give_up() {
  fmt::print(stderr, "spdk-io: no operation has ended for {} s: something hangs\n", options_.stall);
  std::fflush(stderr);
  last_wish_();
  std::_Exit(exit_failed);
}

sio::task<outcome<void>> soak_job::check_everything() {
  for (auto& lane : lanes_) {
    auto verify = [&lane] { return lane.verify(); };
    auto called = co_await lane.home().call(verify);
    if (!called) co_return failed(called.error().message());
    if (!*called) co_return *called;
  }
  co_return outcome<void>();
}

sio::task<outcome<void>> soak_job::finish() {
  outcome<void> done;
  for (std::size_t i = 0; i < troubles_.size(); ++i) {
    auto end = [&each = troubles_[i]] { return each.finish(); };
    auto called = co_await parties_[i % parties_.size()].ref.call(end);
    if (!called) {
      done = failed(called.error().message());
    } else if (!*called) {
      done = *called;
    }
  }
  for (const party& each : parties_) {
    auto waits = [&each] { return each.thread->statistics().memory_waits; };
    auto called = co_await each.ref.call(waits);
    if (!called) co_return failed(called.error().message());
    memory_waits_ += *called;
  }
  co_return done;
}

soak_counts soak_job::counts() const {
  soak_counts sum;
  for (const auto& lane : lanes_) sum += lane.counts();
  return sum;
}

trouble_counts soak_job::troubles() const {
  trouble_counts sum;
  for (const auto& each : troubles_) sum += each.counts();
  return sum;
}

std::vector<std::string> soak_job::problems() const {
  std::vector<std::string> all;
  for (const auto& lane : lanes_) {
    for (const auto& each : lane.problems()) {
      if (all.size() < most_problems) all.push_back(each);
    }
  }
  return all;
}

}  // namespace spdk_io_tool
