// SPDX-License-Identifier: BSD-3-Clause
// Collects the error lines that SPDK logs while a call runs, so that its error can say why.
#pragma once

#include <spdk_io/abi.hpp>

#include <spdk/log.h>

#include <string>

namespace spdk_io::inline SPDK_IO_ABI::detail {

// Routes SPDK's and DPDK's log through this library. Once per process, before spdk_env_init().
void open_log();

// What SPDK's log is routed to.
spdk_log_cb* spdk_log_function() noexcept;

// While it lives, error lines of all threads are appended to text(), whether or not a callback
// is set. One at a time per process (start-up and configuration are serial anyway); of nested
// ones the innermost collects.
class log_capture {
 public:
  log_capture();
  ~log_capture();
  log_capture(const log_capture&) = delete;
  log_capture& operator=(const log_capture&) = delete;

  std::string text() const;
  void append(std::string_view line);

 private:
  log_capture* outer_;
  std::string text_;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
