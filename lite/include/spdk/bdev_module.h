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

typedef void (*spdk_bdev_get_current_qd_cb)(struct spdk_bdev* bdev, uint64_t current_qd,
                                            void* cb_arg, int rc);

/* The I/Os that are with the module now, on all channels. */
void spdk_bdev_get_current_qd(struct spdk_bdev* bdev, spdk_bdev_get_current_qd_cb cb_fn,
                              void* cb_arg);

typedef int (*spdk_bdev_io_fn)(void* ctx, struct spdk_bdev_io* bdev_io);
typedef void (*spdk_bdev_for_each_io_cb)(void* ctx, int rc);

/* Visits the I/Os of each channel on its thread, those that splitting made included. */
void spdk_bdev_for_each_bdev_io(struct spdk_bdev* bdev, void* ctx, spdk_bdev_io_fn fn,
                                spdk_bdev_for_each_io_cb cb);

struct spdk_bdev_name {
  char* name;
  struct spdk_bdev* bdev;
};

struct spdk_bdev_alias {
  struct spdk_bdev_name alias;
  TAILQ_ENTRY(spdk_bdev_alias) tailq;
};

TAILQ_HEAD(spdk_bdev_aliases_list, spdk_bdev_alias);

/* The other names of a device, its UUID among them. */
const struct spdk_bdev_aliases_list* spdk_bdev_get_aliases(const struct spdk_bdev* bdev);

/* Another name. -EEXIST if there is a device of that name, -ENOENT if there is no such alias. */
int spdk_bdev_alias_add(struct spdk_bdev* bdev, const char* alias);
int spdk_bdev_alias_del(struct spdk_bdev* bdev, const char* alias);
void spdk_bdev_alias_del_all(struct spdk_bdev* bdev);

struct spdk_thread* spdk_bdev_io_get_thread(struct spdk_bdev_io* bdev_io);
struct spdk_io_channel* spdk_bdev_io_get_io_channel(struct spdk_bdev_io* bdev_io);

#ifdef __cplusplus
}
#endif

#endif
