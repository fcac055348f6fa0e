// SPDX-License-Identifier: BSD-3-Clause
// kv: a key-value store in a file, or on a block device. See docs/kv_store.md, and session.sh for
// how it is used.
#include "kv_store.hpp"

#include <spdk_io/spdk_io.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace sio = spdk_io;

namespace {

using arguments = std::span<const std::string_view>;

constexpr std::string_view usage =
    "usage: kv FILE create BYTES              an empty store, whatever was there\n"
    "       kv FILE put KEY VALUE ...         durable when it returns\n"
    "       kv FILE get KEY\n"
    "       kv FILE delete KEY ...\n"
    "       kv FILE list\n"
    "       kv FILE stat\n";

// [open]
sio::task<sio::result<std::unique_ptr<kv::block_device>>> open_device(std::string_view file) {
  // aio, since it has flush(): uring has none.
  auto name = co_await sio::create_bdev(sio::aio_bdev{.name = "kv", .file = file});
  if (!name) co_return std::unexpected(name.error());
  auto disk = sio::bdev_desc::open(*name);
  if (!disk) co_return std::unexpected(disk.error());
  co_return std::make_unique<kv::bdev_device>(std::move(*disk));
}
// [/open]

sio::result<std::uint64_t> make_file(std::string_view file, std::string_view size) {
  std::uint64_t bytes = 0;
  const auto [end, wrong] = std::from_chars(size.data(), size.data() + size.size(), bytes);
  if (wrong != std::errc() || end != size.data() + size.size()) {
    return std::unexpected(sio::error(std::errc::invalid_argument, sio::operation_kind::none,
                                      "not a number of bytes: " + std::string(size)));
  }
  const std::filesystem::path path(file);
  if (std::filesystem::is_block_file(path)) return bytes;
  std::ofstream(path, std::ios::app).close();
  std::error_code failed;
  std::filesystem::resize_file(path, bytes, failed);
  if (failed) {
    return std::unexpected(sio::error(static_cast<std::errc>(failed.value()),
                                      sio::operation_kind::none,
                                      std::string(file) + ": " + failed.message()));
  }
  return bytes;
}

// [put]
// Side by side: all of them take part in the same write and flush.
sio::task<sio::result<void>> put_all(kv::kv_store& store, arguments pairs) {
  sio::task_scope scope;
  for (std::size_t i = 0; i + 1 < pairs.size(); i += 2) {
    scope.spawn(store.put(pairs[i], std::as_bytes(std::span(pairs[i + 1]))));
  }
  co_return co_await scope.join();
}
// [/put]

sio::task<sio::result<void>> print(kv::kv_store& store, std::string_view key) {
  auto value = co_await store.get(key);
  if (!value) co_return std::unexpected(value.error());
  if (!*value) {
    co_return std::unexpected(sio::error(std::errc::no_such_file_or_directory,
                                         sio::operation_kind::read,
                                         "kv: no such key: " + std::string(key)));
  }
  const kv::bytes& bytes = **value;
  std::cout.write(reinterpret_cast<const char*>(bytes.data()),
                  static_cast<std::streamsize>(bytes.size()));
  std::cout << '\n';
  co_return sio::result<void>();
}

sio::task<sio::result<void>> erase_all(kv::kv_store& store, arguments keys) {
  for (std::string_view key : keys) {
    auto there = co_await store.erase(key);
    if (!there) co_return std::unexpected(there.error());
    if (!*there) std::cerr << "kv: no such key: " << key << '\n';
  }
  co_return sio::result<void>();
}

void list(const kv::kv_store& store) {
  auto keys = store.keys();
  std::ranges::sort(keys);
  for (const auto& key : keys) std::cout << key << '\n';
}

void print_statistics(const kv::kv_store& store) {
  const auto now = store.statistics();
  std::cout << now.keys << " keys, " << now.live_bytes << " of " << now.capacity << " bytes\n";
}

bool is_command(arguments args) {
  if (args.size() < 2) return false;
  const std::string_view command = args[1];
  const std::size_t more = args.size() - 2;
  if (command == "create" || command == "get") return more == 1;
  if (command == "put") return more != 0 && more % 2 == 0;
  if (command == "delete") return more != 0;
  return (command == "list" || command == "stat") && more == 0;
}

sio::task<sio::result<void>> perform(kv::kv_store& store, arguments args) {
  const std::string_view command = args[1];
  const arguments rest = args.subspan(2);
  if (command == "put") co_return co_await put_all(store, rest);
  if (command == "get") co_return co_await print(store, rest[0]);
  if (command == "delete") co_return co_await erase_all(store, rest);
  if (command == "list") list(store);
  if (command == "stat") print_statistics(store);
  co_return sio::result<void>();
}

sio::task<sio::result<void>> app(arguments args) {
  if (args[1] == "create") {
    if (auto made = make_file(args[0], args[2]); !made) co_return std::unexpected(made.error());
  }
  auto device = co_await open_device(args[0]);
  if (!device) co_return std::unexpected(device.error());
  if (args[1] == "create") co_return co_await kv::kv_store::format(**device);

  auto store = co_await kv::kv_store::open(**device);
  if (!store) co_return std::unexpected(store.error());
  auto done = co_await perform(**store, args);
  auto closed = co_await (*store)->close();
  co_return done ? closed : done;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string_view> args(argv + 1, argv + argc);
  if (!is_command(args)) {
    std::cerr << usage;
    return 2;
  }
  auto env = sio::env::start({.name = "kv", .hugepages = false, .pci = false}).value();
  auto thread = sio::thread::attach("main").value();
  auto r = sio::run_until(thread, app(args));
  if (!r) std::cerr << r.error() << '\n';
  return r ? 0 : 1;
}
