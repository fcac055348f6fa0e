// SPDX-License-Identifier: BSD-3-Clause
// blockcopy: copies one block device, or a part of it, to another one, and verifies the copy. See
// session.sh for how it is used.
#include "command_line.hpp"
#include "copy_job.hpp"
#include "device_spec.hpp"
#include "stop_on_signals.hpp"
#include "texts.hpp"

#include <spdk_io/spdk_io.hpp>

#include <cstdint>
#include <iostream>
#include <optional>
#include <stop_token>
#include <string_view>
#include <utility>
#include <vector>

namespace sio = spdk_io;
using block_copy::copy_report;
using block_copy::exclusive_use;
using block_copy::pass;
using block_copy::progress;

namespace {

// Lines on stderr, at most one for each hundredth of a pass.
class progress_lines {
 public:
  void operator()(progress p) {
    const std::uint64_t step = p.total / 100 + 1;
    const bool new_pass = !last_ || last_->now != p.now;
    if (!new_pass && p.done != p.total && p.done / step == last_->done / step) return;
    last_ = p;
    const char* what = p.now == pass::copy ? "copied" : "verified";
    if (p.now == pass::read_again) what = "read again";
    std::cerr << what << ' ' << p.done << " of " << p.total << " bytes\n";
  }

 private:
  std::optional<progress> last_;
};

// The job is the caller's, who asks it, whatever comes of this, what is on the destination.
sio::task<sio::result<copy_report>> app(block_copy::command_line line,
                                        std::optional<block_copy::copy_job>& job) {
  if (!line.config.empty()) {
    auto r = co_await sio::init_subsystems(sio::config_file{line.config});
    if (!r) co_return std::unexpected(r.error());
  }
  auto source = co_await block_copy::open_device(line.source, block_copy::role::source);
  if (!source) co_return std::unexpected(source.error());
  auto target = co_await block_copy::open_device(line.destination, block_copy::role::destination);
  if (!target) co_return std::unexpected(target.error());
  job.emplace(std::move(*source), std::move(*target), std::move(line.options));
  co_return co_await job->run();
}

void print(const copy_report& report, const block_copy::command_line& line) {
  std::cout << report.copied << " bytes copied, ";
  if (line.options.verify) std::cout << report.length << " verified, ";
  std::cout << "CRC-32C " << block_copy::hexadecimal(report.checksum) << '\n';
}

void print(const sio::error& error, const std::optional<block_copy::copy_job>& job) {
  const bool stopped = block_copy::is_stop(error);
  std::cerr << "blockcopy: " << (stopped ? "stopped" : error.message()) << '\n';
  if (!job || job->first_difference() || job->length() == 0) return;
  std::cerr << "blockcopy: the first " << job->durable() << " of " << job->length() << " bytes are "
            << (job->flushes() ? "durable" : "written, but this device cannot flush")
            << "; go on with --resume-from " << job->durable() << '\n';
}

int copy(block_copy::command_line line) {
  if (auto r = block_copy::check_files(line.source, line.destination); !r) {
    print(r.error(), std::nullopt);
    return 1;
  }
  auto held = exclusive_use::of(line.destination);
  if (!held) {
    print(held.error(), std::nullopt);
    return 1;
  }
  if (line.progress) line.options.tell = progress_lines();
  std::stop_source stop;
  const block_copy::stop_on_signals signals(stop);
  auto env =
      sio::env::start({.name = "blockcopy", .hugepages = line.hugepages, .pci = line.hugepages});
  if (!env) {
    print(env.error(), std::nullopt);
    return 1;
  }
  auto thread = sio::thread::attach("main").value();
  std::optional<block_copy::copy_job> job;
  auto r = sio::run_until(thread, sio::with_stop_token(stop.get_token(), app(line, job)));
  if (r) {
    print(*r, line);
    return 0;
  }
  print(r.error(), job);
  return block_copy::is_stop(r.error()) ? 128 + signals.received() : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string_view> arguments(argv + 1, argv + argc);
  if (arguments.size() == 1 && arguments[0] == "--help") {
    std::cout << block_copy::usage;
    return 0;
  }
  auto line = block_copy::parse(arguments);
  if (!line) {
    std::cerr << "blockcopy: " << line.error() << " (see blockcopy --help)\n";
    return 2;
  }
  return copy(std::move(*line));
}
