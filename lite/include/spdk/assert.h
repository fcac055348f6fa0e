// SPDX-License-Identifier: BSD-3-Clause
// Compile-time assertion usable from C11 and C++ alike.
#pragma once

#include "spdk/stdinc.h"

#define SPDK_STATIC_ASSERT(cond, msg) static_assert(cond, msg)
