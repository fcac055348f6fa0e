// SPDX-License-Identifier: BSD-3-Clause
// The module "error": a device that hands everything on to the one below, but for the faults
// that were put into it: the next so many reads, writes, unmaps or flushes fail, stay away,
// lack resources or have a byte changed.
#include "bdev_rpc.hpp"
#include "spdk/log.h"
#include "spdk/rpc.h"
#include "vbdev.hpp"

#include <array>
#include <cassert>
#include <cerrno>
#include <map>
#include <new>
#include <optional>

namespace spdk_lite {

extern spdk_bdev_module error_module;

namespace {

enum class effect : std::uint8_t { none, failure, nvme_failure, nomem, pending, corrupt_data };

/// What happens to one type of I/O.
struct fault {
  effect how = effect::none;
  std::uint32_t left = 0;  ///< how often yet
  std::uint64_t queue_depth = 0;
  std::uint64_t corrupt_offset = 0;
  std::uint8_t corrupt_value = 0;
  int nvme_sct = 0;
  int nvme_sc = 0;
};

constexpr std::size_t fault_count = SPDK_BDEV_IO_TYPE_RESET;  ///< of read, write, unmap, flush

/// The module's state in an I/O.
struct task {
  effect how;
};

struct channel : vbdev_channel {
  std::uint64_t in_flight = 0;
  bdev_io_queue pending;
};

channel* to_channel(spdk_io_channel* ch) {
  return static_cast<channel*>(spdk_io_channel_get_ctx(ch));
}

void corrupt(const spdk_bdev_io* io, const fault& f) {
  if (io->iovs == nullptr || io->iovs[0].iov_base == nullptr) {
    return;
  }
  std::uint64_t offset = f.corrupt_offset;
  for (int i = 0; i < io->iovcnt; ++i) {
    if (offset < io->iovs[i].iov_len) {
      static_cast<std::uint8_t*>(io->iovs[i].iov_base)[offset] ^= f.corrupt_value;
      return;
    }
    offset -= io->iovs[i].iov_len;
  }
}

class error_bdev final : public part_bdev {
 public:
  explicit error_bdev(part_base* base)
      : part_bdev(base, "EE_" + base->below().get()->name, "Error Injection Disk",
                  {.offset = 0, .count = base->below().get()->num_blocks}) {}

  void submit(spdk_io_channel* ch, spdk_bdev_io* io) override;
  void destruct() override;

  void put(spdk_bdev_io_type type, const fault& f) {
    const std::lock_guard lock(faults_mutex_);
    faults_[static_cast<std::size_t>(type)] = f;
  }
  void put_all(const fault& f) {
    const std::lock_guard lock(faults_mutex_);
    faults_.fill(f);
  }
  void clear() {
    const std::lock_guard lock(faults_mutex_);
    for (fault& f : faults_) {
      f.left = 0;
    }
  }
  void resume_pending();

 protected:
  [[nodiscard]] std::uint32_t channel_size() const override { return sizeof(channel); }
  void init_channel(void* ctx) override { new (ctx) channel; }

 private:
  effect next_effect(const channel* ch, spdk_bdev_io_type type);
  [[nodiscard]] fault fault_of(spdk_bdev_io_type type) {
    const std::lock_guard lock(faults_mutex_);
    return faults_[static_cast<std::size_t>(type)];
  }
  void start_io(spdk_io_channel* ch, spdk_bdev_io* io);
  static void done(spdk_bdev_io* base_io, bool success, void* arg);
  void reset(spdk_bdev_io* io);

