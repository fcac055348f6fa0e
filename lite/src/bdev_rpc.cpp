// SPDX-License-Identifier: BSD-3-Clause
// The modules there are, and the configuration methods that belong to none of them.
#include "bdev_internal.hpp"
#include "rpc.hpp"
#include "spdk/rpc.h"
#include "spdk/string.h"

#include <algorithm>
#include <array>
#include <cerrno>

namespace spdk_lite {

extern spdk_bdev_module malloc_module;
extern spdk_bdev_module null_module;
extern spdk_bdev_module aio_module;
extern spdk_bdev_module uring_module;
extern spdk_bdev_module error_module;
extern spdk_bdev_module delay_module;
extern spdk_bdev_module passthru_module;
extern spdk_bdev_module split_module;

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

void ignore_event(spdk_bdev_event_type /*type*/, spdk_bdev* /*bdev*/, void* /*ctx*/) {}

/// The device that a method is about, held open; else the request has been answered.
spdk_bdev_desc* open_device(rpc_request* request, const std::string& name) {
  spdk_bdev_desc* desc = nullptr;
  if (const int rc = spdk_bdev_open_ext(name.c_str(), false, ignore_event, nullptr, &desc);
      rc != 0) {
    rpc_request::finish_errno(request, rc);
    return nullptr;
  }
  return desc;
}

void set_qos_limit(rpc_request* request, const json_value* params) {
  std::string name;
  std::uint64_t limits[SPDK_BDEV_QOS_NUM_RATE_LIMIT_TYPES];
  std::ranges::fill(limits, UINT64_MAX);
  rpc_params decoder(params);
  decoder.required("name", name);
  for (int type = 0; type < SPDK_BDEV_QOS_NUM_RATE_LIMIT_TYPES; ++type) {
    const auto t = static_cast<spdk_bdev_qos_rate_limit_type>(type);
    decoder.optional(spdk_bdev_get_qos_rpc_type(t), limits[type]);
  }
  if (!decoder.done()) {
    rpc_request::fail(request, rpc_internal_error, "spdk_json_decode_object failed");
    return;
  }
  spdk_bdev_desc* desc = open_device(request, name);
  if (desc == nullptr) {
    return;
  }
  if (std::ranges::all_of(limits, [](std::uint64_t limit) { return limit == UINT64_MAX; })) {
    spdk_bdev_close(desc);
    rpc_request::fail(request, -EINVAL, "No rate limits specified");
    return;
  }
  const auto answer = [](void* arg, int status) {
    auto* r = static_cast<rpc_request*>(arg);
    if (status == 0) {
      rpc_request::succeed(r);
    } else {
      rpc_request::fail(r, rpc_invalid_params,
                        std::string("Failed to configure rate limit: ") + spdk_strerror(-status));
    }
  };
  spdk_bdev_set_qos_rate_limits(spdk_bdev_desc_get_bdev(desc), limits, answer, request);
  spdk_bdev_close(desc);
}

void enable_histogram(rpc_request* request, const json_value* params) {
  std::string name;
  bool enable = false;
  std::optional<std::string> opc;
  spdk_bdev_enable_histogram_opts opts;
  spdk_bdev_enable_histogram_opts_init(&opts, sizeof(opts));
  std::uint32_t granularity = opts.granularity;
  std::uint64_t min_nsec = 1000;  // not the defaults of the call
  std::uint64_t max_nsec = 120'000'000'000;
  if (!rpc_params(params)
           .required("name", name)
           .required("enable", enable)
           .optional("opc", opc)
           .optional("granularity", granularity)
           .optional("min_nsec", min_nsec)
           .optional("max_nsec", max_nsec)
           .done() ||
      granularity > UINT8_MAX) {
    rpc_request::fail(request, rpc_internal_error, "spdk_json_decode_object failed");
    return;
  }
  spdk_bdev_desc* desc = open_device(request, name);
  if (desc == nullptr) {
    return;
  }
  const int io_type = opc ? spdk_bdev_get_io_type(opc->c_str()) : 0;
  if (io_type == -1) {
    spdk_bdev_close(desc);
    rpc_request::fail(request, rpc_internal_error, "Invalid Io type");
    return;
  }
  opts.io_type = static_cast<std::uint8_t>(io_type);
  opts.granularity = static_cast<std::uint8_t>(granularity);
  opts.min_nsec = min_nsec;
  opts.max_nsec = max_nsec;
  spdk_bdev_histogram_enable_ext(
      spdk_bdev_desc_get_bdev(desc),
      [](void* arg, int status) {
        rpc_request::finish_errno(static_cast<rpc_request*>(arg), status);
      },
      request, enable, &opts);
  spdk_bdev_close(desc);
}

void set_qd_sampling_period(rpc_request* request, const json_value* params) {
  std::string name;
  std::uint64_t period = 0;
  if (!rpc_params(params).required("name", name).required("period", period).done()) {
    rpc_request::fail(request, rpc_internal_error, "spdk_json_decode_object failed");
    return;
  }
  if (spdk_bdev_desc* desc = open_device(request, name); desc != nullptr) {
    spdk_bdev_set_qd_sampling_period(spdk_bdev_desc_get_bdev(desc), period);
    rpc_request::succeed(request);
    spdk_bdev_close(desc);
  }
}

}  // namespace

std::span<spdk_bdev_module* const> bdev_modules() {
  static constexpr std::array<spdk_bdev_module*, 8> modules{
      &passthru_module, &error_module, &split_module, &delay_module,
      &malloc_module,   &null_module,  &aio_module,   &uring_module};
  return modules;
}

void register_bdev_rpcs() {
  rpc_register("bdev_set_options", SPDK_RPC_STARTUP, set_options);
  rpc_register("bdev_wait_for_examine", SPDK_RPC_RUNTIME, wait_for_examine);
  rpc_register("bdev_set_qos_limit", SPDK_RPC_RUNTIME, set_qos_limit);
  rpc_register("bdev_enable_histogram", SPDK_RPC_RUNTIME, enable_histogram);
  rpc_register("bdev_set_qd_sampling_period", SPDK_RPC_RUNTIME, set_qd_sampling_period);
  rpc_register("iobuf_set_options", SPDK_RPC_STARTUP, iobuf_set_options);
}

void rpc_delete_bdev(rpc_request* request, const json_value* params, spdk_bdev_module* module,
                     void (*started)(const std::string& name)) {
  std::string name;
  if (!rpc_params(params).required("name", name).done()) {
    rpc_request::fail(request, rpc_internal_error, "spdk_json_decode_object failed");
    return;
  }
  const auto answer = [](void* arg, int rc) {
    rpc_request::finish_errno(static_cast<rpc_request*>(arg), rc);
  };
  const int rc = spdk_bdev_unregister_by_name(name.c_str(), module, answer, request);
  if (rc != 0) {
    rpc_request::finish_errno(request, rc);
  } else if (started != nullptr) {
    started(name);
  }
}

}  // namespace spdk_lite
