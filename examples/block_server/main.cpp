// SPDX-License-Identifier: BSD-3-Clause
// block_server: serves a file or block device to NBD clients. See docs/block_server.md, and
// session.sh for how it is used.
#include "server.hpp"

#include <spdk_io/adapters/asio.hpp>
#include <spdk_io/spdk_io.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>
#include <asio/signal_set.hpp>

#include <charconv>
#include <csignal>
#include <cstdint>
#include <iostream>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace sio = spdk_io;

namespace {

constexpr std::string_view usage =
    "usage: block_server FILE [OPTION VALUE ...]   serves a file or block device to NBD clients\n"
    "  --address A   to listen at (127.0.0.1)\n"
    "  --port N      0: any that is free; it is printed (10809)\n"
    "  --name N      of the export (disk)\n"
    "  --clients N   at once (8)\n"
    "  --depth N     requests of each client at once (16)\n"
    "  --request N   bytes of one read or write (262144)\n"
    "  --buffers N   of that size for all clients (clients x depth)\n"
    "  --mode M      read-write, read-only, or uring: through io_uring, which has no flush\n";

struct arguments {
  std::string file;
  asio::ip::address address = asio::ip::address_v4::loopback();
  std::uint16_t port = 10809;
  std::string mode = "read-write";
  nbd::server_options server;
};

template <class T>
bool parse(std::string_view text, T& value) {
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), value);
  return wrong == std::errc() && end == text.data() + text.size();
}

bool parse(std::string_view text, asio::ip::address& value) {
  asio::error_code wrong;
  value = asio::ip::make_address(text, wrong);
  return !wrong;
}

bool take_option(std::string_view name, std::string_view value, arguments& into) {
  if (name == "--name") {
    into.server.name = value;
    return true;
  }
  if (name == "--mode") {
    into.mode = value;
    return value == "read-write" || value == "read-only" || value == "uring";
  }
  if (name == "--address") return parse(value, into.address);
  if (name == "--port") return parse(value, into.port);
  if (name == "--clients") return parse(value, into.server.clients);
  if (name == "--depth") return parse(value, into.server.depth);
  if (name == "--request") return parse(value, into.server.max_request);
  return name == "--buffers" && parse(value, into.server.buffers);
}

std::optional<arguments> parse_arguments(std::span<const std::string_view> args) {
  if (args.size() % 2 != 1 || args[0].starts_with("-")) return std::nullopt;
  arguments out;
  out.file = args[0];
  for (std::size_t i = 1; i < args.size(); i += 2) {
    if (!take_option(args[i], args[i + 1], out)) return std::nullopt;
  }
  out.server.read_only = out.mode == "read-only";
  out.server.log = [](std::string_view line) { std::cerr << "block_server: " << line << '\n'; };
  return out;
}

sio::task<sio::result<sio::bdev_desc>> open_device(const arguments& args) {
  const auto mode = args.server.read_only ? sio::access::read_only : sio::access::read_write;
  const sio::uring_bdev uring{.name = "disk", .file = args.file};
  const sio::aio_bdev aio{
      .name = "disk", .file = args.file, .read_only = args.server.read_only, .fallocate = true};
  auto made = args.mode == "uring" ? sio::create_bdev(uring) : sio::create_bdev(aio);
  auto name = co_await std::move(made);
  if (!name) co_return std::unexpected(name.error());
  co_return sio::bdev_desc::open(*name, mode);
}

// The first signal ends the server when its clients' requests are done, a second one at once.
asio::awaitable<void> obey_signals(nbd::server& server) {
  asio::signal_set signals(co_await asio::this_coro::executor, SIGINT, SIGTERM);
  co_await signals.async_wait(asio::use_awaitable);
  server.stop();
  co_await signals.async_wait(asio::use_awaitable);
  server.stop_now();
}

// [serve]
sio::result<void> serve(const arguments& args) {
  asio::io_context ctx;
  auto thread = sio::thread::attach("main");
  if (!thread) return std::unexpected(thread.error());
  auto disk = sio::run_until(ctx, *thread, open_device(args));
  if (!disk) return std::unexpected(disk.error());
  auto server = nbd::server::listen(ctx, {args.address, args.port}, std::move(*disk), args.server);
  if (!server) return std::unexpected(server.error());

  std::cout << "port " << (*server)->port() << '\n' << std::flush;
  asio::co_spawn(ctx, obey_signals(**server), asio::detached);
  return sio::run_until(ctx, *thread, (*server)->run());
}
// [/serve]

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string_view> texts(argv + 1, argv + argc);
  const auto args = parse_arguments(texts);
  if (!args) {
    std::cerr << usage;
    return 2;
  }
  auto env = sio::env::start({.name = "block_server", .hugepages = false, .pci = false}).value();
  const auto served = serve(*args);
  if (!served) std::cerr << "block_server: " << served.error() << '\n';
  return served ? 0 : 1;
}
