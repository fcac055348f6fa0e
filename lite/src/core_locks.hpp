// SPDX-License-Identifier: BSD-3-Clause
// Keeps two applications off the same cores: a locked file for each core, the same files that
// SPDK locks.
#pragma once

namespace spdk_lite {

/// Locks the files of all cores of the environment, or none of them; the reason is logged.
bool lock_cores();

/// Unlocks and removes the files that this process has locked.
void unlock_cores();

}  // namespace spdk_lite
