// SPDX-License-Identifier: BSD-3-Clause
// The block device layer's start and end, its channels, and its supply of I/O objects: a
// pool for the process, a cache for each thread, and the queue of those who find neither.
#include "accel.hpp"
#include "bdev_internal.hpp"
#include "spdk/env.h"
#include "spdk/log.h"

#include <sys/mman.h>

#include <cassert>
#include <cerrno>
#include <new>

namespace spdk_lite {
namespace {

/// All I/O objects. Memory is only reserved at the start: objects that are never used cost none.
class io_pool {
 public:
  bool start(std::uint32_t count) {
    void* memory = mmap(nullptr, bytes(count), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      return false;
    }
    objects_ = static_cast<spdk_bdev_io*>(memory);
    size_ = available_ = count;
    used_ = 0;
    free_ = {};
    return true;
  }

  void stop() {
    if (objects_ == nullptr) {
      return;
    }
    if (available_ != size_) {
      SPDK_ERRLOG("%u of %u I/O objects came back\n", available_, size_);
    }
    munmap(objects_, bytes(size_));
    objects_ = nullptr;
  }

  spdk_bdev_io* get() {
    const std::lock_guard lock(mutex_);
    return available_ == 0 ? nullptr : take();
  }

  void put(spdk_bdev_io* io) {
    const std::lock_guard lock(mutex_);
    free_.push_front(io);
    ++available_;
  }

  /// All or nothing.
  bool fill(bdev_io_queue& cache, std::uint32_t count) {
    const std::lock_guard lock(mutex_);
    if (available_ < count) {
      return false;
    }
    for (std::uint32_t i = 0; i < count; ++i) {
      cache.push_front(take());
    }
    return true;
  }

 private:
  static std::size_t bytes(std::uint32_t count) {
    return std::size_t{count} * sizeof(spdk_bdev_io);
  }

  spdk_bdev_io* take() {
    --available_;
    spdk_bdev_io* io = free_.pop_front();
    return io != nullptr ? io : &objects_[used_++];
  }

