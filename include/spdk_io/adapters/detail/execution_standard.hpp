// SPDX-License-Identifier: BSD-3-Clause
// The words of std::execution from the standard library.
#pragma once

#include <spdk_io/abi.hpp>

#include <execution>

#define SPDK_IO_EXECUTION_VOCABULARY standard

namespace spdk_io::inline SPDK_IO_ABI::adapters::execution::inline standard::vocabulary {

using ::std::get_stop_token;
using ::std::get_stop_token_t;
using ::std::never_stop_token;
using ::std::execution::completion_signatures;
using ::std::execution::completion_signatures_of_t;
using ::std::execution::connect;
using ::std::execution::connect_result_t;
using ::std::execution::env;
using ::std::execution::env_of_t;
using ::std::execution::forward_progress_guarantee;
using ::std::execution::get_completion_scheduler;
using ::std::execution::get_completion_scheduler_t;
using ::std::execution::get_env;
using ::std::execution::get_forward_progress_guarantee_t;
using ::std::execution::operation_state_tag;
using ::std::execution::receiver_tag;
using ::std::execution::schedule;
using ::std::execution::scheduler_tag;
using ::std::execution::sender_tag;
using ::std::execution::set_error;
using ::std::execution::set_error_t;
using ::std::execution::set_stopped;
using ::std::execution::set_stopped_t;
using ::std::execution::set_value;
using ::std::execution::set_value_t;
using ::std::execution::start;

}  // namespace spdk_io::inline SPDK_IO_ABI::adapters::execution::inline standard::vocabulary
