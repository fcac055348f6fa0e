// SPDX-License-Identifier: BSD-3-Clause
// The spdk-io command: its subcommands, its exit codes, one line on stderr for each failure.
#include "failure.hpp"
#include "soak.hpp"
#include "soak_options.hpp"
#include "verify.hpp"
#include "verify_options.hpp"

#include <spdk_io/env.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdio>
#include <exception>
#include <string>

namespace spdk_io_tool {
namespace {

constexpr const char* exit_codes =
    "Exit codes: 0 all was verified; 1 errors were found, or the job could not be done; "
    "2 bad usage, or refused (something exists: --overwrite); 130 after Ctrl-C "
    "(128 plus the signal).";

std::string version() {
  return fmt::format("spdk-io {} on {} (provider: {})", SPDK_IO_VERSION,
                     spdk_io::provider_version(), spdk_io::provider_name());
}

int report(const failure& f) {
  fmt::print(stderr, "spdk-io: {}\n", f.text);
  return f.code;
}

std::string one_line(std::string text) {
  for (char& c : text) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return text;
}

int run(int argc, char** argv) {
  verify_options options;
  soak_options soak_with;
  CLI::App app("SPDK block devices from the command line", "spdk-io");
  app.set_version_flag("--version,--provider", version(), "Version, and who provides SPDK's API");
  app.footer(exit_codes);
  app.require_subcommand(1);
  CLI::App* verify_command = add_verify(app, options);
  verify_command->footer(exit_codes);
  CLI::App* soak_command = add_soak(app, soak_with);
  soak_command->footer(exit_codes);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& e) {
    const char* where = "spdk-io --help";
    if (verify_command->parsed()) where = "spdk-io verify --help";
    if (soak_command->parsed()) where = "spdk-io soak --help";
    return report({exit_refused, fmt::format("{} (see {})", one_line(e.what()), where)});
  }
  auto done = soak_command->parsed() ? soak(soak_with) : verify(options);
  return done ? *done : report(done.error());
}

}  // namespace
}  // namespace spdk_io_tool

int main(int argc, char** argv) {
  // Both come as errors of the calls concerned instead, so that the file is removed.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return spdk_io_tool::run(argc, argv);
  } catch (const std::exception& e) {
    return spdk_io_tool::report({spdk_io_tool::exit_failed, e.what()});
  }
}
