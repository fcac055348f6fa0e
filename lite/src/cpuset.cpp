// SPDX-License-Identifier: BSD-3-Clause
// Sets of CPU numbers: bit operations, and the two text forms.
#include "spdk/cpuset.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "spdk/log.h"

namespace {

void skip_blanks(std::string_view& text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
    text.remove_prefix(1);
  }
}

std::string_view trimmed(std::string_view text) {
  skip_blanks(text);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) {
    text.remove_suffix(1);
  }
  return text;
}

std::optional<std::uint32_t> take_cpu(std::string_view& text) {
  skip_blanks(text);
  std::uint32_t cpu = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), cpu);
  if (error != std::errc{} || cpu >= SPDK_CPUSET_SIZE) {
    return std::nullopt;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  skip_blanks(text);
  return cpu;
}

/// "0,2-3]": what follows the opening bracket.
bool parse_list(std::string_view text, spdk_cpuset& set) {
  for (char separator = ','; separator == ',';) {
    const auto first = take_cpu(text);
    auto last = first;
    if (text.starts_with('-')) {
      text.remove_prefix(1);
      last = take_cpu(text);
    }
    if (!first || !last || *first > *last || text.empty()) {
      return false;
    }
    for (std::uint32_t cpu = *first; cpu <= *last; ++cpu) {
      spdk_cpuset_set_cpu(&set, cpu, true);
    }
    separator = text.front();
    text.remove_prefix(1);
    if (separator == ']') {
      return true;
    }
  }
  return false;
}

/// Digits from the right, four CPUs each; commas as the kernel writes them are skipped.
bool parse_mask(std::string_view text, spdk_cpuset& set) {
  if (text.starts_with("0x") || text.starts_with("0X")) {
    text.remove_prefix(2);
  }
  std::uint32_t cpu = 0;
  for (auto c = text.rbegin(); c != text.rend(); ++c) {
    if (*c == ',') {
      continue;
    }
    unsigned digit = 0;
    if (std::from_chars(&*c, &*c + 1, digit, 16).ec != std::errc{}) {
      return false;
    }
    for (unsigned bit = 0; bit < 4 && cpu < SPDK_CPUSET_SIZE; ++bit, ++cpu) {
      spdk_cpuset_set_cpu(&set, cpu, (digit >> bit & 1u) != 0);
    }
  }
  return true;
}

}  // namespace

spdk_cpuset* spdk_cpuset_alloc(void) {
  return static_cast<spdk_cpuset*>(std::calloc(1, sizeof(spdk_cpuset)));
}

void spdk_cpuset_free(spdk_cpuset* set) { std::free(set); }

bool spdk_cpuset_equal(const spdk_cpuset* set1, const spdk_cpuset* set2) {
  return std::ranges::equal(set1->cpus, set2->cpus);
}

void spdk_cpuset_copy(spdk_cpuset* dst, const spdk_cpuset* src) {
  std::ranges::copy(src->cpus, dst->cpus);
}

void spdk_cpuset_and(spdk_cpuset* dst, const spdk_cpuset* src) {
  std::ranges::transform(dst->cpus, src->cpus, dst->cpus, std::bit_and<std::uint8_t>{});
}

void spdk_cpuset_or(spdk_cpuset* dst, const spdk_cpuset* src) {
  std::ranges::transform(dst->cpus, src->cpus, dst->cpus, std::bit_or<std::uint8_t>{});
}

void spdk_cpuset_xor(spdk_cpuset* dst, const spdk_cpuset* src) {
  std::ranges::transform(dst->cpus, src->cpus, dst->cpus, std::bit_xor<std::uint8_t>{});
}

void spdk_cpuset_negate(spdk_cpuset* set) {
  std::ranges::transform(set->cpus, set->cpus, std::bit_not<std::uint8_t>{});
}

void spdk_cpuset_zero(spdk_cpuset* set) { std::ranges::fill(set->cpus, std::uint8_t{0}); }

void spdk_cpuset_set_cpu(spdk_cpuset* set, uint32_t cpu, bool state) {
  const auto bit = static_cast<std::uint8_t>(1u << (cpu % 8));
  auto& byte = set->cpus[cpu / 8];
  byte = static_cast<std::uint8_t>(state ? byte | bit : byte & ~bit);
}

bool spdk_cpuset_get_cpu(const spdk_cpuset* set, uint32_t cpu) {
  return (set->cpus[cpu / 8] >> (cpu % 8) & 1u) != 0;
}

void spdk_cpuset_for_each_cpu(const spdk_cpuset* set, void (*fn)(void* ctx, uint32_t cpu),
                              void* ctx) {
  for (std::uint32_t cpu = 0; cpu < SPDK_CPUSET_SIZE; ++cpu) {
    if (spdk_cpuset_get_cpu(set, cpu)) {
      fn(ctx, cpu);
    }
  }
}

uint32_t spdk_cpuset_count(const spdk_cpuset* set) {
  std::uint32_t count = 0;
  spdk_cpuset_for_each_cpu(
      set, [](void* ctx, uint32_t) { ++*static_cast<std::uint32_t*>(ctx); }, &count);
  return count;
}

const char* spdk_cpuset_fmt(spdk_cpuset* set) {
  std::string digits;
  for (std::size_t i = std::size(set->cpus) * 2; i-- > 0;) {
    const unsigned digit = set->cpus[i / 2] >> (i % 2 * 4) & 0xfu;
    if (digit != 0 || !digits.empty() || i == 0) {
      digits += "0123456789abcdef"[digit];
    }
  }
  std::memcpy(set->str, digits.c_str(), digits.size() + 1);
  return set->str;
}

int spdk_cpuset_parse(spdk_cpuset* set, const char* mask) {
  if (set == nullptr || mask == nullptr) {
    return -1;
  }
  const std::string_view text = trimmed(mask);
  if (text.empty()) {
    return -1;
  }
  spdk_cpuset_zero(set);
  const bool valid =
      text.front() == '[' ? parse_list(text.substr(1), *set) : parse_mask(text, *set);
  if (!valid) {
    SPDK_ERRLOG("'%s' is neither a hexadecimal CPU mask nor a CPU list\n", mask);
  }
  return valid ? 0 : -1;
}
