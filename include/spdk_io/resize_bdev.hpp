// SPDX-License-Identifier: BSD-3-Clause
// Devices of another size than they were made with.
#pragma once

#include <spdk_io/error.hpp>
#include <spdk_io/task.hpp>

#include <cstdint>
#include <string_view>

namespace spdk_io::inline SPDK_IO_ABI {

// Gives a device another size, in bytes, a multiple of its block size. Who has it open sees
// bdev_desc::bdev().size() change; I/O is checked against the new size from then on.
//  - null: any size; smaller only while nobody has it open.
//  - uring and aio on a regular file that create_bdev() was given: larger only. The file is made
//    larger first (sparsely), and stays so if the rest fails.
//  - other kinds (a RAM disk, a device built on another one): not_supported, as in SPDK.
// A device built on this one keeps its size.
// Any attached thread. Destroying it while it runs waits for it to end.
// Errors: no_such_device; not_supported (the message says what can be done instead);
// invalid_argument (not a multiple of the block size, or 0); device_or_resource_busy (open
// devices cannot shrink); what the system says of the file.
task<result<void>> resize_bdev(std::string_view name, std::uint64_t size);

// Looks at the file or block device behind a uring or aio device again, and gives the size that
// the device has then, in bytes. For a file that something else made larger.
// A file that has become empty, or a block device that is gone, is a removed device: the size is
// 0 then. Any attached thread. Destroying it while it runs waits for it to end.
// Errors: no_such_device; not_supported (not a file device); device_or_resource_busy (it has
// become smaller, which SPDK does not take over).
task<result<std::uint64_t>> rescan_bdev(std::string_view name);

}  // namespace spdk_io::inline SPDK_IO_ABI
