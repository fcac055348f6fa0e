// SPDX-License-Identifier: BSD-3-Clause
// I/O on one null device by more and more OS threads, each with an SPDK thread and a channel of its
// own: raw callbacks and the library by turns, as JSON. With a candidate's name: runs it once, and
// tells by --marks what is needed to read a memory trace of it; see sharing.py.
#include "scaling_io.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using bench::must;
namespace sio = spdk_io;
using clock_type = std::chrono::steady_clock;

struct options {
  std::string candidate;
  std::vector<std::size_t> threads;
  std::uint64_t count = 400'000;
  std::uint32_t depth = 32;
  std::size_t rounds = 11;
  std::string marks;
};

// Lets nobody go on before all have come.
class start_line {
 public:
  explicit start_line(std::size_t threads) noexcept : missing_(threads) {}
  void wait() noexcept {
    --missing_;
    while (missing_ != 0) std::this_thread::yield();
  }

 private:
  std::atomic<std::size_t> missing_;
};

// Lines for who reads the trace, among those that valgrind writes: into the same pipe.
class mark_writer {
 public:
  explicit mark_writer(const std::string& path) {
    if (path.empty()) return;
    fd_ = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd_ < 0) throw std::runtime_error("cannot open " + path);
  }
  mark_writer(const mark_writer&) = delete;
  mark_writer& operator=(const mark_writer&) = delete;
  ~mark_writer() {
    if (fd_ >= 0) close(fd_);
  }

  bool wanted() const noexcept { return fd_ >= 0; }
  void write(const std::string& text) const {
    if (fd_ < 0) return;
    const std::string line = "MARK " + text + "\n";
    if (::write(fd_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
      throw std::runtime_error("cannot write marks");
    }
  }
  // An OS thread is known by the stack that it uses, its thread-local variables included.
  void write_stack(const std::string& name) const {
    pthread_attr_t attributes;
    void* lowest = nullptr;
    std::size_t size = 0;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &lowest, &size);
    pthread_attr_destroy(&attributes);
    const auto from = reinterpret_cast<std::uintptr_t>(lowest);
    write("thread " + name + ' ' + std::to_string(from) + ' ' + std::to_string(from + size));
  }
  void write_modules() const {
    if (!wanted()) return;
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) write("map " + line);
  }

 private:
  int fd_ = -1;
};

class world {
 public:
  using idle = decltype(sio::thread_pool_options::idle);

  explicit world(std::size_t threads, idle when_idle = sio::idle::spin())
      : pool_(must(sio::thread_pool::start(
            {.threads = threads, .name = "scaling", .pin = true, .idle = when_idle}))) {}

  // Each thread does `count` reads; all begin together. Returns the time until the last has ended.
  std::chrono::nanoseconds run(const bench::scaling_candidate& candidate,
                               const sio::bdev_desc& disk, const options& o,
                               const mark_writer& marks) {
    start_line line(pool_.size());
    std::atomic<std::size_t> going = pool_.size();
    const bench::scaling_run each{.count = o.count, .depth = o.depth};
    auto part = [&](sio::io_channel& channel, std::size_t index)
        -> sio::task<std::pair<clock_type::time_point, clock_type::time_point>> {
      bench::scaling_lane lane(disk, channel, index, pool_.size());
      marks.write_stack(std::to_string(index));
      line.wait();
      if (index == 0) marks.write("begin");
      const auto begin = clock_type::now();
      co_await candidate.run(lane, each);
      const auto end = clock_type::now();
      if (--going == 0) marks.write("end");
      lane.check();
      co_return std::pair(begin, end);
    };
    auto times = sio::run_until(main_loop_.get_executor(), *main_, pool_.spread(disk, part),
                                sio::idle::backoff{.spin_for = std::chrono::nanoseconds(0)});
    auto first = clock_type::time_point::max();
    auto last = clock_type::time_point::min();
    for (auto& time : times) {
      const auto [begin, end] = must(time);
      first = std::min(first, begin);
      last = std::max(last, end);
    }
    return last - first;
  }

