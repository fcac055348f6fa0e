// SPDX-License-Identifier: BSD-3-Clause
/* The state that decides which configuration methods may run. There is no RPC server here. */
#ifndef SPDK_RPC_CONFIG_H_
#define SPDK_RPC_CONFIG_H_

#include "spdk/stdinc.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SPDK_RPC_STARTUP 0x1
#define SPDK_RPC_RUNTIME 0x2

void spdk_rpc_set_state(uint32_t state_mask);
uint32_t spdk_rpc_get_state(void);

/* -ENOENT if there is no such method. */
int spdk_rpc_get_method_state_mask(const char* method, uint32_t* state_mask);

/* 0, -EPERM (not in this state) or -ENOENT. */
int spdk_rpc_is_method_allowed(const char* method, uint32_t state_mask);

#ifdef __cplusplus
}
#endif

#endif