  std::mutex mutex_;
  spdk_bdev_io* objects_ = nullptr;
  std::uint32_t size_ = 0;
  std::uint32_t available_ = 0;
  std::uint32_t used_ = 0;
  bdev_io_queue free_;
};

struct layer {
  spdk_bdev_opts opts{.bdev_io_pool_size = 64 * 1024 - 1,
                      .bdev_io_cache_size = 256,
                      .bdev_auto_examine = true,
                      .reserved9 = {},
                      .opts_size = sizeof(spdk_bdev_opts),
                      .iobuf_small_cache_size = 128,
                      .iobuf_large_cache_size = 16};
  io_pool pool;
  void* zeroes = nullptr;
  bool started = false;
  spdk_bdev_fini_cb fini_cb = nullptr;
  void* fini_arg = nullptr;
};

layer& the_layer() {
  static auto& instance = *new layer;
  return instance;
}

void mgmt_channel_destroy(void* /*io_device*/, void* ctx) {
  auto* mgmt = static_cast<mgmt_channel*>(ctx);
  mgmt->buffers.stop();
  while (spdk_bdev_io* io = mgmt->cache.pop_front()) {
    the_layer().pool.put(io);
  }
  mgmt->~mgmt_channel();
}

int mgmt_channel_create(void* /*io_device*/, void* ctx) {
  const spdk_bdev_opts& opts = the_layer().opts;
  auto* mgmt = new (ctx) mgmt_channel;
  TAILQ_INIT(&mgmt->waiting);
  if (!mgmt->buffers.start(opts.iobuf_small_cache_size, opts.iobuf_large_cache_size)) {
    SPDK_ERRLOG("no buffers for the cache of another thread\n");
    return -1;
  }
  // Filled at once, so that no thread can starve another.
  if (!the_layer().pool.fill(mgmt->cache, opts.bdev_io_cache_size)) {
    SPDK_ERRLOG("no I/O objects for the cache of another thread: bdev_io_pool_size is too small\n");
    mgmt->buffers.stop();
    return -1;
  }
  mgmt->cache_count = mgmt->cache_size = opts.bdev_io_cache_size;
  return 0;
}

shared_resource* get_shared_resource(mgmt_channel* mgmt, spdk_io_channel* module_channel) {
  using queue = decltype(mgmt->resources);
  for (shared_resource* r = mgmt->resources.front(); r != nullptr; r = queue::next(r)) {
    if (r->module_channel == module_channel) {
      ++r->refs;
      // The resource holds the one reference on the management channel.
      spdk_put_io_channel(spdk_io_channel_from_ctx(mgmt));
      return r;
    }
  }
  auto* r = new shared_resource;
  r->mgmt = mgmt;
  r->module_channel = module_channel;
  r->refs = 1;
  mgmt->resources.push_back(r);
  return r;
}

void put_shared_resource(shared_resource* r) {
  if (--r->refs != 0) {
    return;
  }
  assert(r->io_outstanding == 0);
  r->mgmt->resources.remove(r);
  spdk_poller_unregister(&r->nomem_poller);
  spdk_put_io_channel(spdk_io_channel_from_ctx(r->mgmt));
  delete r;
}

void finish_complete() {
  layer& l = the_layer();
  l.pool.stop();
  spdk_free(l.zeroes);
  l.zeroes = nullptr;
  l.started = false;
  l.fini_cb(l.fini_arg);
}

void finish_modules(void* /*arg*/) {
  layer& l = the_layer();
  if (!l.started) {
    l.fini_cb(l.fini_arg);
    return;
  }
  const auto modules = bdev_modules();
  for (auto it = modules.rbegin(); it != modules.rend(); ++it) {
    (*it)->fini();
  }
  spdk_io_device_unregister(&l, [](void* /*device*/) { accel_stop(finish_complete); });
}

void finish_bdevs(void* /*arg*/) { unregister_all_bdevs(finish_modules, nullptr); }

struct examine_wait {
  spdk_bdev_wait_for_examine_cb cb;
  void* arg;
  spdk_poller* poller;
};

int examine_wait_poll(void* arg) {
  auto* wait = static_cast<examine_wait*>(arg);
  spdk_poller_unregister(&wait->poller);
  wait->cb(wait->arg);
  delete wait;
  return SPDK_POLLER_BUSY;
}

}  // namespace

void* zero_buffer() { return the_layer().zeroes; }

spdk_bdev_io* channel_get_io(bdev_channel* ch) {
  mgmt_channel* mgmt = ch->shared->mgmt;
  if (mgmt->cache_count != 0) {
    --mgmt->cache_count;
    return mgmt->cache.pop_front();
  }
  // Nobody jumps the queue of those who wait already.
  return TAILQ_EMPTY(&mgmt->waiting) ? the_layer().pool.get() : nullptr;
}

int bdev_channel_create(void* io_device, void* ctx) {
  spdk_bdev* bdev = static_cast<spdk_bdev::device_handle*>(io_device)->bdev;
  auto* ch = new (ctx) bdev_channel;
  ch->bdev = bdev;
  ch->module_channel = bdev->get_io_channel();
  if (ch->module_channel == nullptr) {
    return -1;
  }
  ch->accel_channel = accel_get_io_channel();
  if (ch->accel_channel == nullptr) {
    spdk_put_io_channel(ch->module_channel);
    return -1;
  }
  histogram_for_new_channel(ch);
  spdk_io_channel* mgmt = spdk_get_io_channel(&the_layer());
  if (mgmt == nullptr) {
    spdk_put_io_channel(ch->module_channel);
    spdk_put_io_channel(ch->accel_channel);
    spdk_histogram_data_free(ch->histogram);
    return -1;
  }
  ch->shared = get_shared_resource(static_cast<mgmt_channel*>(spdk_io_channel_get_ctx(mgmt)),
                                   ch->module_channel);
  stat_reset(ch->stat, SPDK_BDEV_RESET_STAT_ALL);
  ch->stat.ticks_rate = spdk_get_ticks_hz();
  const std::lock_guard lock(bdev->mutex);
  qos_enable_channel_locked(ch);
  inherit_locked_ranges(ch);
  return 0;
}

void bdev_channel_destroy(void* /*io_device*/, void* ctx) {
  auto* ch = static_cast<bdev_channel*>(ctx);
  {
    const std::lock_guard lock(ch->bdev->mutex);
    stat_add(ch->bdev->stat, ch->stat);
  }
  abort_queued_ios(ch);
  spdk_histogram_data_free(ch->histogram);
  drop_locked_ranges(ch);
  spdk_put_io_channel(ch->module_channel);
  spdk_put_io_channel(ch->accel_channel);
  put_shared_resource(ch->shared);
  ch->~bdev_channel();
}

}  // namespace spdk_lite

using namespace spdk_lite;

// An options structure is read and written only as far as the caller's version of it goes.
#define COPY_OPTION(to, from, size, field)                                \
  do {                                                                    \
    if (offsetof(spdk_bdev_opts, field) + sizeof((to).field) <= (size)) { \
      (to).field = (from).field;                                          \
    }                                                                     \
  } while (0)

static void copy_options(spdk_bdev_opts& to, const spdk_bdev_opts& from, std::size_t size) {
  COPY_OPTION(to, from, size, bdev_io_pool_size);
  COPY_OPTION(to, from, size, bdev_io_cache_size);
  COPY_OPTION(to, from, size, bdev_auto_examine);
  COPY_OPTION(to, from, size, iobuf_small_cache_size);
  COPY_OPTION(to, from, size, iobuf_large_cache_size);
}

