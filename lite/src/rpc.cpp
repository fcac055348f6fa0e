// SPDX-License-Identifier: BSD-3-Clause
// The table of configuration methods, the state that permits them, and their parameters.
#include "rpc.hpp"

#include "spdk/rpc.h"
#include "spdk/string.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <map>

namespace spdk_lite {
namespace {

struct method {
  std::uint32_t states;
  rpc_handler handler;
};

using method_table = std::map<std::string, method, std::less<>>;

method_table& the_table() {
  static auto& table = *new method_table;
  return table;
}

/// The methods are entered on first use, not by constructors, which a linker may drop.
const method_table& methods() {
  static const bool entered = [] {
    register_bdev_rpcs();
    register_malloc_rpcs();
    register_null_rpcs();
    register_file_rpcs();
    register_error_rpcs();
    register_delay_rpcs();
    register_passthru_rpcs();
    register_split_rpcs();
    return true;
  }();
  (void)entered;
  return the_table();
}

std::uint32_t state = SPDK_RPC_STARTUP;

template <class T>
bool decode_unsigned(const json_value& from, T& to) {
  const auto number = json_to_integer(from);
  if (!number || number->negative || number->magnitude > std::numeric_limits<T>::max()) {
    return false;
  }
  to = static_cast<T>(number->magnitude);
  return true;
}

}  // namespace

void rpc_request::finish_errno(rpc_request* request, int rc) {
  if (rc == 0) {
    succeed(request);
  } else {
    fail(request, rc, spdk_strerror(-rc));
  }
}

void rpc_request::finish(rpc_request* request, std::optional<rpc_error> error) {
  const done_fn done = std::move(request->done_);
  delete request;
  done(std::move(error));
}

void rpc_register(const char* name, std::uint32_t states, rpc_handler handler) {
  the_table().emplace(name, method{states, handler});
}

void rpc_call(const std::string& name, rpc_request* request, const json_value* params) {
  const auto it = methods().find(name);
  if (it == methods().end()) {
    rpc_request::fail(request, rpc_method_not_found, "Method not found");
  } else {
    it->second.handler(request, params);
  }
}

rpc_params::rpc_params(const json_value* params)
    : params_(params), valid_(params != nullptr && params->is(json_value::kind::object)) {}

const json_value* rpc_params::member(const char* name) {
  if (!valid_) {
    return nullptr;
  }
  const json_value* found = nullptr;
  for (const json_value::member& m : params_->members) {
    if (m.name == name) {
      if (found != nullptr) {
        valid_ = false;
      }
      found = &m.value;
      ++taken_;
    }
  }
  return found;
}

bool rpc_params::done() const { return valid_ && taken_ == params_->members.size(); }

bool rpc_params::decode(const json_value& from, std::string& to) {
  // It becomes a C string.
  if (!from.is(json_value::kind::string) || from.text.find('\0') != std::string::npos) {
    return false;
  }
  to = from.text;
  return true;
}

bool rpc_params::decode(const json_value& from, bool& to) {
  to = from.boolean;
  return from.is(json_value::kind::boolean);
}

bool rpc_params::decode(const json_value& from, spdk_uuid& to) {
  std::string text;
  return decode(from, text) && spdk_uuid_parse(&to, text.c_str()) == 0;
}

bool rpc_params::decode(const json_value& from, std::uint32_t& to) {
  return decode_unsigned(from, to);
}

bool rpc_params::decode(const json_value& from, std::uint64_t& to) {
  return decode_unsigned(from, to);
}

bool rpc_params::decode(const json_value& from, std::int32_t& to) {
  const auto number = json_to_integer(from);
  constexpr std::uint64_t max = std::numeric_limits<std::int32_t>::max();
  if (!number || number->magnitude > max + (number->negative ? 1 : 0)) {
    return false;
  }
  const auto magnitude = static_cast<std::int64_t>(number->magnitude);
  to = static_cast<std::int32_t>(number->negative ? -magnitude : magnitude);
  return true;
}

}  // namespace spdk_lite

using namespace spdk_lite;

void spdk_rpc_set_state(uint32_t state_mask) { state = state_mask; }

uint32_t spdk_rpc_get_state() { return state; }

int spdk_rpc_get_method_state_mask(const char* name, uint32_t* state_mask) {
  const auto it = methods().find(std::string_view(name));
  if (it == methods().end()) {
    return -ENOENT;
  }
  *state_mask = it->second.states;
  return 0;
}

int spdk_rpc_is_method_allowed(const char* name, uint32_t state_mask) {
  std::uint32_t states = 0;
  if (spdk_rpc_get_method_state_mask(name, &states) != 0) {
    return -ENOENT;
  }
  return (states & state_mask) == state_mask ? 0 : -EPERM;
}
