// SPDX-License-Identifier: BSD-3-Clause
// The module "split": a device cut into devices of equal size, <name>p0, <name>p1 and so on.
#include "bdev_rpc.hpp"
#include "spdk/log.h"
#include "spdk/rpc.h"
#include "spdk/string.h"
#include "vbdev.hpp"

#include <algorithm>
#include <cerrno>

namespace spdk_lite {

extern spdk_bdev_module split_module;

namespace {

constexpr std::uint64_t mib = 1024 * 1024;

/// A device to be cut, there or not: it stays until its parts are gone, or until it is deleted.
struct order {
  std::string base;
  std::uint32_t count = 0;
  std::uint64_t size_mib = 0;  ///< 0: as large as possible
  part_base* parts = nullptr;
};

std::list<order> orders;

order* find(const std::string& base) {
  const auto it =
      std::find_if(orders.begin(), orders.end(), [&](const order& o) { return o.base == base; });
  return it != orders.end() ? &*it : nullptr;
}

void forget(void* arg) {
  orders.remove_if([arg](const order& o) { return &o == arg; });
}

class split_part final : public part_bdev {
 public:
  using part_bdev::part_bdev;

  void submit(spdk_io_channel* ch, spdk_bdev_io* io) override {
    if (io->type == SPDK_BDEV_IO_TYPE_READ) {
      bdev_io_get_buf(io, read, io->num_blocks * block_len);
    } else {
      start_io(ch, io);
    }
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
    const int rc = static_cast<split_part*>(io->bdev)->pass_on_to_base(io, ch, complete_passed_on);
    if (rc == -ENOMEM) {
      submit_later(io, to_vbdev_channel(ch)->base);
    } else if (rc != 0) {
      SPDK_ERRLOG("split: error on io submission, rc=%d.\n", rc);
      bdev_io_complete(io, io_status::failed);
    }
  }
};

/// 0 if they cannot be made.
std::uint64_t blocks_of_part(const order& o, const spdk_bdev& base) {
  if (o.size_mib == 0) {
    const std::uint64_t blocks = base.num_blocks / o.count;
    if (blocks == 0) {  // SPDK divides by it
      SPDK_ERRLOG("%s has fewer blocks than the %u parts asked for\n", base.name.c_str(), o.count);
    }
    return blocks;
  }
  if (o.size_mib * mib % base.block_len != 0) {
    SPDK_ERRLOG("Split size %llu MB is not possible with block size %u\n",
                static_cast<unsigned long long>(o.size_mib), base.block_len);
    return 0;
  }
  return o.size_mib * mib / base.block_len;
}

int make_parts(const order& o) {
  const spdk_bdev& base = *o.parts->below().get();
  const std::uint64_t blocks = blocks_of_part(o, base);
  if (blocks == 0) {
    return -EINVAL;
  }
  const std::uint64_t count = std::min<std::uint64_t>(o.count, base.num_blocks / blocks);
  if (count < o.count) {
    SPDK_WARNLOG("Split count %u is greater than maximum possible split count %llu - clamping\n",
                 o.count, static_cast<unsigned long long>(count));
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    auto part =
        std::make_unique<split_part>(o.parts, o.base + "p" + std::to_string(i), "Split Disk",
                                     part_bdev::range{.offset = i * blocks, .count = blocks});
    if (part_bdev::start(std::move(part)) != 0) {
      SPDK_ERRLOG("could not construct bdev part\n");
      return -ENOMEM;
    }
  }
  return 0;
}

int make(order& o) {
  auto* parts = new part_base(&split_module, forget, &o);
  if (const int rc = parts->open(o.base); rc != 0) {
    delete parts;
    return rc;
  }
  o.parts = parts;
  const int rc = make_parts(o);
  if (rc != 0) {
    parts->remove_parts();  // the order goes with them
  }
  return rc;
}

int create(order o) {
  if (o.count == 0) {
    SPDK_ERRLOG("Split bdev config: split_count can't be 0.\n");
    return -EINVAL;
  }
  if (find(o.base) != nullptr) {
    SPDK_ERRLOG("Split bdev config for base bdev '%s' already exist.\n", o.base.c_str());
    return -EEXIST;
  }
  orders.push_back(std::move(o));
  const int rc = make(orders.back());
  return rc == -ENODEV ? 0 : rc;  // it may come yet
}

void remove(order* o) {
  if (o->parts != nullptr) {
    o->parts->remove_parts();
  } else {
    forget(o);
  }
}

void rpc_create(rpc_request* request, const json_value* params) {
  order o;
  if (!rpc_params(params)
           .required("base_bdev", o.base)
           .required("split_count", o.count)
           .optional("split_size_mb", o.size_mib)
           .done()) {
    SPDK_ERRLOG("spdk_json_decode_object failed\n");
    rpc_request::fail(request, rpc_invalid_params, "Invalid parameters");
    return;
  }
  if (const int rc = create(o); rc != 0) {
    rpc_request::fail(request, rpc_invalid_params,
                      "Failed to create " + std::to_string(o.count) + " split bdevs from '" +
                          o.base + "': " + spdk_strerror(-rc));
    return;
  }
  rpc_request::succeed(request);
}

void rpc_delete(rpc_request* request, const json_value* params) {
  std::string base;
  if (!rpc_params(params).required("base_bdev", base).done()) {
    SPDK_ERRLOG("spdk_json_decode_object failed\n");
    rpc_request::fail(request, rpc_invalid_params, "Invalid parameters");
    return;
  }
  order* o = find(base);
  if (o == nullptr) {
    SPDK_ERRLOG("Split configuration for '%s' not found\n", base.c_str());
    rpc_request::fail(request, rpc_invalid_params, spdk_strerror(ENOENT));
    return;
  }
  remove(o);  // which goes on after the answer
  rpc_request::succeed(request);
}

}  // namespace

spdk_bdev_module split_module{
    .name = "split",
    .init = [] {},
    .fini = [] { orders.clear(); },
    .examine =
        [](spdk_bdev* bdev) {
          if (order* o = find(bdev->name); o != nullptr && make(*o) != 0) {
            SPDK_ERRLOG("could not split bdev %s\n", bdev->name.c_str());
          }
        },
};

void register_split_rpcs() {
  rpc_register("bdev_split_create", SPDK_RPC_RUNTIME, rpc_create);
  rpc_register("bdev_split_delete", SPDK_RPC_RUNTIME, rpc_delete);
}

}  // namespace spdk_lite
