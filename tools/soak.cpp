// SPDX-License-Identifier: BSD-3-Clause
// The life of the command: signals, files, SPDK, loop, report, and everything undone again.
#include "soak.hpp"

#include "memory_use.hpp"
#include "report.hpp"
#include "soak_job.hpp"
#include "stop_signals.hpp"
#include "test_file.hpp"
#include "units.hpp"

#include <spdk_io/adapters/asio.hpp>
#include <spdk_io/env.hpp>
#include <spdk_io/thread.hpp>

#include <fmt/format.h>
#include <asio/io_context.hpp>

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace spdk_io_tool {

namespace sio = spdk_io;

namespace {

bool has_errors(const soak_options& o) {
  for (std::uint32_t i = 0; i < o.devices; ++i) {
    if (shape_of(i, o).errors) return true;
  }
  return false;
}

outcome<std::deque<test_file>> make_files(const soak_options& o, stop_signals& signals) {
  std::deque<test_file> out;
  for (std::uint32_t i = 0; i < o.devices; ++i) {
    if (!shape_of(i, o).on_file) continue;
    auto made = test_file::open(
        {.path = fmt::format("spdk-io-soak-{}-{}.img", ::getpid(), i), .size = o.size},
        [&] { return signals.poll(); });
    if (!made) return std::unexpected(made.error());
    out.push_back(std::move(*made));
  }
  return out;
}

outcome<int> memory_mib(const soak_options& o) {
  // SPDK's own pools and the bdev_ios, the malloc devices, the buffers of 32 KiB, and some slack.
  const std::uint64_t in_flight = o.most_in_flight();
  const std::uint64_t mib =
      512 + o.devices * ((o.size >> 20) + (o.size >> 24) + 1) + (in_flight * (32768 + 16384) >> 20);
  const std::uint64_t most = available_mib();
  if (mib <= most && mib <= std::numeric_limits<int>::max()) return static_cast<int>(mib);
  return failed(
      fmt::format("not enough memory for this: {} MiB needed, {} MiB available (fewer "
                  "--devices, --size, --depth)",
                  mib, most));
}

std::string head(const soak_options& o) {
  std::string shapes;
  for (std::uint32_t i = 0; i < o.devices && i < 4; ++i) {
    shapes += fmt::format("{}{}", i == 0 ? "" : ", ", to_string(shape_of(i, o)));
  }
  std::string out = fmt::format("spdk-io soak on {} (provider: {})\n", sio::provider_version(),
                                sio::provider_name());
  out += fmt::format("  {:<11}{} of {}: {}{}\n", "devices", o.devices, format_size(o.size), shapes,
                     o.devices > 4 ? ", and so on" : "");
  out += fmt::format(
      "  {:<11}{} threads, {} operations in flight of each on each device, seed {:#x}\n", "load",
      o.threads, o.depth, o.seed.value_or(0));
  if (!o.stacked()) {
    out += fmt::format("  {:<11}{} bdev_ios: too few for stacked devices\n", "pool", o.pool);
  }
  return out;
}

std::string memory_text(const memory_history& memory) {
  if (!memory.complete()) return "too short a run to compare\n";
  const memory_use early = memory.early();
  const memory_use late = memory.late();
  const std::int64_t growth = memory.growth();
  std::string out =
      fmt::format("resident at most {} in the second quarter, {} in the last: {}{}\n",
                  format_size(early.resident), format_size(late.resident), growth < 0 ? "-" : "+",
                  format_size(static_cast<std::uint64_t>(growth < 0 ? -growth : growth)));
  if (late.heap != 0) {
    out += fmt::format("  {:<11}heap {}, then {}\n", "", format_size(early.heap),
                       format_size(late.heap));
  }
  return out;
}

// A shorter run still warms up.
constexpr std::chrono::seconds long_enough(20);

bool memory_grew(const soak_options& o, const soak_job& job) {
  return job.elapsed() >= long_enough && job.memory().complete() &&
         job.memory().growth() > static_cast<std::int64_t>(o.max_growth);
}

std::string report(const soak_options& o, const soak_job& job) {
  const soak_counts c = job.counts();
  const trouble_counts t = job.troubles();
  const double seconds = job.elapsed().count();
  std::string out;
  out += fmt::format(
      "  {:<11}{} in {:.1f} s ({:.0f}/s): {} reads, {} writes, {} write_zeroes, {} "
      "copies, {} flushes\n",
      "operations", c.operations(), seconds, static_cast<double>(c.operations()) / seconds, c.reads,
      c.writes, c.zeroes, c.copies, c.flushes);
  out += fmt::format(
      "  {:<11}{} succeeded, {} failed, {} cancelled, {} timed out, {} found the "
      "device removed, {} were destroyed in flight\n",
      "ended", c.succeeded, c.failed, c.cancelled, c.timed_out, c.removed, c.destroyed);
  out += fmt::format(
      "  {:<11}{} injections of errors, {} resets, {} removals ({} from below), each "
      "with a re-creation\n",
      "trouble", t.injections, t.resets, t.removals, t.from_below);
  out += fmt::format("  {:<11}{}", "memory", memory_text(job.memory()));
  out += fmt::format("  {:<11}{} operations waited for a bdev_io\n", "", job.memory_waits());
  out += fmt::format("  {:<11}{} blocks read and compared, all {} of the devices at the end\n",
                     "checked", c.checked, o.devices * o.blocks());
  for (const auto& each : job.problems()) out += fmt::format("  {}\n", each);
  if (memory_grew(o, job)) {
    out += fmt::format("  memory grew by more than {}\n", format_size(o.max_growth));
  }
  const std::uint64_t errors = c.wrong + c.unexpected + (memory_grew(o, job) ? 1 : 0);
  out += fmt::format("soaked {} operations, {} error{}\n", c.operations(), errors,
                     errors == 1 ? "" : "s");
  return out;
}

}  // namespace

outcome<int> soak(soak_options o) {
  if (auto ok = complete(o); !ok) return std::unexpected(ok.error());
  if (o.corrupt && !has_errors(o)) {
    return refused("--corrupt needs an error device, which there is not with so small a --pool");
  }
  const auto memory = memory_mib(o);
  if (!memory) return std::unexpected(memory.error());
  asio::io_context loop;
  std::deque<test_file> files;
  auto remove_files = [&files] {
    for (auto& each : files) each.remove();
  };
  stop_signals signals(loop, remove_files);
  auto made = make_files(o, signals);
  if (!made) return std::unexpected(made.error());
  files = std::move(*made);
  std::vector<std::string> paths;
  for (const auto& each : files) paths.push_back(each.path());

  auto env = sio::env::start({.name = "spdk-io",
                              .memory_mib = o.hugepages ? 0 : *memory,
                              .hugepages = o.hugepages,
                              .pci = false});
  if (!env) return failed(env.error().message());
  auto thread = sio::thread::attach("soak0");
  if (!thread) return failed(thread.error().message());
  if (auto ok = print(head(o), exit_ok); !ok) return ok;

  soak_job job(*thread, o, paths, signals.received(), remove_files);
  auto done = sio::run_until(loop, *thread, job.run(), sio::idle::backoff());
  if (!done) return std::unexpected(done.error());
  const soak_counts c = job.counts();
  const bool good = c.wrong == 0 && c.unexpected == 0 && !memory_grew(o, job);
  int code = good ? exit_ok : exit_failed;
  if (good && signals.received() != 0) code = exit_signal_base + signals.received();
  return print(report(o, job), code);
}

}  // namespace spdk_io_tool
