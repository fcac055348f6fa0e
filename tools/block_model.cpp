// SPDX-License-Identifier: BSD-3-Clause
// Bookkeeping of the blocks, and the comparison with what was read.
#include "block_model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <ranges>

namespace spdk_io_tool {

block_model::block_model(std::uint64_t seed, block_range part, std::size_t block_size)
    : seed_(seed), part_(part), block_size_(block_size), blocks_(part.count) {}

void block_model::all_zero() noexcept { std::ranges::fill(blocks_, block{}); }

std::optional<block_range> block_model::take(splitmix& random, std::uint64_t most) noexcept {
  block_range out{.first = part_.first + random() % part_.count};
  const std::uint64_t wanted = 1 + random() % most;
  const std::uint64_t end = part_.first + part_.count;
  while (out.count < wanted && out.first + out.count < end && !at(out.first + out.count).taken) {
    at(out.first + out.count++).taken = true;
  }
  if (out.count == 0) return std::nullopt;
  return out;
}

void block_model::give_back(block_range range) noexcept {
  for (std::uint64_t i = 0; i < range.count; ++i) at(range.first + i).taken = false;
}

std::uint64_t block_model::fill(block_range range, std::span<std::byte> bytes) noexcept {
  const pattern data(seed_, ++generation_);
  for (std::uint64_t i = 0; i < range.count; ++i) {
    data.fill(range.first + i, bytes.subspan(i * block_size_, block_size_));
  }
  return generation_;
}

void block_model::note(block& b, content c, bool surely) noexcept {
  if (surely) {
    b.may_hold[0] = c;
    b.count = 1;
    return;
  }
  const auto end = b.may_hold.begin() + b.count;
  if (std::find(b.may_hold.begin(), end, c) != end) return;
  assert(b.count < b.may_hold.size());
  b.may_hold[b.count++] = c;
}

void block_model::written(block_range range, std::uint64_t generation, bool surely) noexcept {
  for (std::uint64_t i = range.first; i < range.first + range.count; ++i) {
    note(at(i), {i, generation}, surely);
  }
}

void block_model::zeroed(block_range range, bool surely) noexcept {
  for (std::uint64_t i = 0; i < range.count; ++i) note(at(range.first + i), {}, surely);
}

void block_model::copied(block_range from, block_range to, bool surely) noexcept {
  for (std::uint64_t i = 0; i < to.count; ++i) {
    note(at(to.first + i), at(from.first + i).may_hold[0], surely);
  }
}

bool block_model::known(block_range range) const noexcept {
  for (std::uint64_t i = 0; i < range.count; ++i) {
    if (at(range.first + i).count != 1) return false;
  }
  return true;
}

bool block_model::must_be_read(block_range range) const noexcept {
  for (std::uint64_t i = 0; i < range.count; ++i) {
    const block& b = at(range.first + i);
    if (b.count == b.may_hold.size()) return true;
  }
  return false;
}

std::optional<std::string> block_model::check(block_range range, std::span<const std::byte> bytes) {
  std::optional<std::string> wrong;
  for (std::uint64_t i = 0; i < range.count; ++i) {
    block& b = at(range.first + i);
    const auto found = bytes.subspan(i * block_size_, block_size_);
    const auto known = b.may_hold | std::views::take(b.count);
    const auto held =
        std::ranges::find_if(known, [&](const content& c) { return holds(c, found); });
    if (held != known.end()) {
      note(b, content(*held), true);
    } else if (!wrong) {
      wrong = explain(range.first + i, found);
    }
  }
  return wrong;
}

bool block_model::holds(const content& c, std::span<const std::byte> bytes) const noexcept {
  if (c.generation != 0) return !pattern(seed_, c.generation).check(c.block, bytes);
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

std::string block_model::explain(std::uint64_t number, std::span<const std::byte> bytes) const {
  const block& b = at(number);
  std::string out = fmt::format("block {} holds ", number);
  const content& last = b.may_hold[b.count - 1u];
  if (holds({}, bytes)) {
    out += "zeroes";
  } else if (auto wrong = pattern(seed_, last.generation).check(last.block, bytes);
             wrong && wrong->has_header && wrong->found_seed == seed_) {
    out += fmt::format("(by its header) generation {} of block {}", wrong->found_generation,
                       wrong->found_block);
  } else {
    out += "something else";
  }
  out += "; it may hold";
  for (const content& c : b.may_hold | std::views::take(b.count)) {
    out += c.generation == 0 ? " zeroes"
                             : fmt::format(" generation {} of block {}", c.generation, c.block);
    if (&c != &last) out += " or";
  }
  return out;
}

}  // namespace spdk_io_tool
