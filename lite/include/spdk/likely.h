// SPDX-License-Identifier: BSD-3-Clause
// Branch hints.
#pragma once

#include "spdk/stdinc.h"

#define spdk_unlikely(cond) __builtin_expect(!!(cond), 0)
#define spdk_likely(cond) __builtin_expect(!!(cond), 1)
