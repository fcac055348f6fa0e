// SPDX-License-Identifier: BSD-3-Clause
// The product of all dimensions, without what makes no sense.
#pragma once

#include "dimensions.hpp"

#include <vector>

namespace lifetimes {

bool makes_sense(const combination& c);

// All that make sense.
std::vector<combination> all_combinations();

}  // namespace lifetimes
