// SPDX-License-Identifier: BSD-3-Clause
// Devices of every kind for tests that treat them alike, the files behind them, and contents.
#pragma once

#include "spdk_test.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace spdk_io_test {

// A folder of this test's own, removed at its end.
class temp_folder {
 public:
  temp_folder() {
    auto pattern = (std::filesystem::temp_directory_path() / "spdk_io_test.XXXXXX").string();
    if (!::mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp failed for " + pattern);
    path_ = pattern;
  }
  temp_folder(const temp_folder&) = delete;
  temp_folder& operator=(const temp_folder&) = delete;
  ~temp_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::string path(std::string_view name) const { return (path_ / name).string(); }

  // Makes a file of that size, all zeroes, and gives its path.
  std::string file(std::string_view name, std::uint64_t size) const {
    const std::string p = path(name);
    std::ofstream(p).close();
    std::filesystem::resize_file(p, size);
    return p;
  }

 private:
  std::filesystem::path path_;
};

inline std::vector<std::byte> content_of(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::vector<char> chars{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  std::vector<std::byte> out(chars.size());
  std::ranges::transform(chars, out.begin(), [](char c) { return static_cast<std::byte>(c); });
  return out;
}

enum class kind { malloc, null, uring, aio };

inline std::string_view to_string(kind k) {
  switch (k) {
    case kind::malloc: return "malloc";
    case kind::null: return "null";
    case kind::uring: return "uring";
    case kind::aio: return "aio";
  }
  return "?";
}

// SPDK before v26.05 answers a difference like any other failure of a device: 0/06h.
inline bool tells_a_miscompare() {
  const std::string_view version = sio::provider_version();
  return !version.starts_with("SPDK v25.") && !version.starts_with("SPDK v26.01");
}
inline constexpr const char* no_miscompare = "this release of SPDK does not tell a miscompare";

// Runs body(kind) for each, and deletes the devices that it leaves (it must have closed them);
// what fails says on which.
template <class Body>
void for_each_kind(std::initializer_list<kind> kinds, Body body) {
  for (kind k : kinds) {
    SCOPED_TRACE(std::string(to_string(k)));
    body(k);
    for (const auto& left : sio::list_bdevs()) must(run(sio::delete_bdev(left.name)));
    if (testing::Test::HasFatalFailure()) return;
  }
}

// Creates a device of that kind; files lie in `folder` under the device's name.
inline void create_device(kind k, const temp_folder& folder, const std::string& name,
                          std::uint64_t size = 1 << 20, std::uint32_t block_size = 512) {
  switch (k) {
    case kind::malloc:
      must(run(sio::create_bdev(
          sio::malloc_bdev{.name = name, .size = size, .block_size = block_size})));
      return;
    case kind::null:
      must(run(
          sio::create_bdev(sio::null_bdev{.name = name, .size = size, .block_size = block_size})));
      return;
    case kind::uring:
      must(run(sio::create_bdev(sio::uring_bdev{
          .name = name, .file = folder.file(name, size), .block_size = block_size})));
      return;
    case kind::aio:
      must(run(sio::create_bdev(
          sio::aio_bdev{.name = name, .file = folder.file(name, size), .block_size = block_size})));
      return;
  }
}

inline sio::bdev_desc open_device(kind k, const temp_folder& folder, const std::string& name,
                                  std::uint64_t size = 1 << 20, std::uint32_t block_size = 512) {
  create_device(k, folder, name, size, block_size);
  return must(sio::bdev_desc::open(name));
}

// Starts the subsystems with `pool` bdev_ios in the process, and `cache` kept by each thread.
inline sio::result<void> init_with_pool(unsigned pool, unsigned cache) {
  return run(sio::init_subsystems(
      R"({"subsystems":[{"subsystem":"bdev","config":[{"method":"bdev_set_options","params":)"
      R"({"bdev_io_pool_size":)" +
      std::to_string(pool) + R"(,"bdev_io_cache_size":)" + std::to_string(cache) + "}}]}]}"));
}

// Bytes that differ by position and by `seed`.
inline std::byte pattern_byte(std::uint64_t seed, std::uint64_t at) {
  return static_cast<std::byte>((seed * 131 + at * 7 + at / 251) & 0xff);
}
inline void fill_pattern(std::span<std::byte> into, std::uint64_t seed) {
  for (std::size_t i = 0; i < into.size(); ++i) into[i] = pattern_byte(seed, i);
}
inline bool has_pattern(std::span<const std::byte> data, std::uint64_t seed) {
  for (std::size_t i = 0; i < data.size(); ++i) {
    if (data[i] != pattern_byte(seed, i)) return false;
  }
  return true;
}
inline bool all_are(std::span<const std::byte> data, std::byte value) {
  return std::ranges::all_of(data, [value](std::byte b) { return b == value; });
}

// Polls the first thread a fixed number of times: for "and nothing happens".
inline void poll_times(int times) {
  for (int i = 0; i < times; ++i) main_thread().poll();
}

// A deletion under way: it ends when nobody has the device open any more.
class deletion {
 public:
  explicit deletion(std::string name) {
    scope_.spawn(sio::delete_bdev(name));
    poll_until([&] { return !sio::bdev_desc::open(name); });
  }
  bool done() const { return scope_.running() == 0; }
  // Polls often enough for a close that is due.
  bool still_waits() {
    poll_times(200);
    return !done();
  }
  void wait() { must(run(scope_.join())); }

 private:
  sio::task_scope scope_;
};

template <class T>
std::string message_of(const sio::result<T>& r) {
  return r ? "success" : r.error().message();
}

}  // namespace spdk_io_test
