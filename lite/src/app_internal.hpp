// SPDX-License-Identifier: BSD-3-Clause
// What the sources of the application framework share.
#pragma once

#include "spdk/event.h"

namespace spdk_lite {

/// A copy that has defaults where the caller's struct is older and ends earlier.
spdk_app_opts copy_options(const spdk_app_opts& user);

}  // namespace spdk_lite
