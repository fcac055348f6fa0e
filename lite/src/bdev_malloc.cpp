// SPDX-License-Identifier: BSD-3-Clause
// The module "malloc": a device in memory. The data is moved when the I/O is submitted; the
// completion follows from accel's poller, or the channel's own if nothing was moved.
#include "accel.hpp"
#include "bdev_rpc.hpp"
#include "spdk/env.h"
#include "spdk/log.h"
#include "spdk/rpc.h"
#include "spdk/thread.h"
#include "wakeable_poller.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>

namespace spdk_lite {

extern spdk_bdev_module malloc_module;

namespace {

char malloc_device;  ///< its address is the module's io_device: all malloc devices share channels
unsigned unnamed_count = 0;

struct task {
  accel_task moved;  ///< first: the I/O is found from it
  io_status status;
};

struct channel {
  spdk_io_channel* accel = nullptr;
  wakeable_poller poller;
  bdev_io_queue done;
};

void complete(spdk_bdev_io* io) { bdev_io_complete(io, driver_ctx<task>(io)->status); }

int poll(void* arg) {
  bdev_io_queue done = static_cast<channel*>(arg)->done.take();
  if (done.empty()) {
    return SPDK_POLLER_IDLE;
  }
  while (spdk_bdev_io* io = done.pop_front()) {
    complete(io);
  }
  return SPDK_POLLER_BUSY;
}

int channel_create(void* /*device*/, void* ctx) {
  auto* ch = new (ctx) channel;
  ch->accel = accel_get_io_channel();
  if (ch->accel == nullptr) {
    return -ENOMEM;
  }
  if (!ch->poller.start(poll, ch, "malloc_completion_poller")) {
    spdk_put_io_channel(ch->accel);
    return -ENOMEM;
  }
  return 0;
}

void channel_destroy(void* /*device*/, void* ctx) {
  auto* ch = static_cast<channel*>(ctx);
  spdk_put_io_channel(ch->accel);
  ch->poller.stop();
  ch->~channel();
}

void end(channel* ch, spdk_bdev_io* io, io_status status) {
  driver_ctx<task>(io)->status = status;
  if (ch->done.empty()) {
    ch->poller.wake();
  }
  ch->done.push_back(io);
}

void end_moved(channel* ch, spdk_bdev_io* io, io_status status) {
  task* t = driver_ctx<task>(io);
  t->status = status;
  t->moved.done = [](accel_task* moved) { complete(io_from_driver_ctx(moved)); };
  accel_complete_later(ch->accel, &t->moved);
}

struct dma_free {
  void operator()(std::byte* memory) const { spdk_free(memory); }
};

using dma_memory = std::unique_ptr<std::byte, dma_free>;

class malloc_bdev final : public spdk_bdev {
 public:
  malloc_bdev(dma_memory memory, dma_memory metadata)
      : memory_(std::move(memory)), metadata_(std::move(metadata)) {}

  [[nodiscard]] bool io_type_supported(spdk_bdev_io_type type) const override {
    switch (type) {
      case SPDK_BDEV_IO_TYPE_READ:
      case SPDK_BDEV_IO_TYPE_WRITE:
      case SPDK_BDEV_IO_TYPE_FLUSH:
      case SPDK_BDEV_IO_TYPE_RESET:
      case SPDK_BDEV_IO_TYPE_UNMAP:
      case SPDK_BDEV_IO_TYPE_WRITE_ZEROES:
      case SPDK_BDEV_IO_TYPE_ZCOPY:
      case SPDK_BDEV_IO_TYPE_ABORT:
      case SPDK_BDEV_IO_TYPE_COMPARE:
      case SPDK_BDEV_IO_TYPE_COPY: return true;
      default: return false;
    }
  }

  [[nodiscard]] spdk_io_channel* get_io_channel() override {
    return spdk_get_io_channel(&malloc_device);
  }

