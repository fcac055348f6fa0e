// SPDX-License-Identifier: BSD-3-Clause
// For programs that have nothing to do but to end where something fails.
#pragma once

#include <spdk_io/error.hpp>

#include <stdexcept>
#include <type_traits>
#include <utility>

namespace bench {

// The value, or an exception with the error's message.
template <class T>
T must(spdk_io::result<T> r) {
  if (!r) throw std::runtime_error(r.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*r);
}

}  // namespace bench
