// SPDX-License-Identifier: BSD-3-Clause
// The pair of superblocks on a device.
#pragma once

#include "block_device.hpp"
#include "format.hpp"

namespace kv {

// The one that counts. Errors: no_such_device_or_address (there is none), io_error (what is there
// is damaged), not_supported (of a version, or for blocks, unknown here), the device's.
sio::task<sio::result<superblock>> read_superblock(block_device& device);

// Writes it where it belongs, and flushes the device.
sio::task<sio::result<void>> write_superblock(block_device& device, superblock what);

// Writes it to both places, with the next two generations, which `what` then has. From the first on
// it is the one that counts; after the second, damage to either of them is harmless.
sio::task<sio::result<void>> renew_superblocks(block_device& device, superblock& what);

}  // namespace kv