  void submit(spdk_io_channel* io_ch, spdk_bdev_io* io) override {
    auto* ch = static_cast<channel*>(spdk_io_channel_get_ctx(io_ch));
    switch (io->type) {
      case SPDK_BDEV_IO_TYPE_READ:
        if (io->iovs[0].iov_base == nullptr) {
          lend(io);  // no buffer: the reader may look at the device's memory
          end(ch, io, io_status::success);
          break;
        }
        [[fallthrough]];
      case SPDK_BDEV_IO_TYPE_WRITE:
      case SPDK_BDEV_IO_TYPE_COMPARE: use_buffers(ch, io); break;
      case SPDK_BDEV_IO_TYPE_UNMAP:
      case SPDK_BDEV_IO_TYPE_WRITE_ZEROES:
        std::memset(data(io->offset_blocks), 0, length(io));
        end_moved(ch, io, io_status::success);
        break;
      case SPDK_BDEV_IO_TYPE_COPY:
        std::memmove(data(io->offset_blocks), data(io->src_offset_blocks), length(io));
        end_moved(ch, io, io_status::success);
        break;
      case SPDK_BDEV_IO_TYPE_ZCOPY:
        if (io->zcopy.start) {
          lend(io);
        }
        [[fallthrough]];
      case SPDK_BDEV_IO_TYPE_FLUSH:
      case SPDK_BDEV_IO_TYPE_RESET: end(ch, io, io_status::success); break;
      default: end(ch, io, io_status::failed);  // aborts too: an I/O here cannot be held up
    }
  }

  void destruct() override { delete this; }

 private:
  [[nodiscard]] std::byte* data(std::uint64_t offset_blocks) const {
    return memory_.get() + offset_blocks * block_len;
  }
  [[nodiscard]] std::size_t length(const spdk_bdev_io* io) const {
    return io->num_blocks * block_len;
  }
  [[nodiscard]] std::byte* metadata(const spdk_bdev_io* io) const {
    return metadata_.get() + io->offset_blocks * md_len;
  }

  void lend(spdk_bdev_io* io) const {
    bdev_io_set_buf(io, data(io->offset_blocks), length(io));
    if (metadata_ != nullptr) {
      io->md_buf = metadata(io);
    }
  }

  void use_buffers(channel* ch, spdk_bdev_io* io) const {
    const std::size_t len = length(io);
    std::size_t space = 0;
    std::for_each_n(io->iovs, io->iovcnt, [&space](const iovec& iov) { space += iov.iov_len; });
    if (space < len) {
      bdev_io_complete(io, io_status::failed);
      return;
    }
    bool same = true;
    std::byte* at = data(io->offset_blocks);
    std::byte* const end_of_data = at + len;
    for (const iovec* iov = io->iovs; at != end_of_data; ++iov) {
      const auto n =
          std::min<std::size_t>(iov->iov_len, static_cast<std::size_t>(end_of_data - at));
      same = exchange(io->type, at, iov->iov_base, n) && same;
      at += n;
    }
    if (io->md_buf != nullptr) {
      same = exchange(io->type, metadata(io), io->md_buf, io->num_blocks * md_len) && same;
    }
    end_moved(ch, io, same ? io_status::success : io_status::miscompare);
  }

  /// False if a comparison found a difference.
  static bool exchange(spdk_bdev_io_type type, std::byte* device, void* buffer, std::size_t len) {
    switch (type) {
      case SPDK_BDEV_IO_TYPE_READ: std::memcpy(buffer, device, len); return true;
      case SPDK_BDEV_IO_TYPE_WRITE: std::memcpy(device, buffer, len); return true;
      default: return std::memcmp(device, buffer, len) == 0;
    }
  }

