// SPDX-License-Identifier: BSD-3-Clause
// Parsed JSON that keeps what SPDK's parser sees and a map would lose: repeated members, and
// numbers as they were written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spdk_lite {

struct json_value {
  enum class kind : std::uint8_t { null, boolean, number, string, array, object };
  struct member;

  kind type = kind::null;
  bool boolean = false;
  std::string text;  ///< of a string, or the digits of a number
  std::vector<json_value> items;
  std::vector<member> members;

  [[nodiscard]] bool is(kind k) const { return type == k; }
};

struct json_value::member {
  std::string name;
  json_value value;
};

/// Comments are allowed, and so is anything after the value. At most 64 levels deep.
std::optional<json_value> json_parse(std::string_view text, std::string& error);

/// An integer without loss, also when it is written with a fraction or an exponent.
struct json_integer {
  bool negative;
  std::uint64_t magnitude;
};
std::optional<json_integer> json_to_integer(const json_value& value);

}  // namespace spdk_lite
