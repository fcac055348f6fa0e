// SPDX-License-Identifier: BSD-3-Clause
// Formatting of the report.
#include "report.hpp"

#include "io_pass.hpp"
#include "latency_histogram.hpp"
#include "periodic_timer.hpp"
#include "units.hpp"

#include <fmt/format.h>

#include <langinfo.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <clocale>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <vector>

namespace spdk_io_tool {
namespace {

using std::chrono::nanoseconds;

constexpr std::size_t bar_columns = 20;

// 1, 2, 5, 10, … in nanoseconds, from 1 us to 1000 s.
std::vector<nanoseconds> steps() {
  std::vector<nanoseconds> out;
  for (std::int64_t decade = 1000; decade <= 1'000'000'000'000; decade *= 10) {
    for (int factor : {1, 2, 5}) out.emplace_back(decade * factor);
  }
  return out;
}

std::string short_duration(nanoseconds d) {
  const auto us = d.count() / 1000;
  if (us < 1000) return fmt::format("{} us", us);
  if (us < 1'000'000) return fmt::format("{} ms", us / 1000);
  return fmt::format("{} s", us / 1'000'000);
}

std::string cell(std::uint64_t count, std::uint64_t total, bool utf8) {
  const double share = total ? static_cast<double>(count) / static_cast<double>(total) : 0;
  return fmt::format("{:>8} {:5.1f} % {}", count, share * 100, bar(share, bar_columns, utf8, true));
}

std::string without_trailing_blanks(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

}  // namespace

bool utf8_locale() {
  static const bool utf8 = [] {
    std::setlocale(LC_CTYPE, "");
    return std::strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
  }();
  return utf8;
}

std::string bar(double share, std::size_t columns, bool utf8, bool padded) {
  static constexpr std::array parts = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  share = std::clamp(share, 0.0, 1.0);
  const double exact = share * static_cast<double>(columns);
  std::string out;
  std::size_t used = 0;
  if (utf8) {
    auto eighths = static_cast<std::size_t>(std::lround(exact * 8));
    if (eighths == 0 && share > 0) eighths = 1;
    used = eighths / 8;
    for (std::size_t i = 0; i < used; ++i) out += "█";
    out += parts[eighths % 8];
    used += eighths % 8 != 0;
  } else {
    used = static_cast<std::size_t>(std::lround(exact));
    out.assign(used, '#');
    if (used == 0 && share > 0) {
      out.push_back('.');
      used = 1;
    }
  }
  if (padded) out.append(columns - used, ' ');
  return out;
}

outcome<int> print(const std::string& text, int code) {
  if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0) {
    return failed("cannot write the report");
  }
  return code;
}

rates rates_of(const io_pass& pass) {
  const double seconds = std::chrono::duration<double>(pass.elapsed()).count();
  if (seconds <= 0) return {};
  return {.mib_per_second = static_cast<double>(pass.bytes_done()) / (1024 * 1024) / seconds,
          .iops = static_cast<double>(pass.done()) / seconds};
}

std::string pass_head() {
  return fmt::format("  {:<6}{:>9}{:>10}{:>10}{:>11}{:>10}{:>10}{:>10}\n", "", "MiB/s", "IOPS",
                     "time", "p50", "p99", "p99.9", "max");
}

std::string pass_line(const char* title, const io_pass& pass) {
  const rates speed = rates_of(pass);
  const auto& latency = pass.latency();
  return fmt::format("  {:<6}{:>9.1f}{:>10.0f}{:>10}{:>11}{:>10}{:>10}{:>10}\n", title,
                     speed.mib_per_second, speed.iops, format_duration(pass.elapsed()),
                     format_duration(latency.percentile(0.5)),
                     format_duration(latency.percentile(0.99)),
                     format_duration(latency.percentile(0.999)), format_duration(latency.max()));
}

std::string latency_bars(const latency_histogram& write, const latency_histogram& read, bool utf8) {
  std::string out = fmt::format("  {:<17}{:<39}{}\n", "latency", "write", "read");
  const std::uint64_t total = std::max(write.count(), read.count());
  nanoseconds low(0);
  std::uint64_t written = 0;  // below `low`
  std::uint64_t got = 0;
  bool begun = false;
  for (nanoseconds high : steps()) {
    const std::uint64_t written_below = write.count_below(high);
    const std::uint64_t got_below = read.count_below(high);
    begun = begun || written_below != 0 || got_below != 0;
    if (begun) {
      auto label = low.count() == 0
                       ? fmt::format("< {}", short_duration(high))
                       : fmt::format("{} - {}", short_duration(low), short_duration(high));
      out += without_trailing_blanks(fmt::format("  {:<17}{}  {}", label,
                                                 cell(written_below - written, write.count(), utf8),
                                                 cell(got_below - got, read.count(), utf8))) +
             '\n';
    }
    if (written_below == write.count() && got_below == read.count()) break;
    low = high;
    written = written_below;
    got = got_below;
  }
  return total == 0 ? std::string() : out;
}

std::string timer_line(const periodic_timer& timer) {
  const auto& late = timer.lateness();
  const auto period = std::chrono::duration_cast<nanoseconds>(timer.period());
  return fmt::format("  {:<8}every {}: fired {} times, missed {}; late p50 {}, p99 {}, worst {}\n",
                     "timer", short_duration(period), timer.fired(), timer.missed(),
                     format_duration(late.percentile(0.5)), format_duration(late.percentile(0.99)),
                     format_duration(late.max()));
}

}  // namespace spdk_io_tool
