// SPDX-License-Identifier: BSD-3-Clause
// The words of std::execution from NVIDIA's stdexec.
#pragma once

#include <spdk_io/abi.hpp>

#include <stdexec/execution.hpp>

#define SPDK_IO_EXECUTION_VOCABULARY stdexec

namespace spdk_io::inline SPDK_IO_ABI::adapters::execution::inline stdexec::vocabulary {

using ::stdexec::completion_signatures;
using ::stdexec::completion_signatures_of_t;
using ::stdexec::connect;
using ::stdexec::connect_result_t;
using ::stdexec::env;
using ::stdexec::env_of_t;
using ::stdexec::forward_progress_guarantee;
using ::stdexec::get_completion_scheduler;
using ::stdexec::get_completion_scheduler_t;
using ::stdexec::get_env;
using ::stdexec::get_forward_progress_guarantee_t;
using ::stdexec::get_stop_token;
using ::stdexec::get_stop_token_t;
using ::stdexec::never_stop_token;
using ::stdexec::operation_state_tag;
using ::stdexec::receiver_tag;
using ::stdexec::schedule;
using ::stdexec::scheduler_tag;
using ::stdexec::sender_tag;
using ::stdexec::set_error;
using ::stdexec::set_error_t;
using ::stdexec::set_stopped;
using ::stdexec::set_stopped_t;
using ::stdexec::set_value;
using ::stdexec::set_value_t;
using ::stdexec::start;

}  // namespace spdk_io::inline SPDK_IO_ABI::adapters::execution::inline stdexec::vocabulary
