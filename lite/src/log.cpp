// SPDX-License-Identifier: BSD-3-Clause
// Logging to stderr and syslog, or to the program's own function; and the list of log flags.
#include "spdk/log.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

namespace {

std::atomic<spdk_log_level> syslog_threshold{SPDK_LOG_ERROR};
std::atomic<spdk_log_level> print_threshold{SPDK_LOG_ERROR};
std::atomic<bool> with_timestamps{true};

// Set by spdk_log_open*() and read by any thread that logs.
std::atomic<spdk_log_cb*> log_function{nullptr};
std::atomic<spdk_log_close_cb*> close_function{nullptr};
std::atomic<void*> open_context{nullptr};

const char* level_name(spdk_log_level level) {
  constexpr std::array names{"ERROR", "WARNING", "NOTICE", "INFO", "DEBUG"};
  const auto index = static_cast<std::size_t>(level);
  return index < names.size() ? names[index] : "UNKNOWN";
}

std::string timestamp() {
  if (!with_timestamps.load(std::memory_order_relaxed)) {
    return {};
  }
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  std::tm calendar{};
  std::array<char, 32> date{};
  if (localtime_r(&now.tv_sec, &calendar) == nullptr ||
      std::strftime(date.data(), date.size(), "%Y-%m-%d %H:%M:%S", &calendar) == 0) {
    return "[unknown date] ";
  }
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "[%s.%06ld] ", date.data(), now.tv_nsec / 1000);
  return text.data();
}

std::string format_message(const char* format, va_list args) {
  va_list again;
  va_copy(again, args);
  const int length = std::vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (length < 0) {
    return {};
  }
  std::string text(static_cast<std::size_t>(length), '\0');
  std::vsnprintf(text.data(), text.size() + 1, format, args);
  return text;
}

/// "file:  12:function: ", or nothing for messages without a place.
std::string place(const char* file, int line, const char* func) {
  if (file == nullptr) {
    return {};
  }
  std::array<char, 32> number{};
  std::snprintf(number.data(), number.size(), ":%4d:", line);
  return std::string{file} + number.data() + (func != nullptr ? func : "") + ": ";
}

void open_syslog(void*) { openlog("spdk", LOG_PID, LOG_LOCAL7); }
void close_syslog(void*) { closelog(); }

// ---- flags ----

/// Sorted by name. A function's static, since flags register themselves before main().
std::vector<spdk_log_flag*>& flags() {
  static auto& instance = *new std::vector<spdk_log_flag*>;
  return instance;
}

spdk_log_flag* find_flag(const char* name) {
  for (spdk_log_flag* const flag : flags()) {
    if (strcasecmp(flag->name, name) == 0) {
      return flag;
    }
  }
  return nullptr;
}

int switch_flags(const char* pattern, bool on) {
  const bool all = strcasecmp(pattern, "all") == 0;
  bool any = all;
  for (spdk_log_flag* const flag : flags()) {
    if (all || fnmatch(pattern, flag->name, FNM_CASEFOLD) == 0) {
      flag->enabled = on;
      any = true;
    }
  }
  return any ? 0 : -EINVAL;
}

}  // namespace

void spdk_log_open(spdk_log_cb* log) {
  if (log == nullptr) {
    spdk_log_open_ext(nullptr);
    return;
  }
  spdk_log_opts opts{};
  opts.size = sizeof opts;
  opts.log = log;
  spdk_log_open_ext(&opts);
}

void spdk_log_open_ext(spdk_log_opts* opts) {
  if (opts == nullptr) {
    close_function = close_syslog;
    open_syslog(nullptr);
    return;
  }
  // Fields that the caller's older struct does not have count as NULL.
  spdk_log_opts known{};
  std::memcpy(&known, opts, std::min(opts->size, sizeof known));
  open_context = known.user_ctx;
  close_function = known.close;
  log_function = known.log;
  if (known.open != nullptr) {
    known.open(known.user_ctx);
  }
}

void spdk_log_close(void) {
  if (spdk_log_close_cb* const close = close_function.exchange(nullptr); close != nullptr) {
    close(open_context);
  }
  log_function = nullptr;
  open_context = nullptr;
}

void spdk_log_enable_timestamps(bool value) { with_timestamps = value; }

void spdk_log_set_level(spdk_log_level level) { syslog_threshold = level; }
spdk_log_level spdk_log_get_level(void) { return syslog_threshold; }
void spdk_log_set_print_level(spdk_log_level level) { print_threshold = level; }
spdk_log_level spdk_log_get_print_level(void) { return print_threshold; }

