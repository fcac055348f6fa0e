// SPDX-License-Identifier: BSD-3-Clause
// String helpers: formatting into fresh memory, number parsing, error texts.
#pragma once

#include "spdk/stdinc.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SPDK_STRINGIFY_IMPL_(x) #x
#define SPDK_STRINGIFY(x) SPDK_STRINGIFY_IMPL_(x)

/** printf into memory that the caller releases with free(). NULL on failure. */
char* spdk_sprintf_alloc(const char* format, ...) __attribute__((format(printf, 1, 2)));
char* spdk_vsprintf_alloc(const char* format, va_list args);

/** printf behind the text in `buffer` (may be NULL), which is reallocated. On failure NULL, and
 * `buffer` stays valid. */
char* spdk_sprintf_append_realloc(char* buffer, const char* format, ...)
    __attribute__((format(printf, 2, 3)));
char* spdk_vsprintf_append_realloc(char* buffer, const char* format, va_list args);

/** In place: to lower case; without surrounding white space; without trailing line ends (returns
 * how many characters went). */
char* spdk_strlwr(char* s);
char* spdk_str_trim(char* s);
size_t spdk_str_chomp(char* s);

/** Next field of `*stringp`, quotes and backslashes resolved in place; `*stringp` moves on and
 * becomes NULL at the end. */
char* spdk_strsepq(char** stringp, const char* delim);

/** Text of an errno value; the second form returns a thread-local buffer. */
void spdk_strerror_r(int errnum, char* buf, size_t buflen);
const char* spdk_strerror(int errnum);

/** Fixed-size fields filled up with `pad`. */
void spdk_strcpy_pad(void* dst, const char* src, size_t size, int pad);
size_t spdk_strlen_pad(const void* str, size_t size, int pad);

/** Splits "host:port" or "[v6]:port" in place. 0 or -EINVAL. */
int spdk_parse_ip_addr(char* ip, char** host, char** port);

/** Reads "128", "128K", "2G" …; `*cap` in bytes. `has_prefix` may be NULL. 0 or negative errno. */
int spdk_parse_capacity(const char* cap_str, uint64_t* cap, bool* has_prefix);

bool spdk_mem_all_zero(const void* data, size_t size);

/** The whole string as a number >= 0, or a negative errno. */
long int spdk_strtol(const char* nptr, int base);
long long int spdk_strtoll(const char* nptr, int base);

/** NULL-terminated arrays of strings. */
char** spdk_strarray_from_string(const char* str, const char* delim);
char** spdk_strarray_dup(const char** strarray);
void spdk_strarray_free(char** strarray);

/** Copies `src` with every `search` replaced. 0, or -EINVAL if the result does not fit. */
int spdk_strcpy_replace(char* dst, size_t size, const char* src, const char* search,
                        const char* replace);

#ifdef __cplusplus
}
#endif
