// SPDX-License-Identifier: BSD-3-Clause
// The module "delay": reads and writes complete that much later than on the device below; one
// of a hundred takes another time than the others. The rest is handed on as it is.
#include "bdev_rpc.hpp"
#include "spdk/env.h"
#include "spdk/log.h"
#include "spdk/rpc.h"
#include "vbdev.hpp"
#include "wakeable_poller.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <new>
#include <optional>

namespace spdk_lite {

extern spdk_bdev_module delay_module;

namespace {

/// In the order in which a channel looks at them.
enum class latency : std::uint8_t { avg_read, avg_write, p99_read, p99_write };
constexpr std::size_t latency_count = 4;
constexpr std::array<const char*, latency_count> latency_names{"avg_read", "avg_write", "p99_read",
                                                               "p99_write"};

struct order {
  std::string name;
  std::string base;
  spdk_uuid uuid{};
  std::array<std::uint64_t, latency_count> us{};

  [[nodiscard]] std::uint64_t& operator[](latency which) {
    return us[static_cast<std::size_t>(which)];
  }
};

order_book<order> orders;

std::uint64_t to_ticks(std::uint64_t us) { return spdk_get_ticks_hz() / 1'000'000 * us; }

/// The module's state in an I/O.
struct task {
  std::uint64_t due;
  io_status status;
  bool delayed;
  latency how;
  spdk_bdev_io* lent;  ///< zcopy: the I/O below that has the buffer
};

struct channel : vbdev_channel {
  wakeable_poller poller;
  std::array<bdev_io_queue, latency_count> waiting;
  unsigned random = 0;
};

channel* to_channel(spdk_io_channel* ch) {
  return static_cast<channel*>(spdk_io_channel_get_ctx(ch));
}

/// In order: what was submitted under a shorter latency than an earlier one waits for that.
int complete_due(bdev_io_queue& queue, std::uint64_t now) {
  int count = 0;
  for (spdk_bdev_io* io = queue.front(); io != nullptr && driver_ctx<task>(io)->due <= now;
       io = queue.front()) {
    queue.remove(io);
    bdev_io_complete(io, driver_ctx<task>(io)->status);
    ++count;
  }
  return count;
}

/// Only the first of each queue counts.
void wake_when_due(channel* ch) {
  std::uint64_t first = UINT64_MAX;
  for (const bdev_io_queue& queue : ch->waiting) {
    if (!queue.empty()) {
      first = std::min(first, driver_ctx<task>(queue.front())->due);
    }
  }
  if (first != UINT64_MAX) {
    const std::uint64_t now = spdk_get_ticks();
    ch->poller.wake_in(first > now ? first - now : 0);
  }
}

int poll(void* arg) {
  auto* ch = static_cast<channel*>(arg);
  const std::uint64_t now = spdk_get_ticks();
  int count = 0;
  for (bdev_io_queue& queue : ch->waiting) {
    count += complete_due(queue, now);
  }
  if (spdk_interrupt_mode_is_enabled()) [[unlikely]] {
    wake_when_due(ch);
  }
  return count == 0 ? SPDK_POLLER_IDLE : SPDK_POLLER_BUSY;
}

class delay_bdev final : public stacked_bdev {
 public:
  explicit delay_bdev(const order& o) {
    name = o.name;
    uuid = o.uuid;
    product_name = "delay";
    module = &delay_module;
    for (std::size_t i = 0; i < latency_count; ++i) {
      ticks_[i] = to_ticks(o.us[i]);
    }
  }

  void set(latency which, std::uint64_t us) {
    ticks_[static_cast<std::size_t>(which)] = to_ticks(us);
  }

  void submit(spdk_io_channel* ch, spdk_bdev_io* io) override {
    const bool p99 = rand_r(&to_channel(ch)->random) % 100 == 0;
    auto* t = driver_ctx<task>(io);
    if (io->type != SPDK_BDEV_IO_TYPE_ZCOPY || io->zcopy.start) {
      t->lent = nullptr;
    }
    t->delayed = io->type == SPDK_BDEV_IO_TYPE_READ || io->type == SPDK_BDEV_IO_TYPE_WRITE;
    switch (io->type) {
      case SPDK_BDEV_IO_TYPE_READ:
        t->how = p99 ? latency::p99_read : latency::avg_read;
        bdev_io_get_buf(io, read, io->num_blocks * block_len);
        break;
      case SPDK_BDEV_IO_TYPE_WRITE:
        t->how = p99 ? latency::p99_write : latency::avg_write;
        start_io(ch, io);
        break;
      case SPDK_BDEV_IO_TYPE_RESET:
        spdk_for_each_channel(io_device(), abort_all, io, all_aborted);
        break;
      case SPDK_BDEV_IO_TYPE_ABORT:
        if (abort_delayed(to_channel(ch), io->abort_target)) {
          bdev_io_complete(io, io_status::success);
        } else {
          start_io(ch, io);
        }
        break;
      case SPDK_BDEV_IO_TYPE_ZCOPY: zcopy(ch, io, p99); break;
      case SPDK_BDEV_IO_TYPE_COMPARE:
      case SPDK_BDEV_IO_TYPE_COPY:
        // SPDK's module says that it supports them if the device below does, and then fails.
        SPDK_ERRLOG("delay: unknown I/O type %d\n", io->type);
        bdev_io_complete(io, io_status::failed);
        break;
      default: start_io(ch, io);
    }
  }

