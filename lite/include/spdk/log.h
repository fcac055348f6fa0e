// SPDX-License-Identifier: BSD-3-Clause
// Logging: levels, the macros that add file and line, a log function of one's own, and named
// flags that switch single components on.
#pragma once

#include "spdk/assert.h"
#include "spdk/queue.h"
#include "spdk/stdinc.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Receives every message, whatever its level; `file` and `func` may be NULL. */
typedef void spdk_log_cb(int level, const char* file, const int line, const char* func,
                         const char* format, va_list args);
typedef void spdk_log_open_cb(void* ctx);
typedef void spdk_log_close_cb(void* ctx);

struct spdk_log_opts {
  /** Size of this struct as the caller knows it. */
  size_t size;
  spdk_log_cb* log;
  spdk_log_open_cb* open;
  spdk_log_close_cb* close;
  void* user_ctx;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_log_opts) == 40, "the ABI's size");

/** Sends messages to `log` from now on; with NULL to stderr and syslog. */
void spdk_log_open(spdk_log_cb* log);
void spdk_log_open_ext(struct spdk_log_opts* opts);
/** Back to stderr and syslog. */
void spdk_log_close(void);
void spdk_log_enable_timestamps(bool value);

enum spdk_log_level {
  SPDK_LOG_DISABLED = -1,
  SPDK_LOG_ERROR,
  SPDK_LOG_WARN,
  SPDK_LOG_NOTICE,
  SPDK_LOG_INFO,
  SPDK_LOG_DEBUG,
};

/** Threshold for syslog, and the one for stderr. Both start at SPDK_LOG_ERROR. */
void spdk_log_set_level(enum spdk_log_level level);
enum spdk_log_level spdk_log_get_level(void);
void spdk_log_set_print_level(enum spdk_log_level level);
enum spdk_log_level spdk_log_get_print_level(void);
/** The syslog priority of a level; -1 for SPDK_LOG_DISABLED. */
int spdk_log_to_syslog_level(enum spdk_log_level level);

void spdk_log(enum spdk_log_level level, const char* file, const int line, const char* func,
              const char* format, ...) __attribute__((__format__(__printf__, 5, 6)));
void spdk_vlog(enum spdk_log_level level, const char* file, const int line, const char* func,
               const char* format, va_list ap);
/** The same into a file, whatever the level. */
void spdk_flog(FILE* fp, const char* file, const int line, const char* func, const char* format,
               ...) __attribute__((__format__(__printf__, 5, 6)));
void spdk_vflog(FILE* fp, const char* file, const int line, const char* func, const char* format,
                va_list ap);
/** A hex dump with a heading. */
void spdk_log_dump(FILE* fp, const char* label, const void* buf, size_t len);

#define SPDK_NOTICELOG(...) spdk_log(SPDK_LOG_NOTICE, __FILE__, __LINE__, __func__, __VA_ARGS__)
#define SPDK_WARNLOG(...) spdk_log(SPDK_LOG_WARN, __FILE__, __LINE__, __func__, __VA_ARGS__)
#define SPDK_ERRLOG(...) spdk_log(SPDK_LOG_ERROR, __FILE__, __LINE__, __func__, __VA_ARGS__)
#define SPDK_PRINTF(...) spdk_log(SPDK_LOG_NOTICE, NULL, -1, NULL, __VA_ARGS__)
#define SPDK_INFOLOG(flag, ...) SPDK_FLAGGED_LOG_IMPL_(flag, SPDK_LOG_INFO, __VA_ARGS__)

#define SPDK_FLAGGED_LOG_IMPL_(flag, level, ...)                  \
  do {                                                            \
    extern struct spdk_log_flag SPDK_LOG_##flag;                  \
    if (SPDK_LOG_##flag.enabled) {                                \
      spdk_log(level, __FILE__, __LINE__, __func__, __VA_ARGS__); \
    }                                                             \
  } while (0)

#ifdef DEBUG
#define SPDK_DEBUGLOG_FLAG_ENABLED(name) spdk_log_get_flag(name)
#define SPDK_DEBUGLOG(flag, ...) SPDK_FLAGGED_LOG_IMPL_(flag, SPDK_LOG_DEBUG, __VA_ARGS__)
#define SPDK_LOGDUMP(flag, label, buf, len)         \
  do {                                              \
    extern struct spdk_log_flag SPDK_LOG_##flag;    \
    if (SPDK_LOG_##flag.enabled) {                  \
      spdk_log_dump(stderr, (label), (buf), (len)); \
    }                                               \
  } while (0)
#else
#define SPDK_DEBUGLOG_FLAG_ENABLED(name) false
#define SPDK_DEBUGLOG(...) \
  do {                     \
  } while (0)
#define SPDK_LOGDUMP(...) \
  do {                    \
  } while (0)
#endif

/** A component's switch; lives for ever. */
struct spdk_log_flag {
  TAILQ_ENTRY(spdk_log_flag) tailq;
  const char* name;
  bool enabled;
};

void spdk_log_register_flag(const char* name, struct spdk_log_flag* flag);

/** Defines the flag SPDK_LOG_<flag> and registers it before main(). */
#define SPDK_LOG_REGISTER_COMPONENT(flag)                               \
  struct spdk_log_flag SPDK_LOG_##flag = {{NULL, NULL}, #flag, false};  \
  __attribute__((constructor)) static void register_flag_##flag(void) { \
    spdk_log_register_flag(#flag, &SPDK_LOG_##flag);                    \
  }

struct spdk_log_flag* spdk_log_get_first_flag(void);
struct spdk_log_flag* spdk_log_get_next_flag(struct spdk_log_flag* flag);
bool spdk_log_get_flag(const char* flag);
/** `flag` is a name, a glob pattern or "all". 0, or -EINVAL if nothing matches. */
int spdk_log_set_flag(const char* flag);
int spdk_log_clear_flag(const char* flag);
void spdk_log_usage(FILE* f, const char* log_arg);

#ifdef __cplusplus
}
#endif
