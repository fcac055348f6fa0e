// SPDX-License-Identifier: BSD-3-Clause
// DMA memory: how it is allocated, what is refused, and what converts to a view of it.
#include "devices.hpp"

#include <spdk_io/dma_buffer.hpp>

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace spdk_io_test {
namespace {

using sio::const_dma_span;
using sio::dma_buffer;
using sio::dma_span;

// Only DMA memory converts: an ordinary buffer must not reach a device by accident.
static_assert(std::is_convertible_v<dma_buffer&, dma_span>);
static_assert(std::is_convertible_v<dma_buffer&, const_dma_span>);
static_assert(std::is_convertible_v<const dma_buffer&, const_dma_span>);
static_assert(std::is_convertible_v<dma_span, const_dma_span>);
static_assert(std::is_convertible_v<dma_span, std::span<std::byte>>);
static_assert(std::is_convertible_v<const_dma_span, std::span<const std::byte>>);
static_assert(!std::is_convertible_v<const dma_buffer&, dma_span>);
static_assert(!std::is_convertible_v<const_dma_span, dma_span>);
static_assert(!std::is_convertible_v<std::span<std::byte>, dma_span>);
static_assert(!std::is_convertible_v<std::span<const std::byte>, const_dma_span>);
static_assert(!std::is_constructible_v<dma_span, std::span<std::byte>>);
static_assert(!std::is_constructible_v<dma_span, std::byte*, std::size_t>);
static_assert(!std::is_constructible_v<const_dma_span, const std::byte*, std::size_t>);
static_assert(!std::is_convertible_v<std::vector<std::byte>&, dma_span>);
static_assert(!std::is_copy_constructible_v<dma_buffer>);
static_assert(std::is_nothrow_move_constructible_v<dma_buffer>);
static_assert(std::is_nothrow_move_assignable_v<dma_buffer>);

bool aligned(const dma_buffer& b, std::size_t alignment) {
  return reinterpret_cast<std::uintptr_t>(b.data()) % alignment == 0;
}

std::string refusal(sio::result<dma_buffer> r) { return message_of(r); }

TEST(dma_buffer, has_the_size_and_alignment_asked_for) {
  auto plain = must(dma_buffer::allocate(3000));
  EXPECT_EQ(plain.size(), 3000u);
  EXPECT_FALSE(plain.empty());
  EXPECT_TRUE(aligned(plain, 4096));
  for (std::size_t alignment = 1; alignment <= (1u << 20); alignment *= 4) {
    auto one = must(dma_buffer::allocate(100, alignment));
    auto two = must(dma_buffer::zeroed(5000, alignment));
    EXPECT_TRUE(aligned(one, alignment)) << alignment;
    EXPECT_TRUE(aligned(two, alignment)) << alignment;
    // All of it can be written, and the two do not overlap.
    std::ranges::fill(one, std::byte{1});
    std::ranges::fill(two, std::byte{2});
    EXPECT_TRUE(all_are(one.bytes(), std::byte{1}));
  }
  EXPECT_EQ(must(dma_buffer::allocate(64, 64, 0)).size(), 64u);
}

TEST(dma_buffer, zeroed_is_zero_where_memory_was_used_before) {
  constexpr std::size_t size = 1 << 20;
  for (int round = 0; round < 4; ++round) {
    auto dirty = must(dma_buffer::allocate(size));
    std::ranges::fill(dirty, std::byte{0xff});
    dirty = dma_buffer();
    auto clean = must(dma_buffer::zeroed(size));
    EXPECT_TRUE(all_are(clean.bytes(), std::byte{0}));
    std::ranges::fill(clean, std::byte{0xff});
  }
}

TEST(dma_buffer, what_cannot_be_is_refused) {
  EXPECT_EQ(refusal(dma_buffer::allocate(0)),
            "allocation of 0 bytes of DMA memory: the size is zero");
  EXPECT_EQ(refusal(dma_buffer::allocate(512, 0)),
            "allocation of 512 bytes of DMA memory: alignment 0 is not a power of two");
  EXPECT_EQ(refusal(dma_buffer::zeroed(512, 48)),
            "allocation of 512 bytes of DMA memory: alignment 48 is not a power of two");
  EXPECT_TRUE(dma_buffer::allocate(0).error() == std::errc::invalid_argument);
  EXPECT_TRUE(dma_buffer::allocate(1, 3).error() == std::errc::invalid_argument);
  EXPECT_EQ(dma_buffer::allocate(1, 3).error().what(), sio::operation_kind::allocate);

  // Sizes near the end of the range are where roundings overflow.
  constexpr auto most = std::numeric_limits<std::size_t>::max();
  for (std::size_t bytes : {std::size_t{1} << 30, std::size_t{1} << 40, most / 2, most - 4096,
                            most - 63, most - 1, most}) {
    auto r = dma_buffer::allocate(bytes);
    ASSERT_FALSE(r) << bytes;
    EXPECT_TRUE(r.error() == std::errc::not_enough_memory) << bytes;
    EXPECT_EQ(r.error().message(), "allocation of " + std::to_string(bytes) +
                                       " bytes of DMA memory: out of DMA memory "
                                       "(env_options.memory_mib sets how much there is)");
  }
  auto r = dma_buffer::zeroed(4096, std::size_t{1} << 63);  // no address is a multiple of that
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::not_enough_memory);
}

TEST(dma_buffer, exhausted_memory_comes_back) {
  constexpr std::size_t chunk = 16 << 20;
  std::vector<dma_buffer> all;
  sio::result<dma_buffer> last = dma_buffer::allocate(chunk);
  for (; last && all.size() < 1000; last = dma_buffer::allocate(chunk)) {
    all.push_back(std::move(*last));
  }
  ASSERT_FALSE(last);
  EXPECT_TRUE(last.error() == std::errc::not_enough_memory);
  const auto held = all.size();
  EXPECT_GT(held, 1u);
  all.clear();
  for (std::size_t i = 0; i < held; ++i) all.push_back(must(dma_buffer::allocate(chunk)));
}

TEST(dma_buffer, moves_leave_the_source_empty_and_free_once) {
  auto a = must(dma_buffer::allocate(4096));
  std::ranges::fill(a, std::byte{7});
  const auto* where = a.data();
  dma_buffer b = std::move(a);
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(a.data(), nullptr);
  EXPECT_EQ(b.data(), where);
  EXPECT_TRUE(all_are(b.bytes(), std::byte{7}));
  a = std::move(b);
  EXPECT_EQ(a.data(), where);
  EXPECT_EQ(dma_buffer().data(), nullptr);
  // Were what it replaces not freed, these would not fit.
  for (int i = 0; i < 200; ++i) a = must(dma_buffer::allocate(32 << 20));
  EXPECT_EQ(a.size(), 32u << 20);
}

TEST(dma_buffer, views_cover_the_part_they_name) {
  auto b = must(dma_buffer::zeroed(4096));
  dma_span all = b;
  EXPECT_EQ(all.data(), b.data());
  EXPECT_EQ(all.size(), 4096u);
  dma_span part = b.subspan(512, 1024);
  EXPECT_EQ(part.data(), b.data() + 512);
  EXPECT_EQ(part.size(), 1024u);
  EXPECT_EQ(b.first(16).size(), 16u);
  EXPECT_EQ(part.subspan(24, 8).data(), b.data() + 536);
  EXPECT_EQ(part.first(8).end(), b.data() + 520);
  std::ranges::fill(part, std::byte{9});
  EXPECT_EQ(b.data()[511], std::byte{0});
  EXPECT_EQ(b.data()[512], std::byte{9});
  EXPECT_EQ(b.data()[1536], std::byte{0});

  const_dma_span read_only = part;
  EXPECT_EQ(read_only.subspan(8, 8).data(), b.data() + 520);
  EXPECT_TRUE(all_are(read_only, std::byte{9}));
  EXPECT_TRUE(dma_span().empty());
  EXPECT_TRUE(const_dma_span().empty());

  std::array<std::byte, 64> ordinary = {};
  EXPECT_EQ(dma_span::trusted(ordinary).data(), ordinary.data());
  EXPECT_EQ(const_dma_span::trusted(ordinary).size(), 64u);
}

}  // namespace
}  // namespace spdk_io_test