void spdk_bdev_get_opts(spdk_bdev_opts* opts, size_t opts_size) {
  if (opts == nullptr) {
    SPDK_ERRLOG("no options structure to fill in\n");
    return;
  }
  if (opts_size == 0) {
    SPDK_ERRLOG("the size of the options structure is missing\n");
    return;
  }
  opts->opts_size = opts_size;
  copy_options(*opts, the_layer().opts, opts_size);
}

int spdk_bdev_set_opts(spdk_bdev_opts* opts) {
  if (opts == nullptr) {
    SPDK_ERRLOG("no options to set\n");
    return -1;
  }
  if (opts->opts_size == 0) {
    SPDK_ERRLOG("opts_size has not been set\n");
    return -1;
  }
  // One cache more than threads: start-up uses a management channel that is only put
  // after the application's first one exists. The 32-bit wrap-around is SPDK's.
  const std::uint32_t threads = spdk_thread_get_count();
  const std::uint32_t least = opts->bdev_io_cache_size * (threads + 1);
  if (opts->bdev_io_pool_size < least) {
    SPDK_ERRLOG(
        "bdev_io_pool_size %u is too small for bdev_io_cache_size %u on %u threads: at least %u\n",
        opts->bdev_io_pool_size, opts->bdev_io_cache_size, threads, least);
    return -1;
  }
  copy_options(the_layer().opts, *opts, opts->opts_size);
  return 0;
}

void spdk_bdev_initialize(spdk_bdev_init_cb cb_fn, void* cb_arg) {
  layer& l = the_layer();
  l.zeroes = spdk_zmalloc(zero_buffer_size, zero_buffer_size, nullptr, SPDK_ENV_NUMA_ID_ANY,
                          SPDK_MALLOC_DMA);
  if (l.zeroes == nullptr || !l.pool.start(l.opts.bdev_io_pool_size)) {
    SPDK_ERRLOG("could not allocate the spdk_bdev_io pool\n");
    spdk_free(l.zeroes);
    l.zeroes = nullptr;
    cb_fn(cb_arg, -1);
    return;
  }
  spdk_io_device_register(&l, mgmt_channel_create, mgmt_channel_destroy, sizeof(mgmt_channel),
                          "bdev_mgr");
  accel_start();
  for (spdk_bdev_module* module : bdev_modules()) {
    module->init();
  }
  l.started = true;
  cb_fn(cb_arg, 0);
}

void spdk_bdev_finish(spdk_bdev_fini_cb cb_fn, void* cb_arg) {
  the_layer().fini_cb = cb_fn;
  the_layer().fini_arg = cb_arg;
  cancel_async_opens();
  spdk_bdev_wait_for_examine(finish_bdevs, nullptr);
}

int spdk_bdev_wait_for_examine(spdk_bdev_wait_for_examine_cb cb_fn, void* cb_arg) {
  auto* wait = new (std::nothrow) examine_wait{cb_fn, cb_arg, nullptr};
  if (wait == nullptr) {
    return -ENOMEM;
  }
  wait->poller = spdk_poller_register(examine_wait_poll, wait, 0);
  return 0;
}

int spdk_bdev_queue_io_wait(spdk_bdev* bdev, spdk_io_channel* ch, spdk_bdev_io_wait_entry* entry) {
  mgmt_channel* mgmt = to_bdev_channel(ch)->shared->mgmt;
  if (bdev != entry->bdev) {
    SPDK_ERRLOG("the entry is for another bdev than the call\n");
    return -EINVAL;
  }
  if (mgmt->cache_count > 0) {
    SPDK_ERRLOG("nothing to wait for: this thread has a free I/O object\n");
    return -EINVAL;
  }
  if (entry->dep_unblock) {
    TAILQ_INSERT_HEAD(&mgmt->waiting, entry, link);
  } else {
    TAILQ_INSERT_TAIL(&mgmt->waiting, entry, link);
  }
  return 0;
}

void spdk_bdev_free_io(spdk_bdev_io* io) {
  assert(io->status != io_status::pending);
  mgmt_channel* mgmt = io->ch->shared->mgmt;
  if (io->buf != nullptr) {
    bdev_io_put_buf(io);
  }
  if (mgmt->cache_count >= mgmt->cache_size) {
    the_layer().pool.put(io);
    return;
  }
  ++mgmt->cache_count;
  mgmt->cache.push_front(io);
  while (mgmt->cache_count > 0 && !TAILQ_EMPTY(&mgmt->waiting)) {
    spdk_bdev_io_wait_entry* entry = TAILQ_FIRST(&mgmt->waiting);
    TAILQ_REMOVE(&mgmt->waiting, entry, link);
    entry->cb_fn(entry->cb_arg);
  }
}
