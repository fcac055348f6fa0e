// SPDX-License-Identifier: BSD-3-Clause
// Changing the size of devices.
#include <spdk_io/resize_bdev.hpp>

#include "device_call.hpp"
#include "device_files.hpp"

#include <spdk/bdev.h>
#include <spdk/bdev_module.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

std::uint64_t size_of(const spdk_bdev* device) {
  return spdk_bdev_get_num_blocks(device) * spdk_bdev_get_block_size(device);
}

bool is_file_device(spdk_bdev* device) {
  return detail::is_of_module(device, "aio") || detail::is_of_module(device, "uring");
}

// One change of a device's size.
class resizing {
 public:
  resizing(std::string name, std::uint64_t size)
      : name_(std::move(name)),
        size_(size),
        what_(detail::concat("resizing of \"", name_.substr(0, 256), "\" to ", size, " bytes")) {}
  // A look at what is there.
  explicit resizing(std::string name)
      : name_(std::move(name)), what_(detail::concat("rescan of \"", name_.substr(0, 256), "\"")) {}

  // On the thread that runs the subsystems. False: rescan() has to follow.
  result<bool> start() const;
  // The call for a file device, which checks that it is one.
  detail::device_call rescan() const;
  std::unexpected<error> refuse(std::errc code, std::string_view why) const {
    return std::unexpected(detail::device_error(operation_kind::resize_bdev, code, what_, why));
  }

  const std::string& name() const { return name_; }

 private:
  result<bool> resize_null(spdk_bdev* device) const;
  result<bool> grow_file(spdk_bdev* device) const;

  std::string name_;
  std::uint64_t size_ = 0;
  std::string what_;
};

result<bool> resizing::start() const {
  auto device = detail::find_device(name_);
  if (!device) return refuse(std::errc::no_such_device, detail::no_such_device());
  const std::uint32_t block = spdk_bdev_get_block_size(device);
  if (size_ == 0 || size_ % block != 0) {
    return refuse(std::errc::invalid_argument,
                  detail::concat("it must be a multiple, above 0, of the block size ", block));
  }
  if (detail::is_of_module(device, "null")) return resize_null(device);
  if (is_file_device(device)) return grow_file(device);
  return refuse(std::errc::not_supported,
                detail::concat("a device of the kind \"", spdk_bdev_get_module_name(device),
                               "\" keeps the size it was made with"));
}

result<bool> resizing::resize_null(spdk_bdev* device) const {
  const int rc = spdk_bdev_notify_blockcnt_change(device, size_ / spdk_bdev_get_block_size(device));
  if (rc == 0) return true;
  return refuse(std::errc{-rc},
                rc == -EBUSY ? "it is open, and can only grow then" : std::strerror(-rc));
}

result<bool> resizing::grow_file(spdk_bdev* device) const {
  const std::string file = detail::file_of(detail::uuid_of(device));
  if (file.empty()) {
    return refuse(std::errc::not_supported,
                  "its file is not known here, as create_bdev() did not make it (resize the file, "
                  "then call rescan_bdev())");
  }
  if (size_ < size_of(device)) {
    return refuse(std::errc::not_supported, detail::concat("a file device can only grow (it has ",
                                                           size_of(device), " bytes)"));
  }
  struct stat about = {};
  if (::stat(file.c_str(), &about) == 0 && !S_ISREG(about.st_mode)) {
    return refuse(std::errc::not_supported,
                  detail::concat("\"", file,
                                 "\" is not a regular file (rescan_bdev() takes over the size "
                                 "that a block device has)"));
  }
  const bool larger = static_cast<std::uint64_t>(about.st_size) >= size_;
  if (!larger && ::truncate(file.c_str(), static_cast<off_t>(size_)) != 0) {
    const int code = errno;
    return refuse(std::errc{code},
                  detail::concat("cannot resize \"", file, "\": ", std::strerror(code)));
  }
  return false;
}

detail::device_call resizing::rescan() const {
  auto check = [self = *this]() -> result<void> {
    auto device = detail::find_device(self.name());
    if (!device) return self.refuse(std::errc::no_such_device, detail::no_such_device());
    if (!is_file_device(device)) {
      return self.refuse(std::errc::not_supported, "there is no file behind it");
    }
    return {};
  };
  auto device = detail::find_device(name_);
  const std::string_view module = device && detail::is_of_module(device, "uring") ? "uring" : "aio";
  return {.kind = operation_kind::resize_bdev,
          .what = what_,
          .method = detail::concat("bdev_", module, "_rescan"),
          .params = detail::parameters(name_).str(),
          .valid = {},
          .check = std::move(check)};
}

// The size that it has then.
task<result<std::uint64_t>> look_again(resizing r) {
  auto home = co_await detail::subsystem_thread();
  if (!home) co_return std::unexpected(home.error());
  auto call = r.rescan();
  auto done = co_await detail::run_device_call(std::move(call));
  if (!done && done.error() == std::errc::device_or_resource_busy) {
    co_return r.refuse(std::errc::device_or_resource_busy,
                       "what is behind it has become smaller, which SPDK does not take over");
  }
  if (!done) co_return std::unexpected(done.error());
  auto present = [&r]() -> std::uint64_t {
    auto device = detail::find_device(r.name());
    return device ? size_of(device) : 0;
  };
  auto size = co_await home->call(present);
  co_return size;
}

task<result<void>> resize(resizing r, std::uint64_t size) {
  auto home = co_await detail::subsystem_thread();
  if (!home) co_return std::unexpected(home.error());
  auto complete = co_await home->call([&r] { return r.start(); });
  if (!complete) co_return std::unexpected(complete.error());
  if (*complete) co_return result<void>();
  auto now = co_await look_again(r);
  if (!now) co_return std::unexpected(now.error());
  if (*now != size) {
    co_return r.refuse(
        std::errc::device_or_resource_busy,
        detail::concat("it has ", *now, " bytes now: something else changes its file as well"));
  }
  co_return result<void>();
}

}  // namespace

task<result<void>> resize_bdev(std::string_view name, std::uint64_t size) {
  return resize(resizing(std::string(name), size), size);
}

task<result<std::uint64_t>> rescan_bdev(std::string_view name) {
  return look_again(resizing(std::string(name)));
}

}  // namespace spdk_io::inline SPDK_IO_ABI