int spdk_log_to_syslog_level(spdk_log_level level) {
  switch (level) {
    case SPDK_LOG_DISABLED: return -1;
    case SPDK_LOG_ERROR: return LOG_ERR;
    case SPDK_LOG_WARN: return LOG_WARNING;
    case SPDK_LOG_NOTICE: return LOG_NOTICE;
    default: return LOG_INFO;
  }
}

void spdk_log(spdk_log_level level, const char* file, const int line, const char* func,
              const char* format, ...) {
  va_list args;
  va_start(args, format);
  spdk_vlog(level, file, line, func, format, args);
  va_end(args);
}

void spdk_vlog(spdk_log_level level, const char* file, const int line, const char* func,
               const char* format, va_list ap) {
  if (spdk_log_cb* const log = log_function.load(); log != nullptr) {
    log(level, file, line, func, format, ap);
    return;
  }
  const bool print = level <= spdk_log_get_print_level();
  const bool to_syslog = level <= spdk_log_get_level();
  if (level == SPDK_LOG_DISABLED || (!print && !to_syslog)) {
    return;
  }
  std::string text = place(file, line, func);
  if (file != nullptr) {
    text += std::string{"*"} + level_name(level) + "*: ";
  }
  text += format_message(format, ap);
  if (print) {
    std::fputs((timestamp() + text).c_str(), stderr);
  }
  if (to_syslog) {
    syslog(spdk_log_to_syslog_level(level), "%s", text.c_str());
  }
}

void spdk_flog(FILE* fp, const char* file, const int line, const char* func, const char* format,
               ...) {
  va_list args;
  va_start(args, format);
  spdk_vflog(fp, file, line, func, format, args);
  va_end(args);
}

void spdk_vflog(FILE* fp, const char* file, const int line, const char* func, const char* format,
                va_list ap) {
  std::fputs((timestamp() + place(file, line, func) + format_message(format, ap)).c_str(), fp);
  std::fflush(fp);
}

void spdk_log_dump(FILE* fp, const char* label, const void* buf, size_t len) {
  constexpr std::size_t per_line = 16;
  const auto* const bytes = static_cast<const unsigned char*>(buf);
  std::fprintf(fp, "%s\n", label);
  for (std::size_t line = 0; line < len; line += per_line) {
    std::string text;
    std::fprintf(fp, "%08zx ", line);
    for (std::size_t i = line; i < line + per_line; ++i) {
      if (i % (per_line / 2) == 0) {
        std::fputc(' ', fp);
      }
      if (i < len) {
        std::fprintf(fp, "%02x ", bytes[i]);
        text += std::isprint(bytes[i]) != 0 ? static_cast<char>(bytes[i]) : '.';
      } else {
        std::fputs("   ", fp);
      }
    }
    std::fprintf(fp, " %s\n", text.c_str());
  }
  std::fflush(fp);
}

void spdk_log_register_flag(const char* name, spdk_log_flag* flag) {
  if (name == nullptr || flag == nullptr) {
    SPDK_ERRLOG("a log flag needs a name\n");
    return;
  }
  if (find_flag(name) != nullptr) {
    SPDK_ERRLOG("log flag '%s' exists already\n", name);
    return;
  }
  const auto before = [](const spdk_log_flag* a, const spdk_log_flag* b) {
    return strcasecmp(a->name, b->name) < 0;
  };
  flags().insert(std::upper_bound(flags().begin(), flags().end(), flag, before), flag);
}

spdk_log_flag* spdk_log_get_first_flag(void) { return flags().empty() ? nullptr : flags().front(); }

spdk_log_flag* spdk_log_get_next_flag(spdk_log_flag* flag) {
  const auto found = std::find(flags().begin(), flags().end(), flag);
  return found == flags().end() || found + 1 == flags().end() ? nullptr : *(found + 1);
}

bool spdk_log_get_flag(const char* name) {
  const spdk_log_flag* const flag = find_flag(name);
  return flag != nullptr && flag->enabled;
}

int spdk_log_set_flag(const char* flag) { return switch_flags(flag, true); }
int spdk_log_clear_flag(const char* flag) { return switch_flags(flag, false); }

void spdk_log_usage(FILE* f, const char* log_arg) {
  std::string names = "all";
  for (const spdk_log_flag* const flag : flags()) {
    names += std::string{", "} + flag->name;
  }
  std::fprintf(f, " %s, --logflag <flag>      enable log flag (%s)\n", log_arg, names.c_str());
}
