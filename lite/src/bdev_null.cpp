// SPDX-License-Identifier: BSD-3-Clause
// The module "null": writes go nowhere and reads leave the buffer as it is. Every I/O
// completes in the next poll.
#include "bdev_rpc.hpp"
#include "spdk/env.h"
#include "spdk/log.h"
#include "spdk/rpc.h"
#include "spdk/thread.h"
#include "wakeable_poller.hpp"

#include <cerrno>
#include <memory>
#include <new>

namespace spdk_lite {

extern spdk_bdev_module null_module;

namespace {

char null_device;  ///< its address is the module's io_device

void* read_buffer = nullptr;  ///< for reads without a buffer

struct channel {
  wakeable_poller poller;
  bdev_io_queue waiting;
};

int poll(void* arg) {
  bdev_io_queue done = static_cast<channel*>(arg)->waiting.take();
  if (done.empty()) {
    return SPDK_POLLER_IDLE;
  }
  while (spdk_bdev_io* io = done.pop_front()) {
    bdev_io_complete(io, io_status::success);
  }
  return SPDK_POLLER_BUSY;
}

int channel_create(void* /*device*/, void* ctx) {
  auto* ch = new (ctx) channel;
  return ch->poller.start(poll, ch, "null_io_poll") ? 0 : -ENOMEM;
}

void channel_destroy(void* /*device*/, void* ctx) {
  auto* ch = static_cast<channel*>(ctx);
  ch->poller.stop();
  ch->~channel();
}

void complete_later(channel* ch, spdk_bdev_io* io) {
  if (ch->waiting.empty()) {
    ch->poller.wake();
  }
  ch->waiting.push_back(io);
}

bool provide_buffer(spdk_bdev_io* io) {
  const std::uint64_t len = io->num_blocks * io->bdev->block_len;
  if (len > SPDK_BDEV_LARGE_BUF_MAX_SIZE) {
    SPDK_ERRLOG("a read of %llu bytes without a buffer: at most %d are provided\n",
                static_cast<unsigned long long>(len), SPDK_BDEV_LARGE_BUF_MAX_SIZE);
    return false;
  }
  io->iovs[0] = {read_buffer, len};
  return true;
}

class null_bdev final : public spdk_bdev {
 public:
  [[nodiscard]] bool io_type_supported(spdk_bdev_io_type type) const override {
    switch (type) {
      case SPDK_BDEV_IO_TYPE_READ:
      case SPDK_BDEV_IO_TYPE_WRITE:
      case SPDK_BDEV_IO_TYPE_WRITE_ZEROES:
      case SPDK_BDEV_IO_TYPE_RESET:
      case SPDK_BDEV_IO_TYPE_ABORT: return true;
      default: return false;
    }
  }

  [[nodiscard]] spdk_io_channel* get_io_channel() override {
    return spdk_get_io_channel(&null_device);
  }

  void submit(spdk_io_channel* io_ch, spdk_bdev_io* io) override {
    auto* ch = static_cast<channel*>(spdk_io_channel_get_ctx(io_ch));
    switch (io->type) {
      case SPDK_BDEV_IO_TYPE_READ:
        if (io->iovs[0].iov_base == nullptr && !provide_buffer(io)) {
          bdev_io_complete(io, io_status::failed);
          return;
        }
        [[fallthrough]];
      case SPDK_BDEV_IO_TYPE_WRITE:
      case SPDK_BDEV_IO_TYPE_WRITE_ZEROES:
      case SPDK_BDEV_IO_TYPE_RESET: complete_later(ch, io); break;
      case SPDK_BDEV_IO_TYPE_ABORT: abort(ch, io); break;
      default: bdev_io_complete(io, io_status::failed);
    }
  }

  void destruct() override { delete this; }

