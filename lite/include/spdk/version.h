// SPDX-License-Identifier: BSD-3-Clause
// Version numbers. The numbers are those of the API that is implemented; the string says that
// this is the stand-in and not SPDK.
#pragma once

#define SPDK_VERSION_MAJOR 26
#define SPDK_VERSION_MINOR 5
#define SPDK_VERSION_PATCH 0
#define SPDK_VERSION_SUFFIX ""

/** One comparable number: `#if SPDK_VERSION >= SPDK_VERSION_NUM(25, 5, 0)`. */
#define SPDK_VERSION_NUM(major, minor, patch) ((major) * 10000 + (minor) * 100 + (patch))
#define SPDK_VERSION SPDK_VERSION_NUM(SPDK_VERSION_MAJOR, SPDK_VERSION_MINOR, SPDK_VERSION_PATCH)

#define SPDK_VERSION_MAJOR_STRING "26"
#define SPDK_VERSION_MINOR_STRING ".05"
#define SPDK_VERSION_PATCH_STRING ""
#define SPDK_VERSION_STRING "spdk-io lite 0.1 (not SPDK; API of v26.05)"
