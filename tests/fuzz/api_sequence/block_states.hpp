// SPDX-License-Identifier: BSD-3-Clause
// What the blocks of a device may hold, while writes to them begin, end and get lost.
#pragma once

#include "fuzz.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace fuzz {

// A block holds one value in all of its words: 0, or who wrote it and where.
class block_states {
 public:
  static constexpr std::uint64_t block_size = 512;
  static constexpr std::uint64_t count = 32;
  using value = std::uint64_t;

  struct range {
    std::uint64_t first = 0;
    std::uint64_t blocks = 0;
  };

  // What was true of each block when an operation began.
  struct ticket {
    range at;
    range from;                  // of a copy
    std::vector<value> written;  // of a write
    struct moment {
      std::uint64_t changes;
      bool written_by_others;
    };
    std::vector<moment> then;       // of `at`
    std::vector<moment> from_then;  // of `from`
  };

  static value value_of(std::uint64_t writer, std::uint64_t number) {
    return writer == 0 ? 0 : writer << 8 | number;
  }
  static void fill(std::span<std::byte> bytes, std::uint64_t writer, range at) {
    for (std::uint64_t i = 0; i < at.blocks; ++i) {
      const value v = value_of(writer, at.first + i);
      for (std::size_t word = 0; word < block_size; word += sizeof(v)) {
        std::memcpy(bytes.data() + i * block_size + word, &v, sizeof(v));
      }
    }
  }

  void all_zero() { blocks_ = {}; }

  ticket begin_read(range at) const {
    ticket t{.at = at, .from = {}, .written = {}, .then = moments(at), .from_then = {}};
    return t;
  }
  // Empty, or what is wrong.
  std::string end_read(const ticket& t, std::span<const std::byte> bytes) {
    for (std::uint64_t i = 0; i < t.at.blocks; ++i) {
      block& b = blocks_[t.at.first + i];
      if (!stable(b, t.then[i])) continue;
      const auto found = bytes.subspan(i * block_size, block_size);
      value v = 0;
      std::memcpy(&v, found.data(), sizeof(v));
      for (std::size_t word = 0; word < block_size; word += sizeof(v)) {
        if (std::memcmp(found.data() + word, &v, sizeof(v)) != 0)
          return text(t.at.first + i, "parts of several writes");
      }
      if (!b.anything && !b.may_hold.contains(v)) return text(t.at.first + i, std::to_string(v));
      b.may_hold = {v};
      b.anything = false;
    }
    return {};
  }

  // From now on a read may find it.
  ticket begin_write(range at, std::uint64_t writer) {
    ticket t{.at = at, .from = {}, .written = {}, .then = {}, .from_then = {}};
    for (std::uint64_t i = 0; i < at.blocks; ++i) {
      t.written.push_back(value_of(writer, at.first + i));
      blocks_[at.first + i].may_hold.insert(t.written.back());
    }
    begin_change(t);
    return t;
  }
  void end_write(const ticket& t, bool surely) {
    for (std::uint64_t i = 0; i < t.at.blocks; ++i) {
      block& b = blocks_[t.at.first + i];
      --b.writers;
      if (surely && stable(b, t.then[i])) {
        b.may_hold = {t.written[i]};
        b.anything = false;
      }
    }
  }

  ticket begin_copy(range from, range to) {
    ticket t{.at = to, .from = from, .written = {}, .then = {}, .from_then = moments(from)};
    for (std::uint64_t i = 0; i < to.blocks; ++i) {
      const block& source = blocks_[from.first + i];
      block& target = blocks_[to.first + i];
      target.may_hold.insert(source.may_hold.begin(), source.may_hold.end());
      target.anything = target.anything || source.anything;
    }
    begin_change(t);
    return t;
  }
  void end_copy(const ticket& t, bool surely) {
    for (std::uint64_t i = 0; i < t.at.blocks; ++i) {
      const block& source = blocks_[t.from.first + i];
      block& target = blocks_[t.at.first + i];
      --target.writers;
      if (!stable(source, t.from_then[i])) {
        target.anything = true;  // it may have been read at any time
      } else if (surely && stable(target, t.then[i])) {
        target.may_hold = source.may_hold;
        target.anything = source.anything;
      }
    }
  }

 private:
  struct block {
    std::set<value> may_hold = {0};
    bool anything = false;
    int writers = 0;            // under way
    std::uint64_t changes = 0;  // writes that have begun
  };

  std::vector<ticket::moment> moments(range r) const {
    std::vector<ticket::moment> out;
    for (std::uint64_t i = 0; i < r.blocks; ++i) {
      const block& b = blocks_[r.first + i];
      out.push_back({.changes = b.changes, .written_by_others = b.writers > 0});
    }
    return out;
  }
  void begin_change(ticket& t) {
    for (std::uint64_t i = 0; i < t.at.blocks; ++i) {
      block& b = blocks_[t.at.first + i];
      t.then.push_back({.changes = ++b.changes, .written_by_others = b.writers > 0});
      ++b.writers;
    }
  }
  // Nobody else wrote to it since, nor did so then.
  static bool stable(const block& b, const ticket::moment& then) {
    return b.changes == then.changes && !then.written_by_others && b.writers == 0;
  }
  std::string text(std::uint64_t number, const std::string& found) const {
    std::string out = "block " + std::to_string(number) + " holds " + found + ", and not one of";
    for (const value v : blocks_[number].may_hold) out += " " + std::to_string(v);
    return out;
  }

  std::array<block, count> blocks_;
};

}  // namespace fuzz
