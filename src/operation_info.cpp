// SPDX-License-Identifier: BSD-3-Clause
// Operations under way, in words. (What they are called stands in error.cpp.)
#include <spdk_io/operation_info.hpp>

#include "concat.hpp"

#include <ostream>

namespace spdk_io::inline SPDK_IO_ABI {

std::string_view to_string(operation_state state) noexcept {
  switch (state) {
    case operation_state::waiting_for_memory: return "waiting for memory";
    case operation_state::in_flight: return "in flight";
    case operation_state::completed: return "completed, not resumed yet";
    case operation_state::held: return "held by the program";
  }
  return "?";
}

std::string operation_info::message() const {
  return detail::concat(what(), " (", to_string(state), ')');
}

std::ostream& operator<<(std::ostream& out, const operation_info& o) { return out << o.message(); }

}  // namespace spdk_io::inline SPDK_IO_ABI
