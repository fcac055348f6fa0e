// SPDX-License-Identifier: BSD-3-Clause
// Properties and look-up of block devices.
#include <spdk_io/bdev.hpp>

#include "concat.hpp"
#include "io_kinds.hpp"
#include "subsystem_state.hpp"
#include "thread_state.hpp"

#include <spdk/bdev.h>
#include <spdk/bdev_module.h>
#include <spdk/uuid.h>

#include <algorithm>

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

std::string uuid_text(const spdk_bdev* native) {
  const spdk_uuid* uuid = spdk_bdev_get_uuid(native);
  char text[SPDK_UUID_STRING_LEN] = {};
  if (!uuid || spdk_uuid_is_null(uuid) || spdk_uuid_fmt_lower(text, sizeof(text), uuid) != 0) {
    return {};
  }
  return text;
}

// What spdk_bdev_get_aliases() points to: SPDK's header defines that type inside another one, where
// C++, unlike C, does not find it by the name that the function uses.
TAILQ_HEAD(alias_list, spdk_bdev_alias);

std::vector<std::string> alias_texts(const spdk_bdev* native) {
  std::vector<std::string> out;
  const auto* list = reinterpret_cast<const alias_list*>(spdk_bdev_get_aliases(native));
  const spdk_bdev_alias* each = nullptr;
  TAILQ_FOREACH(each, list, tailq) out.emplace_back(each->alias.name);
  return out;
}

std::string_view view(const char* text) { return text ? text : std::string_view(); }

}  // namespace

std::string detail::known_bdevs() {
  std::string out;
  auto add = [](void* argument, spdk_bdev* each) {
    auto& names = *static_cast<std::string*>(argument);
    names += (names.empty() ? "" : ", ");
    names += spdk_bdev_get_name(each);
    return names.size() > 400 ? -1 : 0;  // enough for a line
  };
  if (spdk_for_each_bdev(&out, add) != 0) out += ", …";
  return out.empty() ? "none" : out;
}

bool bdev_info::supports(io_kind kind) const noexcept {
  return std::ranges::find(supported, kind) != supported.end();
}

result<bdev> bdev::find(std::string_view name) {
  auto refuse = [&](std::errc code, std::string_view why) {
    return std::unexpected(
        error(code, operation_kind::find_bdev,
              detail::concat("look-up of \"", name.substr(0, 256), "\": ", why)));
  };
  if (!detail::acting_thread()) {
    return refuse(std::errc::operation_not_permitted,
                  "no SPDK thread is attached here (call spdk_io::thread::attach() first)");
  }
  if (!detail::subsystems_running()) {
    return refuse(std::errc::operation_not_permitted, detail::not_initialised);
  }
  spdk_bdev* found =
      name.find('\0') == name.npos ? spdk_bdev_get_by_name(std::string(name).c_str()) : nullptr;
  if (!found) {
    return refuse(std::errc::no_such_device,
                  detail::concat("no such device (known: ", detail::known_bdevs(), ")"));
  }
  return bdev(found);
}

std::string_view bdev::name() const noexcept { return view(spdk_bdev_get_name(native_)); }
std::string_view bdev::product() const noexcept {
  return view(spdk_bdev_get_product_name(native_));
}
std::uint32_t bdev::block_size() const noexcept { return spdk_bdev_get_block_size(native_); }
std::uint64_t bdev::block_count() const noexcept { return spdk_bdev_get_num_blocks(native_); }
std::size_t bdev::alignment() const noexcept { return spdk_bdev_get_buf_align(native_); }
bool bdev::write_cache() const noexcept { return spdk_bdev_has_write_cache(native_); }

bool bdev::supports(io_kind kind) const noexcept {
  return spdk_bdev_io_type_supported(native_, detail::native_type(kind));
}

bdev_info bdev::info() const {
  bdev_info out;
  out.name = name();
  out.product = product();
  out.module = view(spdk_bdev_get_module_name(native_));
  out.uuid = uuid_text(native_);
  out.aliases = alias_texts(native_);
  out.block_size = block_size();
  out.data_block_size = spdk_bdev_get_data_block_size(native_);
  out.physical_block_size = spdk_bdev_get_physical_block_size(native_);
  out.block_count = block_count();
  out.write_unit = spdk_bdev_get_write_unit_size(native_);
  out.atomic_compare_and_write = spdk_bdev_get_acwu(native_);
  out.max_copy = spdk_bdev_get_max_copy(native_);
  out.optimal_boundary = spdk_bdev_get_optimal_io_boundary(native_);
  out.alignment = alignment();
  out.metadata_size = spdk_bdev_get_md_size(native_);
  out.metadata_interleaved = spdk_bdev_is_md_interleaved(native_);
  out.protection_type = static_cast<unsigned>(spdk_bdev_get_dif_type(native_));
  out.write_cache = write_cache();
  out.zoned = spdk_bdev_is_zoned(native_);
  for (const auto& kind : detail::io_kinds) {
    if (spdk_bdev_io_type_supported(native_, kind.native)) out.supported.push_back(kind.ours);
  }
  return out;
}

std::vector<bdev_info> list_bdevs() {
  std::vector<bdev_info> out;
  if (!detail::acting_thread() || !detail::subsystems_running()) return out;
  spdk_for_each_bdev(&out, [](void* argument, spdk_bdev* each) {
    static_cast<std::vector<bdev_info>*>(argument)->push_back(bdev::from_native(each).info());
    return 0;
  });
  return out;
}

}  // namespace spdk_io::inline SPDK_IO_ABI
