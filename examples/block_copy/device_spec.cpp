// SPDX-License-Identifier: BSD-3-Clause
#include "device_spec.hpp"

#include "texts.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <system_error>

namespace block_copy {
namespace {

constexpr std::size_t longest_name = 255;  // bytes, of a device

std::unexpected<sio::error> failed(int code, const std::string& text) {
  return std::unexpected(sio::error(static_cast<std::errc>(code), sio::operation_kind::none, text));
}

std::optional<struct stat> look_at(const device_spec& spec) {
  struct stat found = {};
  if (!spec.is_file() || ::stat(spec.name.c_str(), &found) != 0) return std::nullopt;
  return found;
}

bool same_file(const struct stat& a, const struct stat& b) {
  if (S_ISBLK(a.st_mode) && S_ISBLK(b.st_mode)) return a.st_rdev == b.st_rdev;
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

std::expected<device_spec, std::string> parse_malloc(std::string_view text) {
  const auto colon = text.find(':');
  const auto size = parse_size(text.substr(0, colon));
  const auto block = colon == text.npos ? 512 : parse_size(text.substr(colon + 1));
  if (!size || !block || *block > std::numeric_limits<std::uint32_t>::max()) {
    return std::unexpected("malloc: wants SIZE or SIZE:BLOCK, not \"" + std::string(text) + '"');
  }
  return device_spec{.what = device_spec::kind::malloc,
                     .name = {},
                     .size = *size,
                     .block = static_cast<std::uint32_t>(*block)};
}

}  // namespace

std::expected<device_spec, std::string> parse_device(std::string_view text) {
  using kind = device_spec::kind;
  if (text.starts_with("malloc:")) return parse_malloc(text.substr(7));
  device_spec spec;
  for (auto [prefix, what] : {std::pair<std::string_view, kind>{"aio:", kind::aio},
                              {"uring:", kind::uring},
                              {"bdev:", kind::bdev}}) {
    if (!text.starts_with(prefix)) continue;
    spec.what = what;
    text.remove_prefix(prefix.size());
    break;
  }
  if (text.empty()) return std::unexpected(std::string("a device without a name"));
  spec.name = text;
  return spec;
}

sio::task<sio::result<sio::bdev_desc>> open_device(const device_spec& spec, role as) {
  using kind = device_spec::kind;
  const bool reads = as == role::source;
  // In messages a file is its path.
  const bool by_path = spec.is_file() && spec.name.size() <= longest_name;
  const std::string_view name =
      by_path ? std::string_view(spec.name) : std::string_view(reads ? "source" : "destination");
  sio::result<std::string> made = spec.name;
  if (spec.what == kind::aio) {
    made = co_await sio::create_bdev(
        sio::aio_bdev{.name = name, .file = spec.name, .read_only = reads});
  } else if (spec.what == kind::uring) {
    made = co_await sio::create_bdev(sio::uring_bdev{.name = name, .file = spec.name});
  } else if (spec.what == kind::malloc) {
    made = co_await sio::create_bdev(
        sio::malloc_bdev{.name = name, .size = spec.size, .block_size = spec.block});
  }
  if (!made) co_return std::unexpected(made.error());
  co_return sio::bdev_desc::open(*made, reads ? sio::access::read_only : sio::access::read_write);
}

sio::result<void> check_files(const device_spec& source, const device_spec& destination) {
  const auto from = look_at(source);
  const auto to = look_at(destination);
  if (!from || !to || !same_file(*from, *to)) return {};
  return failed(EINVAL, destination.name + " is the same file on both sides");
}

sio::result<exclusive_use> exclusive_use::of(const device_spec& destination) {
  const auto found = look_at(destination);
  if (!found || !S_ISBLK(found->st_mode)) return exclusive_use(-1);
  // Of a block device, O_EXCL without O_CREAT means: only if nobody else has it so.
  const int file = ::open(destination.name.c_str(), O_RDWR | O_EXCL | O_CLOEXEC);
  if (file >= 0) return exclusive_use(file);
  const int code = errno;
  const std::string why = code == EBUSY ? "in use (mounted?)" : std::strerror(code);
  return failed(code, destination.name + ": " + why);
}

exclusive_use::~exclusive_use() {
  if (file_ >= 0) ::close(file_);
}

}  // namespace block_copy