 private:
  /// The target's callback runs in here, as it does in SPDK.
  static void abort(channel* ch, spdk_bdev_io* io) {
    if (!ch->waiting.contains(io->abort_target)) {
      bdev_io_complete(io, io_status::failed);
      return;
    }
    ch->waiting.remove(io->abort_target);
    bdev_io_complete(io->abort_target, io_status::aborted);
    bdev_io_complete(io, io_status::success);
  }
};

struct options {
  std::string name;
  spdk_uuid uuid{};
  std::uint64_t num_blocks = 0;
  std::uint32_t block_size = 0;
  std::uint32_t physical_block_size = 0;
  std::uint32_t md_size = 0;
  std::int32_t dif_type = 0;
  bool dif_is_head_of_md = false;
  std::uint32_t dif_pi_format = 0;
  std::uint32_t preferred_write_alignment = 0;
  std::uint32_t preferred_write_granularity = 0;
  std::uint32_t optimal_write_size = 0;
  std::uint32_t preferred_unmap_alignment = 0;
  std::uint32_t preferred_unmap_granularity = 0;
};

int check(const options& o) {
  const char* wrong = nullptr;
  if (o.md_size != 0 && (o.md_size < 8 || o.md_size > 128 || (o.md_size & (o.md_size - 1)) != 0)) {
    wrong = "md_size is not one of 0, 8, 16, 32, 64, 128";
  } else if (o.block_size % 512 != 0 || o.block_size == 0) {
    wrong = "block_size is not a multiple of 512, or 0";
  } else if (o.physical_block_size % 512 != 0) {
    wrong = "physical_block_size is not a multiple of 512";
  } else if (o.num_blocks == 0) {
    wrong = "num_blocks is 0";
  }
  if (wrong != nullptr) {
    SPDK_ERRLOG("%s\n", wrong);
    return -EINVAL;
  }
  if (o.dif_type != 0) {
    SPDK_ERRLOG("This stand-in for SPDK has no data integrity fields\n");
    return -ENOTSUP;
  }
  return 0;
}

int create(const options& o) {
  if (const int rc = check(o); rc != 0) {
    return rc;
  }
  auto bdev = std::make_unique<null_bdev>();
  bdev->name = o.name;
  bdev->product_name = "Null disk";
  bdev->module = &null_module;
  bdev->uuid = o.uuid;
  bdev->block_len = o.block_size + o.md_size;
  bdev->phys_block_len = o.physical_block_size;
  bdev->num_blocks = o.num_blocks;
  bdev->md_len = o.md_size;
  bdev->md_interleave = true;
  bdev->preferred_unmap_granularity = o.preferred_unmap_granularity;
  bdev->preferred_unmap_alignment = o.preferred_unmap_alignment;
  bdev->optimal_write_size = o.optimal_write_size;
  bdev->preferred_write_granularity = o.preferred_write_granularity;
  bdev->preferred_write_alignment = o.preferred_write_alignment;
  const int rc = bdev_register(bdev.get());
  if (rc == 0) {
    bdev.release();  // NOLINT: its own from now on, until destruct()
  }
  return rc;
}

void rpc_create(rpc_request* request, const json_value* params) {
  options o;
  if (!rpc_params(params)
           .required("name", o.name)
           .optional("uuid", o.uuid)
           .required("num_blocks", o.num_blocks)
           .required("block_size", o.block_size)
           .optional("physical_block_size", o.physical_block_size)
           .optional("md_size", o.md_size)
           .optional("dif_type", o.dif_type)
           .optional("dif_is_head_of_md", o.dif_is_head_of_md)
           .optional("dif_pi_format", o.dif_pi_format)
           .optional("preferred_write_alignment", o.preferred_write_alignment)
           .optional("preferred_write_granularity", o.preferred_write_granularity)
           .optional("optimal_write_size", o.optimal_write_size)
           .optional("preferred_unmap_alignment", o.preferred_unmap_alignment)
           .optional("preferred_unmap_granularity", o.preferred_unmap_granularity)
           .done()) {
    rpc_request::fail(request, rpc_internal_error, "spdk_json_decode_object failed");
    return;
  }
  rpc_request::finish_errno(request, create(o));
}

int resize_open(spdk_bdev* bdev, std::uint64_t new_size_mib) {
  if (bdev->module != &null_module) {
    return -EINVAL;
  }
  constexpr std::uint64_t mib = 1024 * 1024;
  std::uint64_t bytes = 0;
  if (new_size_mib < bdev->num_blocks * bdev->block_len / mib ||
      __builtin_mul_overflow(new_size_mib, mib, &bytes)) {
    SPDK_ERRLOG("a null bdev can only grow\n");
    return -EINVAL;
  }
  return spdk_bdev_notify_blockcnt_change(bdev, bytes / bdev->block_len);
}

/// Held open meanwhile, as SPDK does, so that the device cannot shrink by less than a MiB.
int resize(const std::string& name, std::uint64_t new_size_mib) {
  spdk_bdev_desc* desc = nullptr;
  const auto ignore = [](spdk_bdev_event_type, spdk_bdev*, void*) {};
  if (const int rc = spdk_bdev_open_ext(name.c_str(), false, ignore, nullptr, &desc); rc != 0) {
    SPDK_ERRLOG("no bdev %s to resize\n", name.c_str());
    return rc;
  }
  const int rc = resize_open(spdk_bdev_desc_get_bdev(desc), new_size_mib);
  spdk_bdev_close(desc);
  return rc;
}

void rpc_resize(rpc_request* request, const json_value* params) {
  std::string name;
  std::uint64_t new_size = 0;
  if (!rpc_params(params).required("name", name).required("new_size", new_size).done()) {
    rpc_request::fail(request, rpc_internal_error, "spdk_json_decode_object failed");
    return;
  }
  rpc_request::finish_errno(request, resize(name, new_size));
}

}  // namespace

spdk_bdev_module null_module{
    .name = "null",
    .init =
        [] {
          read_buffer = spdk_zmalloc(SPDK_BDEV_LARGE_BUF_MAX_SIZE, 0, nullptr, SPDK_ENV_NUMA_ID_ANY,
                                     SPDK_MALLOC_DMA);
          spdk_io_device_register(&null_device, channel_create, channel_destroy, sizeof(channel),
                                  "null_bdev");
        },
    .fini =
        [] {
          spdk_io_device_unregister(&null_device, [](void* /*device*/) {
            spdk_free(read_buffer);
            read_buffer = nullptr;
          });
        },
};

void register_null_rpcs() {
  rpc_register("bdev_null_create", SPDK_RPC_RUNTIME, rpc_create);
  rpc_register("bdev_null_delete", SPDK_RPC_RUNTIME,
               [](rpc_request* r, const json_value* p) { rpc_delete_bdev(r, p, &null_module); });
  rpc_register("bdev_null_resize", SPDK_RPC_RUNTIME, rpc_resize);
}

}  // namespace spdk_lite
