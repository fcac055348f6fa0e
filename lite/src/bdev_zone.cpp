// SPDX-License-Identifier: BSD-3-Clause
// Zoned devices, of which there are none: every module fails these kinds of I/O.
#include "spdk/bdev_zone.h"
#include "bdev_internal.hpp"
#include "env_internal.hpp"

#include <cerrno>

using namespace spdk_lite;

namespace {

/// With what spdk_bdev_io_get_append_location() tells.
int submit(spdk_bdev_desc* desc, spdk_io_channel* ch, spdk_bdev_io_type type, uint64_t zone_id,
           spdk_bdev_io_completion_cb cb, void* cb_arg) {
  bdev_channel* channel = to_bdev_channel(ch);
  spdk_bdev_io* io = channel_get_io(channel);
  if (io == nullptr) {
    return -ENOMEM;
  }
  io->iovs = nullptr;
  io->iovcnt = 0;
  io->offset_blocks = zone_id;
  io->num_blocks = 0;
  bdev_io_init(io, desc, channel, type, cb, cb_arg);
  bdev_io_submit(io);
  return 0;
}

}  // namespace

uint64_t spdk_bdev_get_zone_size(const spdk_bdev* /*bdev*/) { return 0; }
uint64_t spdk_bdev_get_num_zones(const spdk_bdev* /*bdev*/) { return 0; }
uint32_t spdk_bdev_get_max_zone_append_size(const spdk_bdev* /*bdev*/) { return 0; }
uint32_t spdk_bdev_get_max_open_zones(const spdk_bdev* /*bdev*/) { return 0; }
uint32_t spdk_bdev_get_max_active_zones(const spdk_bdev* /*bdev*/) { return 0; }
uint32_t spdk_bdev_get_optimal_open_zones(const spdk_bdev* /*bdev*/) { return 0; }

uint64_t spdk_bdev_get_zone_id(const spdk_bdev* bdev, uint64_t /*offset_blocks*/) {
  die("spdk_bdev_get_zone_id(%s): the device has no zones", bdev->name.c_str());
}

int spdk_bdev_get_zone_info(spdk_bdev_desc* desc, spdk_io_channel* ch, uint64_t zone_id,
                            size_t /*num_zones*/, spdk_bdev_zone_info* /*info*/,
                            spdk_bdev_io_completion_cb cb, void* cb_arg) {
  return submit(desc, ch, SPDK_BDEV_IO_TYPE_GET_ZONE_INFO, zone_id, cb, cb_arg);
}

int spdk_bdev_zone_management(spdk_bdev_desc* desc, spdk_io_channel* ch, uint64_t zone_id,
                              spdk_bdev_zone_action /*action*/, spdk_bdev_io_completion_cb cb,
                              void* cb_arg) {
  return submit(desc, ch, SPDK_BDEV_IO_TYPE_ZONE_MANAGEMENT, zone_id, cb, cb_arg);
}

int spdk_bdev_zone_append(spdk_bdev_desc* desc, spdk_io_channel* ch, void* /*buf*/,
                          uint64_t zone_id, uint64_t /*num_blocks*/, spdk_bdev_io_completion_cb cb,
                          void* cb_arg) {
  return submit(desc, ch, SPDK_BDEV_IO_TYPE_ZONE_APPEND, zone_id, cb, cb_arg);
}

int spdk_bdev_zone_appendv(spdk_bdev_desc* desc, spdk_io_channel* ch, iovec* /*iovs*/,
                           int /*iovcnt*/, uint64_t zone_id, uint64_t /*num_blocks*/,
                           spdk_bdev_io_completion_cb cb, void* cb_arg) {
  return submit(desc, ch, SPDK_BDEV_IO_TYPE_ZONE_APPEND, zone_id, cb, cb_arg);
}

int spdk_bdev_zone_append_with_md(spdk_bdev_desc* desc, spdk_io_channel* ch, void* /*buf*/,
                                  void* /*md*/, uint64_t zone_id, uint64_t /*num_blocks*/,
                                  spdk_bdev_io_completion_cb cb, void* cb_arg) {
  return submit(desc, ch, SPDK_BDEV_IO_TYPE_ZONE_APPEND, zone_id, cb, cb_arg);
}

int spdk_bdev_zone_appendv_with_md(spdk_bdev_desc* desc, spdk_io_channel* ch, iovec* /*iov*/,
                                   int /*iovcnt*/, void* /*md_buf*/, uint64_t zone_id,
                                   uint64_t /*num_blocks*/, spdk_bdev_io_completion_cb cb,
                                   void* cb_arg) {
  return submit(desc, ch, SPDK_BDEV_IO_TYPE_ZONE_APPEND, zone_id, cb, cb_arg);
}

uint64_t spdk_bdev_io_get_append_location(spdk_bdev_io* bdev_io) { return bdev_io->offset_blocks; }
