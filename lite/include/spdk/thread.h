// SPDX-License-Identifier: BSD-3-Clause
// SPDK threads: a message queue plus pollers that any OS thread may run by calling
// spdk_thread_poll(); and I/O devices with one channel per thread.
#pragma once

#include "spdk/assert.h"
#include "spdk/config.h"
#include "spdk/cpuset.h"
#include "spdk/env.h"
#include "spdk/fd_group.h"
#include "spdk/likely.h"
#include "spdk/stdinc.h"
#include "spdk/util.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a poller returns. */
enum spdk_thread_poller_rc {
  SPDK_POLLER_IDLE,
  SPDK_POLLER_BUSY,
};

struct spdk_thread;
struct spdk_poller;
struct spdk_io_channel;
struct spdk_io_channel_iter;
struct spdk_interrupt;

/** What the thread library asks of whoever runs the threads. */
enum spdk_thread_op {
  /** A thread was created: start polling it. A non-zero return fails its creation. */
  SPDK_THREAD_OP_NEW,
  /** Its CPU mask changed, or (interrupt mode) it exited. */
  SPDK_THREAD_OP_RESCHED,
};

typedef int (*spdk_new_thread_fn)(struct spdk_thread* thread);
typedef int (*spdk_thread_op_fn)(struct spdk_thread* thread, enum spdk_thread_op op);
typedef bool (*spdk_thread_op_supported_fn)(enum spdk_thread_op op);
typedef void (*spdk_msg_fn)(void* ctx);
typedef void (*spdk_thread_pass_msg)(spdk_msg_fn fn, void* ctx, void* thread_ctx);
typedef int (*spdk_poller_fn)(void* ctx);
typedef void (*spdk_poller_set_interrupt_mode_cb)(struct spdk_poller* poller, void* cb_arg,
                                                  bool interrupt_mode);
/** Fills the channel's context; non-zero makes spdk_get_io_channel() return NULL. */
typedef int (*spdk_io_channel_create_cb)(void* io_device, void* ctx_buf);
typedef void (*spdk_io_channel_destroy_cb)(void* io_device, void* ctx_buf);
typedef void (*spdk_io_device_unregister_cb)(void* io_device);
typedef void (*spdk_channel_msg)(struct spdk_io_channel_iter* i);
typedef void (*spdk_channel_for_each_cpl)(struct spdk_io_channel_iter* i, int status);
typedef int (*spdk_interrupt_fn)(void* ctx);
typedef void (*spdk_post_poller_fn)(void* fn_arg);

#define SPDK_IO_CHANNEL_STRUCT_SIZE 96
#define SPDK_MSG_MEMPOOL_CACHE_SIZE 1024
#define SPDK_DEFAULT_MSG_MEMPOOL_SIZE (262144 - 1)

/* The library. */

/** Starts the thread library; `ctx_sz` bytes are added to each thread for its runner. 0 or
 * negative errno. */
int spdk_thread_lib_init(spdk_new_thread_fn new_thread_fn, size_t ctx_sz);
/** Both functions or neither (-EINVAL). */
int spdk_thread_lib_init_ext(spdk_thread_op_fn thread_op_fn,
                             spdk_thread_op_supported_fn thread_op_supported_fn, size_t ctx_sz,
                             size_t msg_mempool_size);
/** Frees the app thread and forgets the functions. */
void spdk_thread_lib_fini(void);

/* Threads. */

/** A new thread; both arguments are copied and may be NULL. The first one is the app thread. */
struct spdk_thread* spdk_thread_create(const char* name, const struct spdk_cpuset* cpumask);
struct spdk_thread* spdk_thread_get_app_thread(void);
/** NULL stands for the current thread. */
bool spdk_thread_is_app_thread(struct spdk_thread* thread);

/** Makes `thread` (or none) the current SPDK thread of the calling OS thread. */
void spdk_set_thread(struct spdk_thread* thread);
struct spdk_thread* spdk_get_thread(void);

/** Asks the runner not to move the thread to another core. */
void spdk_thread_bind(struct spdk_thread* thread, bool bind);
bool spdk_thread_is_bound(struct spdk_thread* thread);

/** Begins the exit of the current thread; polling it completes the exit once messages, pollers,
 * channels and unregistrations are gone, or after five seconds. Always 0. */
int spdk_thread_exit(struct spdk_thread* thread);
bool spdk_thread_is_running(struct spdk_thread* thread);
bool spdk_thread_is_exited(struct spdk_thread* thread);
/** Requires: the thread has exited. The app thread lives on until spdk_thread_lib_fini(). */
void spdk_thread_destroy(struct spdk_thread* thread);

/** The runner's memory (NULL if none was asked for) and back. */
void* spdk_thread_get_ctx(struct spdk_thread* thread);
struct spdk_thread* spdk_thread_get_from_ctx(void* ctx);

