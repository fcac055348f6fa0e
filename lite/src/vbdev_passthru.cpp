// SPDX-License-Identifier: BSD-3-Clause
// The module "passthru": a device that hands everything on to the one below.
#include "bdev_rpc.hpp"
#include "spdk/log.h"
#include "spdk/rpc.h"
#include "vbdev.hpp"

#include <cerrno>

namespace spdk_lite {

extern spdk_bdev_module passthru_module;

namespace {

struct order {
  std::string name;
  std::string base;
  spdk_uuid uuid{};
};

order_book<order> orders;

class passthru_bdev final : public stacked_bdev {
 public:
  explicit passthru_bdev(const order& o) {
    name = o.name;
    uuid = o.uuid;
    product_name = "passthru";
    module = &passthru_module;
  }

  void submit(spdk_io_channel* ch, spdk_bdev_io* io) override {
    if (io->type == SPDK_BDEV_IO_TYPE_READ) {
      bdev_io_get_buf(io, read, io->num_blocks * block_len);
    } else {
      start_io(ch, io);
    }
  }

  static int channel_create(void* device, void* ctx) {
    return open_base_channel(device, static_cast<vbdev_channel*>(ctx));
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
    const int rc =
        pass_on(io, static_cast<passthru_bdev*>(io->bdev)->base(), below, 0, complete_passed_on);
    if (rc == -ENOMEM) {
      SPDK_ERRLOG("No memory, start to queue io for passthru.\n");
      submit_later(io, below);
    } else if (rc != 0) {
      SPDK_ERRLOG("ERROR on bdev_io submission!\n");
      bdev_io_complete(io, io_status::failed);
    }
  }
};

void channel_destroy(void* /*device*/, void* ctx) {
  spdk_put_io_channel(static_cast<vbdev_channel*>(ctx)->base);
}

int make_on(const std::string& base) {
  return orders.fill(base, [](const order& o) {
    return stacked_bdev::start(
        std::make_unique<passthru_bdev>(o), o.base,
        {sizeof(vbdev_channel), passthru_bdev::channel_create, channel_destroy},
        "7e25812e-c8c0-4d3f-8599-16d790555b85");
  });
}

int create(const order& o) {
  if (!orders.add(o)) {
    SPDK_ERRLOG("passthru bdev %s already exists\n", o.name.c_str());
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
           .done()) {
    rpc_request::fail(request, rpc_internal_error, "spdk_json_decode_object failed");
    return;
  }
  rpc_request::finish_errno(request, create(o));
}

}  // namespace

spdk_bdev_module passthru_module{
    .name = "passthru",
    .init = [] {},
    .fini = [] { orders.clear(); },
    .examine = [](spdk_bdev* bdev) { make_on(bdev->name); },
};

void register_passthru_rpcs() {
  rpc_register("bdev_passthru_create", SPDK_RPC_RUNTIME, rpc_create);
  rpc_register("bdev_passthru_delete", SPDK_RPC_RUNTIME,
               [](rpc_request* request, const json_value* params) {
                 rpc_delete_bdev(request, params, &passthru_module,
                                 [](const std::string& name) { orders.remove(name); });
               });
}

}  // namespace spdk_lite
