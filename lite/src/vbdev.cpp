// SPDX-License-Identifier: BSD-3-Clause
// Devices on other devices.
#include "vbdev.hpp"

#include "spdk/log.h"

#include <cassert>
#include <cerrno>

namespace spdk_lite {

// --- the device below ---

void base_bdev::on_event(spdk_bdev_event_type type, spdk_bdev* /*bdev*/, void* arg) {
  auto* self = static_cast<base_bdev*>(arg);
  if (type == SPDK_BDEV_EVENT_REMOVE) {
    self->removed_(self->ctx_);
  } else {
    SPDK_NOTICELOG("Unsupported bdev event: type %d\n", type);  // it keeps the size it has
  }
}

int base_bdev::open(const std::string& name, bool write, removed_fn removed, void* ctx) {
  removed_ = removed;
  ctx_ = ctx;
  const int rc = spdk_bdev_open_ext(name.c_str(), write, on_event, this, &desc_);
  if (rc == 0) {
    bdev_ = spdk_bdev_desc_get_bdev(desc_);
  } else if (rc != -ENODEV) {
    SPDK_ERRLOG("could not open bdev %s\n", name.c_str());
  }
  return rc;
}

int base_bdev::claim(spdk_bdev_module* module) {
  const int rc = bdev_claim(desc_, module);
  claimed_ = rc == 0;
  if (rc != 0) {
    SPDK_ERRLOG("could not claim bdev %s\n", bdev_->name.c_str());
  }
  return rc;
}

void base_bdev::close() {
  if (std::exchange(claimed_, false)) {
    bdev_release(bdev_);
  }
  if (desc_ != nullptr) {
    spdk_bdev_close(std::exchange(desc_, nullptr));
  }
}

// --- I/O ---

int pass_on(spdk_bdev_io* io, const base_bdev& base, spdk_io_channel* ch, std::uint64_t offset,
            spdk_bdev_io_completion_cb cb) {
  spdk_bdev_desc* desc = base.desc();
  const std::uint64_t at = io->offset_blocks + offset;
  spdk_bdev_ext_io_opts opts{};
  opts.size = sizeof(opts);
  opts.metadata = io->md_buf;
  switch (io->type) {
    case SPDK_BDEV_IO_TYPE_READ:
      return spdk_bdev_readv_blocks_ext(desc, ch, io->iovs, io->iovcnt, at, io->num_blocks, cb, io,
                                        &opts);
    case SPDK_BDEV_IO_TYPE_WRITE:
      return spdk_bdev_writev_blocks_ext(desc, ch, io->iovs, io->iovcnt, at, io->num_blocks, cb, io,
                                         &opts);
    case SPDK_BDEV_IO_TYPE_COMPARE:
      return io->md_buf == nullptr
                 ? spdk_bdev_comparev_blocks(desc, ch, io->iovs, io->iovcnt, at, io->num_blocks, cb,
                                             io)
                 : spdk_bdev_comparev_blocks_with_md(desc, ch, io->iovs, io->iovcnt, io->md_buf, at,
                                                     io->num_blocks, cb, io);
    case SPDK_BDEV_IO_TYPE_COPY:
      return spdk_bdev_copy_blocks(desc, ch, at, io->src_offset_blocks + offset, io->num_blocks, cb,
                                   io);
    case SPDK_BDEV_IO_TYPE_ZCOPY:
      // At the end too, as in SPDK: the buffer that it lends is the device's memory anyway.
      return spdk_bdev_zcopy_start(desc, ch, nullptr, 0, at, io->num_blocks, io->zcopy.populate, cb,
                                   io);
    case SPDK_BDEV_IO_TYPE_WRITE_ZEROES:
      return spdk_bdev_write_zeroes_blocks(desc, ch, at, io->num_blocks, cb, io);
    case SPDK_BDEV_IO_TYPE_UNMAP:
      return spdk_bdev_unmap_blocks(desc, ch, at, io->num_blocks, cb, io);
    case SPDK_BDEV_IO_TYPE_FLUSH:
      return spdk_bdev_flush_blocks(desc, ch, at, io->num_blocks, cb, io);
    case SPDK_BDEV_IO_TYPE_RESET: return spdk_bdev_reset(desc, ch, cb, io);
    case SPDK_BDEV_IO_TYPE_ABORT:
      // Down there the target is the callback argument.
      return spdk_bdev_abort(desc, ch, io->abort_target, cb, io);
    default: return -ENOTSUP;
  }
}

void lend_on(spdk_bdev_io* io, const spdk_bdev_io* base_io) {
  if (io->type == SPDK_BDEV_IO_TYPE_ZCOPY && base_io->iovs != nullptr) {
    bdev_io_set_buf(io, base_io->iovs[0].iov_base, base_io->iovs[0].iov_len);
  }
}

void complete_passed_on(spdk_bdev_io* base_io, bool /*success*/, void* arg) {
  auto* io = static_cast<spdk_bdev_io*>(arg);
  lend_on(io, base_io);
  bdev_io_complete(io, bdev_io_take_status(io, base_io));
  spdk_bdev_free_io(base_io);
}

void submit_later(spdk_bdev_io* io, spdk_io_channel* base_ch) {
  const auto submit = [](void* arg) {
    auto* waiting = static_cast<spdk_bdev_io*>(arg);
    waiting->bdev->submit(spdk_bdev_io_get_io_channel(waiting), waiting);
  };
  io->wait_entry = {};
  io->wait_entry.bdev = io->bdev;
  io->wait_entry.cb_fn = submit;
  io->wait_entry.cb_arg = io;
  if (spdk_bdev_queue_io_wait(io->bdev, base_ch, &io->wait_entry) != 0) {
    bdev_io_complete(io, io_status::failed);
  }
}

// --- a device as large as the one below ---

int stacked_bdev::start(std::unique_ptr<stacked_bdev> self, const std::string& base_name,
                        const channel_type& channel, const char* module_uuid) {
  const auto removed = [](void* arg) {
    spdk_bdev_unregister(static_cast<stacked_bdev*>(arg), nullptr, nullptr);
  };
  int rc = self->base_.open(base_name, true, removed, self.get());
  if (rc != 0) {
    return rc;
  }
  self->copy_properties();
  if (spdk_uuid_is_null(&self->uuid)) {
    spdk_uuid space;
    spdk_uuid_parse(&space, module_uuid);
    spdk_uuid_generate_sha1(&self->uuid, &space,
                            reinterpret_cast<const char*>(&self->base_.get()->uuid),
                            sizeof(spdk_uuid));
  }
  self->device_.bdev = self.get();
  spdk_io_device_register(&self->device_, channel.create, channel.destroy, channel.size,
                          self->name.c_str());
  rc = self->claim_and_register();
  if (rc != 0) {
    self->base_.close();
    spdk_io_device_unregister(&self->device_, nullptr);
    return rc;
  }
  self.release();  // NOLINT: its own from now on, until destruct()
  return 0;
}

void stacked_bdev::copy_properties() {
  const spdk_bdev& below = *base_.get();
  block_len = below.block_len;
  num_blocks = below.num_blocks;
  md_len = below.md_len;
  md_interleave = below.md_interleave;
  write_cache = below.write_cache;
  required_alignment = below.required_alignment;
  optimal_io_boundary = below.optimal_io_boundary;
}

int stacked_bdev::claim_and_register() {
  if (const int rc = base_.claim(module); rc != 0) {
    return rc;
  }
  const int rc = bdev_register(this);
  if (rc != 0) {
    SPDK_ERRLOG("could not register %s bdev %s\n", module->name, name.c_str());
  }
  return rc;
}

void stacked_bdev::destruct() {
  base_.close();
  spdk_io_device_unregister(&device_, [](void* device) {
    delete static_cast<stacked_bdev*>(static_cast<device_handle*>(device)->bdev);
  });
}

int stacked_bdev::open_base_channel(void* device, vbdev_channel* ch) {
  auto* self = static_cast<stacked_bdev*>(static_cast<device_handle*>(device)->bdev);
  ch->base = spdk_bdev_get_io_channel(self->base_.desc());
  return ch->base != nullptr ? 0 : -1;
}

// --- parts ---

int part_base::open(const std::string& name) {
  const auto removed = [](void* arg) { static_cast<part_base*>(arg)->remove_parts(); };
  return base_.open(name, false, removed, this);
}

void part_base::remove_parts() {
  if (parts_.empty()) {  // none fitted
    free(this);
    return;
  }
  for (auto it = parts_.begin(); it != parts_.end();) {
    spdk_bdev_unregister(*it++, nullptr, nullptr);
  }
}

void part_base::free(part_base* base) {
  assert(base->parts_.empty());
  base->base_.close();
  if (base->freed_ != nullptr) {
    base->freed_(base->ctx_);
  }
  delete base;
}

part_bdev::part_bdev(part_base* base, std::string part_name, const char* product,
                     const range& blocks)
    : base_(base), offset_(blocks.offset) {
  const spdk_bdev& below = *base->base_.get();
  module = base->module_;
  name = std::move(part_name);
  product_name = product;
  num_blocks = blocks.count;
  block_len = below.block_len;
  md_len = below.md_len;
  md_interleave = below.md_interleave;
  write_cache = below.write_cache;
  write_unit_size = below.write_unit_size;
  required_alignment = below.required_alignment;

  struct {
    spdk_uuid below;
    range blocks;
  } identity{below.uuid, blocks};
  spdk_uuid space;
  spdk_uuid_parse(&space, "976b899e-3e1e-4d71-ab69-c2b08e9df8b8");
  spdk_uuid_generate_sha1(&uuid, &space, reinterpret_cast<const char*>(&identity),
                          sizeof(identity));
}

int part_bdev::start(std::unique_ptr<part_bdev> self) {
  part_base& base = *self->base_;
  if (!base.base_.claimed()) {
    if (const int rc = base.base_.claim(base.module_); rc != 0) {
      return rc;
    }
  }
  self->device_.bdev = self.get();
  spdk_io_device_register(&self->device_, channel_create, channel_destroy, self->channel_size(),
                          self->name.c_str());
  if (const int rc = bdev_register(self.get()); rc != 0) {
    spdk_io_device_unregister(&self->device_, nullptr);
    return rc;
  }
  base.parts_.push_back(self.release());  // NOLINT: its own from now on, until destruct()
  return 0;
}

bool part_bdev::io_type_supported(spdk_bdev_io_type type) const {
  switch (type) {
    case SPDK_BDEV_IO_TYPE_NVME_ADMIN:
    case SPDK_BDEV_IO_TYPE_NVME_IO:
    case SPDK_BDEV_IO_TYPE_NVME_IO_MD: return false;  // their blocks cannot be moved
    default: return below().get()->io_type_supported(type);
  }
}

void part_bdev::destruct() { spdk_io_device_unregister(&device_, channels_gone); }

void part_bdev::channels_gone(void* device) {
  auto* self = static_cast<part_bdev*>(static_cast<device_handle*>(device)->bdev);
  part_base* base = self->base_;
  base->parts_.remove(self);
  if (base->parts_.empty()) {
    part_base::free(base);
  }
  bdev_destruct_done(self);
  delete self;
}

int part_bdev::channel_create(void* device, void* ctx) {
  auto* self = static_cast<part_bdev*>(static_cast<device_handle*>(device)->bdev);
  self->init_channel(ctx);
  auto* ch = static_cast<vbdev_channel*>(ctx);
  ch->base = spdk_bdev_get_io_channel(self->below().desc());
  return ch->base != nullptr ? 0 : -1;
}

void part_bdev::channel_destroy(void* /*device*/, void* ctx) {
  spdk_put_io_channel(static_cast<vbdev_channel*>(ctx)->base);
}

int part_bdev::pass_on_to_base(spdk_bdev_io* io, spdk_io_channel* ch,
                               spdk_bdev_io_completion_cb cb) const {
  return pass_on(io, below(), to_vbdev_channel(ch)->base, offset_, cb);
}

}  // namespace spdk_lite
