// SPDX-License-Identifier: BSD-3-Clause
// Runs calls of SPDK's JSON configuration and turns what goes wrong into errors for people.
#pragma once

#include <spdk_io/error.hpp>
#include <spdk_io/task.hpp>
#include <spdk_io/thread_ref.hpp>

#include <functional>
#include <string>
#include <string_view>

namespace spdk_io::inline SPDK_IO_ABI::detail {

// Loads a whole configuration in SPDK's format. On the thread that runs the subsystems, by the
// holder of the turn. `what` begins the error's message.
task<result<void>> load_configuration(std::string json, operation_kind kind, std::string what);

// The same, waiting for the turn; then check(), if there is one, may refuse.
task<result<void>> load_configuration_in_turn(
    std::string json, operation_kind kind, std::string what,
    std::move_only_function<result<void>()> check = nullptr);

// Runs one call, e.g. "bdev_null_create", with `params`, a JSON object. Any attached thread;
// starts the subsystems if need be. check() runs there as well, just before it.
task<result<void>> run_call(std::string method, std::string params, operation_kind kind,
                            std::string what,
                            std::move_only_function<result<void>()> check = nullptr);

// A configuration that consists of one call.
std::string one_call(std::string_view method, std::string_view params);

// The thread that runs the subsystems, which are started without a configuration if need be.
task<result<thread_ref>> subsystem_thread();

// What SPDK logged about a failed call: its own error code and words.
struct logged_failure {
  std::errc code = std::errc::invalid_argument;
  std::string text;
};
logged_failure read_failure(std::string_view log, int rc);

// The whole text of a file; the error begins with `whose`.
result<std::string> read_configuration_file(const std::string& path, std::string_view whose);

// A JSON string literal.
std::string quote(std::string_view text);

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