  static int channel_create(void* device, void* ctx) {
    auto* ch = new (ctx) channel;
    if (!ch->poller.start(poll, ch, "_delay_finish_io", wakeable_poller::by::time)) {
      return -ENOMEM;
    }
    ch->random = static_cast<unsigned>(std::time(nullptr));
    const int rc = open_base_channel(device, ch);
    if (rc != 0) {
      ch->poller.stop();
    }
    return rc;
  }

 private:
  static void read(spdk_io_channel* ch, spdk_bdev_io* io, bool has_buffer) {
    if (has_buffer) {
      start_io(ch, io);
    } else {
      bdev_io_complete(io, io_status::failed);
    }
  }

  static void start_io(spdk_io_channel* ch, spdk_bdev_io* io) {
    spdk_io_channel* below = to_vbdev_channel(ch)->base;
    const int rc = pass_on(io, static_cast<delay_bdev*>(io->bdev)->base(), below, 0, done);
    if (rc == -ENOMEM) {
      SPDK_ERRLOG("No memory, start to queue io for delay.\n");
      submit_later(io, below);
    } else if (rc != 0) {
      SPDK_ERRLOG("ERROR on bdev_io submission!\n");
      bdev_io_complete(io, io_status::failed);
    }
  }

  /// The buffer below stays lent between start and end. (Who gave no iovec learns nothing of
  /// it, as in SPDK.)
  static void zcopy(spdk_io_channel* ch, spdk_bdev_io* io, bool p99) {
    auto* t = driver_ctx<task>(io);
    t->delayed = io->zcopy.commit || io->zcopy.populate;
    if (io->zcopy.commit) {
      t->how = p99 ? latency::p99_write : latency::avg_write;
    } else {
      t->how = p99 ? latency::p99_read : latency::avg_read;
    }
    spdk_io_channel* below = to_vbdev_channel(ch)->base;
    int rc = 0;
    if (io->zcopy.start) {
      rc = spdk_bdev_zcopy_start(static_cast<delay_bdev*>(io->bdev)->base().desc(), below, io->iovs,
                                 io->iovcnt, io->offset_blocks, io->num_blocks, io->zcopy.populate,
                                 done, io);
    } else {
      rc = spdk_bdev_zcopy_end(t->lent, io->zcopy.commit, done, io);
    }
    if (rc == -ENOMEM) {
      submit_later(io, below);
    } else if (rc != 0) {
      bdev_io_complete(io, io_status::failed);
    }
  }

  static void give_back(task* t) {
    const auto freed = [](spdk_bdev_io* io, bool, void*) { spdk_bdev_free_io(io); };
    if (t->lent != nullptr) {
      spdk_bdev_zcopy_end(t->lent, false, freed, nullptr);
    }
  }

  static void done(spdk_bdev_io* base_io, bool success, void* arg) {
    auto* io = static_cast<spdk_bdev_io*>(arg);
    auto* self = static_cast<delay_bdev*>(io->bdev);
    auto* t = driver_ctx<task>(io);
    t->status = bdev_io_take_status(io, base_io);
    if (base_io->type == SPDK_BDEV_IO_TYPE_ZCOPY && base_io->zcopy.start && success) {
      t->lent = base_io;
    } else {
      t->lent = nullptr;
      spdk_bdev_free_io(base_io);
    }
    if (!t->delayed) {
      bdev_io_complete(io, t->status);
      return;
    }
    const auto how = static_cast<std::size_t>(t->how);
    t->due = spdk_get_ticks() + self->ticks_[how];
    channel* ch = to_channel(spdk_bdev_io_get_io_channel(io));
    ch->waiting[how].push_back(io);
    if (ch->waiting[how].front() == io) {
      wake_when_due(ch);
    }
  }

  static bool abort_delayed(channel* ch, spdk_bdev_io* target) {
    for (bdev_io_queue& queue : ch->waiting) {
      if (queue.contains(target)) {
        queue.remove(target);
        give_back(driver_ctx<task>(target));
        bdev_io_complete(target, io_status::aborted);
        return true;
      }
    }
    return false;
  }

