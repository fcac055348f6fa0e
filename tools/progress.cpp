// SPDX-License-Identifier: BSD-3-Clause
// Drawing the progress line.
#include "progress.hpp"

#include "io_pass.hpp"
#include "report.hpp"
#include "units.hpp"

#include <fmt/format.h>

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>

namespace spdk_io_tool {
namespace {

constexpr std::chrono::milliseconds redraw_every(100);

bool on_terminal() {
  const char* type = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) && ::isatty(STDOUT_FILENO) && type &&
         std::strcmp(type, "dumb") != 0;
}

std::size_t terminal_columns() {
  winsize size = {};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

std::string time_left(const io_pass& pass, double seconds) {
  if (pass.done() == 0) return "";
  const double each = seconds / static_cast<double>(pass.done());
  return fmt::format("  {:.0f} s left", each * static_cast<double>(pass.blocks() - pass.done()));
}

}  // namespace

progress::progress(asio::io_context& ctx)
    : timer_(ctx), terminal_(on_terminal()), utf8_(utf8_locale()) {}

void progress::show(const char* title, const io_pass& pass) {
  if (!terminal_) return;
  title_ = title;
  pass_ = &pass;
  draw();
  wait();
}

void progress::clear() {
  if (!pass_) return;
  pass_ = nullptr;
  timer_.cancel();
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
}

void progress::wait() {
  timer_.expires_after(redraw_every);
  timer_.async_wait([this](const asio::error_code& aborted) {
    if (aborted || !pass_) return;
    draw();
    wait();
  });
}

void progress::draw() const {
  fmt::print(stderr, "\r{}\x1b[K", progress_line(title_, *pass_, terminal_columns() - 1, utf8_));
  std::fflush(stderr);
}

std::string progress_line(const char* title, const io_pass& pass, std::size_t columns, bool utf8) {
  const double share =
      pass.blocks() ? static_cast<double>(pass.done()) / static_cast<double>(pass.blocks()) : 1;
  const double seconds = std::chrono::duration<double>(pass.elapsed()).count();
  const rates speed = rates_of(pass);
  std::string left = fmt::format("{:<6} {:3.0f} %", title, share * 100);
  std::string right = fmt::format("{:6.0f} MiB/s {:8.0f} IOPS", speed.mib_per_second, speed.iops);
  if (pass.mismatch_count() != 0) right += fmt::format("  {} errors", pass.mismatch_count());
  if (seconds > 1) right += time_left(pass, seconds);
  const std::size_t used = left.size() + right.size() + 4;
  if (used + 8 > columns) return left.substr(0, columns);
  return left + "  " + bar(share, std::min<std::size_t>(40, columns - used), utf8, true) + "  " +
         right;
}

}  // namespace spdk_io_tool
