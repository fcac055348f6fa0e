// SPDX-License-Identifier: BSD-3-Clause
// What a block device module implements (spdk_bdev's virtual functions) and what it may use
// of an I/O. A further module is one source file, its entry in bdev_modules(), its RPCs.
#pragma once

#include "spdk/bdev_module.h"
#include "spdk/env.h"
#include "spdk/thread.h"
#include "spdk/uuid.h"
#include "tail_queue.hpp"

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>

namespace spdk_lite {

struct bdev_channel;

/// The results SPDK knows for an I/O; spdk_bdev_io_get_nvme_status() translates them.
enum class io_status : std::int8_t {
  aio_error = -8,
  aborted = -7,
  first_fused_failed = -6,
  miscompare = -5,
  nomem = -4,       ///< the module has no resources now: the layer retries
  nvme_error = -2,  ///< nvme_sct and nvme_sc of the I/O say which
  failed = -1,
  pending = 0,
  success = 1,
};

/// Compare and write: what to write. The I/O's iovs are what to compare with.
struct fused_write {
  iovec* iovs;
  int iovcnt;
};

struct zcopy_step {
  bool start;  ///< else end
  bool populate;
  bool commit;
};

using get_buf_fn = void (*)(spdk_io_channel* ch, spdk_bdev_io* io, bool success);

}  // namespace spdk_lite

/// An I/O, from the layer's pool. Pool memory starts as zeroes and is reused as it is, so
/// whoever takes one out sets what the operation needs; the type must stay trivial.
struct spdk_bdev_io {
  // For modules: what to do.
  spdk_bdev* bdev;
  spdk_bdev_io_type type;
  int iovcnt;
  iovec* iovs;
  std::uint64_t offset_blocks;
  std::uint64_t num_blocks;
  void* md_buf;  ///< metadata of a device that keeps it separately, or NULL
  union {
    spdk_bdev_io* abort_target;
    std::uint64_t src_offset_blocks;  ///< copy: offset_blocks is the destination
    std::uint64_t seek_offset;        ///< seek: the result
    spdk_lite::fused_write fused;
    spdk_lite::zcopy_step zcopy;
  };
  iovec iov;  ///< behind iovs where the caller gave one buffer

  // The layer's own.
  spdk_lite::bdev_channel* ch;
  spdk_bdev_desc* desc;
  spdk_bdev_io_completion_cb cb;
  void* cb_arg;
  spdk_lite::io_status status;
  bool in_submit;
  bool split;
  bool child;
  bool bounced;
  std::uint8_t nvme_sct;
  std::uint8_t nvme_sc;
  std::uint32_t nvme_cdw0;
  int aio_result;
  std::uint64_t submit_ticks;
  spdk_lite::get_buf_fn get_buf_cb;
  void* buf;  ///< from the buffer pool, or NULL
  std::size_t buf_len;
  iovec bounce_iov;
  iovec* orig_iovs;
  int orig_iovcnt;
  void* orig_md_buf;
  std::uint32_t children;
  std::uint64_t split_offset_blocks;
  std::uint64_t split_remaining_blocks;
  void* abort_cb_arg;
  spdk_io_channel* reset_ch_ref;
  spdk_bdev_io_wait_entry wait_entry;
  spdk_lite::tail_link<spdk_bdev_io> link;            ///< free list, or a queue of waiting I/O
  spdk_lite::tail_link<spdk_bdev_io> submitted_link;  ///< channel's I/O in flight

  // For modules: room for their own state, and iovecs that only a split I/O uses itself.
  alignas(std::max_align_t) std::byte driver_ctx[128];
  iovec child_iov[32];
};

