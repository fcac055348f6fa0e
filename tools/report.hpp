// SPDX-License-Identifier: BSD-3-Clause
// What the job prints: plain text, aligned, without escape codes.
#pragma once

#include "failure.hpp"

#include <cstddef>
#include <string>

namespace spdk_io_tool {

class io_pass;
class periodic_timer;
class latency_histogram;

struct rates {
  double mib_per_second = 0;
  double iops = 0;
};
rates rates_of(const io_pass& pass);  // so far, or of the whole pass

// The line of a pass in the table, and the table's head.
std::string pass_head();
std::string pass_line(const char* title, const io_pass& pass);

// Both passes' latencies side by side, a line for each of 1-2-5 steps.
std::string latency_bars(const latency_histogram& write, const latency_histogram& read, bool utf8);

std::string timer_line(const periodic_timer& timer);

// To stdout. Gives `code`, or a failure if that cannot be written.
outcome<int> print(const std::string& text, int code);

// A bar of a share (0 to 1) of `columns` columns, padded with blanks to its full width if
// `padded`. Anything above zero shows.
std::string bar(double share, std::size_t columns, bool utf8, bool padded);

// The environment's character set is UTF-8. Looked up once; sets the C locale's LC_CTYPE.
bool utf8_locale();

}  // namespace spdk_io_tool
