// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>
TEST(execution_library, none) {}
