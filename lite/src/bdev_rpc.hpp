// SPDX-License-Identifier: BSD-3-Clause
// What the configuration methods of several modules have in common.
#pragma once

#include "bdev_module.hpp"
#include "rpc.hpp"

namespace spdk_lite {

/// A module's method that deletes the device with the parameter "name"; `started` learns of it
/// once that is under way.
void rpc_delete_bdev(rpc_request* request, const json_value* params, spdk_bdev_module* module,
                     void (*started)(const std::string& name) = nullptr);

}  // namespace spdk_lite
