// SPDX-License-Identifier: BSD-3-Clause
// A group of file descriptors with one handler each, itself a pollable descriptor; what an SPDK
// thread sleeps on in interrupt mode.
#pragma once

#include "spdk/assert.h"
#include "spdk/stdinc.h"

#ifdef __cplusplus
extern "C" {
#endif

enum spdk_fd_type {
  SPDK_FD_TYPE_DEFAULT = 0x0,
  /** An eventfd: the group reads (resets) it before it calls the handler. */
  SPDK_FD_TYPE_EVENTFD = 0x1,
};

struct spdk_event_handler_opts {
  /** Size of this struct as the caller knows it. */
  size_t opts_size;
  /** EPOLLIN and friends. */
  uint32_t events;
  /** enum spdk_fd_type. */
  uint32_t fd_type;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_event_handler_opts) == 16, "the ABI's size");

typedef int (*spdk_fd_fn)(void* ctx);

struct spdk_fd_group;

void spdk_fd_group_get_default_event_handler_opts(struct spdk_event_handler_opts* opts,
                                                  size_t opts_size);

/** 0 or negative errno. */
int spdk_fd_group_create(struct spdk_fd_group** fgrp);
/** Requires: no descriptor is left in the group. */
void spdk_fd_group_destroy(struct spdk_fd_group* fgrp);

/** Waits up to `timeout` ms (-1: for ever) and runs the handlers of what is ready; returns how
 * many events there were, or a negative errno. */
int spdk_fd_group_wait(struct spdk_fd_group* fgrp, int timeout);

/** The epoll descriptor that becomes readable when any member is ready. */
int spdk_fd_group_get_fd(struct spdk_fd_group* fgrp);

/** Makes the members of `child` part of `parent`'s wait, and undoes it. */
int spdk_fd_group_nest(struct spdk_fd_group* parent, struct spdk_fd_group* child);
int spdk_fd_group_unnest(struct spdk_fd_group* parent, struct spdk_fd_group* child);

/** 0, -EEXIST if the descriptor is a member already, or another negative errno. */
int spdk_fd_group_add(struct spdk_fd_group* fgrp, int efd, spdk_fd_fn fn, void* arg,
                      const char* name);
int spdk_fd_group_add_for_events(struct spdk_fd_group* fgrp, int efd, uint32_t events,
                                 spdk_fd_fn fn, void* arg, const char* name);
int spdk_fd_group_add_ext(struct spdk_fd_group* fgrp, int efd, spdk_fd_fn fn, void* arg,
                          const char* name, struct spdk_event_handler_opts* opts);

#define SPDK_FD_GROUP_ADD(fgrp, efd, fn, arg) spdk_fd_group_add(fgrp, efd, fn, arg, #fn)
#define SPDK_FD_GROUP_ADD_EXT(fgrp, efd, fn, arg, opts) \
  spdk_fd_group_add_ext(fgrp, efd, fn, arg, #fn, opts)

void spdk_fd_group_remove(struct spdk_fd_group* fgrp, int efd);
int spdk_fd_group_event_modify(struct spdk_fd_group* fgrp, int efd, int event_types);

/** Inside a handler: the event that led to it. -EINVAL elsewhere. */
int spdk_fd_group_get_epoll_event(struct epoll_event* event);

typedef int (*spdk_fd_group_wrapper_fn)(void* wrapper_ctx, spdk_fd_fn cb_fn, void* cb_ctx);

/** Has every handler of the group called through `cb_fn`; NULL takes the wrapper away. -EEXIST if
 * there is one. */
int spdk_fd_group_set_wrapper(struct spdk_fd_group* fgrp, spdk_fd_group_wrapper_fn cb_fn,
                              void* cb_ctx);

#ifdef __cplusplus
}
#endif