struct spdk_cpuset* spdk_thread_get_cpumask(struct spdk_thread* thread);
/** For the current thread. -ENOTSUP if the runner cannot reschedule. */
int spdk_thread_set_cpumask(struct spdk_cpuset* cpumask);

/** Runs the critical message, up to `max_msgs` messages (0 and anything above 8: 8), the active
 * pollers and the timed pollers due at `now` (ticks; 0: read the clock). The thread is the
 * current one meanwhile. Returns > 0 if something was done. */
int spdk_thread_poll(struct spdk_thread* thread, uint32_t max_msgs, uint64_t now);

/** The tick at which the next timed poller is due; 0 if there is none. */
uint64_t spdk_thread_next_poller_expiration(struct spdk_thread* thread);
/** Active means without a period. */
int spdk_thread_has_active_pollers(struct spdk_thread* thread);
/** Of any kind, paused ones too. */
bool spdk_thread_has_pollers(struct spdk_thread* thread);
/** No messages and no pollers but paused ones. */
bool spdk_thread_is_idle(struct spdk_thread* thread);
uint32_t spdk_thread_get_count(void);

const char* spdk_thread_get_name(const struct spdk_thread* thread);
/** Unique in the process, from 1. */
uint64_t spdk_thread_get_id(const struct spdk_thread* thread);
struct spdk_thread* spdk_thread_get_by_id(uint64_t id);

struct spdk_thread_stats {
  uint64_t busy_tsc;
  uint64_t idle_tsc;
};

/** Of the current thread. 0 or -EINVAL. */
int spdk_thread_get_stats(struct spdk_thread_stats* stats);
/** When the thread's last poll began or ended; NULL stands for the current thread. */
uint64_t spdk_thread_get_last_tsc(struct spdk_thread* thread);
uint16_t spdk_thread_get_trace_id(struct spdk_thread* thread);

/* Messages. */

/** Has `fn(ctx)` run on `thread`, never before this call returns. From any OS thread, without a
 * lock. Aborts the process if the thread has exited or 65,536 messages wait. Always 0. */
int spdk_thread_send_msg(const struct spdk_thread* thread, spdk_msg_fn fn, void* ctx);
/** One such message per thread at a time; it overtakes all others. Safe in a signal handler. */
int spdk_thread_send_critical_msg(struct spdk_thread* thread, spdk_msg_fn fn);

/** At once if `thread` is the current one, else by message. */
static inline int spdk_thread_exec_msg(const struct spdk_thread* thread, spdk_msg_fn fn,
                                       void* ctx) {
  assert(thread != NULL);
  if (thread != spdk_get_thread()) {
    return spdk_thread_send_msg(thread, fn, ctx);
  }
  fn(ctx);
  return 0;
}

/** `fn(ctx)` on each running thread in the order of creation, one after the other, then `cpl(ctx)`
 * on the current thread. */
void spdk_for_each_thread(spdk_msg_fn fn, void* ctx, spdk_msg_fn cpl);

/* Pollers. */

/** Calls `fn(arg)` on the current thread: in every poll if the period is 0, else whenever that
 * many microseconds have passed. NULL without a current thread or when it has exited. */
struct spdk_poller* spdk_poller_register(spdk_poller_fn fn, void* arg,
                                         uint64_t period_microseconds);
struct spdk_poller* spdk_poller_register_named(spdk_poller_fn fn, void* arg,
                                               uint64_t period_microseconds, const char* name);
