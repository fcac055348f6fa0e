// SPDX-License-Identifier: BSD-3-Clause
// The modules "aio" and "uring": a file or a block device as a device. Both use the same
// engine and differ, as in SPDK, in what they support and in how they name failures.
#include "bdev_rpc.hpp"
#include "file_engine.hpp"
#include "spdk/fd.h"
#include "spdk/log.h"
#include "spdk/rpc.h"
#include "spdk/string.h"
#include "spdk/thread.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <memory>
#include <new>

namespace spdk_lite {

extern spdk_bdev_module aio_module;
extern spdk_bdev_module uring_module;

namespace {

constexpr std::uint64_t reset_poll_us = 500;

/// Per thread and device.
struct channel {
  spdk_io_channel* engine_channel = nullptr;
  file_engine* engine = nullptr;
  std::uint64_t in_flight = 0;
};

struct task : file_op {
  channel* ch;
};

struct options {
  std::string name;
  std::string filename;
  std::uint32_t block_size = 0;
  bool readonly = false;
  bool fallocate = false;
  bool nowait = false;
  spdk_uuid uuid{};
};

class file_bdev final : public spdk_bdev {
 public:
  file_bdev(spdk_bdev_module* of, const options& o)
      : filename_(o.filename), readonly_(o.readonly), fallocate_(o.fallocate) {
    module = of;
    name = o.name;
    uuid = o.uuid;
    product_name = is_aio() ? "AIO disk" : "URING bdev";
    write_cache = is_aio();
  }

  ~file_bdev() override {
    if (fd_ >= 0) {
      close(fd_);
    }
  }

  /// 0 or a negative errno.
  int open_file(bool nowait);
  int set_geometry(std::uint32_t block_size);
  int register_device();
  int rescan();

  [[nodiscard]] bool io_type_supported(spdk_bdev_io_type type) const override {
    switch (type) {
      case SPDK_BDEV_IO_TYPE_READ:
      case SPDK_BDEV_IO_TYPE_WRITE: return true;
      case SPDK_BDEV_IO_TYPE_FLUSH:
      case SPDK_BDEV_IO_TYPE_RESET: return is_aio();
      case SPDK_BDEV_IO_TYPE_UNMAP:
      case SPDK_BDEV_IO_TYPE_WRITE_ZEROES: return is_aio() && fallocate_;
      default: return false;
    }
  }

  [[nodiscard]] spdk_io_channel* get_io_channel() override { return spdk_get_io_channel(&device_); }

  void submit(spdk_io_channel* ch, spdk_bdev_io* io) override;

  void destruct() override {
    spdk_io_device_unregister(
        &device_, [](void* device) { delete static_cast<device_handle*>(device)->bdev; });
  }

 private:
  [[nodiscard]] bool is_aio() const { return module == &aio_module; }

  static void start(spdk_io_channel* ch, spdk_bdev_io* io, file_op::kind what);
  static void start_transfer(spdk_io_channel* ch, spdk_bdev_io* io, bool has_buffer);
  static void done(file_op* op, std::int64_t result);
  void failed(spdk_bdev_io* io, std::int64_t result);
  void hot_remove();

  void wait_for_in_flight();
  static int poll_in_flight(void* self);

