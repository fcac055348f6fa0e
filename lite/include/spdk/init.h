// SPDX-License-Identifier: BSD-3-Clause
/*
 * Start-up of the subsystems (here: iobuf and bdev) and their configuration from JSON.
 * All calls belong on the app thread, the first SPDK thread that was created.
 */
#ifndef SPDK_INIT_H
#define SPDK_INIT_H

#include "spdk/stdinc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* There is no RPC server here, but an application's options name this address by default. */
#define SPDK_DEFAULT_RPC_ADDR "/var/tmp/spdk.sock"

typedef void (*spdk_subsystem_init_fn)(int rc, void* ctx);
typedef void (*spdk_subsystem_fini_fn)(void* ctx);

void spdk_subsystem_init(spdk_subsystem_init_fn cb_fn, void* cb_arg);
void spdk_subsystem_fini(spdk_subsystem_fini_fn cb_fn, void* cb_arg);

/*
 * Runs the methods of a configuration that the current RPC state allows, one after the
 * other: load it once in state SPDK_RPC_STARTUP, call spdk_subsystem_init(), set the state
 * SPDK_RPC_RUNTIME and load it again. The text is copied. A configuration that is no valid
 * JSON gives -EINVAL before the call returns.
 */
void spdk_subsystem_load_config(void* json, ssize_t json_size, spdk_subsystem_init_fn cb_fn,
                                void* cb_arg, bool stop_on_error);

bool spdk_subsystem_exists(const char* name);

#ifdef __cplusplus
}
#endif

#endif
