// SPDX-License-Identifier: BSD-3-Clause
// nlohmann's parser feeding our own tree. Nothing here recurses with the input's depth.
#include "json_value.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <limits>

namespace spdk_lite {
namespace {

constexpr std::size_t max_depth = 64;

/// The elements of the tree are in vectors that grow, so only the innermost open containers
/// are kept here, by value, and moved into their parent when they end.
class builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return add({}); }
  bool boolean(bool value) override {
    json_value v;
    v.type = json_value::kind::boolean;
    v.boolean = value;
    return add(std::move(v));
  }
  bool number_integer(number_integer_t value) override { return number(std::to_string(value)); }
  bool number_unsigned(number_unsigned_t value) override { return number(std::to_string(value)); }
  bool number_float(number_float_t /*value*/, const string_t& digits) override {
    return number(digits);
  }
  bool string(string_t& value) override {
    json_value v;
    v.type = json_value::kind::string;
    v.text = std::move(value);
    return add(std::move(v));
  }
  bool binary(binary_t& /*value*/) override { return false; }
  bool start_object(std::size_t /*size*/) override { return open(json_value::kind::object); }
  bool start_array(std::size_t /*size*/) override { return open(json_value::kind::array); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    open_.back().members.push_back({std::move(name), {}});
    return true;
  }
  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::json::exception& ex) override {
    constexpr int number_overflow = 406;
    error = ex.id == number_overflow ? "a number is too large" : "syntax error";
    error += " at byte " + std::to_string(position);
    return false;
  }

  json_value root;
  std::string error;

 private:
  bool number(std::string digits) {
    json_value v;
    v.type = json_value::kind::number;
    v.text = std::move(digits);
    return add(std::move(v));
  }

  bool add(json_value v) {
    if (open_.empty()) {
      root = std::move(v);
    } else if (open_.back().is(json_value::kind::object)) {
      open_.back().members.back().value = std::move(v);
    } else {
      open_.back().items.push_back(std::move(v));
    }
    return true;
  }

  bool open(json_value::kind type) {
    if (open_.size() == max_depth) {
      error = "nested too deeply";
      return false;
    }
    open_.emplace_back().type = type;
    return true;
  }

  bool close() {
    json_value v = std::move(open_.back());
    open_.pop_back();
    return add(std::move(v));
  }

  std::vector<json_value> open_;
};

}  // namespace

std::optional<json_value> json_parse(std::string_view text, std::string& error) {
  builder sax;
  bool ok = false;
  try {
    ok = nlohmann::json::sax_parse(text.begin(), text.end(), &sax,
                                   nlohmann::json::input_format_t::json, /*strict=*/false,
                                   /*ignore_comments=*/true);
  } catch (const std::exception& e) {
    sax.error = e.what();
  }
  if (!ok) {
    error = std::move(sax.error);
    return std::nullopt;
  }
  return std::move(sax.root);
}

std::optional<json_integer> json_to_integer(const json_value& value) {
  if (!value.is(json_value::kind::number)) {
    return std::nullopt;
  }
  std::string_view text = value.text;
  json_integer result{text.starts_with('-'), 0};
  text.remove_prefix(result.negative ? 1 : 0);

  std::int64_t exponent = 0;
  if (const std::size_t e = text.find_first_of("eE"); e != std::string_view::npos) {
    const char* digits = text.data() + e + 1 + (text[e + 1] == '+' ? 1 : 0);
    if (std::from_chars(digits, text.data() + text.size(), exponent).ec != std::errc{}) {
      return std::nullopt;
    }
    text = text.substr(0, e);
  }
  constexpr std::uint64_t max = std::numeric_limits<std::uint64_t>::max();
  bool fraction = false;
  for (const char c : text) {
    if (c == '.') {
      fraction = true;
      continue;
    }
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (result.magnitude > (max - digit) / 10) {
      return std::nullopt;
    }
    result.magnitude = result.magnitude * 10 + digit;
    if (fraction && --exponent == std::numeric_limits<std::int64_t>::min()) {
      return std::nullopt;
    }
  }
  while (exponent < 0 && result.magnitude >= 10 && result.magnitude % 10 == 0) {
    result.magnitude /= 10;
    ++exponent;
  }
  while (exponent > 0 && result.magnitude != 0 && result.magnitude <= max / 10) {
    result.magnitude *= 10;
    --exponent;
  }
  if (exponent != 0 && result.magnitude != 0) {
    return std::nullopt;
  }
  return result;
}

}  // namespace spdk_lite
