// SPDX-License-Identifier: BSD-3-Clause
// How the command ends: its exit codes, and the one line that goes with each but success.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace spdk_io_tool {

enum exit_code : int {
  exit_ok = 0,
  exit_failed = 1,        // the job was done and found errors, or could not be done
  exit_refused = 2,       // bad usage, or something that needs --overwrite
  exit_signal_base = 128  // plus the signal: 130 for Ctrl-C
};

struct failure {
  int code = exit_failed;
  std::string text;  // one line, without a newline
};

template <class T>
using outcome = std::expected<T, failure>;

inline std::unexpected<failure> failed(std::string text) {
  return std::unexpected(failure{exit_failed, std::move(text)});
}
inline std::unexpected<failure> refused(std::string text) {
  return std::unexpected(failure{exit_refused, std::move(text)});
}

}  // namespace spdk_io_tool
