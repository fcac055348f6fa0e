// SPDX-License-Identifier: BSD-3-Clause
// Calls that create, change and delete devices.
#include "device_call.hpp"

#include "subsystem_state.hpp"

#include <spdk/bdev.h>
#include <spdk/uuid.h>

namespace spdk_io::inline SPDK_IO_ABI::detail {
namespace {

// A module's claim is seen only by what is left out of the leaves.
bool is_claimed(spdk_bdev* device) {
  auto is_it = [](void* wanted, spdk_bdev* leaf) { return wanted == leaf ? 1 : 0; };
  return spdk_for_each_bdev_leaf(device, is_it) == 0;
}

}  // namespace

task<result<void>> run_device_call(device_call call) {
  if (!call.valid) co_return std::unexpected(call.valid.error());
  auto ran = co_await run_call(std::move(call.method), std::move(call.params), call.kind,
                               std::move(call.what), std::move(call.check));
  co_return ran;
}

std::string creation_of(std::string_view name, std::string_view module) {
  return concat("creation of \"", name.substr(0, 256), "\" (", module, ")");
}

error device_error(operation_kind kind, std::errc code, std::string_view what,
                   std::string_view why) {
  return error(code, kind, concat(what, ": ", why));
}

result<void> check_name(std::string_view name, std::string_view what) {
  if (name.empty() || name.size() > 255 || name.find('\0') != name.npos) {
    return std::unexpected(not_created(std::errc::invalid_argument, what,
                                       "the name must have 1 to 255 characters and no NUL"));
  }
  return {};
}

result<void> check_uuid(std::string_view uuid, std::string_view what) {
  spdk_uuid ignored;
  if (uuid.empty() ||
      (uuid.find('\0') == uuid.npos && spdk_uuid_parse(&ignored, std::string(uuid).c_str()) == 0)) {
    return {};
  }
  return std::unexpected(not_created(std::errc::invalid_argument, what,
                                     concat("\"", uuid.substr(0, 64), "\" is not a UUID")));
}

spdk_bdev* find_device(const std::string& name) {
  return name.find('\0') == name.npos ? spdk_bdev_get_by_name(name.c_str()) : nullptr;
}

bool is_of_module(spdk_bdev* device, std::string_view module) {
  return spdk_bdev_get_module_name(device) == module;
}

result<void> check_free(const std::string& name, std::string_view what) {
  if (!find_device(name)) return {};
  return std::unexpected(
      not_created(std::errc::file_exists, what, "a device of that name exists already"));
}

result<void> check_base(const std::string& base, std::string_view what) {
  auto refuse = [&](std::errc code, std::string_view why) {
    return std::unexpected(
        not_created(code, what, concat("base \"", base.substr(0, 256), "\": ", why)));
  };
  spdk_bdev* found = find_device(base);
  if (!found) return refuse(std::errc::no_such_device, no_such_device());
  if (is_claimed(found)) {
    return refuse(std::errc::device_or_resource_busy,
                  "another device is built on it already (claimed by a module of SPDK)");
  }
  return {};
}

std::string no_such_device() { return concat("no such device (known: ", known_bdevs(), ")"); }

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
