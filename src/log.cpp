// SPDX-License-Identifier: BSD-3-Clause
// The log: SPDK's through spdk_log_open(), DPDK's through a stream of its own.
#include <spdk_io/log.hpp>

#include "log_capture.hpp"

#include <spdk/log.h>

#include <cstdarg>
#include <cstdio>
#include <memory>
#include <mutex>
#include <vector>

// DPDK's own function, there when SPDK's environment is DPDK; without it DPDK prints to stderr.
extern "C" int rte_openlog_stream(FILE* stream) __attribute__((weak));

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

struct destination {
  log_callback callback;
  log_level most = log_level::notice;
};

// Never destroyed: SPDK may log while the process ends.
struct log_state {
  std::mutex mutex;
  std::shared_ptr<const destination> current;
  detail::log_capture* capture = nullptr;
};

log_state& state() {
  static auto* s = new log_state;
  return *s;
}

log_level level_of(int spdk_level) {
  switch (spdk_level) {
    case SPDK_LOG_ERROR: return log_level::error;
    case SPDK_LOG_WARN: return log_level::warning;
    case SPDK_LOG_NOTICE: return log_level::notice;
    case SPDK_LOG_INFO: return log_level::info;
    default: return log_level::debug;
  }
}

void deliver(log_level level, std::string_view line) {
  while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.remove_suffix(1);
  if (line.empty()) return;
  std::shared_ptr<const destination> to;
  {
    std::lock_guard lock(state().mutex);
    to = state().current;
    if (level == log_level::error && state().capture) state().capture->append(line);
  }
  if (to && to->callback && level <= to->most) to->callback(level, line);
}

void on_spdk_log(int level, const char*, const int, const char*, const char* format,
                 va_list arguments) {
  char line[2048];
  std::vsnprintf(line, sizeof(line), format, arguments);
  deliver(level_of(level), line);
}

ssize_t on_dpdk_log(void*, const char* text, size_t size) {
  std::string_view rest(text, size);
  while (!rest.empty()) {
    auto end = rest.find('\n');
    // DPDK gives its stream no level; what it prints at SPDK's default level is worth a notice.
    deliver(log_level::notice, rest.substr(0, end));
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
  }
  return static_cast<ssize_t>(size);
}

}  // namespace

void set_log(log_callback callback, log_level most) {
  auto next = std::make_shared<const destination>(destination{std::move(callback), most});
  std::lock_guard lock(state().mutex);
  state().current.swap(next);
}

std::string_view to_string(log_level level) noexcept {
  switch (level) {
    case log_level::error: return "error";
    case log_level::warning: return "warning";
    case log_level::notice: return "notice";
    case log_level::info: return "info";
    case log_level::debug: return "debug";
  }
  return "unknown";
}

namespace detail {

void open_log() {
  spdk_log_open(on_spdk_log);
  if (!rte_openlog_stream) return;
  cookie_io_functions_t functions = {};
  functions.write = on_dpdk_log;
  if (FILE* stream = fopencookie(nullptr, "w", functions)) {
    std::setvbuf(stream, nullptr, _IOLBF, 1024);
    rte_openlog_stream(stream);
  }
}

spdk_log_cb* spdk_log_function() noexcept { return on_spdk_log; }

log_capture::log_capture() {
  std::lock_guard lock(state().mutex);
  outer_ = state().capture;
  state().capture = this;
}

log_capture::~log_capture() {
  std::lock_guard lock(state().mutex);
  state().capture = outer_;
}

std::string log_capture::text() const {
  std::lock_guard lock(state().mutex);
  return text_;
}

void log_capture::append(std::string_view line) {
  if (text_.size() + line.size() > 16384) return;  // a flood of errors need not be kept whole
  if (!text_.empty()) text_ += '\n';
  text_ += line;
}

}  // namespace detail
}  // namespace spdk_io::inline SPDK_IO_ABI
