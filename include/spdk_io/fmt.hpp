// SPDX-License-Identifier: BSD-3-Clause
// Optional, for users of {fmt} (version 8 or newer), who link it themselves: formatters of the
// library's types that have a text. Not part of spdk_io.hpp. They take the specifications of
// strings: fmt::format("{:>40}", r.error()).
#pragma once

#include <spdk_io/error.hpp>
#include <spdk_io/log.hpp>

#include <fmt/format.h>

#include <string>
#include <string_view>

// As error::message().
template <>
struct fmt::formatter<spdk_io::error> : fmt::formatter<fmt::string_view> {
  template <class Context>
  auto format(const spdk_io::error& e, Context& context) const {
    return fmt::formatter<fmt::string_view>::format(e.message(), context);
  }
};

// As in error::message(): "NVMe 2/81h", type and code.
template <>
struct fmt::formatter<spdk_io::nvme_status> : fmt::formatter<fmt::string_view> {
  template <class Context>
  auto format(spdk_io::nvme_status status, Context& context) const {
    return fmt::formatter<fmt::string_view>::format(
        fmt::format("NVMe {}/{:02X}h", status.type, status.code), context);
  }
};

// As to_string().
template <>
struct fmt::formatter<spdk_io::log_level> : fmt::formatter<fmt::string_view> {
  template <class Context>
  auto format(spdk_io::log_level level, Context& context) const {
    const std::string_view name = spdk_io::to_string(level);
    return fmt::formatter<fmt::string_view>::format({name.data(), name.size()}, context);
  }
};
