// SPDX-License-Identifier: BSD-3-Clause
// Build configuration: the few switches that programs look at.
#pragma once

#define SPDK_CONFIG_MAX_LCORES 128
#define SPDK_CONFIG_MAX_NUMA_NODES 1
#define SPDK_CONFIG_URING 1
