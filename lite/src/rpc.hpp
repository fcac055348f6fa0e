// SPDX-License-Identifier: BSD-3-Clause
// The configuration methods: a table of names, each with the states in which it may run and
// a handler that answers, at once or later, as SPDK's JSON-RPC method of that name does.
#pragma once

#include "json_value.hpp"
#include "spdk/uuid.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace spdk_lite {

inline constexpr int rpc_method_not_found = -32601;
inline constexpr int rpc_invalid_params = -32602;
inline constexpr int rpc_internal_error = -32603;

struct rpc_error {
  int code;  ///< of JSON-RPC, or a negative errno
  std::string message;
};

/// A call under way. Owned by whoever has to answer it, which frees it.
class rpc_request {
 public:
  using done_fn = std::function<void(std::optional<rpc_error>)>;

  explicit rpc_request(done_fn done) : done_(std::move(done)) {}

  static void succeed(rpc_request* request) { finish(request, std::nullopt); }
  static void fail(rpc_request* request, int code, std::string message) {
    finish(request, rpc_error{code, std::move(message)});
  }
  /// With the text of strerror(); success if rc is 0.
  static void finish_errno(rpc_request* request, int rc);

 private:
  static void finish(rpc_request* request, std::optional<rpc_error> error);

  done_fn done_;
};

/// Params is NULL if the call has none.
using rpc_handler = void (*)(rpc_request* request, const json_value* params);

void rpc_register(const char* method, std::uint32_t states, rpc_handler handler);

/// The handler answers the request, whatever happens.
void rpc_call(const std::string& method, rpc_request* request, const json_value* params);

/// Takes parameters out of an object as strictly as SPDK: a wrong type, an unknown, repeated
/// or missing member makes done() false. Absent optional members leave the value alone.
class rpc_params {
 public:
  explicit rpc_params(const json_value* params);

  template <class T>
  rpc_params& required(const char* name, T& value) {
    if (!found(name, value)) {
      valid_ = false;
    }
    return *this;
  }
  template <class T>
  rpc_params& optional(const char* name, T& value) {
    found(name, value);
    return *this;
  }
  [[nodiscard]] bool done() const;

 private:
  const json_value* member(const char* name);

  static bool decode(const json_value& from, std::string& to);
  static bool decode(const json_value& from, bool& to);
  static bool decode(const json_value& from, spdk_uuid& to);
  static bool decode(const json_value& from, std::uint32_t& to);
  static bool decode(const json_value& from, std::uint64_t& to);
  static bool decode(const json_value& from, std::int32_t& to);
  template <class T>
  static bool decode(const json_value& from, std::optional<T>& to) {
    return decode(from, to.emplace());
  }

  template <class T>
  bool found(const char* name, T& value) {
    const json_value* from = member(name);
    if (from != nullptr && !decode(*from, value)) {
      valid_ = false;
    }
    return from != nullptr;
  }

  const json_value* params_;
  std::size_t taken_ = 0;
  bool valid_;
};

// Each source that has methods enters them here; rpc.cpp calls them all once.
void register_bdev_rpcs();
void register_malloc_rpcs();
void register_null_rpcs();
void register_file_rpcs();
void register_error_rpcs();
void register_delay_rpcs();
void register_passthru_rpcs();
void register_split_rpcs();

}  // namespace spdk_lite