  dma_memory memory_;
  dma_memory metadata_;  ///< if it is separate
};

struct options {
  std::optional<std::string> name;
  spdk_uuid uuid{};
  std::uint64_t num_blocks = 0;
  std::uint32_t block_size = 0;
  std::uint32_t physical_block_size = 0;
  std::uint32_t optimal_io_boundary = 0;
  std::uint32_t md_size = 0;
  bool md_interleave = false;
  std::int32_t dif_type = 0;
  bool dif_is_head_of_md = false;
  std::uint32_t dif_pi_format = 0;
  std::int32_t numa_id = SPDK_ENV_NUMA_ID_ANY;
};

bool md_size_supported(std::uint32_t size) {
  return size == 0 || (size >= 8 && size <= 128 && (size & (size - 1)) == 0);
}

int check(const options& o) {
  const char* wrong = nullptr;
  if (o.num_blocks == 0) {
    wrong = "num_blocks is 0";
  } else if (o.block_size % 512 != 0) {
    wrong = "block_size is not a multiple of 512";
  } else if (o.physical_block_size % 512 != 0) {
    wrong = "physical_block_size is not a multiple of 512";
  } else if (o.numa_id != SPDK_ENV_NUMA_ID_ANY && o.numa_id != 0) {
    wrong = "there is no such NUMA node";
  } else if (!md_size_supported(o.md_size)) {
    wrong = "md_size is not one of 0, 8, 16, 32, 64, 128";
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

dma_memory allocate(std::uint64_t blocks, std::uint32_t block_len, std::int32_t numa_id) {
  std::size_t bytes = 0;
  void* memory = nullptr;
  if (!__builtin_mul_overflow(blocks, block_len, &bytes) && bytes != 0) {
    memory = spdk_zmalloc(bytes, 2 * 1024 * 1024, nullptr, numa_id, SPDK_MALLOC_DMA);
  }
  if (memory == nullptr) {
    SPDK_ERRLOG("no memory for %llu blocks of %u bytes\n", static_cast<unsigned long long>(blocks),
                block_len);
  }
  return dma_memory(static_cast<std::byte*>(memory));
}

int create(const options& o) {
  if (const int rc = check(o); rc != 0) {
    return rc;
  }
  const std::uint32_t block_len = o.block_size + (o.md_interleave ? o.md_size : 0);
  dma_memory memory = allocate(o.num_blocks, block_len, o.numa_id);
  const bool separate = o.md_size != 0 && !o.md_interleave;
  dma_memory metadata = separate ? allocate(o.num_blocks, o.md_size, o.numa_id) : nullptr;
  if (memory == nullptr || (separate && metadata == nullptr)) {
    return -ENOMEM;
  }
  auto bdev = std::make_unique<malloc_bdev>(std::move(memory), std::move(metadata));
  bdev->name = o.name ? *o.name : "Malloc" + std::to_string(unnamed_count++);
  bdev->product_name = "Malloc disk";
  bdev->module = &malloc_module;
  bdev->uuid = o.uuid;
  bdev->write_cache = true;
  bdev->numa_id = o.numa_id;
  bdev->block_len = block_len;
  bdev->phys_block_len = o.physical_block_size;
  bdev->num_blocks = o.num_blocks;
  bdev->md_len = o.md_size;
  bdev->md_interleave = o.md_interleave;
  bdev->optimal_io_boundary = o.optimal_io_boundary;
  bdev->split_on_optimal_io_boundary = o.optimal_io_boundary != 0;
  const int rc = bdev_register(bdev.get());
  if (rc == 0) {
    bdev.release();  // NOLINT: its own from now on, until destruct()
  }
  return rc;
}

void rpc_create(rpc_request* request, const json_value* params) {
  options o;
  if (!rpc_params(params)
           .optional("name", o.name)
           .optional("uuid", o.uuid)
           .required("num_blocks", o.num_blocks)
           .required("block_size", o.block_size)
           .optional("physical_block_size", o.physical_block_size)
           .optional("optimal_io_boundary", o.optimal_io_boundary)
           .optional("md_size", o.md_size)
           .optional("md_interleave", o.md_interleave)
           .optional("dif_type", o.dif_type)
           .optional("dif_is_head_of_md", o.dif_is_head_of_md)
           .optional("dif_pi_format", o.dif_pi_format)
           .optional("numa_id", o.numa_id)
           .done()) {
    rpc_request::fail(request, rpc_internal_error, "spdk_json_decode_object failed");
    return;
  }
  rpc_request::finish_errno(request, create(o));
}

}  // namespace

spdk_bdev_module malloc_module{
    .name = "malloc",
    .init =
        [] {
          unnamed_count = 0;
          spdk_io_device_register(&malloc_device, channel_create, channel_destroy, sizeof(channel),
                                  "bdev_malloc");
        },
    .fini = [] { spdk_io_device_unregister(&malloc_device, nullptr); },
};

void register_malloc_rpcs() {
  rpc_register("bdev_malloc_create", SPDK_RPC_RUNTIME, rpc_create);
  rpc_register("bdev_malloc_delete", SPDK_RPC_RUNTIME,
               [](rpc_request* r, const json_value* p) { rpc_delete_bdev(r, p, &malloc_module); });
}

}  // namespace spdk_lite