namespace spdk_lite {

struct qos;

/// A range of blocks that only one I/O may write, on its way or locked.
struct range_lock {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  spdk_bdev_io* owner = nullptr;
  spdk_thread* thread = nullptr;
  void (*cb)(spdk_bdev_io* owner) = nullptr;
  struct channel_range* current = nullptr;
  struct channel_range* of_owner = nullptr;
  spdk_io_channel_iter* walk = nullptr;
  spdk_poller* poller = nullptr;
  spdk_io_channel* channel_ref = nullptr;
  tail_link<range_lock> link{};
};

struct histogram_settings {
  bool enabled = false;
  bool change_in_progress = false;
  std::uint8_t io_type = 0;
  std::uint8_t granularity = 0;
  std::uint64_t min = 0;  ///< ticks
  std::uint64_t max = 0;
};

struct depth_sampling {
  std::uint64_t measured = UINT64_MAX;
  std::uint64_t sum = 0;  ///< of the sample under way
  std::uint64_t period = 0;
  std::uint64_t new_period = 0;
  std::uint64_t io_time = 0;
  std::uint64_t weighted_io_time = 0;
  bool in_progress = false;
  spdk_poller* poller = nullptr;
  spdk_bdev_desc* desc = nullptr;
};

}  // namespace spdk_lite

struct spdk_bdev_module {
  const char* name;
  void (*init)();  ///< registers the module's io_devices
  void (*fini)();  ///< unregisters them; runs when all its devices are gone
  /// A device has been registered: may build others on it. Before its registration returns.
  void (*examine)(spdk_bdev* bdev) = nullptr;
};

/// A device. The module derives from it, fills in the properties and registers it.
struct spdk_bdev {
  std::string name;
  const char* product_name = "";
  spdk_bdev_module* module = nullptr;
  spdk_uuid uuid{};  ///< null: the layer makes one up
  std::uint64_t num_blocks = 0;
  std::uint32_t block_len = 0;
  std::uint32_t phys_block_len = 0;  ///< 0: the size of a block's data
  std::uint32_t md_len = 0;
  std::uint32_t write_unit_size = 0;  ///< 0: one block
  std::uint32_t optimal_io_boundary = 0;
  std::uint32_t max_rw_size = 0;       ///< blocks, 0: any; larger I/O is split
  std::uint32_t max_write_zeroes = 0;  ///< likewise
  std::uint32_t max_copy = 0;
  std::uint16_t acwu = 0;
  std::uint8_t required_alignment = 0;  ///< of buffers, as a power of two
  bool md_interleave = false;
  bool write_cache = false;
  bool split_on_optimal_io_boundary = false;
  std::uint32_t preferred_write_alignment = 0;
  std::uint32_t preferred_write_granularity = 0;
  std::uint32_t optimal_write_size = 0;
  std::uint32_t preferred_unmap_alignment = 0;
  std::uint32_t preferred_unmap_granularity = 0;
  std::int32_t numa_id = SPDK_ENV_NUMA_ID_ANY;

  spdk_bdev() = default;
  spdk_bdev(const spdk_bdev&) = delete;
  spdk_bdev& operator=(const spdk_bdev&) = delete;
  virtual ~spdk_bdev() = default;

  [[nodiscard]] virtual bool io_type_supported(spdk_bdev_io_type type) const = 0;
  [[nodiscard]] virtual spdk_io_channel* get_io_channel() = 0;
  /// Must lead to one bdev_io_complete(), at once (it is then delivered later) or later.
  virtual void submit(spdk_io_channel* ch, spdk_bdev_io* io) = 0;
  /// Last call: frees the object. Runs on the app thread, without descriptors and channels.
  virtual void destruct() = 0;
  /// Whether the end of destruct() is announced later, with bdev_destruct_done().
  [[nodiscard]] virtual bool destruct_takes_time() const { return false; }

  // The layer's own.
  enum class phase : std::uint8_t { ready, unregistering, removing };

  /// A device's address may be its module's io_device, so the layer registers this one.
  struct device_handle {
    spdk_bdev* bdev = nullptr;
  };

