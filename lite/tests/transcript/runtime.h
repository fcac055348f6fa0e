/* SPDX-License-Identifier: BSD-3-Clause */
/* What the families share: start and end of environment, threads and devices; configuration. */
#ifndef TRANSCRIPT_RUNTIME_H
#define TRANSCRIPT_RUNTIME_H

#include "spdk/stdinc.h"

#include "spdk/thread.h"

/* The app thread, and others that the families of devices use. */
enum { runtime_threads = 3 };
extern struct spdk_thread* threads[runtime_threads];

/* SPDK's log is for people. */
void runtime_silence(void);
void runtime_start_env(void);
/* Environment, thread library and the app thread. */
void runtime_start_threads(void);
void runtime_stop_threads(void);

/* All threads, and subsystems with this configuration; the app thread is the current one. */
void runtime_start_bdevs(const char* config);
void runtime_stop_bdevs(void);

/* Polls all of the threads once. */
int poll_threads(void);

/* Loads a configuration; its result, or 1 if there was none. */
int load_config(const char* json, bool stop_on_error);
/* Calls one method of the bdev subsystem. */
int call_method(const char* method, const char* params);

#endif
