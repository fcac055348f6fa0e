// SPDX-License-Identifier: BSD-3-Clause
// Streams and sinks: a range in chunks, bytes in pieces of any size, and elements from any thread.
#include <spdk_io/spdk_io.hpp>

#include <cstdint>
#include <iostream>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace sio = spdk_io;

// [write]
// Lines of any length, one after another from byte 1000 on.
sio::task<sio::result<std::uint64_t>> write_lines(const sio::bdev_desc& disk, int count) {
  sio::write_sink out(disk, {.offset = 1000, .chunk = 4096, .depth = 4});
  for (int i = 0; i < count; ++i) {
    const std::string line = "line " + std::to_string(i) + "\n";
    if (auto r = co_await out.send(std::as_bytes(std::span(line))); !r) {
      co_return std::unexpected(r.error());
    }
  }
  if (auto r = co_await out.close(); !r) co_return std::unexpected(r.error());  // now it is there
  co_return out.position() - 1000;
}
// [/write]

// [read]
// Counts the lines, while the next chunks are being read.
sio::task<sio::result<std::uint64_t>> count_lines(const sio::bdev_desc& disk, std::uint64_t bytes) {
  sio::read_stream in(disk, {.offset = 1000, .length = bytes, .chunk = 4096, .depth = 4});
  std::uint64_t lines = 0;
  for (;;) {
    auto chunk = co_await in.next();
    if (!chunk) co_return std::unexpected(chunk.error());
    if (!*chunk) co_return lines;  // the end
    for (std::byte b : **chunk) lines += b == std::byte{'\n'} ? 1 : 0;
  }  // the chunk goes back here, and is read to again
}
// [/read]

// [copy]
sio::task<sio::result<std::uint64_t>> move_range(const sio::bdev_desc& from,
                                                 const sio::bdev_desc& to, std::uint64_t bytes) {
  sio::read_stream in(from, {.offset = 1000, .length = bytes, .depth = 16});
  sio::write_sink out(to, {.offset = 7, .depth = 16});
  co_return co_await sio::copy(in, out);  // bytes, or the first error with its place
}
// [/copy]

// [channel]
// Work comes from any thread, one without an SPDK thread here; at most two requests wait.
sio::task<sio::result<void>> serve(const sio::bdev_desc& disk) {
  sio::channel<std::uint64_t> offsets(2);
  std::jthread client([to = offsets.get_sender()]() mutable {
    for (std::uint64_t offset : {1000u, 2000u, 3000u}) {
      if (auto r = to.send(offset).get(); !r) return;  // sleeps while there is no room
    }
    to.close();
  });
  auto first_line = [&](std::uint64_t offset) -> sio::task<sio::result<void>> {
    sio::read_stream in(disk, {.offset = offset, .length = 16});
    auto chunk = co_await in.next();
    if (!chunk) co_return std::unexpected(chunk.error());
    std::string_view text(reinterpret_cast<const char*>((*chunk)->data()), (*chunk)->size());
    std::cout << "at " << offset << ": " << text.substr(0, text.find('\n')) << '\n';
    co_return sio::result<void>();
  };
  co_return co_await sio::for_each(offsets, first_line);
}
// [/channel]

// [combine]
// Two ranges at once, in whatever order their chunks come, as sums of their bytes.
sio::task<sio::result<std::uint64_t>> sum_of_two(const sio::bdev_desc& a, const sio::bdev_desc& b) {
  auto sum = [](const sio::read_chunk& chunk) {
    std::uint64_t all = 0;
    for (std::byte each : chunk) all += static_cast<std::uint64_t>(each);
    return all;
  };
  auto sums = sio::transform(sio::merge(sio::read_stream(a, {.length = 100'000}),
                                        sio::read_stream(b, {.length = 100'000})),
                             sum);
  std::uint64_t all = 0;
  auto r = co_await sio::for_each(sums, [&](std::uint64_t each) { all += each; });
  if (!r) co_return std::unexpected(r.error());
  co_return all;
}
// [/combine]

sio::task<sio::result<sio::bdev_desc>> make(std::string_view name) {
  auto made = co_await sio::create_bdev(sio::malloc_bdev{.name = name, .size = 1 << 20});
  if (!made) co_return std::unexpected(made.error());
  co_return sio::bdev_desc::open(name);
}

sio::task<sio::result<void>> app() {
  auto a = co_await make("disk0");
  if (!a) co_return std::unexpected(a.error());
  auto b = co_await make("disk1");
  if (!b) co_return std::unexpected(b.error());

  auto bytes = co_await write_lines(*a, 5000);
  if (!bytes) co_return std::unexpected(bytes.error());
  auto lines = co_await count_lines(*a, *bytes);
  if (!lines) co_return std::unexpected(lines.error());
  std::cout << *lines << " lines in " << *bytes << " bytes\n";

  auto moved = co_await move_range(*a, *b, *bytes);
  if (!moved) co_return std::unexpected(moved.error());
  std::cout << *moved << " bytes copied\n";
  auto too_far = co_await move_range(*a, *b, 2 << 20);
  if (!too_far) std::cout << too_far.error() << '\n';

  if (auto r = co_await serve(*a); !r) co_return r;
  auto sum = co_await sum_of_two(*a, *b);
  if (!sum) co_return std::unexpected(sum.error());
  std::cout << "sum: " << *sum << '\n';
  co_return sio::result<void>();
}

int main() {
  auto env = sio::env::start({.name = "streams", .hugepages = false, .pci = false}).value();
  auto thread = sio::thread::attach("main").value();
  auto r = sio::run_until(thread, app());
  if (!r) std::cerr << r.error() << '\n';
  return r ? 0 : 1;
}