  std::string filename_;
  int fd_ = -1;
  bool readonly_;
  bool fallocate_;
  std::atomic<bool> removed_ = false;
  device_handle device_;  ///< the io_device of the module's channels
  spdk_bdev_io* reset_io_ = nullptr;
  spdk_poller* reset_poller_ = nullptr;
};

int channel_create(void* /*device*/, void* ctx) {
  auto* ch = new (ctx) channel;
  ch->engine_channel = file_engine_get_channel();
  if (ch->engine_channel == nullptr) {
    return -ENOMEM;
  }
  ch->engine = file_engine_of(ch->engine_channel);
  return 0;
}

void channel_destroy(void* /*device*/, void* ctx) {
  auto* ch = static_cast<channel*>(ctx);
  spdk_put_io_channel(ch->engine_channel);
  ch->~channel();
}

channel* to_channel(spdk_io_channel* ch) {
  return static_cast<channel*>(spdk_io_channel_get_ctx(ch));
}

// --- creation ---

int file_bdev::open_file(bool nowait) {
  const int flags = is_aio() ? (readonly_ ? O_RDONLY : O_RDWR) : (O_RDWR | O_NOATIME);
  fd_ = open(filename_.c_str(), flags | O_DIRECT | O_CLOEXEC);
  if (fd_ < 0) {  // not every file system has direct I/O
    fd_ = open(filename_.c_str(), flags | O_CLOEXEC);
  }
  if (fd_ < 0) {
    const int rc = -errno;
    SPDK_ERRLOG("%s: open() of %s failed: %s\n", name.c_str(), filename_.c_str(),
                spdk_strerror(-rc));
    return rc;
  }
  struct stat status{};
  if (nowait && (fstat(fd_, &status) != 0 || !S_ISBLK(status.st_mode))) {
    SPDK_ERRLOG("%s: nowait is for block devices only\n", name.c_str());
    return -ENOTSUP;
  }
  return 0;
}

int file_bdev::set_geometry(std::uint32_t block_size) {
  const std::uint64_t size = spdk_fd_get_size(fd_);
  const std::uint32_t detected = spdk_fd_get_blocklen(fd_);
  const char* wrong = nullptr;
  block_len = block_size != 0 ? block_size : detected;
  if (block_len == 0) {
    wrong = "a file has no block size of its own, so block_size is needed";
  } else if (block_len < detected) {
    wrong = "block_size is smaller than the blocks of the device";
  } else if (block_len < 512) {
    wrong = "block_size is less than 512";
  } else if (!std::has_single_bit(block_len)) {
    wrong = "block_size is not a power of two";
  } else if (size % block_len != 0) {
    wrong = "the size is not a multiple of block_size";
  }
  if (wrong != nullptr) {
    SPDK_ERRLOG("%s: %s: file %s, size %llu, block size %u, detected %u\n", name.c_str(), wrong,
                filename_.c_str(), static_cast<unsigned long long>(size), block_size, detected);
    return -EINVAL;
  }
  if (detected != 0 && block_len != detected) {
    SPDK_WARNLOG("%s: block_size %u is not that of the device, %u\n", name.c_str(), block_len,
                 detected);
  }
  const std::uint32_t alignment = is_aio() && detected != 0 ? detected : block_len;
  required_alignment = static_cast<std::uint8_t>(std::countr_zero(alignment));
  num_blocks = size / block_len;
  return 0;
}

int file_bdev::register_device() {
  device_.bdev = this;
  spdk_io_device_register(&device_, channel_create, channel_destroy, sizeof(channel), name.c_str());
  const int rc = bdev_register(this);
  if (rc != 0) {
    spdk_io_device_unregister(&device_, nullptr);
  }
  return rc;
}

int create(spdk_bdev_module* module, const options& o) {
  auto bdev = std::make_unique<file_bdev>(module, o);
  int rc = bdev->open_file(o.nowait);
  if (rc == 0) {
    rc = bdev->set_geometry(o.block_size);
  }
  if (rc == 0) {
    rc = bdev->register_device();
  }
  if (rc == 0) {
    bdev.release();  // NOLINT: its own from now on, until destruct()
  }
  return rc;
}

int file_bdev::rescan() {
  const std::uint64_t size = spdk_fd_get_size(fd_);
  if (size == 0) {
    hot_remove();
    return 0;
  }
  const int rc = spdk_bdev_notify_blockcnt_change(this, size / block_len);
  if (rc != 0) {
    SPDK_ERRLOG("%s: Could not change num blocks, errno: %d.\n", name.c_str(), rc);
  }
  return rc;
}

// --- I/O ---

void file_bdev::submit(spdk_io_channel* ch, spdk_bdev_io* io) {
  switch (io->type) {
    case SPDK_BDEV_IO_TYPE_WRITE:
      if (readonly_) {
        bdev_io_complete(io, io_status::failed);
        return;
      }
      [[fallthrough]];
    case SPDK_BDEV_IO_TYPE_READ:
      bdev_io_get_buf(io, start_transfer, io->num_blocks * block_len);
      return;
    default: break;
  }
  if (!is_aio()) {
    bdev_io_complete(io, io_status::failed);
    return;
  }
  switch (io->type) {
    case SPDK_BDEV_IO_TYPE_FLUSH: start(ch, io, file_op::kind::sync); break;
    case SPDK_BDEV_IO_TYPE_UNMAP:
    case SPDK_BDEV_IO_TYPE_WRITE_ZEROES:
      if (!fallocate_) {
        bdev_io_complete_aio(io, -ENOTSUP);
      } else {
        const bool unmap = io->type == SPDK_BDEV_IO_TYPE_UNMAP;
        start(ch, io, unmap ? file_op::kind::punch_hole : file_op::kind::zero_range);
      }
      break;
    case SPDK_BDEV_IO_TYPE_RESET:
      reset_io_ = io;
      wait_for_in_flight();
      break;
    default: bdev_io_complete(io, io_status::failed);
  }
}

void file_bdev::start_transfer(spdk_io_channel* ch, spdk_bdev_io* io, bool has_buffer) {
  if (!has_buffer) {
    bdev_io_complete(io, io_status::failed);
    return;
  }
  const bool read = io->type == SPDK_BDEV_IO_TYPE_READ;
  start(ch, io, read ? file_op::kind::read : file_op::kind::write);
}

void file_bdev::start(spdk_io_channel* io_ch, spdk_bdev_io* io, file_op::kind what) {
  channel* ch = to_channel(io_ch);
  auto* op = driver_ctx<task>(io);
  op->what = what;
  op->fd = static_cast<file_bdev*>(io->bdev)->fd_;
  op->iov = io->iovs;
  op->iovcnt = io->iovcnt;
  op->offset = io->offset_blocks * io->bdev->block_len;
  op->len = io->num_blocks * io->bdev->block_len;
  op->room = io->child_iov;  // free: an I/O that came to the module has no children
  op->room_count = sizeof(io->child_iov) / sizeof(iovec);
  op->complete = done;
  op->ch = ch;
  ++ch->in_flight;
  ch->engine->submit(op);
}

void file_bdev::done(file_op* op, std::int64_t result) {
  --static_cast<task*>(op)->ch->in_flight;
  spdk_bdev_io* io = io_from_driver_ctx(static_cast<task*>(op));
  if (result == 0) [[likely]] {
    bdev_io_complete(io, io_status::success);
  } else {
    static_cast<file_bdev*>(io->bdev)->failed(io, result);
  }
}

void file_bdev::failed(spdk_bdev_io* io, std::int64_t result) {
  // A block device that has been detached, or a file that has been emptied.
  const bool gone = spdk_fd_get_size(fd_) == 0;
  if (gone) {
    hot_remove();
  } else {
    SPDK_ERRLOG("%s: an I/O failed: %lld\n", name.c_str(), static_cast<long long>(result));
  }
  if (is_aio() && (gone || result < 0)) {
    bdev_io_complete_aio(io, gone ? -ENODEV : static_cast<int>(result));
  } else {
    bdev_io_complete(io, io_status::failed);
  }
}

void file_bdev::hot_remove() {
  if (removed_.exchange(true)) {
    return;
  }
  SPDK_ERRLOG("%s: the file or device is gone, and so is the bdev\n", name.c_str());
  struct removal {
    std::string name;
    spdk_bdev_module* module;
  };
  const auto remove = [](void* arg) {
    const std::unique_ptr<removal> r(static_cast<removal*>(arg));
    spdk_bdev_unregister_by_name(r->name.c_str(), r->module, nullptr, nullptr);
  };
  spdk_thread_send_msg(spdk_thread_get_app_thread(), remove, new removal{name, module});
}

/// A reset has nothing to do but to wait until no channel has I/O in flight.
void file_bdev::wait_for_in_flight() {
  const auto look = [](spdk_io_channel_iter* i) {
    const channel* ch = to_channel(spdk_io_channel_iter_get_channel(i));
    spdk_for_each_channel_continue(i, ch->in_flight != 0 ? -1 : 0);
  };
  const auto looked = [](spdk_io_channel_iter* i, int status) {
    auto* self = static_cast<file_bdev*>(spdk_io_channel_iter_get_ctx(i));
    if (status != 0) {
      self->reset_poller_ = SPDK_POLLER_REGISTER(poll_in_flight, self, reset_poll_us);
    } else {
      bdev_io_complete(self->reset_io_, io_status::success);
    }
  };
  spdk_for_each_channel(&device_, look, this, looked);
}

int file_bdev::poll_in_flight(void* arg) {
  auto* self = static_cast<file_bdev*>(arg);
  spdk_poller_unregister(&self->reset_poller_);
  self->wait_for_in_flight();
  return SPDK_POLLER_BUSY;
}

// --- methods ---

void rpc_create_aio(rpc_request* request, const json_value* params) {
  options o;
  if (!rpc_params(params)
           .required("name", o.name)
           .required("filename", o.filename)
           .optional("block_size", o.block_size)
           .optional("readonly", o.readonly)
           .optional("fallocate", o.fallocate)
           .optional("uuid", o.uuid)
           .optional("nowait", o.nowait)
           .done()) {
    rpc_request::fail(request, rpc_internal_error, "spdk_json_decode_object failed");
    return;
  }
  if (const int rc = create(&aio_module, o); rc != 0) {
    rpc_request::finish_errno(request, rc);
    return;
  }
  const auto answer = [](void* arg) { rpc_request::succeed(static_cast<rpc_request*>(arg)); };
  spdk_bdev_wait_for_examine(answer, request);
}

void rpc_create_uring(rpc_request* request, const json_value* params) {
  options o;
  if (!rpc_params(params)
           .required("name", o.name)
           .required("filename", o.filename)
           .optional("block_size", o.block_size)
           .optional("uuid", o.uuid)
           .done()) {
    rpc_request::fail(request, rpc_internal_error, "spdk_json_decode_object failed");
    return;
  }
  if (create(&uring_module, o) != 0) {
    SPDK_ERRLOG("%s cannot be used as a uring bdev\n", o.filename.c_str());
    rpc_request::fail(request, rpc_internal_error, "Unable to create URING bdev.");
    return;
  }
  rpc_request::succeed(request);
}

template <spdk_bdev_module* Module>
void rpc_delete(rpc_request* request, const json_value* params) {
  rpc_delete_bdev(request, params, Module);
}

template <spdk_bdev_module* Module>
void rpc_rescan(rpc_request* request, const json_value* params) {
  std::string name;
  if (!rpc_params(params).required("name", name).done()) {
    rpc_request::fail(request, rpc_internal_error, "spdk_json_decode_object failed");
    return;
  }
  // Held open meanwhile, as SPDK does: so a file that has become smaller is always refused.
  spdk_bdev_desc* desc = nullptr;
  const auto ignore = [](spdk_bdev_event_type, spdk_bdev*, void*) {};
  int rc = spdk_bdev_open_ext(name.c_str(), false, ignore, nullptr, &desc);
  if (rc == 0) {
    spdk_bdev* bdev = spdk_bdev_desc_get_bdev(desc);
    rc = bdev->module == Module ? static_cast<file_bdev*>(bdev)->rescan() : -ENODEV;
    spdk_bdev_close(desc);
  }
  rpc_request::finish_errno(request, rc);
}

}  // namespace

spdk_bdev_module aio_module{.name = "aio", .init = file_engine_start, .fini = file_engine_stop};
spdk_bdev_module uring_module{.name = "uring", .init = [] {}, .fini = [] {}};

void register_file_rpcs() {
  rpc_register("bdev_aio_create", SPDK_RPC_RUNTIME, rpc_create_aio);
  rpc_register("bdev_aio_delete", SPDK_RPC_RUNTIME, rpc_delete<&aio_module>);
  rpc_register("bdev_aio_rescan", SPDK_RPC_RUNTIME, rpc_rescan<&aio_module>);
  rpc_register("bdev_uring_create", SPDK_RPC_RUNTIME, rpc_create_uring);
  rpc_register("bdev_uring_delete", SPDK_RPC_RUNTIME, rpc_delete<&uring_module>);
  rpc_register("bdev_uring_rescan", SPDK_RPC_RUNTIME, rpc_rescan<&uring_module>);
}

}  // namespace spdk_lite
