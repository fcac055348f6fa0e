// SPDX-License-Identifier: BSD-3-Clause
// Memory of the program's own, registered with SPDK. Without an environment there is nothing to
// register with: cases are child processes that start one.
#include "devices.hpp"
#include "own_process.hpp"

#include <spdk_io/registered_memory.hpp>

#include <sys/mman.h>

#include <optional>

namespace spdk_io_test {
namespace {

using sio::registered_memory;

constexpr std::size_t unit = 2 << 20;  // suits every release

// Mapped memory with its start on a multiple of `unit`.
class mapped {
 public:
  explicit mapped(std::size_t size)
      : all_(size + unit),
        start_(::mmap(nullptr, all_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)),
        size_(size) {}
  ~mapped() { ::munmap(start_, all_); }
  mapped(const mapped&) = delete;
  mapped& operator=(const mapped&) = delete;
  std::span<std::byte> bytes() const {
    const auto at = reinterpret_cast<std::uintptr_t>(start_);
    return {static_cast<std::byte*>(start_) + (unit - at % unit) % unit, size_};
  }

 private:
  std::size_t all_;
  void* start_;
  std::size_t size_;
};

sio::env start_env() {
  return sio::env::start({.name = "registered_memory", .hugepages = false, .pci = false}).value();
}

TEST(registered_memory, needs_an_environment) {
  mapped memory(unit);
  auto r = registered_memory::over(memory.bytes());
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::operation_not_permitted);
  EXPECT_EQ(r.error().what(), sio::operation_kind::register_memory);
  EXPECT_EQ(message_of(r),
            "registration of 2097152 bytes of memory with SPDK: no environment (call "
            "spdk_io::env::start() first and keep it)");
}

void use() {
  auto env = start_env();
  auto thread = sio::thread::attach("main").value();
  sio::block_on(thread, sio::create_bdev(sio::malloc_bdev{.name = "m0", .size = 8 << 20})).value();
  auto disk = sio::bdev_desc::open("m0").value();
  mapped memory(2 * unit);
  auto mine = must(registered_memory::over(memory.bytes()));
  EXPECT_EQ(mine.data(), memory.bytes().data());
  EXPECT_EQ(mine.size(), 2 * unit);
  fill_pattern(mine.bytes(), 1);
  EXPECT_TRUE(sio::block_on(thread, disk.write(mine, 0)).has_value());
  std::ranges::fill(mine, std::byte{0});
  EXPECT_TRUE(sio::block_on(thread, disk.read(mine.first(4096), 0)).has_value());
  EXPECT_TRUE(sio::block_on(thread, disk.read(mine.subspan(4096, 2 * unit - 4096), 4096)));
  EXPECT_TRUE(has_pattern(mine.bytes(), 1));
}

TEST(registered_memory, converts_to_what_io_takes) { EXPECT_TRUE(passed(in_own_process(use))); }

void refused() {
  auto env = start_env();
  mapped memory(4 * unit);
  const auto all = memory.bytes();
  auto text = [](std::span<std::byte> part, std::errc code) {
    auto r = registered_memory::over(part);
    EXPECT_FALSE(r);
    if (!r) {
      EXPECT_TRUE(r.error() == code) << r.error();
    }
    return message_of(r);
  };
  const auto align = registered_memory::alignment();
  EXPECT_TRUE(align == 4096 || align == unit) << align;
  const std::string number = std::to_string(align);
  EXPECT_EQ(text({}, std::errc::invalid_argument),
            "registration of 0 bytes of memory with SPDK: the size is zero");
  EXPECT_EQ(text(all.subspan(512, align), std::errc::invalid_argument),
            "registration of " + number +
                " bytes of memory with SPDK: its start is not a multiple "
                "of " +
                number + (align == 4096 ? " (map it with mmap())" : " (map it with MAP_HUGETLB)"));
  EXPECT_EQ(text(all.first(align + 512), std::errc::invalid_argument),
            "registration of " + std::to_string(align + 512) +
                " bytes of memory with SPDK: its size is not a multiple of " + number);
  if (align == 4096) {
    must(registered_memory::over(all.subspan(4096, 4096)));
  }
  auto* kernel = reinterpret_cast<std::byte*>(std::uintptr_t{1} << 48);
  EXPECT_EQ(text({kernel, unit}, std::errc::invalid_argument),
            "registration of 2097152 bytes of memory with SPDK: SPDK takes no memory at this "
            "address");
  auto first = must(registered_memory::over(all.first(2 * unit)));
  for (auto part : {all.first(unit), all.subspan(unit, unit), all}) {
    EXPECT_TRUE(text(part, std::errc::device_or_resource_busy)
                    .ends_with(": part of it is registered already, or is SPDK's own"));
  }
  auto beside = must(registered_memory::over(all.subspan(2 * unit)));
}

TEST(registered_memory, says_what_does_not_qualify) {
  EXPECT_TRUE(passed(in_own_process(refused)));
}

void lifetime() {
  auto env = start_env();
  mapped memory(2 * unit);
  const auto one = memory.bytes().first(unit);
  const auto two = memory.bytes().subspan(unit);
  auto is_free = [](std::span<std::byte> part) {
    return registered_memory::over(part).has_value();  // and lets it go again
  };
  {
    auto a = must(registered_memory::over(one));
    EXPECT_FALSE(is_free(one));
    registered_memory b = std::move(a);
    EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move)
    EXPECT_FALSE(is_free(one));
    a = must(registered_memory::over(two));
    b = std::move(a);  // what it replaces goes with `a`
    EXPECT_EQ(b.data(), two.data());
    EXPECT_FALSE(is_free(two));
    EXPECT_TRUE(b.unregister());
    EXPECT_TRUE(b.empty());
    EXPECT_TRUE(is_free(two));
    EXPECT_TRUE(b.unregister());  // nothing is left to do
  }
  EXPECT_TRUE(is_free(one));
  EXPECT_TRUE(is_free(two));
}

TEST(registered_memory, is_unregistered_once) { EXPECT_TRUE(passed(in_own_process(lifetime))); }

void after_the_env() {
  mapped memory(unit);
  std::optional<sio::env> env(start_env());
  auto mine = must(registered_memory::over(memory.bytes()));
  env.reset();
  // The destructor finds no environment, and leaves SPDK alone.
}

TEST(registered_memory, survives_the_env) { EXPECT_TRUE(passed(in_own_process(after_the_env))); }

}  // namespace
}  // namespace spdk_io_test
