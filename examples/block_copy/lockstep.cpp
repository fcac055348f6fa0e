// SPDX-License-Identifier: BSD-3-Clause
#include "lockstep.hpp"

#include <algorithm>
#include <utility>

namespace block_copy {

lockstep::lockstep(const sio::bdev_desc& a, std::uint64_t offset_a, const sio::bdev_desc& b,
                   std::uint64_t offset_b, std::uint64_t length, lockstep_options options)
    : a_{.stream = sio::read_stream(a, {.offset = offset_a,
                                        .length = length,
                                        .chunk = options.chunk,
                                        .depth = options.depth})},
      b_{.stream = sio::read_stream(b, {.offset = offset_b,
                                        .length = length,
                                        .chunk = options.chunk,
                                        .depth = options.depth})},
      length_(length) {}

sio::task<sio::result<std::optional<std::uint64_t>>> lockstep::first_difference() {
  for (std::uint64_t at = 0; at < length_;) {
    for (side* each : {&a_, &b_}) {
      if (auto r = co_await refill(*each); !r) co_return std::unexpected(r.error());
    }
    const std::size_t n = std::min(a_.rest.size(), b_.rest.size());
    const auto [in_a, in_b] = std::ranges::mismatch(a_.rest.first(n), b_.rest.first(n));
    const auto equal = static_cast<std::size_t>(in_a - a_.rest.begin());
    if (equal != n) co_return at + equal;
    at += n;
    a_.rest = a_.rest.subspan(n);
    b_.rest = b_.rest.subspan(n);
  }
  co_return std::optional<std::uint64_t>();
}

sio::task<sio::result<void>> lockstep::refill(side& s) {
  if (!s.rest.empty()) co_return sio::result<void>();
  s.chunk.reset();  // first: with a depth of one there is no other
  auto next = co_await s.stream.next();
  if (!next) co_return std::unexpected(next.error());
  s.chunk = std::move(*next);
  s.rest = std::as_const(*s.chunk).bytes();
  co_return sio::result<void>();
}

std::size_t lockstep::memory() const noexcept { return a_.stream.memory() + b_.stream.memory(); }

}  // namespace block_copy
