// SPDX-License-Identifier: BSD-3-Clause
// Whose std::execution the tests are built with, as `ex`.
#pragma once

#include <spdk_io/adapters/execution.hpp>

namespace spdk_io_test {

#if defined(SPDK_IO_EXECUTION_STDEXEC)
namespace ex = ::stdexec;
namespace ex_tokens = ::stdexec;
#elif defined(SPDK_IO_EXECUTION_BEMAN)
namespace ex = ::beman::execution;
namespace ex_tokens = ::beman::execution;
#else
namespace ex = ::std::execution;
namespace ex_tokens = ::std;
#endif

}  // namespace spdk_io_test
