// SPDX-License-Identifier: BSD-3-Clause
// File descriptor helpers.
#pragma once

#include "spdk/stdinc.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Size in bytes of a regular file or block device; 0 for anything else. */
uint64_t spdk_fd_get_size(int fd);
/** Logical block length in bytes; 0 if it cannot be found out. */
uint32_t spdk_fd_get_blocklen(int fd);
/** 0 or negative errno. */
int spdk_fd_set_nonblock(int fd);
int spdk_fd_clear_nonblock(int fd);

#ifdef __cplusplus
}
#endif
