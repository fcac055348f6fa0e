// SPDX-License-Identifier: BSD-3-Clause
// A server under test, with its clients on the same loop. When it goes, nothing may be left.
#pragma once

#include "nbd_client.hpp"
#include "server.hpp"
#include "spdk_test.hpp"
#include "turning.hpp"

#include <asio/co_spawn.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace block_test {

namespace sio = spdk_io;
using spdk_io_test::main_thread;
using spdk_io_test::must;
using spdk_io_test::run;

inline std::size_t in_flight() { return main_thread().statistics().io_in_flight; }

class serving : public turning {
 public:
  explicit serving(sio::bdev_desc disk, nbd::server_options options = {}) {
    options.log = [this](std::string_view line) { log.emplace_back(line); };
    server = must(nbd::server::listen(ctx, {asio::ip::address_v4::loopback(), 0}, std::move(disk),
                                      std::move(options)));
    asio::co_spawn(ctx, server->run(), [this](std::exception_ptr e, sio::result<void> r) {
      EXPECT_FALSE(e);
      ended = std::move(r);
    });
  }
  ~serving() {
    if (!ended) server->stop_now();
    until([&] { return ended.has_value(); });
    expect_nothing_left();
  }

  nbd_client client() { return nbd_client(*this, server->port()); }
  // One that has agreed upon the export.
  nbd_client ready_client() {
    nbd_client one = client();
    one.go();
    return one;
  }

  // The clients that were there have gone.
  void until_alone() {
    until([&] { return server->clients() == 0; });
  }
  void expect_nothing_left() const {
    EXPECT_EQ(server->clients(), 0u);
    EXPECT_EQ(server->buffers().available(), server->buffers().buffers());
    EXPECT_TRUE(main_thread().operations().empty());
  }
  std::size_t buffers_in_use() const {
    return server->buffers().buffers() - server->buffers().available();
  }
  bool logged(std::string_view text) const {
    return std::ranges::any_of(
        log, [text](const std::string& line) { return line.find(text) != line.npos; });
  }

  std::vector<std::string> log;
  std::unique_ptr<nbd::server> server;
  std::optional<sio::result<void>> ended;
};

// An error device on a malloc device "base".
inline sio::bdev_desc open_faulty(std::uint64_t size = 1 << 20) {
  must(run(sio::create_bdev(sio::malloc_bdev{.name = "base", .size = size})));
  return must(sio::bdev_desc::open(must(run(sio::create_bdev(sio::error_bdev{.base = "base"})))));
}
inline void hold(sio::inject_on which, std::uint32_t count) {
  must(run(sio::inject_error("EE_base",
                             {.on = which, .how = sio::inject_how::pending, .count = count})));
}
inline void let_go() { must(run(sio::resume_pending("EE_base"))); }

}  // namespace block_test
