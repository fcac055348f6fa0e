// SPDX-License-Identifier: BSD-3-Clause
// Finding the thread of a core.
#include <spdk_io/run_on.hpp>

#include "concat.hpp"
#include "reactor_driver.hpp"

#include <spdk_io/cores.hpp>

#include <string>

namespace spdk_io::inline SPDK_IO_ABI::detail {

call_target target_of_core(std::uint32_t core) {
  if (auto thread = thread_of_core(core)) return {.thread = std::move(thread), .why_not = {}};
  std::string known;
  bool exists = false;
  for (std::uint32_t each : cores()) {
    known += concat(known.empty() ? "" : ", ", each);
    exists = exists || each == core;
  }
  std::string why;
  if (!reactors_run() || known.empty()) {
    why = "no reactors of SPDK's application framework run (app::run() starts them)";
  } else if (!exists) {
    why = concat("no such core (there are: ", known, ")");
  } else {
    why = "its reactor has no thread of this library (it is ending, or has no reactor_thread)";
  }
  return {.thread = nullptr,
          .why_not = error(exists ? std::errc::no_such_process : std::errc::invalid_argument,
                           operation_kind::call, concat("run_on core ", core, ": ", why))};
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
