// SPDX-License-Identifier: BSD-3-Clause
// What the store may hold: every change in the order of the calls, and how many of them were
// acknowledged. Changes become durable in that order.
#pragma once

#include "kv_store.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kv_test {

namespace sio = spdk_io;

using state = std::map<std::string, kv::bytes>;

struct change {
  std::string key;
  std::optional<kv::bytes> value;  // none: erased
};

inline void apply(state& to, const change& what) {
  if (what.value) {
    to[what.key] = *what.value;
  } else {
    to.erase(what.key);
  }
}

class model {
 public:
  // A call begins; its number.
  std::size_t begin(change what) {
    changes_.push_back(std::move(what));
    return changes_.size() - 1;
  }
  // It has no effect, whatever becomes of the store: for a call that will be refused.
  void has_no_effect(std::size_t call) { changes_[call].reset(); }
  void acknowledged(std::size_t call) { acknowledged_ = std::max(acknowledged_, call + 1); }

  std::size_t calls() const { return changes_.size(); }
  std::size_t acknowledged() const { return acknowledged_; }

  // May a get() that began when `from` calls were acknowledged, and ended when `to` had begun, have
  // given this?
  bool may_be_read(const std::string& key, const std::optional<kv::bytes>& value, std::size_t from,
                   std::size_t to) const {
    const auto found = base_.find(key);
    std::optional<kv::bytes> now;
    if (found != base_.end()) now = found->second;
    for (std::size_t i = 0; i < to; ++i) {
      if (i >= from && now == value) return true;
      if (changes_[i] && changes_[i]->key == key) now = changes_[i]->value;
    }
    return now == value;
  }

  // What was found after it was opened: all that was acknowledged, and the first few of the rest,
  // in order. From now on that is what is there.
  testing::AssertionResult accepts(const state& found) {
    state wanted = base_;
    std::size_t i = 0;
    for (; i < acknowledged_; ++i) apply_at(wanted, i);
    while (wanted != found && i < changes_.size()) apply_at(wanted, i++);
    const std::size_t taken = i;
    const bool same = wanted == found;
    auto answer = same ? testing::AssertionSuccess() : testing::AssertionFailure();
    if (!same) {
      answer << "after " << acknowledged_ << " acknowledged of " << changes_.size() << " calls, "
             << taken << " tried: " << difference(wanted, found);
    }
    base_ = found;
    changes_.clear();
    acknowledged_ = 0;
    return answer;
  }

 private:
  void apply_at(state& to, std::size_t call) const {
    if (changes_[call]) apply(to, *changes_[call]);
  }
  static std::string difference(const state& wanted, const state& found) {
    std::string text;
    for (const auto& [key, value] : wanted) {
      const auto there = found.find(key);
      if (there == found.end()) {
        text += "no " + key + "; ";
      } else if (there->second != value) {
        text += key + " has another value; ";
      }
    }
    for (const auto& [key, value] : found) {
      if (!wanted.contains(key)) text += key + " should be gone; ";
    }
    return text;
  }

  state base_;
  std::vector<std::optional<change>> changes_;
  std::size_t acknowledged_ = 0;
};

// All that the store holds. A value that cannot be read fails the test.
inline sio::task<state> read_all(kv::kv_store& store) {
  state all;
  for (const auto& key : store.keys()) {
    auto value = co_await store.get(key);
    if (!value) {
      ADD_FAILURE() << "get of " << key << ": " << value.error();
    } else if (!*value) {
      ADD_FAILURE() << key << " is listed, and not there";
    } else {
      all[key] = **value;
    }
  }
  co_return all;
}

// Bytes that tell by which call they were written.
template <class Random>
kv::bytes random_value(Random& random, std::size_t most) {
  kv::bytes value(random() % (most + 1));
  const auto seed = random();
  for (std::size_t i = 0; i < value.size(); ++i) {
    value[i] = static_cast<std::byte>((seed >> (i % 8 * 4)) + i);
  }
  return value;
}

}  // namespace kv_test
