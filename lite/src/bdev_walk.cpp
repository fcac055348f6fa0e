// SPDX-License-Identifier: BSD-3-Clause
// The walk over a device's channels, for users.
#include "bdev_internal.hpp"

using namespace spdk_lite;

struct spdk_bdev_channel_iter {
  spdk_bdev* bdev;
  spdk_bdev_for_each_channel_msg fn;
  spdk_bdev_for_each_channel_done done;
  void* ctx;
  spdk_io_channel_iter* iter;
};

void spdk_bdev_for_each_channel(spdk_bdev* bdev, spdk_bdev_for_each_channel_msg fn, void* ctx,
                                spdk_bdev_for_each_channel_done cpl) {
  spdk_for_each_channel(
      &bdev->handle,
      [](spdk_io_channel_iter* i) {
        auto* walk = static_cast<spdk_bdev_channel_iter*>(spdk_io_channel_iter_get_ctx(i));
        walk->iter = i;
        walk->fn(walk, walk->bdev, spdk_io_channel_iter_get_channel(i), walk->ctx);
      },
      new spdk_bdev_channel_iter{bdev, fn, cpl, ctx, nullptr},
      [](spdk_io_channel_iter* i, int status) {
        const auto* walk = static_cast<spdk_bdev_channel_iter*>(spdk_io_channel_iter_get_ctx(i));
        walk->done(walk->bdev, walk->ctx, status);
        delete walk;
      });
}

void spdk_bdev_for_each_channel_continue(spdk_bdev_channel_iter* i, int status) {
  spdk_for_each_channel_continue(i->iter, status);
}
