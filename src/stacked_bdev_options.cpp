// SPDX-License-Identifier: BSD-3-Clause
// Typed options of passthru, delay, error and split devices.
#include <spdk_io/stacked_bdev_options.hpp>

#include "callback_wait.hpp"
#include "device_call.hpp"

#include <spdk/bdev.h>

#include <cerrno>
#include <cstring>

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

using std::chrono::microseconds;

constexpr std::uint64_t mib = 1 << 20;

// --- one device on another ---

// The call that makes the device `name` on `base`.
detail::device_call creation(std::string method, std::string name, std::string base,
                             std::string params, const std::string& what, result<void> valid) {
  if (valid) valid = detail::check_name(name, what);
  auto check = [name, base, what]() -> result<void> {
    if (auto ok = detail::check_free(name, what); !ok) return ok;
    return detail::check_base(base, what);
  };
  return {.kind = operation_kind::create_bdev,
          .what = what,
          .method = std::move(method),
          .params = std::move(params),
          .valid = valid,
          .check = std::move(check)};
}

// SPDK remembers what it could not make yet and calls that a success.
result<std::string> made(const std::string& name, const std::string& what) {
  if (detail::find_device(name)) return name;
  return std::unexpected(detail::not_created(std::errc::no_such_device, what,
                                             "the base was deleted at the same time"));
}

task<result<std::string>> create(detail::device_call call, std::string name) {
  auto what = call.what;
  auto ran = co_await detail::run_device_call(std::move(call));
  if (!ran) co_return std::unexpected(ran.error());
  co_return made(name, what);
}

// --- delay ---

struct latency_set {
  microseconds average_read, p99_read, average_write, p99_write;
};

result<void> check_latencies(const latency_set& l, std::string_view what) {
  auto refuse = [&](std::string_view why) {
    return std::unexpected(detail::not_created(std::errc::invalid_argument, what, why));
  };
  if (l.average_read.count() < 0 || l.average_write.count() < 0) {
    return refuse("a latency is negative");
  }
  if (l.p99_read < l.average_read) return refuse("p99_read is less than average_read");
  if (l.p99_write < l.average_write) return refuse("p99_write is less than average_write");
  return {};
}

std::string creation_params(std::string_view name, std::string_view base, std::string_view uuid) {
  return detail::parameters(name)
      .text("base_bdev_name", base)
      .text("uuid", uuid)
      .number("avg_read_latency", 0)
      .number("p99_read_latency", 0)
      .number("avg_write_latency", 0)
      .number("p99_write_latency", 0)
      .str();
}

detail::device_call update(const std::string& name, std::string_view type, microseconds latency,
                           const std::string& what) {
  auto check = [name, what]() -> result<void> {
    auto refuse = [&](std::errc code, std::string_view why) {
      return std::unexpected(detail::device_error(operation_kind::change_bdev, code, what, why));
    };
    auto device = detail::find_device(name);
    if (!device) return refuse(std::errc::no_such_device, detail::no_such_device());
    if (!detail::is_of_module(device, "delay")) {
      return refuse(std::errc::not_supported,
                    "it is not a delay device (create_bdev(delay_bdev{…}) makes one)");
    }
    return {};
  };
  return {.kind = operation_kind::change_bdev,
          .what = what,
          .method = "bdev_delay_update_latency",
          .params = detail::parameters(name, "delay_bdev_name")
                        .text("latency_type", type)
                        .number("latency_us", static_cast<std::uint64_t>(latency.count()))
                        .str(),
          .valid = {},
          .check = std::move(check)};
}

task<result<void>> change_latencies(std::string name, delay_latencies l) {
  const auto what = detail::concat("latencies of \"", name.substr(0, 256), "\"");
  struct change {
    std::string_view type;
    std::optional<microseconds> latency;
  };
  const change changes[] = {{"avg_read", l.average_read},
                            {"p99_read", l.p99_read},
                            {"avg_write", l.average_write},
                            {"p99_write", l.p99_write}};
  for (const auto& each : changes) {
    if (each.latency && each.latency->count() < 0) {
      co_return std::unexpected(detail::device_error(
          operation_kind::change_bdev, std::errc::invalid_argument, what, "a latency is negative"));
    }
  }
  for (const auto& each : changes) {
    if (!each.latency) continue;
    auto call = update(name, each.type, *each.latency, what);
    auto changed = co_await detail::run_device_call(std::move(call));
    if (!changed) co_return changed;
  }
  co_return result<void>();
}

task<int> wait_for_examine() {
  auto on_done = [](void* context) { detail::callback_wait::on_done(0, context); };
  detail::callback_wait done("SPDK's modules to look at a new device");
  if (spdk_bdev_wait_for_examine(on_done, &done) != 0)
    detail::callback_wait::on_done(-ENOMEM, &done);
  const int rc = co_await done;
  co_return rc;
}