  void attach(sio::thread& main) noexcept { main_ = &main; }

 private:
  sio::thread_pool pool_;
  sio::run_loop main_loop_;
  sio::thread* main_ = nullptr;
};

// I/O per second of all threads together, by candidate and round.
nlohmann::json measure(std::size_t threads, const sio::bdev_desc& disk, sio::thread& main,
                       const options& o) {
  const mark_writer none("");
  world all(threads);
  all.attach(main);
  nlohmann::json iops = nlohmann::json::object();
  for (std::size_t round = 0; round < o.rounds + 1; ++round) {  // the first one is dropped
    for (std::size_t i = 0; i < bench::compared; ++i) {
      const auto& candidate = bench::scaling_candidates[(i + round) % bench::compared];
      const std::chrono::duration<double> took = all.run(candidate, disk, o, none);
      if (round == 0) continue;
      iops[std::string(candidate.name)].push_back(static_cast<double>(o.count) *
                                                  static_cast<double>(threads) / took.count());
    }
  }
  return {{"threads", threads}, {"iops", iops}};
}

void run_once(const sio::bdev_desc& disk, sio::thread& main, const options& o) {
  const auto found =
      std::ranges::find(bench::scaling_candidates, o.candidate, &bench::scaling_candidate::name);
  if (found == std::end(bench::scaling_candidates)) {
    throw std::runtime_error("no candidate is named " + o.candidate);
  }
  const mark_writer marks(o.marks);
  const mark_writer none("");
  // Under valgrind, which runs one thread at a time, one that spins is in the way of the others.
  world all(o.threads.front(), sio::idle::backoff{.spin_for = std::chrono::nanoseconds(0)});
  all.attach(main);
  all.run(*found, disk, o, none);  // what is done once
  marks.write_modules();
  if (marks.wanted()) marks.write_stack("main");
  all.run(*found, disk, o, marks);
}

// 1, 2, 4, … and as many as there are cores.
std::vector<std::size_t> up_to(std::size_t cores) {
  std::vector<std::size_t> out;
  for (std::size_t n = 1; n < cores; n *= 2) out.push_back(n);
  out.push_back(cores);
  return out;
}

void all(const options& given) {
  options o = given;
  auto env = must(sio::env::start(
      {.name = "spdk_io_scaling", .memory_mib = 1024, .hugepages = false, .pci = false}));
  auto main = must(sio::thread::attach("main"));
  must(sio::block_on(main, sio::create_bdev(sio::null_bdev{
                               .name = "null", .size = bench::scaling_lane::device_size})));
  auto disk = must(sio::bdev_desc::open("null"));
  if (o.threads.empty()) {
    o.threads = up_to(must(sio::thread_pool::start({.name = "cores"})).size());
  }
  if (!o.candidate.empty()) return run_once(disk, main, o);
  nlohmann::json out{{"count", o.count}, {"depth", o.depth}, {"rounds", o.rounds}};
  for (std::size_t threads : o.threads) out["rows"].push_back(measure(threads, disk, main, o));
  std::printf("%s\n", out.dump().c_str());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App cli{"Does I/O on a null device by several OS threads, each with its own channel."};
  options o;
  cli.add_option("candidate", o.candidate,
                 "raw, co_await, or shared, which writes one word for all threads at each I/O");
  cli.add_option("--threads", o.threads, "How many; 1, 2, 4, … up to the cores if not given")
      ->check(CLI::PositiveNumber);
  cli.add_option("--count", o.count, "I/Os of each thread in a run");
  cli.add_option("--depth", o.depth, "I/Os in flight on each thread")->check(CLI::PositiveNumber);
  cli.add_option("--rounds", o.rounds, "Where times are taken")->check(CLI::PositiveNumber);
  cli.add_option("--marks", o.marks, "The pipe that valgrind writes its trace to");
  CLI11_PARSE(cli, argc, argv);
  try {
    all(o);
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "spdk-io-scaling: %s\n", e.what());
    return 1;
  }
}
