// SPDX-License-Identifier: BSD-3-Clause
// Times that were measured one by one, and what is said of them: middle, nearly worst, worst.
#pragma once

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <utility>
#include <vector>

namespace bench {

class samples {
 public:
  explicit samples(std::size_t expected) { ns_.reserve(expected); }

  // The room was made before: adding one costs no more than a store.
  void add(std::chrono::nanoseconds each) { ns_.push_back(static_cast<double>(each.count())); }
  std::size_t size() const noexcept { return ns_.size(); }

  // In microseconds.
  nlohmann::json summary() && {
    if (ns_.empty()) throw std::runtime_error("nothing was measured");
    std::ranges::sort(ns_);
    return {{"count", ns_.size()}, {"p50", at(0.5)}, {"p99", at(0.99)}, {"max", at(1)}};
  }

 private:
  // The least that is no smaller than that part of all.
  double at(double part) const {
    const auto rank = static_cast<std::size_t>(std::ceil(part * static_cast<double>(ns_.size())));
    return ns_[std::max<std::size_t>(rank, 1) - 1] / 1000;
  }

  std::vector<double> ns_;
};

}  // namespace bench
