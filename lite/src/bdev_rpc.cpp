// SPDX-License-Identifier: BSD-3-Clause
// The modules there are, and the configuration methods that belong to none of them.
#include "bdev_internal.hpp"
#include "rpc.hpp"
#include "spdk/rpc.h"

#include <array>

namespace spdk_lite {

extern spdk_bdev_module malloc_module;
extern spdk_bdev_module null_module;
extern spdk_bdev_module aio_module;
extern spdk_bdev_module uring_module;

namespace {

void set_options(rpc_request* request, const json_value* params) {
  spdk_bdev_opts opts;
  spdk_bdev_get_opts(&opts, sizeof(opts));
  std::uint32_t pool = opts.bdev_io_pool_size;
  std::uint32_t cache = opts.bdev_io_cache_size;
  std::uint32_t small = opts.iobuf_small_cache_size;
  std::uint32_t large = opts.iobuf_large_cache_size;
  bool examine = opts.bdev_auto_examine;
  if (params != nullptr && !rpc_params(params)
                                .optional("bdev_io_pool_size", pool)
                                .optional("bdev_io_cache_size", cache)
                                .optional("bdev_auto_examine", examine)
                                .optional("iobuf_small_cache_size", small)
                                .optional("iobuf_large_cache_size", large)
                                .done()) {
    rpc_request::fail(request, rpc_invalid_params, "Invalid parameters");
    return;
  }
  opts.bdev_io_pool_size = pool;
  opts.bdev_io_cache_size = cache;
  opts.bdev_auto_examine = examine;
  opts.iobuf_small_cache_size = small;
  opts.iobuf_large_cache_size = large;
  if (spdk_bdev_set_opts(&opts) != 0) {
    rpc_request::fail(
        request, rpc_invalid_params,
        "Pool size " + std::to_string(pool) + " too small for cache size " + std::to_string(cache));
    return;
  }
  rpc_request::succeed(request);
}

void wait_for_examine(rpc_request* request, const json_value* params) {
  if (params != nullptr) {
    rpc_request::fail(request, rpc_invalid_params, "bdev_wait_for_examine requires no parameters");
    return;
  }
  const auto answer = [](void* arg) { rpc_request::succeed(static_cast<rpc_request*>(arg)); };
  if (const int rc = spdk_bdev_wait_for_examine(answer, request); rc != 0) {
    rpc_request::finish_errno(request, rc);
  }
}

void iobuf_set_options(rpc_request* request, const json_value* params) {
  buffer_pool_options options = buffer_pool_get_options();
  bool numa = false;
  if (!rpc_params(params)
           .optional("small_pool_count", options.small_count)
           .optional("large_pool_count", options.large_count)
           .optional("small_bufsize", options.small_size)
           .optional("large_bufsize", options.large_size)
           .optional("enable_numa", numa)
           .done()) {
    rpc_request::fail(request, rpc_invalid_params, "spdk_json_decode_object failed");
    return;
  }
  rpc_request::finish_errno(request, buffer_pool_set_options(options));
}

}  // namespace

std::span<spdk_bdev_module* const> bdev_modules() {
  static constexpr std::array<spdk_bdev_module*, 4> modules{&malloc_module, &null_module,
                                                            &aio_module, &uring_module};
  return modules;
}

void register_bdev_rpcs() {
  rpc_register("bdev_set_options", SPDK_RPC_STARTUP, set_options);
  rpc_register("bdev_wait_for_examine", SPDK_RPC_RUNTIME, wait_for_examine);
  rpc_register("iobuf_set_options", SPDK_RPC_STARTUP, iobuf_set_options);
}

void rpc_delete_bdev(rpc_request* request, const json_value* params, spdk_bdev_module* module) {
  std::string name;
  if (!rpc_params(params).required("name", name).done()) {
    rpc_request::fail(request, rpc_internal_error, "spdk_json_decode_object failed");
    return;
  }
  const auto answer = [](void* arg, int rc) {
    rpc_request::finish_errno(static_cast<rpc_request*>(arg), rc);
  };
  if (const int rc = spdk_bdev_unregister_by_name(name.c_str(), module, answer, request); rc != 0) {
    rpc_request::finish_errno(request, rc);
  }
}

}  // namespace spdk_lite
