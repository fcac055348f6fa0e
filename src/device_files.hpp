// SPDX-License-Identifier: BSD-3-Clause
// Which files the file devices are that this program made: SPDK does not tell.
#pragma once

#include <spdk_io/abi.hpp>

#include <string>

struct spdk_bdev;

namespace spdk_io::inline SPDK_IO_ABI::detail {

// By the device's UUID, since its name may be another device's later. Any thread.
void remember_file(const std::string& uuid, const std::string& file);
void forget_file(const std::string& uuid);
std::string file_of(const std::string& uuid);  // absolute; empty if not known

std::string uuid_of(const spdk_bdev* device);

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
