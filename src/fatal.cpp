// SPDX-License-Identifier: BSD-3-Clause
// The end of the line: what can neither be returned nor survived.
#include <spdk_io/detail/fatal.hpp>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

namespace spdk_io::inline SPDK_IO_ABI::detail {

void fatal(std::string_view text) noexcept {
  std::fprintf(stderr, "spdk-io: %.*s\n", static_cast<int>(text.size()), text.data());
  std::fflush(stderr);
  std::abort();
}

void misuse([[maybe_unused]] std::string_view text) noexcept {
#ifndef NDEBUG
  fatal(text);
#endif
}

void fatal_exception(std::string_view where) noexcept {
  std::string text = "exception nobody waits for, in ";
  text += where;
  try {
    throw;
  } catch (const std::exception& e) {
    text += std::string(": ") + e.what();
  } catch (...) {
    text += ": not derived from std::exception";
  }
  fatal(text);
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
