// SPDX-License-Identifier: BSD-3-Clause
// What the typed calls that create, change and delete devices share: parameters of SPDK's
// methods, checks of names, and the call itself on the thread that SPDK wants it on.
#pragma once

#include "concat.hpp"
#include "configuration.hpp"

#include <spdk_io/error.hpp>
#include <spdk_io/task.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

struct spdk_bdev;

namespace spdk_io::inline SPDK_IO_ABI::detail {

// Assembles the parameters of a method; what has its default is left to SPDK.
class parameters {
 public:
  // The first one is always there, and is mostly the name.
  explicit parameters(std::string_view name, std::string_view key = "name") {
    text_ = concat("{\"", key, "\":", quote(name));
  }
  parameters& text(std::string_view key, std::string_view value) {
    return value.empty() ? *this : raw(key, quote(value));
  }
  parameters& number(std::string_view key, std::uint64_t value) {
    return raw(key, std::to_string(value));
  }
  parameters& number_unless_zero(std::string_view key, std::uint64_t value) {
    return value == 0 ? *this : number(key, value);
  }
  parameters& flag(std::string_view key, bool value) { return value ? raw(key, "true") : *this; }
  std::string str() const { return text_ + '}'; }

 private:
  parameters& raw(std::string_view key, std::string_view value) {
    text_ += concat(",\"", key, "\":", value);
    return *this;
  }
  std::string text_;
};

// One call of SPDK's, with all that it needs owned: options are views, and are gone when the
// task runs.
struct device_call {
  operation_kind kind = operation_kind::create_bdev;
  std::string what;  // begins the error's message
  std::string method;
  std::string params;
  result<void> valid;  // what could be seen before
  // Runs at its turn, on the thread that makes the call; its error is the call's.
  std::move_only_function<result<void>()> check = nullptr;
};

// Any attached thread.
task<result<void>> run_device_call(device_call call);

// E.g. creation of "d0" (malloc)
std::string creation_of(std::string_view name, std::string_view module);
error device_error(operation_kind kind, std::errc code, std::string_view what,
                   std::string_view why);
inline error not_created(std::errc code, std::string_view what, std::string_view why) {
  return device_error(operation_kind::create_bdev, code, what, why);
}

// A name that SPDK can have: 1 to 255 characters, no NUL.
result<void> check_name(std::string_view name, std::string_view what);

// Empty, or what SPDK can parse.
result<void> check_uuid(std::string_view uuid, std::string_view what);

// For checks at the time of the call, on the thread that makes it. NULL: there is no such device.
spdk_bdev* find_device(const std::string& name);
bool is_of_module(spdk_bdev* device, std::string_view module);
// Errors: there is a device of that name.
result<void> check_free(const std::string& name, std::string_view what);
// Errors: there is no such device, or something is built on it already.
result<void> check_base(const std::string& base, std::string_view what);
// "no such device (known: …)"
std::string no_such_device();

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
