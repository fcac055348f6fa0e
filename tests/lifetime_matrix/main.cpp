// SPDX-License-Identifier: BSD-3-Clause
// Runs the cases whose names begin with one of the arguments, all of one driver in one process:
//   lifetime_matrix malloc/polled
//   lifetime_matrix --list malloc/polled
// What fails is told with its name; alone it runs as `lifetime_matrix <name>`.
#include "combinations.hpp"
#include "scenario.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace lifetimes;

// A case that hangs is ended by name; nothing depends on how long one takes.
constexpr unsigned seconds_until_it_hangs = 30;
std::string running;

void on_alarm(int) {
  auto say = [](std::string_view text) { (void)!::write(STDERR_FILENO, text.data(), text.size()); };
  say("HANGS ");
  say(running);
  say("\n");
  std::abort();
}

class matrix {
 public:
  explicit matrix(std::vector<combination> cases) : cases_(std::move(cases)) {}

  // On SPDK's first thread, which is acting.
  sio::task<void> run(sio::thread& first) {
    world here(cases_[0].driver, first);
    need(co_await here.complete(
        sio::create_bdev(sio::malloc_bdev{.name = "with_zcopy", .size = 1 << 16})));
    need(
        co_await here.complete(sio::create_bdev(sio::null_bdev{.name = "other", .size = 1 << 16})));
    fixtures shared{.zcopy = need(sio::bdev_desc::open("with_zcopy")),
                    .other = need(sio::bdev_desc::open("other"))};
    for (const combination& c : cases_) {
      failures found;
      co_await run_one(c, here, shared, found);
      const bool last = ran_ == cases_.size();
      if (target_ && (last || !found.all().empty() || ++used_ == cases_on_a_device(c))) {
        co_await remove_target(here, found);
      }
      report(found);
    }
  }

  int result() const {
    std::printf("%zu cases, %zu failed (provider: %s)\n", ran_, failed_,
                std::string(sio::provider_version()).c_str());
    return failed_ == 0 && ran_ == cases_.size() ? 0 : 1;
  }

 private:
  // One, where making one costs nothing: a deletion tells whether all of a case has let go. Files
  // and SPDK's configuration calls cost milliseconds.
  static int cases_on_a_device(const combination& c) {
    const bool file = c.device == device::uring || c.device == device::aio;
    return file || sio::provider_name() == "spdk" ? 16 : 1;
  }

  sio::task<void> run_one(const combination& c, world& here, const fixtures& shared,
                          failures& found) {
    running = name_of(c);
    ++ran_;
    ::alarm(seconds_until_it_hangs);
    try {
      if (!target_) {
        used_ = 0;
        target_.emplace(c.device, static_cast<int>(ran_));
        co_await target_->make(here);
      }
      scenario now(c, *target_, here.first(), shared, found);
      co_await now.run();
    } catch (const std::exception& e) {
      found.expect(false, std::string("it could not go on: ") + e.what());
    }
    ::alarm(0);
  }

  sio::task<void> remove_target(world& here, failures& found) {
    ::alarm(seconds_until_it_hangs);
    try {
      co_await target_->remove(here);
    } catch (const std::exception& e) {
      found.expect(false, std::string("deletion of the device: ") + e.what());
    }
    target_.reset();
    ::alarm(0);
  }

  void report(const failures& found) {
    if (found.all().empty()) return;
    ++failed_;
    std::printf("FAILED %s\n", running.c_str());
    for (const auto& each : found.all()) std::printf("    %s\n", each.c_str());
    std::fflush(stdout);
  }

  std::vector<combination> cases_;
  std::optional<target> target_;
  int used_ = 0;  // for so many cases
  std::size_t ran_ = 0;
  std::size_t failed_ = 0;
};

const std::string config =
    R"({"subsystems":[{"subsystem":"bdev","config":[{"method":"bdev_set_options","params":)"
    R"({"bdev_io_pool_size":)" +
    std::to_string(pool_size) + R"(,"bdev_io_cache_size":)" + std::to_string(pool_cache) + "}}]}]}";

void run_by_hand(matrix& all) {
  auto env = need(sio::env::start({.name = "lifetimes", .hugepages = false, .pci = false}));
  auto first = need(sio::thread::attach("first"));
  need(sio::block_on(first, sio::init_subsystems(config)));
  spdk_io_test::started running_all(all.run(first));
  running_all.take();
}

void run_in_coroutine(matrix& all) {
  auto env = need(sio::env::start({.name = "lifetimes", .hugepages = false, .pci = false}));
  auto first = need(sio::thread::attach("first"));
  need(sio::block_on(first, sio::init_subsystems(config)));
  sio::run_until(first, all.run(first), sio::idle::spin());
}

void run_on_reactor(matrix& all) {
  need(sio::app::run({.name = "lifetimes",
                      .config = config,
                      .hugepages = false,
                      .pci = false,
                      .core_locks = false},
                     [&](sio::thread& first) { return all.run(first); }));
}

int run(std::vector<combination> cases) {
  const driver how = cases.front().driver;
  if (!std::ranges::all_of(cases, [&](const auto& c) { return c.driver == how; })) {
    std::fprintf(stderr, "cases of several drivers: choose one, as in malloc/polled\n");
    return 2;
  }
  std::signal(SIGALRM, on_alarm);
  matrix all(std::move(cases));
  switch (how) {
    case driver::polled: run_by_hand(all); break;
    case driver::coroutine: run_in_coroutine(all); break;
    case driver::reactor: run_on_reactor(all); break;
  }
  return all.result();
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string_view> arguments(argv + 1, argv + argc);
  const bool list = !arguments.empty() && arguments[0] == "--list";
  std::vector<combination> chosen;
  for (const combination& c : all_combinations()) {
    const std::string name = name_of(c);
    if (std::any_of(arguments.begin() + list, arguments.end(),
                    [&](std::string_view prefix) { return name.starts_with(prefix); })) {
      if (list) std::printf("%s\n", name.c_str());
      chosen.push_back(c);
    }
  }
  if (list) return 0;
  if (chosen.empty()) {
    std::fprintf(stderr, "no such case; --list \"\" names them all\n");
    return 2;
  }
  return run(std::move(chosen));
}
