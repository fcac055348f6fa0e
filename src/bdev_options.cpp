// SPDX-License-Identifier: BSD-3-Clause
// Typed options to SPDK's creation calls, and deletion.
#include <spdk_io/bdev_options.hpp>

#include "callback_wait.hpp"
#include "concat.hpp"
#include "configuration.hpp"
#include "subsystem_state.hpp"

#include <spdk/bdev.h>
#include <spdk/bdev_module.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

std::string what_is_made(std::string_view name, std::string_view module) {
  return detail::concat("creation of \"", name.substr(0, 256), "\" (", module, ")");
}

error refused(std::errc code, std::string_view what, std::string_view why) {
  return error(code, operation_kind::create_bdev, detail::concat(what, ": ", why));
}

// Assembles the parameters of a call; what has its default is left to SPDK.
class parameters {
 public:
  explicit parameters(std::string_view name) { text_ = "{\"name\":" + detail::quote(name); }
  parameters& text(std::string_view key, std::string_view value) {
    return value.empty() ? *this : raw(key, detail::quote(value));
  }
  parameters& number(std::string_view key, std::uint64_t value) {
    return raw(key, std::to_string(value));
  }
  parameters& number_unless_zero(std::string_view key, std::uint64_t value) {
    return value == 0 ? *this : number(key, value);
  }
  parameters& flag(std::string_view key, bool value) { return value ? raw(key, "true") : *this; }
  std::string str() const { return text_ + '}'; }

 private:
  parameters& raw(std::string_view key, std::string_view value) {
    text_ += detail::concat(",\"", key, "\":", value);
    return *this;
  }
  std::string text_;
};

result<void> check_name(std::string_view name, std::string_view what) {
  if (name.empty() || name.size() > 255 || name.find('\0') != name.npos) {
    return std::unexpected(refused(std::errc::invalid_argument, what,
                                   "the name must have 1 to 255 characters and no NUL"));
  }
  return {};
}

result<void> check_size(std::uint64_t size, std::uint32_t block, std::string_view what) {
  if (block == 0 || size == 0 || size % block != 0) {
    return std::unexpected(refused(
        std::errc::invalid_argument, what,
        detail::concat("size ", size, " must be a multiple, above 0, of block_size ", block)));
  }
  return {};
}

// SPDK would only say that it could not; the system says why.
result<void> check_file(const std::string& file, bool write, std::string_view what) {
  int fd = ::open(file.c_str(), (write ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    const int code = errno;
    return std::unexpected(
        refused(std::errc{code}, what,
                detail::concat("cannot open \"", file, "\": ", std::strerror(code))));
  }
  ::close(fd);
  return {};
}

// SPDK detects the block size of block devices only.
std::uint32_t block_size_of_file(std::string_view file, std::uint32_t asked) {
  struct stat about = {};
  if (asked != 0 || ::stat(std::string(file).c_str(), &about) != 0) return asked;
  if (!S_ISREG(about.st_mode)) return 0;
  return about.st_size % 4096 == 0 ? 4096 : 512;
}

// What a creation needs, owned: options are views, and are gone when the task runs.
struct creation {
  std::string method;
  std::string name;
  std::string params;
  std::string what;
  result<void> valid;
};

task<result<std::string>> create(creation c) {
  if (!c.valid) co_return std::unexpected(c.valid.error());
  auto home = co_await detail::subsystem_thread();
  if (!home) co_return std::unexpected(home.error());
  if (spdk_bdev_get_by_name(c.name.c_str())) {
    co_return std::unexpected(
        refused(std::errc::file_exists, c.what, "a device of that name exists already"));
  }
  auto made = co_await detail::run_call(c.method, c.params, operation_kind::create_bdev, c.what);
  if (!made) co_return std::unexpected(made.error());
  co_return c.name;
}

// The name and the size, or the name and the file.
template <class Options>
result<void> check(const Options& o, std::string_view what, bool write = true) {
  if (auto ok = check_name(o.name, what); !ok) return ok;
  if constexpr (requires { o.file; }) {
    return check_file(std::string(o.file), write, what);
  } else {
    return check_size(o.size, o.block_size, what);
  }
}

task<result<void>> delete_named(std::string name) {
  auto home = co_await detail::subsystem_thread();
  if (!home) co_return std::unexpected(home.error());
  auto run = [&name]() -> task<result<void>> {
    auto refuse = [&name](std::errc code, std::string_view why) {
      return std::unexpected(
          error(code, operation_kind::delete_bdev,
                detail::concat("deletion of \"", name.substr(0, 256), "\": ", why)));
    };
    spdk_bdev* found = name.find('\0') == name.npos ? spdk_bdev_get_by_name(name.c_str()) : nullptr;
    if (!found) {
      co_return refuse(std::errc::no_such_device,
                       detail::concat("no such device (known: ", detail::known_bdevs(), ")"));
    }
    detail::callback_wait done("the deletion of a device that is still open");
    spdk_bdev_unregister(
        found, [](void* context, int rc) { detail::callback_wait::on_done(rc, context); }, &done);
    int rc = co_await done;
    if (rc == 0) co_return result<void>();
    co_return refuse(std::errc{-rc},
                     rc == -EBUSY ? "it is being deleted already" : std::strerror(-rc));
  };
  auto deleted = co_await home->call(run);
  co_return deleted;
}

}  // namespace

task<result<std::string>> create_bdev(const malloc_bdev& o) {
  auto what = what_is_made(o.name, "malloc");
  auto params = parameters(o.name)
                    .number("num_blocks", o.size / std::max(o.block_size, 1u))
                    .number("block_size", o.block_size)
                    .number_unless_zero("physical_block_size", o.physical_block_size)
                    .number_unless_zero("optimal_io_boundary", o.optimal_boundary)
                    .text("uuid", o.uuid);
  return create({"bdev_malloc_create", std::string(o.name), params.str(), what, check(o, what)});
}

task<result<std::string>> create_bdev(const null_bdev& o) {
  auto what = what_is_made(o.name, "null");
  auto params = parameters(o.name)
                    .number("num_blocks", o.size / std::max(o.block_size, 1u))
                    .number("block_size", o.block_size)
                    .number_unless_zero("physical_block_size", o.physical_block_size)
                    .text("uuid", o.uuid);
  return create({"bdev_null_create", std::string(o.name), params.str(), what, check(o, what)});
}

task<result<std::string>> create_bdev(const uring_bdev& o) {
  auto what = what_is_made(o.name, "uring");
  auto params = parameters(o.name)
                    .text("filename", o.file)
                    .number_unless_zero("block_size", block_size_of_file(o.file, o.block_size))
                    .text("uuid", o.uuid);
  return create({"bdev_uring_create", std::string(o.name), params.str(), what, check(o, what)});
}

task<result<std::string>> create_bdev(const aio_bdev& o) {
  auto what = what_is_made(o.name, "aio");
  auto params = parameters(o.name)
                    .text("filename", o.file)
                    .number_unless_zero("block_size", block_size_of_file(o.file, o.block_size))
                    .flag("readonly", o.read_only)
                    .flag("fallocate", o.fallocate)
                    .text("uuid", o.uuid);
  return create(
      {"bdev_aio_create", std::string(o.name), params.str(), what, check(o, what, !o.read_only)});
}

task<result<void>> delete_bdev(std::string_view name) { return delete_named(std::string(name)); }

}  // namespace spdk_io::inline SPDK_IO_ABI
