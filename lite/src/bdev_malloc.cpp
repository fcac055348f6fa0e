// SPDX-License-Identifier: BSD-3-Clause
// The module "malloc": a device in memory. The data is moved when the I/O is submitted, and
// the completion follows from the channel's poller.
#include "bdev_rpc.hpp"
#include "spdk/env.h"
#include "spdk/log.h"
#include "spdk/rpc.h"
#include "spdk/thread.h"

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
  io_status status;
};

/// Two queues, because SPDK has two pollers: that of its accel framework, which does the
/// copying, runs before the module's own, which completes what needs no copying.
struct channel {
  spdk_poller* poller = nullptr;
  bdev_io_queue moved;
  bdev_io_queue other;
};

int complete_all(bdev_io_queue& queue) {
  bdev_io_queue done = queue.take();
  int count = 0;
  for (; spdk_bdev_io* io = done.pop_front(); ++count) {
    bdev_io_complete(io, driver_ctx<task>(io)->status);
  }
  return count;
}

int poll(void* arg) {
  auto* ch = static_cast<channel*>(arg);
  const int count = complete_all(ch->moved) + complete_all(ch->other);
  return count > 0 ? SPDK_POLLER_BUSY : SPDK_POLLER_IDLE;
}

int channel_create(void* /*device*/, void* ctx) {
  auto* ch = new (ctx) channel;
  ch->poller = SPDK_POLLER_REGISTER(poll, ch, 0);
  return ch->poller != nullptr ? 0 : -ENOMEM;
}

void channel_destroy(void* /*device*/, void* ctx) {
  auto* ch = static_cast<channel*>(ctx);
  spdk_poller_unregister(&ch->poller);
  ch->~channel();
}

struct dma_free {
  void operator()(std::byte* memory) const { spdk_free(memory); }
};

class malloc_bdev final : public spdk_bdev {
 public:
  explicit malloc_bdev(std::byte* memory) : memory_(memory) {}

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
    driver_ctx<task>(io)->status = io_status::success;
    switch (io->type) {
      case SPDK_BDEV_IO_TYPE_READ:
      case SPDK_BDEV_IO_TYPE_WRITE: move_data(ch, io); break;
      case SPDK_BDEV_IO_TYPE_UNMAP:
      case SPDK_BDEV_IO_TYPE_WRITE_ZEROES:
        std::memset(data(io), 0, length(io));
        ch->moved.push_back(io);
        break;
      case SPDK_BDEV_IO_TYPE_FLUSH:
      case SPDK_BDEV_IO_TYPE_RESET: ch->other.push_back(io); break;
      default:  // aborts too: an I/O here cannot be held up
        driver_ctx<task>(io)->status = io_status::failed;
        ch->other.push_back(io);
    }
  }

  void destruct() override { delete this; }

 private:
  [[nodiscard]] std::byte* data(const spdk_bdev_io* io) const {
    return memory_.get() + io->offset_blocks * block_len;
  }
  [[nodiscard]] std::size_t length(const spdk_bdev_io* io) const {
    return io->num_blocks * block_len;
  }

  void move_data(channel* ch, spdk_bdev_io* io) {
    const std::size_t len = length(io);
    if (io->iovs[0].iov_base == nullptr && io->type == SPDK_BDEV_IO_TYPE_READ) {
      io->iovs[0] = {data(io), len};  // no buffer: the reader may look at the device's memory
      ch->other.push_back(io);
      return;
    }
    std::size_t space = 0;
    std::for_each_n(io->iovs, io->iovcnt, [&space](const iovec& iov) { space += iov.iov_len; });
    if (space < len) {
      bdev_io_complete(io, io_status::failed);
      return;
    }
    std::byte* at = data(io);
    std::byte* const end = at + len;
    for (const iovec* iov = io->iovs; at != end; ++iov) {
      const auto n = std::min<std::size_t>(iov->iov_len, static_cast<std::size_t>(end - at));
      if (io->type == SPDK_BDEV_IO_TYPE_READ) {
        std::memcpy(iov->iov_base, at, n);
      } else {
        std::memcpy(at, iov->iov_base, n);
      }
      at += n;
    }
    ch->moved.push_back(io);
  }

  std::unique_ptr<std::byte, dma_free> memory_;
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

int create(const options& o) {
  if (const int rc = check(o); rc != 0) {
    return rc;
  }
  const std::uint32_t block_len = o.block_size + (o.md_interleave ? o.md_size : 0);
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(o.num_blocks, block_len, &bytes) || bytes == 0) {
    SPDK_ERRLOG("A device of this size cannot be allocated\n");
    return -ENOMEM;
  }
  auto* memory = static_cast<std::byte*>(
      spdk_zmalloc(bytes, 2 * 1024 * 1024, nullptr, o.numa_id, SPDK_MALLOC_DMA));
  if (memory == nullptr) {
    SPDK_ERRLOG("no memory for a device of %zu bytes\n", bytes);
    return -ENOMEM;
  }
  auto bdev = std::make_unique<malloc_bdev>(memory);
  bdev->name = o.name ? *o.name : "Malloc" + std::to_string(unnamed_count++);
  bdev->product_name = "Malloc disk";
  bdev->module = &malloc_module;
  bdev->uuid = o.uuid;
  bdev->write_cache = true;
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