  /// While a device is being reset nothing new comes, so all that waits is all there is.
  static void abort_all(spdk_io_channel_iter* i) {
    for (bdev_io_queue& queue : to_channel(spdk_io_channel_iter_get_channel(i))->waiting) {
      while (spdk_bdev_io* io = queue.pop_front()) {
        give_back(driver_ctx<task>(io));
        bdev_io_complete(io, io_status::aborted);
      }
    }
    spdk_for_each_channel_continue(i, 0);
  }

  static void all_aborted(spdk_io_channel_iter* i, int /*status*/) {
    auto* reset = static_cast<spdk_bdev_io*>(spdk_io_channel_iter_get_ctx(i));
    start_io(spdk_bdev_io_get_io_channel(reset), reset);
  }

  std::array<std::atomic<std::uint64_t>, latency_count> ticks_{};
};

void channel_destroy(void* /*device*/, void* ctx) {
  auto* ch = static_cast<channel*>(ctx);
  ch->poller.stop();
  spdk_put_io_channel(ch->base);
  ch->~channel();
}

int make_on(const std::string& base) {
  return orders.fill(base, [](const order& o) {
    return stacked_bdev::start(std::make_unique<delay_bdev>(o), o.base,
                               {sizeof(channel), delay_bdev::channel_create, channel_destroy},
                               "4009b574-6430-4f1b-bc40-ace811091027");
  });
}

int create(order& o) {
  if (o[latency::p99_read] < o[latency::avg_read] ||
      o[latency::p99_write] < o[latency::avg_write]) {
    SPDK_ERRLOG("Unable to create a delay bdev where p99 latency is less than average latency.\n");
    return -EINVAL;
  }
  if (!orders.add(o)) {
    SPDK_ERRLOG("delay bdev %s already exists\n", o.name.c_str());
    return -EEXIST;
  }
  const int rc = make_on(o.base);
  if (rc == -ENODEV) {
    SPDK_NOTICELOG("vbdev creation deferred pending base bdev arrival\n");
    return 0;
  }
  return rc;
}

void rpc_create(rpc_request* request, const json_value* params) {
  order o;
  if (!rpc_params(params)
           .required("base_bdev_name", o.base)
           .required("name", o.name)
           .optional("uuid", o.uuid)
           .required("avg_read_latency", o[latency::avg_read])
           .required("p99_read_latency", o[latency::p99_read])
           .required("avg_write_latency", o[latency::avg_write])
           .required("p99_write_latency", o[latency::p99_write])
           .done()) {
    rpc_request::fail(request, rpc_internal_error, "spdk_json_decode_object failed");
    return;
  }
  rpc_request::finish_errno(request, create(o));
}

std::optional<latency> latency_of(const std::string& text) {
  for (std::size_t i = 0; i < latency_count; ++i) {
    if (text == latency_names[i]) {
      return static_cast<latency>(i);
    }
  }
  SPDK_ERRLOG(
      "Invalid bdev_delay_latency_type value: '%s'. Supported values: avg_read, p99_read, "
      "avg_write, p99_write\n",
      text.c_str());
  return std::nullopt;
}

void rpc_update(rpc_request* request, const json_value* params) {
  std::string name;
  std::string type;
  std::uint64_t us = 0;
  std::optional<latency> which;
  if (rpc_params(params)
          .required("delay_bdev_name", name)
          .required("latency_type", type)
          .required("latency_us", us)
          .done()) {
    which = latency_of(type);
  }
  if (!which) {
    rpc_request::fail(request, rpc_internal_error, "spdk_json_decode_object failed");
    return;
  }
  spdk_bdev* bdev = spdk_bdev_get_by_name(name.c_str());
  if (bdev == nullptr || bdev->module != &delay_module || bdev->name != name) {
    rpc_request::fail(request, rpc_invalid_params, "The requested bdev does not exist.");
    return;
  }
  static_cast<delay_bdev*>(bdev)->set(*which, us);
  rpc_request::succeed(request);
}

}  // namespace

spdk_bdev_module delay_module{
    .name = "delay",
    .init = [] {},
    .fini = [] { orders.clear(); },
    .examine = [](spdk_bdev* bdev) { make_on(bdev->name); },
};

void register_delay_rpcs() {
  rpc_register("bdev_delay_create", SPDK_RPC_RUNTIME, rpc_create);
  rpc_register("bdev_delay_update_latency", SPDK_RPC_RUNTIME, rpc_update);
  rpc_register("bdev_delay_delete", SPDK_RPC_RUNTIME,
               [](rpc_request* request, const json_value* params) {
                 rpc_delete_bdev(request, params, &delay_module,
                                 [](const std::string& name) { orders.remove(name); });
               });
}

}  // namespace spdk_lite
