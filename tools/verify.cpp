// SPDX-License-Identifier: BSD-3-Clause
// The life of the command: signals, file, SPDK, loop, report, and everything undone again.
#include "verify.hpp"

#include "memory_use.hpp"
#include "report.hpp"
#include "stop_signals.hpp"
#include "test_file.hpp"
#include "units.hpp"
#include "verify_job.hpp"

#include <spdk_io/adapters/asio.hpp>
#include <spdk_io/env.hpp>
#include <spdk_io/thread.hpp>

#include <fmt/format.h>
#include <asio/io_context.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spdk_io_tool {

namespace sio = spdk_io;

namespace {

std::string_view name_of(device_kind kind) {
  switch (kind) {
    case device_kind::uring: return "uring";
    case device_kind::aio: return "aio";
    case device_kind::malloc: return "malloc";
    case device_kind::null: return "null";
  }
  return "";
}

std::string device_text(const verify_options& o, const verify_job& job) {
  std::string out = std::string(name_of(o.device));
  if (o.on_file()) out += fmt::format(" on {}", o.file);
  out += fmt::format(", {} in {} blocks of {}", format_size(o.size), o.blocks(),
                     format_size(o.block_size));
  if (job.device().size() > o.size)
    out += fmt::format(" (of {})", format_size(job.device().size()));
  if (auto direct = job.direct()) out += *direct ? ", O_DIRECT" : ", through the page cache";
  return out;
}

std::string errors_text(const io_pass& pass) {
  if (pass.mismatch_count() == 0) return "0 errors";
  std::vector<std::uint64_t> blocks;
  for (const auto& wrong : pass.mismatches()) blocks.push_back(wrong.block);
  std::ranges::sort(blocks);
  if (pass.mismatch_count() == 1) return fmt::format("1 error at block {}", blocks.front());
  return fmt::format("{} errors at {}blocks {}{}", pass.mismatch_count(),
                     pass.mismatch_count() > blocks.size() ? "e.g. " : "", fmt::join(blocks, ", "),
                     pass.mismatch_count() > blocks.size() ? ", ..." : "");
}

std::string report(const verify_options& o, const verify_job& job) {
  const io_pass& write = job.write_pass();
  const io_pass& read = job.read_pass();
  std::string out = fmt::format("spdk-io verify on {} (provider: {})\n", sio::provider_version(),
                                sio::provider_name());
  out += fmt::format("  {:<8}{}\n", "device", device_text(o, job));
  out += fmt::format("  {:<8}{} requests in flight, idle {}, seed {:#x}, generation {}\n", "load",
                     o.depth, o.idle == idle_kind::spin ? "spin" : "backoff", job.data().seed(),
                     job.data().generation());
  out += '\n';
  out += pass_head() + pass_line("write", write);
  if (o.on_file()) {
    out +=
        fmt::format("  {:<6}{:>29}  to stable storage, page cache dropped{}\n", "sync",
                    format_duration(job.settling()), o.corrupt_block ? ", one byte flipped" : "");
  }
  out += pass_line("read", read) + '\n';
  out += latency_bars(write.latency(), read.latency(), utf8_locale()) + '\n';
  out += timer_line(job.timer());
  out += fmt::format("  {:<8}{} request{} waited for memory\n\n", "memory", job.memory_waits(),
                     job.memory_waits() == 1 ? "" : "s");
  std::vector<mismatch> wrong(read.mismatches().begin(), read.mismatches().end());
  std::ranges::sort(wrong, {}, &mismatch::block);
  for (const auto& each : wrong) {
    out += fmt::format("  block {}: {}\n", each.block, job.data().explain(each));
  }
  out += fmt::format("verified {} blocks, {}\n", read.done(), errors_text(read));
  return out;
}

std::string interruption_text(const verify_job& job, const std::optional<test_file>& file,
                              bool keep) {
  const io_pass& write = job.write_pass();
  const io_pass& read = job.read_pass();
  std::string out = fmt::format("interrupted: {} of {} blocks written, {} verified, {}",
                                write.done(), write.blocks(), read.done(), errors_text(read));
  if (file && file->made())
    out += fmt::format("; \"{}\" {}", file->path(), keep ? "kept" : "removed");
  return out;
}

// For SPDK's memory without hugepages, which is taken at once.
outcome<int> memory_mib(const verify_options& o) {
  // SPDK's own pools need about 250 MiB; the allocator wants some slack around each buffer.
  const std::uint64_t buffers = std::min<std::uint64_t>(o.depth, o.blocks());
  std::uint64_t mib = 512 + ((buffers * (o.block_size + 8192)) >> 20);
  if (o.device == device_kind::malloc) mib += (o.size >> 20) + (o.size >> 24);
  const std::uint64_t most = available_mib();
  if (mib <= most && mib <= std::numeric_limits<int>::max()) return static_cast<int>(mib);
  return failed(fmt::format(
      "not enough memory for --depth {} of --block-size {}{}: {} MiB needed, "
      "{} MiB available",
      o.depth, o.block_size, o.device == device_kind::malloc ? " and the device" : "", mib, most));
}

outcome<sio::env> start_env(const verify_options& o, int memory) {
  auto started = sio::env::start(
      {.name = "spdk-io", .memory_mib = memory, .hugepages = o.hugepages, .pci = false});
  if (started) return std::move(*started);
  return failed(started.error().message() + (o.hugepages ? " (leave out --hugepages)" : ""));
}

outcome<void> run_on_loop(asio::io_context& loop, sio::thread& thread, verify_job& job,
                          idle_kind idle) {
  if (idle == idle_kind::spin) return sio::run_until(loop, thread, job.run(), sio::idle::spin());
  return sio::run_until(loop, thread, job.run(), sio::idle::backoff());
}

}  // namespace

outcome<int> verify(verify_options o) {
  if (auto ok = complete(o); !ok) return std::unexpected(ok.error());
  outcome<int> memory = 0;  // all there is
  if (!o.hugepages) memory = memory_mib(o);
  if (!memory) return std::unexpected(memory.error());
  asio::io_context loop;
  std::optional<test_file> file;
  stop_signals signals(loop, [&file] {
    if (file) file->remove();
  });
  if (o.on_file()) {
    auto opened =
        test_file::open({.path = o.file, .size = o.size, .overwrite = o.overwrite, .keep = o.keep},
                        [&] { return signals.poll(); });
    if (!opened) return std::unexpected(opened.error());
    file.emplace(std::move(*opened));
  }
  auto env = start_env(o, *memory);
  if (!env) return std::unexpected(env.error());
  auto thread = sio::thread::attach("verify");
  if (!thread) return failed(thread.error().message());

  verify_job job(loop, *thread, o, file ? &*file : nullptr, signals.received());
  auto done = run_on_loop(loop, *thread, job, o.idle);
  if (!done && signals.received() != 0) done.error().text = interruption_text(job, file, o.keep);
  if (!done) return std::unexpected(done.error());
  std::string text = report(o, job);
  if (file && file->made() && o.keep) text += fmt::format("kept {}\n", file->path());
  return print(text, job.read_pass().mismatch_count() == 0 ? exit_ok : exit_failed);
}

}  // namespace spdk_io_tool