#define SPDK_POLLER_REGISTER(fn, arg, period_microseconds) \
  spdk_poller_register_named(fn, arg, period_microseconds, #fn)

/** Sets `*ppoller` to NULL; the poller does not run any more, and is freed in a later poll. */
void spdk_poller_unregister(struct spdk_poller** ppoller);
void spdk_poller_pause(struct spdk_poller* poller);
void spdk_poller_resume(struct spdk_poller* poller);

/** Calls `fn` once after the poller that is running now. At most four at a time. */
void spdk_thread_register_post_poller_handler(spdk_post_poller_fn fn, void* fn_arg);

/* I/O devices and channels. */

/** Makes the address `io_device` known; channels have `ctx_size` bytes of context. */
void spdk_io_device_register(void* io_device, spdk_io_channel_create_cb create_cb,
                             spdk_io_channel_destroy_cb destroy_cb, uint32_t ctx_size,
                             const char* name);
/** `unregister_cb` (may be NULL) comes by message on this thread, after the last for_each and the
 * last channel. */
void spdk_io_device_unregister(void* io_device, spdk_io_device_unregister_cb unregister_cb);

/** This thread's channel of the device, with one more reference; NULL if the device is unknown,
 * there is no current thread, or the channel cannot be created. */
struct spdk_io_channel* spdk_get_io_channel(void* io_device);
/** On the channel's own thread. The last reference destroys it by message. */
void spdk_put_io_channel(struct spdk_io_channel* ch);
/** One more reference; NULL on the wrong thread. */
struct spdk_io_channel* spdk_io_channel_ref(struct spdk_io_channel* ch);

static inline void* spdk_io_channel_get_ctx(struct spdk_io_channel* ch) {
  assert(ch != NULL);
  return ch == NULL ? NULL : (uint8_t*)ch + SPDK_IO_CHANNEL_STRUCT_SIZE;
}
struct spdk_io_channel* spdk_io_channel_from_ctx(void* ctx);
struct spdk_thread* spdk_io_channel_get_thread(struct spdk_io_channel* ch);
void* spdk_io_channel_get_io_device(struct spdk_io_channel* ch);

/** `fn` on the thread of each channel, by thread id, one after the other; each must lead to one
 * spdk_for_each_channel_continue(). A non-zero status ends the walk. `cpl` (may be NULL) comes by
 * message on this thread. */
void spdk_for_each_channel(void* io_device, spdk_channel_msg fn, void* ctx,
                           spdk_channel_for_each_cpl cpl);
void spdk_for_each_channel_continue(struct spdk_io_channel_iter* i, int status);
void* spdk_io_channel_iter_get_io_device(struct spdk_io_channel_iter* i);
struct spdk_io_channel* spdk_io_channel_iter_get_channel(struct spdk_io_channel_iter* i);
void* spdk_io_channel_iter_get_ctx(struct spdk_io_channel_iter* i);

/* Interrupt mode: sleeping on file descriptors instead of polling. */

/** For the whole process, before spdk_thread_lib_init*(). 0 or negative. */
int spdk_interrupt_mode_enable(void);
bool spdk_interrupt_mode_is_enabled(void);
/** Turns the current thread to interrupt or to poll mode. */
void spdk_thread_set_interrupt_mode(bool enable_interrupt);

/** Readable whenever spdk_thread_poll() has something to do. */
int spdk_thread_get_interrupt_fd(struct spdk_thread* thread);
struct spdk_fd_group* spdk_thread_get_interrupt_fd_group(struct spdk_thread* thread);

/** Says that the poller has descriptors of its own, so that it need not keep the thread awake.
 * `cb_fn` (may be NULL) hears of mode changes, and at once of a mode already on. */
void spdk_poller_register_interrupt(struct spdk_poller* poller,
                                    spdk_poller_set_interrupt_mode_cb cb_fn, void* cb_arg);

enum spdk_interrupt_event_types {
  SPDK_INTERRUPT_EVENT_IN = EPOLLIN,
  SPDK_INTERRUPT_EVENT_OUT = EPOLLOUT,
  SPDK_INTERRUPT_EVENT_ET = (int)EPOLLET
};

/** Has `fn(arg)` called on the current thread when `efd` is ready. NULL on failure. */
struct spdk_interrupt* spdk_interrupt_register(int efd, spdk_interrupt_fn fn, void* arg,
                                               const char* name);
struct spdk_interrupt* spdk_interrupt_register_for_events(int efd, uint32_t events,
                                                          spdk_interrupt_fn fn, void* arg,
                                                          const char* name);
struct spdk_interrupt* spdk_interrupt_register_ext(int efd, spdk_interrupt_fn fn, void* arg,
                                                   const char* name,
                                                   struct spdk_event_handler_opts* opts);
struct spdk_interrupt* spdk_interrupt_register_fd_group(struct spdk_fd_group* fgrp,
                                                        const char* name);
#define SPDK_INTERRUPT_REGISTER(efd, fn, arg) spdk_interrupt_register(efd, fn, arg, #fn)
#define SPDK_INTERRUPT_REGISTER_FOR_EVENTS(efd, events, fn, arg) \
  spdk_interrupt_register_for_events(efd, events, fn, arg, #fn)
#define SPDK_INTERRUPT_REGISTER_EXT(efd, fn, arg, opts) \
  spdk_interrupt_register_ext(efd, fn, arg, #fn, opts)

void spdk_interrupt_unregister(struct spdk_interrupt** pintr);
int spdk_interrupt_set_event_types(struct spdk_interrupt* intr,
                                   enum spdk_interrupt_event_types event_types);

/* A spinlock that must not be held across the end of a message or poller; misuse aborts. */

struct spdk_spinlock_internal;

struct spdk_spinlock {
  pthread_spinlock_t spinlock;
  struct spdk_thread* thread;
  struct spdk_spinlock_internal* internal;
  bool initialized;
  bool destroyed;
};

void spdk_spin_init(struct spdk_spinlock* sspin);
void spdk_spin_destroy(struct spdk_spinlock* sspin);
void spdk_spin_lock(struct spdk_spinlock* sspin);
void spdk_spin_unlock(struct spdk_spinlock* sspin);
bool spdk_spin_held(struct spdk_spinlock* sspin);

#ifdef __cplusplus
}
#endif
