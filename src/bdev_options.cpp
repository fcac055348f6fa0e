// SPDX-License-Identifier: BSD-3-Clause
// Typed options to SPDK's creation calls, and deletion.
#include <spdk_io/bdev_options.hpp>

#include "callback_wait.hpp"
#include "concat.hpp"
#include "configuration.hpp"
#include "device_call.hpp"
#include "device_files.hpp"

#include <spdk/bdev.h>
#include <spdk/bdev_module.h>
#include <spdk/init.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

result<void> check_size(std::uint64_t size, std::uint32_t block, std::string_view what) {
  if (block == 0 || size == 0 || size % block != 0) {
    return std::unexpected(detail::not_created(
        std::errc::invalid_argument, what,
        detail::concat("size ", size, " must be a multiple, above 0, of block_size ", block)));
  }
  return {};
}

// SPDK would only say that it could not; the system says why.
result<void> check_file(const std::string& file, bool write, std::string_view what) {
  // The system would look for what stands before it.
  if (file.find('\0') != file.npos) {
    return std::unexpected(
        detail::not_created(std::errc::invalid_argument, what,
                            detail::concat("the path \"", file, "\" contains a NUL")));
  }
  int fd = ::open(file.c_str(), (write ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    const int code = errno;
    return std::unexpected(
        detail::not_created(std::errc{code}, what,
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

// The call that makes the device `name`.
detail::device_call creation(std::string_view method, std::string_view name,
                             const detail::parameters& params, std::string_view what,
                             result<void> valid) {
  return {.kind = operation_kind::create_bdev,
          .what = std::string(what),
          .method = std::string(method),
          .params = params.str(),
          .valid = valid,
          .check = [name = std::string(name), what = std::string(what)] {
            return detail::check_free(name, what);
          }};
}

// `file`: what it is made of, or empty.
task<result<std::string>> create(detail::device_call call, std::string name, std::string file) {
  auto made = co_await detail::run_device_call(std::move(call));
  if (!made) co_return std::unexpected(made.error());
  auto device = file.empty() ? nullptr : detail::find_device(name);
  if (device) detail::remember_file(detail::uuid_of(device), file);
  co_return name;
}

// The name, the UUID, and the size or the file.
template <class Options>
result<void> check(const Options& o, std::string_view what, bool write = true) {
  if (auto ok = detail::check_name(o.name, what); !ok) return ok;
  if (auto ok = detail::check_uuid(o.uuid, what); !ok) return ok;
  if constexpr (requires { o.file; }) {
    return check_file(std::string(o.file), write, what);
  } else {
    return check_size(o.size, o.block_size, what);
  }
}

bool is_going(spdk_bdev* device) {
  spdk_bdev_desc* desc = nullptr;
  auto ignore = [](spdk_bdev_event_type, spdk_bdev*, void*) {};
  if (spdk_bdev_open_ext(spdk_bdev_get_name(device), false, ignore, nullptr, &desc) != 0) {
    return true;
  }
  spdk_bdev_close(desc);
  return false;
}

// These two modules make a device anew when the one below comes again, unless it was they who
// deleted it. Their call ends with the device, so it takes no turn: others would wait for that.
void unregister(spdk_bdev* device, detail::callback_wait& done) {
  for (std::string_view module : {"passthru", "delay"}) {
    if (!detail::is_of_module(device, module)) continue;
    auto json = detail::one_call(detail::concat("bdev_", module, "_delete"),
                                 detail::parameters(spdk_bdev_get_name(device)).str());
    spdk_subsystem_load_config(json.data(), static_cast<ssize_t>(json.size()),
                               detail::callback_wait::on_done, &done, true);
    return;
  }
  spdk_bdev_unregister(
      device, [](void* context, int rc) { detail::callback_wait::on_done(rc, context); }, &done);
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
    spdk_bdev* found = detail::find_device(name);
    if (!found) co_return refuse(std::errc::no_such_device, detail::no_such_device());
    const auto uuid = detail::uuid_of(found);
    int rc = is_going(found) ? -EBUSY : 0;
    if (rc == 0) {
      detail::callback_wait done("the deletion of a device that is still open");
      unregister(found, done);
      rc = co_await done;
    }
    if (rc != 0) {
      co_return refuse(std::errc{-rc},
                       rc == -EBUSY ? "it is being deleted already" : std::strerror(-rc));
    }
    detail::forget_file(uuid);
    co_return result<void>();
  };
  auto deleted = co_await home->call(run);
  co_return deleted;
}

}  // namespace

task<result<std::string>> create_bdev(const malloc_bdev& o) {
  auto what = detail::creation_of(o.name, "malloc");
  auto params = detail::parameters(o.name)
                    .number("num_blocks", o.size / std::max(o.block_size, 1u))
                    .number("block_size", o.block_size)
                    .number_unless_zero("physical_block_size", o.physical_block_size)
                    .number_unless_zero("optimal_io_boundary", o.optimal_boundary)
                    .text("uuid", o.uuid);
  return create(creation("bdev_malloc_create", o.name, params, what, check(o, what)),
                std::string(o.name), {});
}

task<result<std::string>> create_bdev(const null_bdev& o) {
  auto what = detail::creation_of(o.name, "null");
  auto params = detail::parameters(o.name)
                    .number("num_blocks", o.size / std::max(o.block_size, 1u))
                    .number("block_size", o.block_size)
                    .number_unless_zero("physical_block_size", o.physical_block_size)
                    .text("uuid", o.uuid);
  return create(creation("bdev_null_create", o.name, params, what, check(o, what)),
                std::string(o.name), {});
}

task<result<std::string>> create_bdev(const uring_bdev& o) {
  auto what = detail::creation_of(o.name, "uring");
  auto params = detail::parameters(o.name)
                    .text("filename", o.file)
                    .number_unless_zero("block_size", block_size_of_file(o.file, o.block_size))
                    .text("uuid", o.uuid);
  return create(creation("bdev_uring_create", o.name, params, what, check(o, what)),
                std::string(o.name), std::string(o.file));
}

task<result<std::string>> create_bdev(const aio_bdev& o) {
  auto what = detail::creation_of(o.name, "aio");
  auto params = detail::parameters(o.name)
                    .text("filename", o.file)
                    .number_unless_zero("block_size", block_size_of_file(o.file, o.block_size))
                    .flag("readonly", o.read_only)
                    .flag("fallocate", o.fallocate)
                    .text("uuid", o.uuid);
  return create(creation("bdev_aio_create", o.name, params, what, check(o, what, !o.read_only)),
                std::string(o.name), std::string(o.file));
}

task<result<void>> delete_bdev(std::string_view name) { return delete_named(std::string(name)); }

}  // namespace spdk_io::inline SPDK_IO_ABI
