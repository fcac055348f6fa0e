// SPDX-License-Identifier: BSD-3-Clause
// UUIDs: parse, print, compare, generate.
#pragma once

#include "spdk/assert.h"
#include "spdk/stdinc.h"

#ifdef __cplusplus
extern "C" {
#endif

struct spdk_uuid {
  union {
    uint8_t raw[16];
  } u;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_uuid) == 16, "a UUID is 16 bytes");

/** Length of the text form with its terminator. */
#define SPDK_UUID_STRING_LEN 37

/** 0, or -EINVAL if `uuid_str` is not a UUID. */
int spdk_uuid_parse(struct spdk_uuid* uuid, const char* uuid_str);

/** 0, or -EINVAL if the buffer is smaller than SPDK_UUID_STRING_LEN. */
int spdk_uuid_fmt_lower(char* uuid_str, size_t uuid_str_size, const struct spdk_uuid* uuid);

/** Negative, zero or positive, byte by byte. */
int spdk_uuid_compare(const struct spdk_uuid* u1, const struct spdk_uuid* u2);

/** A random (version 4) UUID. */
void spdk_uuid_generate(struct spdk_uuid* uuid);

/** A name-based (version 5) UUID. Always 0. */
int spdk_uuid_generate_sha1(struct spdk_uuid* uuid, struct spdk_uuid* ns_uuid, const char* name,
                            size_t len);

void spdk_uuid_copy(struct spdk_uuid* dst, const struct spdk_uuid* src);
bool spdk_uuid_is_null(const struct spdk_uuid* uuid);
void spdk_uuid_set_null(struct spdk_uuid* uuid);

#ifdef __cplusplus
}
#endif
