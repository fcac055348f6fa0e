// SPDX-License-Identifier: BSD-3-Clause
/*
 * The few calls of SPDK's interface for device modules that programs use too: removing a
 * device, announcing its new size, and what an I/O belongs to.
 */
#ifndef SPDK_BDEV_MODULE_H
#define SPDK_BDEV_MODULE_H

#include "spdk/stdinc.h"

#include "spdk/bdev.h"

#ifdef __cplusplus
extern "C" {
#endif

struct spdk_bdev_module;
struct spdk_thread;

typedef void (*spdk_bdev_unregister_cb)(void* cb_arg, int rc);

/*
 * Open descriptors get SPDK_BDEV_EVENT_REMOVE; the device goes, and the callback runs, once
 * all of them are closed and all its channels are put. -EBUSY if it is going already.
 */
void spdk_bdev_unregister(struct spdk_bdev* bdev, spdk_bdev_unregister_cb cb_fn, void* cb_arg);

/* -ENODEV if there is no such device or it belongs to another module. */
int spdk_bdev_unregister_by_name(const char* bdev_name, struct spdk_bdev_module* module,
                                 spdk_bdev_unregister_cb cb_fn, void* cb_arg);

/* Sizes in blocks. -EBUSY if an open device would shrink. */
int spdk_bdev_notify_blockcnt_change(struct spdk_bdev* bdev, uint64_t size);

struct spdk_thread* spdk_bdev_io_get_thread(struct spdk_bdev_io* bdev_io);
struct spdk_io_channel* spdk_bdev_io_get_io_channel(struct spdk_bdev_io* bdev_io);

#ifdef __cplusplus
}
#endif

#endif