  std::mutex faults_mutex_;  ///< they are put in on the app thread
  std::array<fault, fault_count> faults_{};
};

effect error_bdev::next_effect(const channel* ch, spdk_bdev_io_type type) {
  switch (type) {
    case SPDK_BDEV_IO_TYPE_READ:
    case SPDK_BDEV_IO_TYPE_WRITE:
    case SPDK_BDEV_IO_TYPE_UNMAP:
    case SPDK_BDEV_IO_TYPE_FLUSH: break;
    default: return effect::none;
  }
  const std::lock_guard lock(faults_mutex_);
  fault& f = faults_[static_cast<std::size_t>(type)];
  if (ch->in_flight < f.queue_depth || f.left == 0) {
    return effect::none;
  }
  --f.left;
  return f.how;
}

void error_bdev::submit(spdk_io_channel* ch, spdk_bdev_io* io) {
  if (io->type == SPDK_BDEV_IO_TYPE_RESET) {
    reset(io);
    return;
  }
  auto* t = driver_ctx<task>(io);
  t->how = next_effect(to_channel(ch), io->type);
  switch (t->how) {
    case effect::failure: bdev_io_complete(io, io_status::failed); break;
    case effect::nvme_failure: {
      const fault f = fault_of(io->type);
      bdev_io_complete_nvme(io, f.nvme_sct, f.nvme_sc);
      break;
    }
    case effect::nomem: bdev_io_complete(io, io_status::nomem); break;
    case effect::pending: to_channel(ch)->pending.push_back(io); break;
    case effect::corrupt_data:
      if (io->type == SPDK_BDEV_IO_TYPE_WRITE) {
        corrupt(io, fault_of(io->type));
      }
      [[fallthrough]];
    case effect::none: start_io(ch, io);
  }
}

void error_bdev::start_io(spdk_io_channel* ch, spdk_bdev_io* io) {
  ++to_channel(ch)->in_flight;
  if (const int rc = pass_on_to_base(io, ch, done); rc != 0) {
    SPDK_ERRLOG("bdev_error: submit request failed, rc=%d\n", rc);
    bdev_io_complete(io, io_status::failed);
    --to_channel(ch)->in_flight;
  }
}

/// Of the device below only success or failure is told.
void error_bdev::done(spdk_bdev_io* base_io, bool success, void* arg) {
  auto* io = static_cast<spdk_bdev_io*>(arg);
  channel* ch = to_channel(spdk_bdev_io_get_io_channel(io));
  assert(ch->in_flight > 0);
  --ch->in_flight;
  lend_on(io, base_io);
  if (success && io->type == SPDK_BDEV_IO_TYPE_READ &&
      driver_ctx<task>(io)->how == effect::corrupt_data) {
    corrupt(io, static_cast<error_bdev*>(io->bdev)->fault_of(io->type));
  }
  bdev_io_complete(io, success ? io_status::success : io_status::failed);
  spdk_bdev_free_io(base_io);
}

/// Ends what is pending; the device below is not reset.
void error_bdev::reset(spdk_bdev_io* io) {
  const auto abort_pending = [](spdk_io_channel_iter* i) {
    bdev_io_queue& pending = to_channel(spdk_io_channel_iter_get_channel(i))->pending;
    while (spdk_bdev_io* each = pending.pop_front()) {
      bdev_io_complete(each, io_status::aborted);
    }
    spdk_for_each_channel_continue(i, 0);
  };
  const auto aborted = [](spdk_io_channel_iter* i, int /*status*/) {
    bdev_io_complete(static_cast<spdk_bdev_io*>(spdk_io_channel_iter_get_ctx(i)),
                     io_status::success);
  };
  spdk_for_each_channel(io_device(), abort_pending, io, aborted);
}

void error_bdev::resume_pending() {
  {
    const std::lock_guard lock(faults_mutex_);
    for (fault& f : faults_) {
      f.left = f.how == effect::pending ? 0 : f.left;
    }
  }
  const auto resume = [](spdk_io_channel_iter* i) {
    bdev_io_queue& pending = to_channel(spdk_io_channel_iter_get_channel(i))->pending;
    while (spdk_bdev_io* each = pending.pop_front()) {
      const auto submit_again = [](void* arg) {
        auto* io = static_cast<spdk_bdev_io*>(arg);
        io->bdev->submit(spdk_bdev_io_get_io_channel(io), io);
      };
      spdk_thread_send_msg(spdk_get_thread(), submit_again, each);
    }
    spdk_for_each_channel_continue(i, 0);
  };
  spdk_for_each_channel(io_device(), resume, nullptr, nullptr);
}

/// Which devices get one, there or not, with the UUID, which SPDK reads and does not use.
std::map<std::string, spdk_uuid> orders;

void error_bdev::destruct() {
  orders.erase(below().get()->name);
  part_bdev::destruct();
}

int make_on(const std::string& base_name) {
  auto* base = new part_base(&error_module, nullptr, nullptr);
  int rc = base->open(base_name);
  if (rc != 0) {
    delete base;
    return rc;
  }
  rc = part_bdev::start(std::make_unique<error_bdev>(base));
  if (rc != 0) {
    SPDK_ERRLOG("could not construct part for bdev %s\n", base_name.c_str());
    part_base::free(base);
  }
  return rc;
}

int create(const std::string& base, const spdk_uuid& uuid) {
  if (!orders.emplace(base, uuid).second) {
    SPDK_ERRLOG("vbdev_error_config for bdev %s already exists\n", base.c_str());
    return -EEXIST;
  }
  const int rc = make_on(base);
  if (rc == -ENODEV) {
    return 0;  // it may come yet
  }
  if (rc != 0) {
    orders.erase(base);
    SPDK_ERRLOG("Could not create ErrorInjection bdev %s (rc=%d)\n", base.c_str(), rc);
  }
  return rc;
}

error_bdev* find(const std::string& name) {
  spdk_bdev* bdev = spdk_bdev_get_by_name(name.c_str());
  if (bdev == nullptr || bdev->module != &error_module) {
    SPDK_ERRLOG("Could not find ErrorInjection bdev %s\n", name.c_str());
    return nullptr;
  }
  return static_cast<error_bdev*>(bdev);
}

// --- methods ---

void rpc_create(rpc_request* request, const json_value* params) {
  std::string base;
  spdk_uuid uuid{};
  if (!rpc_params(params).required("base_name", base).optional("uuid", uuid).done()) {
    SPDK_ERRLOG("spdk_json_decode_object failed\n");
    rpc_request::fail(request, rpc_internal_error, "spdk_json_decode_object failed");
    return;
  }
  rpc_request::finish_errno(request, create(base, uuid));
}

struct injection {
  std::string name;
  std::string io_type;
  std::string error_type;
  std::uint32_t nvme_sct = 0;
  std::uint32_t nvme_sc = 0;
  std::uint32_t num = 1;
  std::uint64_t queue_depth = 0;
  std::uint64_t corrupt_offset = 0;
  std::uint32_t corrupt_value = 0;
};

bool decode(injection& in, const json_value* params) {
  return rpc_params(params)
             .required("name", in.name)
             .required("io_type", in.io_type)
             .required("error_type", in.error_type)
             .optional("nvme_sct", in.nvme_sct)
             .optional("nvme_sc", in.nvme_sc)
             .optional("num", in.num)
             .optional("queue_depth", in.queue_depth)
             .optional("corrupt_offset", in.corrupt_offset)
             .optional("corrupt_value", in.corrupt_value)
             .done() &&
         in.corrupt_value <= UINT8_MAX;
}

enum class target : std::uint8_t { clear, read, write, unmap, flush, all };

std::optional<target> target_of(const std::string& text) {
  static const std::map<std::string, target> known{
      {"clear", target::clear}, {"read", target::read},   {"write", target::write},
      {"unmap", target::unmap}, {"flush", target::flush}, {"all", target::all}};
  if (const auto it = known.find(text); it != known.end()) {
    return it->second;
  }
  SPDK_ERRLOG(
      "Invalid bdev_error_inject_io_type value: '%s'. Supported values: clear, read, write, "
      "unmap, flush, all\n",
      text.c_str());
  return std::nullopt;
}

std::optional<effect> effect_of(const std::string& text) {
  static const std::map<std::string, effect> known{{"failure", effect::failure},
                                                   {"pending", effect::pending},
                                                   {"corrupt_data", effect::corrupt_data},
                                                   {"nomem", effect::nomem},
                                                   {"nvme_failure", effect::nvme_failure}};
  if (const auto it = known.find(text); it != known.end()) {
    return it->second;
  }
  SPDK_ERRLOG(
      "Invalid bdev_error_inject_error_type value: '%s'. Supported values: failure, pending, "
      "corrupt_data, nomem, nvme_failure\n",
      text.c_str());
  return std::nullopt;
}

int inject(const std::string& name, target on, const fault& f) {
  if (f.how == effect::corrupt_data && f.corrupt_value == 0) {
    SPDK_ERRLOG("corrupt_value should be non-zero.\n");  // it is what the byte is XORed with
    return -EINVAL;
  }
  error_bdev* bdev = find(name);
  if (bdev == nullptr) {
    return -ENODEV;
  }
  switch (on) {
    case target::clear: bdev->clear(); break;
    case target::all: bdev->put_all(f); break;
    case target::read: bdev->put(SPDK_BDEV_IO_TYPE_READ, f); break;
    case target::write: bdev->put(SPDK_BDEV_IO_TYPE_WRITE, f); break;
    case target::unmap: bdev->put(SPDK_BDEV_IO_TYPE_UNMAP, f); break;
    case target::flush: bdev->put(SPDK_BDEV_IO_TYPE_FLUSH, f); break;
  }
  return 0;
}

void rpc_inject(rpc_request* request, const json_value* params) {
  injection in;
  std::optional<target> on;
  std::optional<effect> how;
  if (decode(in, params)) {
    on = target_of(in.io_type);
    how = on ? effect_of(in.error_type) : std::nullopt;
  }
  if (!how) {
    SPDK_ERRLOG("spdk_json_decode_object failed\n");
    rpc_request::fail(request, rpc_internal_error, "spdk_json_decode_object failed");
    return;
  }
  if ((how == effect::nvme_failure) != (in.nvme_sct != 0 || in.nvme_sc != 0)) {
    SPDK_ERRLOG("nvme_sct or nvme_sc should be specified for NVMe error injection.\n");
    rpc_request::fail(request, -EINVAL,
                      "nvme_sct or nvme_sc should be specified for NVMe error injection");
    return;
  }
  const fault f{.how = *how,
                .left = in.num,
                .queue_depth = in.queue_depth,
                .corrupt_offset = in.corrupt_offset,
                .corrupt_value = static_cast<std::uint8_t>(in.corrupt_value),
                .nvme_sct = static_cast<int>(in.nvme_sct),
                .nvme_sc = static_cast<int>(in.nvme_sc)};
  rpc_request::finish_errno(request, inject(in.name, *on, f));
}

void rpc_resume(rpc_request* request, const json_value* params) {
  std::string name;
  if (!rpc_params(params).required("name", name).done()) {
    rpc_request::fail(request, rpc_internal_error, "spdk_json_decode_object failed");
    return;
  }
  error_bdev* bdev = find(name);
  if (bdev != nullptr) {
    bdev->resume_pending();
  }
  rpc_request::finish_errno(request, bdev != nullptr ? 0 : -ENODEV);
}

}  // namespace

spdk_bdev_module error_module{
    .name = "error",
    .init = [] {},
    .fini = [] { orders.clear(); },
    .examine =
        [](spdk_bdev* bdev) {
          if (orders.contains(bdev->name) && make_on(bdev->name) != 0) {
            SPDK_ERRLOG("could not create error vbdev for bdev %s at examine\n",
                        bdev->name.c_str());
          }
        },
};

void register_error_rpcs() {
  rpc_register("bdev_error_create", SPDK_RPC_RUNTIME, rpc_create);
  rpc_register("bdev_error_inject_error", SPDK_RPC_RUNTIME, rpc_inject);
  rpc_register("bdev_error_resume_pending", SPDK_RPC_RUNTIME, rpc_resume);
  rpc_register("bdev_error_delete", SPDK_RPC_RUNTIME,
               [](rpc_request* r, const json_value* p) { rpc_delete_bdev(r, p, &error_module); });
}

}  // namespace spdk_lite
