// SPDX-License-Identifier: BSD-3-Clause
// What modules share that build devices on other devices: the device below, I/O that is passed
// on to it, the two forms of such a device, and what was ordered before the device below came.
#pragma once

#include "bdev_module.hpp"
#include "spdk/thread.h"

#include <list>
#include <memory>
#include <string>
#include <utility>

namespace spdk_lite {

/// The device below. All of it on the thread that opens it.
class base_bdev {
 public:
  using removed_fn = void (*)(void* ctx);

  base_bdev() = default;
  base_bdev(const base_bdev&) = delete;
  base_bdev& operator=(const base_bdev&) = delete;

  /// -ENODEV is not logged: the device may come yet. `removed` runs when it is going away.
  int open(const std::string& name, bool write, removed_fn removed, void* ctx);
  int claim(spdk_bdev_module* module);
  /// Gives up the claim as well.
  void close();

  [[nodiscard]] spdk_bdev* get() const { return bdev_; }
  [[nodiscard]] spdk_bdev_desc* desc() const { return desc_; }
  [[nodiscard]] bool claimed() const { return claimed_; }

 private:
  static void on_event(spdk_bdev_event_type type, spdk_bdev* bdev, void* self);

  spdk_bdev* bdev_ = nullptr;
  spdk_bdev_desc* desc_ = nullptr;
  removed_fn removed_ = nullptr;
  void* ctx_ = nullptr;
  bool claimed_ = false;
};

/// The context of a channel starts with the channel of the device below.
struct vbdev_channel {
  spdk_io_channel* base;
};

inline vbdev_channel* to_vbdev_channel(spdk_io_channel* ch) {
  return static_cast<vbdev_channel*>(spdk_io_channel_get_ctx(ch));
}

/// Submits the same to the device below, `offset` blocks further on; the callback's argument
/// is the I/O. What the submission calls return, or -ENOTSUP for what cannot be passed on.
int pass_on(spdk_bdev_io* io, const base_bdev& base, spdk_io_channel* base_ch, std::uint64_t offset,
            spdk_bdev_io_completion_cb cb);

/// If it is a zcopy: lends the buffer that the device below lent.
void lend_on(spdk_bdev_io* io, const spdk_bdev_io* base_io);

/// A callback for pass_on(): completes the I/O as the one below did.
void complete_passed_on(spdk_bdev_io* base_io, bool success, void* io);

/// For -ENOMEM from pass_on(): gives the I/O to the module again once an object is free.
void submit_later(spdk_bdev_io* io, spdk_io_channel* base_ch);

/// A device as large as the one below. It opens that for writing, and claims it.
class stacked_bdev : public spdk_bdev {
 public:
  struct channel_type {
    std::uint32_t size;
    spdk_io_channel_create_cb create;
    spdk_io_channel_destroy_cb destroy;
  };

  /// 0, and the device is its own from then on. The UUID, if it is null, follows from the one
  /// below and the module's.
  static int start(std::unique_ptr<stacked_bdev> self, const std::string& base_name,
                   const channel_type& channel, const char* module_uuid);

  [[nodiscard]] bool io_type_supported(spdk_bdev_io_type type) const override {
    return spdk_bdev_io_type_supported(base_.get(), type);
  }
  [[nodiscard]] spdk_io_channel* get_io_channel() override { return spdk_get_io_channel(&device_); }
  void destruct() override;

 protected:
  [[nodiscard]] const base_bdev& base() const { return base_; }
  [[nodiscard]] void* io_device() { return &device_; }
  /// For channel_type::create and destroy: the channel below.
  static int open_base_channel(void* device, vbdev_channel* ch);

 private:
  void copy_properties();
  int claim_and_register();

  base_bdev base_;
  device_handle device_;  ///< the io_device of the module's channels
};

class part_bdev;

/// What the parts of one device share. It goes with the last of them.
class part_base {
 public:
  using freed_fn = void (*)(void* ctx);

  part_base(spdk_bdev_module* module, freed_fn freed, void* ctx)
      : module_(module), freed_(freed), ctx_(ctx) {}

  /// 0, or a negative errno as base_bdev::open().
  int open(const std::string& name);
  /// Unregisters all parts, the last of which frees this; at once if there are none.
  void remove_parts();
  /// Without parts: closes the device below and frees this.
  static void free(part_base* base);

  [[nodiscard]] const base_bdev& below() const { return base_; }
  [[nodiscard]] bool empty() const { return parts_.empty(); }

 private:
  friend class part_bdev;

  base_bdev base_;
  spdk_bdev_module* module_;
  freed_fn freed_;
  void* ctx_;
  std::list<part_bdev*> parts_;
};

/// A range of a device's blocks as a device. The first one claims the device below.
class part_bdev : public spdk_bdev {
 public:
  struct range {
    std::uint64_t offset;
    std::uint64_t count;
  };

  part_bdev(part_base* base, std::string part_name, const char* product, const range& blocks);

  /// 0, and the device is its own from then on.
  static int start(std::unique_ptr<part_bdev> self);

  [[nodiscard]] bool io_type_supported(spdk_bdev_io_type type) const override;
  [[nodiscard]] spdk_io_channel* get_io_channel() override { return spdk_get_io_channel(&device_); }
  void destruct() override;
  [[nodiscard]] bool destruct_takes_time() const override { return true; }

 protected:
  [[nodiscard]] const base_bdev& below() const { return base_->below(); }
  [[nodiscard]] void* io_device() { return &device_; }
  /// Passes it on to where the part is.
  int pass_on_to_base(spdk_bdev_io* io, spdk_io_channel* ch, spdk_bdev_io_completion_cb cb) const;

  // A module with more in its channels than a vbdev_channel.
  [[nodiscard]] virtual std::uint32_t channel_size() const { return sizeof(vbdev_channel); }
  virtual void init_channel(void* /*ctx*/) {}

 private:
  static int channel_create(void* device, void* ctx);
  static void channel_destroy(void* device, void* ctx);
  static void channels_gone(void* device);

  part_base* base_;
  std::uint64_t offset_;
  device_handle device_;  ///< the io_device of the module's channels
};

/// What a module was told to build. It keeps that by the names of the devices, because the
/// device below may come later, or again.
template <class Order>
class order_book {
 public:
  /// False if there is one of that name.
  bool add(Order order) {
    for (const Order& each : orders_) {
      if (each.name == order.name) {
        return false;
      }
    }
    orders_.push_back(std::move(order));
    return true;
  }
  void remove(const std::string& name) {
    orders_.remove_if([&name](const Order& each) { return each.name == name; });
  }
  void clear() { orders_.clear(); }

  /// make(order) for each one on that device, until one is not 0, which is the result.
  template <class Make>
  int fill(const std::string& base, Make make) const {
    int rc = 0;
    for (auto it = orders_.begin(); it != orders_.end() && rc == 0; ++it) {
      rc = it->base == base ? make(*it) : 0;
    }
    return rc;
  }

 private:
  std::list<Order> orders_;
};

}  // namespace spdk_lite
