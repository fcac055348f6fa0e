// SPDX-License-Identifier: BSD-3-Clause
// The words of std::execution from Beman.execution.
#pragma once

#include <spdk_io/abi.hpp>

#include <beman/execution/execution.hpp>

#define SPDK_IO_EXECUTION_VOCABULARY beman

namespace spdk_io::inline SPDK_IO_ABI::adapters::execution::inline beman::vocabulary {

using ::beman::execution::completion_signatures;
using ::beman::execution::completion_signatures_of_t;
using ::beman::execution::connect;
using ::beman::execution::connect_result_t;
using ::beman::execution::env;
using ::beman::execution::env_of_t;
using ::beman::execution::forward_progress_guarantee;
using ::beman::execution::get_completion_scheduler;
using ::beman::execution::get_completion_scheduler_t;
using ::beman::execution::get_env;
using ::beman::execution::get_forward_progress_guarantee_t;
using ::beman::execution::get_stop_token;
using ::beman::execution::get_stop_token_t;
using ::beman::execution::never_stop_token;
using ::beman::execution::operation_state_tag;
using ::beman::execution::receiver_tag;
using ::beman::execution::schedule;
using ::beman::execution::scheduler_tag;
using ::beman::execution::sender_tag;
using ::beman::execution::set_error;
using ::beman::execution::set_error_t;
using ::beman::execution::set_stopped;
using ::beman::execution::set_stopped_t;
using ::beman::execution::set_value;
using ::beman::execution::set_value_t;
using ::beman::execution::start;

}  // namespace spdk_io::inline SPDK_IO_ABI::adapters::execution::inline beman::vocabulary
