// SPDX-License-Identifier: BSD-3-Clause
// A device under test: a malloc device or a file, and what is built on it.
#pragma once

#include "soak_options.hpp"

#include <spdk_io/error.hpp>
#include <spdk_io/task.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace spdk_io_tool {

struct soak_shape {
  bool on_file = false;
  bool errors = false;  // an error device on it
  bool delays = false;  // a delay device on top
  friend bool operator==(const soak_shape&, const soak_shape&) = default;
};

// They take turns, so that with four devices there is each.
soak_shape shape_of(std::size_t number, const soak_options& options) noexcept;
std::string to_string(const soak_shape& shape);

// Thread: an attached one, the same for all calls. It outlives its tasks.
class soak_stack {
 public:
  // `file` is used for a shape with one. The options outlive it.
  soak_stack(const soak_options& options, std::size_t number, std::string file);

  const soak_shape& shape() const noexcept { return shape_; }
  std::size_t layers() const noexcept { return names_.size(); }
  const std::string& top() const noexcept { return names_.back(); }
  const std::string& error_layer() const noexcept { return names_[1]; }  // Requires: shape().errors

  // Makes the layers that are missing. Says whether what the device held is lost: a malloc device
  // is zero when it is new.
  spdk_io::task<spdk_io::result<bool>> create();

  // Deletes that layer, 0 for the lowest, with whatever is built on it; ends once they are gone,
  // which needs that nobody has them open.
  spdk_io::task<spdk_io::result<void>> remove(std::size_t layer);

 private:
  spdk_io::task<spdk_io::result<void>> make(std::size_t layer);

  const soak_options& options_;
  soak_shape shape_;
  std::string file_;
  std::vector<std::string> names_;  // of the layers, the lowest first
};

}  // namespace spdk_io_tool