// SPDK's modules read from a new device, to see whether it is theirs, and keep it open until they
// have. So it is made without a latency first, lest that takes as long as the latency.
task<result<std::string>> create_delay(detail::device_call call, std::string name,
                                       latency_set latencies) {
  auto what = call.what;
  auto ran = co_await detail::run_device_call(std::move(call));
  if (!ran) co_return std::unexpected(ran.error());
  auto home = co_await detail::subsystem_thread();
  if (!home) co_return std::unexpected(home.error());
  auto waited = co_await home->call(wait_for_examine);
  if (!waited) co_return std::unexpected(waited.error());
  if (*waited != 0) {
    co_return std::unexpected(
        detail::not_created(std::errc{-*waited}, what, std::strerror(-*waited)));
  }
  auto there = made(name, what);
  if (!there) co_return there;
  const delay_latencies all{.average_read = latencies.average_read,
                            .p99_read = latencies.p99_read,
                            .average_write = latencies.average_write,
                            .p99_write = latencies.p99_write};
  auto changed = co_await change_latencies(name, all);
  if (!changed) co_return std::unexpected(changed.error());
  co_return name;
}

// --- split ---

struct cut {
  std::string base;
  std::uint32_t count;
  std::uint64_t size;
  std::string what;

  std::string part(std::uint32_t i) const { return detail::concat(base, "p", i); }
};

// What SPDK would not refuse: it makes fewer parts than asked for, or divides by zero.
result<void> check_parts(const cut& c) {
  auto refuse = [&](std::string_view why) {
    return std::unexpected(detail::not_created(std::errc::invalid_argument, c.what, why));
  };
  auto device = detail::find_device(c.base);
  const std::uint64_t block = spdk_bdev_get_block_size(device);
  const std::uint64_t blocks = spdk_bdev_get_num_blocks(device);
  if (c.size % block != 0) {
    return refuse(
        detail::concat("size ", c.size, " is no multiple of the base's block size ", block));
  }
  if (c.size != 0 ? blocks / c.count < c.size / block : blocks < c.count) {
    return refuse(detail::concat(c.count, " parts of ", c.size != 0 ? c.size : block,
                                 " bytes do not fit (the base has ", blocks * block, " bytes)"));
  }
  for (std::uint32_t i = 0; i < c.count; ++i) {
    if (auto ok = detail::check_free(c.part(i), detail::concat(c.what, ": part ", i)); !ok) {
      return ok;
    }
  }
  return {};
}

result<void> check_cut(const cut& c) {
  if (c.count == 0 || c.size % mib != 0) {
    return std::unexpected(detail::not_created(
        std::errc::invalid_argument, c.what,
        c.count == 0 ? std::string("count is 0")
                     : detail::concat("size ", c.size, " is no multiple of 1 MiB")));
  }
  return {};
}

task<result<std::vector<std::string>>> create_parts(cut c) {
  detail::device_call call{.kind = operation_kind::create_bdev,
                           .what = c.what,
                           .method = "bdev_split_create",
                           .params = detail::parameters(c.base, "base_bdev")
                                         .number("split_count", c.count)
                                         .number_unless_zero("split_size_mb", c.size / mib)
                                         .str(),
                           .valid = check_cut(c),
                           .check = [c]() -> result<void> {
                             if (auto ok = detail::check_base(c.base, c.what); !ok) return ok;
                             return check_parts(c);
                           }};
  auto ran = co_await detail::run_device_call(std::move(call));
  if (!ran) co_return std::unexpected(ran.error());
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < c.count; ++i) {
    auto name = made(c.part(i), c.what);
    if (!name) co_return std::unexpected(name.error());
    names.push_back(std::move(*name));
  }
  co_return names;
}

}  // namespace

task<result<std::string>> create_bdev(const passthru_bdev& o) {
  const auto what = detail::creation_of(o.name, "passthru");
  auto params = detail::parameters(o.name).text("base_bdev_name", o.base).text("uuid", o.uuid);
  return create(creation("bdev_passthru_create", std::string(o.name), std::string(o.base),
                         params.str(), what, detail::check_uuid(o.uuid, what)),
                std::string(o.name));
}

task<result<std::string>> create_bdev(const delay_bdev& o) {
  auto or_average = [](microseconds p99, microseconds average) {
    return p99.count() == 0 ? average : p99;
  };
  const latency_set latencies{.average_read = o.average_read,
                              .p99_read = or_average(o.p99_read, o.average_read),
                              .average_write = o.average_write,
                              .p99_write = or_average(o.p99_write, o.average_write)};
  const auto what = detail::creation_of(o.name, "delay");
  auto valid = check_latencies(latencies, what);
  if (valid) valid = detail::check_uuid(o.uuid, what);
  return create_delay(creation("bdev_delay_create", std::string(o.name), std::string(o.base),
                               creation_params(o.name, o.base, o.uuid), what, valid),
                      std::string(o.name), latencies);
}

task<result<std::string>> create_bdev(const error_bdev& o) {
  const auto name = detail::concat("EE_", o.base);
  return create(creation("bdev_error_create", name, std::string(o.base),
                         detail::parameters(o.base, "base_name").str(),
                         detail::creation_of(name, "error"), {}),
                name);
}

task<result<std::vector<std::string>>> create_bdev(const split_bdev& o) {
  cut c{.base = std::string(o.base),
        .count = o.count,
        .size = o.size,
        .what = detail::creation_of(detail::concat(o.base, "p0…"), "split")};
  return create_parts(std::move(c));
}

task<result<void>> set_delay(std::string_view name, delay_latencies latencies) {
  return change_latencies(std::string(name), latencies);
}

}  // namespace spdk_io::inline SPDK_IO_ABI