  std::uint32_t io_types = 0;  ///< io_type_supported() as bits
  device_handle handle;
  spdk_lite::tail_link<spdk_bdev> link{};
  std::mutex mutex;                  ///< guards what follows; taken after the registry's
  spdk_bdev_aliases_list aliases{};  ///< guarded by the registry's mutex
  spdk_bdev_io_stat stat{};          ///< of the channels that are gone
  spdk_lite::tail_queue<spdk_lite::range_lock, &spdk_lite::range_lock::link> locked_ranges;
  spdk_lite::tail_queue<spdk_lite::range_lock, &spdk_lite::range_lock::link> pending_locks;
  spdk_lite::qos* qos = nullptr;
  bool qos_change_in_progress = false;
  spdk_lite::histogram_settings histogram;
  spdk_lite::depth_sampling depth;
  phase state = phase::ready;
  spdk_bdev_module* claimed_by = nullptr;  ///< alone may write; guarded by both mutexes
  spdk_bdev_desc* open_descs = nullptr;
  spdk_bdev_unregister_cb unregister_cb = nullptr;
  void* unregister_arg = nullptr;
  spdk_bdev_io* reset_in_progress = nullptr;
  spdk_lite::tail_queue<spdk_bdev_io, &spdk_bdev_io::link> queued_resets;

  [[nodiscard]] bool supports(spdk_bdev_io_type type) const {
    return type > SPDK_BDEV_IO_TYPE_INVALID && type < SPDK_BDEV_NUM_IO_TYPES &&
           (io_types & (1U << static_cast<unsigned>(type))) != 0;
  }
  [[nodiscard]] std::size_t buf_align() const { return std::size_t{1} << required_alignment; }
};

namespace spdk_lite {

using bdev_io_queue = tail_queue<spdk_bdev_io, &spdk_bdev_io::link>;

/// All modules, in the order in which they start.
std::span<spdk_bdev_module* const> bdev_modules();

/// 0, -EINVAL (no name) or -EEXIST (name or UUID taken). Call on the app thread.
int bdev_register(spdk_bdev* bdev);

/// The device is gone now, as destruct_takes_time() said. To be called before it is freed.
void bdev_destruct_done(spdk_bdev* bdev);

/// The module becomes the only one that may write, and the descriptor writable; -EPERM if
/// another one is. Descriptors that are open for writing already stay so.
int bdev_claim(spdk_bdev_desc* desc, spdk_bdev_module* module);
void bdev_release(spdk_bdev* bdev);

void bdev_io_complete(spdk_bdev_io* io, io_status status);
/// A failure with the errno of a system call.
void bdev_io_complete_aio(spdk_bdev_io* io, int aio_result);
/// With the status of an NVMe command, which may be success.
void bdev_io_complete_nvme(spdk_bdev_io* io, int sct, int sc);
/// Takes over what an I/O on the device below says: to be completed with, now or later.
io_status bdev_io_take_status(spdk_bdev_io* io, const spdk_bdev_io* base_io);

/// The buffer that a module lends: in the I/O's first iovec, or in its own without iovecs.
void bdev_io_set_buf(spdk_bdev_io* io, void* buf, std::size_t len);

/// Calls back with the I/O's own buffers if they are there and aligned, else with a buffer
/// of the layer's, at once or when there is one; not successful if it would be too large.
void bdev_io_get_buf(spdk_bdev_io* io, get_buf_fn cb, std::uint64_t len);

/// The module's state in an I/O. Created by plain assignment, never destroyed.
template <class T>
T* driver_ctx(spdk_bdev_io* io) {
  static_assert(sizeof(T) <= sizeof(io->driver_ctx));
  return reinterpret_cast<T*>(io->driver_ctx);
}

inline spdk_bdev_io* io_from_driver_ctx(void* ctx) {
  return reinterpret_cast<spdk_bdev_io*>(static_cast<std::byte*>(ctx) -
                                         offsetof(spdk_bdev_io, driver_ctx));
}

}  // namespace spdk_lite
