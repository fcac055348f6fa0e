// SPDX-License-Identifier: BSD-3-Clause
// Does random I/O in one way on one file, once, and prints how much of it as one line of JSON.
// bench/files.py compares the ways; bench/spdk_tools.py runs it on devices of a configuration.
#include "file_io.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <exception>
#include <map>
#include <stdexcept>

namespace {

using engine = bench::file_figures (*)(const bench::file_job&);

const std::map<std::string, engine>& engines() {
  static const std::map<std::string, engine> all{{"spdk_io", bench::library_file_io},
#ifdef SPDK_IO_BENCH_LIBURING
                                                 {"liburing", bench::liburing_file_io},
#endif
                                                 {"threads", bench::threads_file_io}};
  return all;
}

int run(const std::string& name, const bench::file_job& job) {
  const bool on_device = !job.configuration.empty();
  if (on_device && name != "spdk_io") throw std::runtime_error("--json-config is for spdk_io");
  if (on_device == job.bdev.empty()) throw std::runtime_error("--json-config goes with --bdev");
  if (!on_device && job.file.empty()) throw std::runtime_error("--file is needed");
  const bench::file_figures figures = engines().at(name)(job);
  std::printf("{\"ios\": %llu, \"seconds\": %.6f, \"cpu_seconds\": %.6f}\n",
              static_cast<unsigned long long>(figures.ios), figures.seconds, figures.cpu_seconds);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App cli{"Does random I/O in one way and prints how much, as JSON."};
  bench::file_job job;
  std::string name = "spdk_io";
  std::string direction = "read";
  double seconds = 1.0;
  std::uint64_t prepare = 0;
  cli.add_option("--engine", name, "What does the I/O")->check(CLI::IsMember(engines()));
  cli.add_option("--file", job.file, "A file or block device, which is overwritten");
  cli.add_option("--prepare", prepare, "Make the file anew with this size, and end")
      ->transform(CLI::AsSizeValue(false));
  cli.add_option("--json-config", job.configuration, "SPDK's configuration, instead of a file");
  cli.add_option("--bdev", job.bdev, "The device of it");
  cli.add_option("--core-mask", job.core_mask, "SPDK's cores: its thread stays on the first");
  cli.add_option("--size", job.io_size, "Bytes of each I/O")->check(CLI::IsMember({4096, 131072}));
  cli.add_option("--depth", job.depth, "I/Os in flight")->check(CLI::Range(1, 512));
  cli.add_option("--rw", direction, "Reads or writes")->check(CLI::IsMember({"read", "write"}));
  cli.add_option("--seconds", seconds, "That are measured")->check(CLI::PositiveNumber);
  CLI11_PARSE(cli, argc, argv);
  job.write = direction == "write";
  job.length = std::chrono::duration<double>(seconds);
  try {
    if (prepare > 0) {
      bench::prepare_file(job.file, prepare);
      return 0;
    }
    return run(name, job);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "spdk-io-file: %s\n", e.what());
    return 1;
  }
}
