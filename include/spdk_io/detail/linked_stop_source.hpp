// SPDX-License-Identifier: BSD-3-Clause
// A stop source inside what is awaited: it passes on the requests to whoever awaits.
#pragma once

#include <spdk_io/local_stop_token.hpp>

namespace spdk_io::inline SPDK_IO_ABI::detail {

class linked_stop_source : public local_stop_source {
 public:
  linked_stop_source() = default;
  linked_stop_source(const linked_stop_source&) = delete;
  linked_stop_source& operator=(const linked_stop_source&) = delete;
  ~linked_stop_source() { unlink(); }

  // From now on, also if it was requested already.
  void follow(local_stop_token parent) noexcept {
    link_.source = this;
    link_.on_stop = [](stop_node& node) { static_cast<link&>(node).source->request_stop(); };
    if (parent.stop_requested()) {
      request_stop();
    } else if (parent.stop_possible()) {
      parent.wait(link_);
    }
  }
  void unlink() noexcept { link_.unlink(); }

 private:
  struct link : stop_node {
    linked_stop_source* source = nullptr;
  };
  link link_;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
