// SPDX-License-Identifier: BSD-3-Clause
// Block I/O in all its forms: what arrives on the device, and what each failure says.
#include "devices.hpp"

#include <spdk_io/io_operation.hpp>

#include <limits>
#include <random>

namespace spdk_io_test {
namespace {

using sio::bdev_desc;
using sio::const_dma_span;
using sio::dma_buffer;
using sio::dma_span;
using sio::fault;

constexpr auto last_offset = std::numeric_limits<std::uint64_t>::max();

// A device, and what it should hold: every operation is done to both.
class model {
 public:
  model(bdev_desc disk, std::uint64_t size, std::uint32_t block, bool flushes)
      : disk_(std::move(disk)),
        block_(block),
        flushes_(flushes),
        content_(size),
        buffer_(must(dma_buffer::zeroed(most_blocks * block))),
        shadow_(buffer_.size()) {}

  void one_operation() {
    const std::uint64_t count = uniform(1, most_blocks);
    const std::uint64_t first = uniform(0, content_.size() / block_ - count);
    // The buffer is a part of a larger one, whose other bytes must stay as they are.
    const std::uint64_t at = uniform(0, most_blocks - count) * block_;
    fill_pattern(buffer_.bytes(), seed_++);
    std::ranges::copy(buffer_, shadow_.begin());
    const dma_span part = buffer_.subspan(at, count * block_);
    const bool write = uniform(0, 1) == 1;
    submit(write, part, first, count);
    auto place = std::span(content_).subspan(first * block_, part.size());
    if (write) {
      std::ranges::copy(part, place.begin());
    } else {
      std::ranges::copy(place, shadow_.begin() + static_cast<std::ptrdiff_t>(at));
    }
    ASSERT_TRUE(std::ranges::equal(buffer_, shadow_))
        << (write ? "write" : "read") << " of " << count << " blocks at " << first;
    if (flushes_ && uniform(0, 9) == 0) {
      must(run(disk_.flush(first * block_, part.size())));
      must(run(disk_.flush_blocks(first, count)));
    }
  }

  void compare_all() {
    auto whole = must(dma_buffer::zeroed(content_.size()));
    must(run(disk_.read(whole, 0)));
    EXPECT_TRUE(std::ranges::equal(whole, content_));
  }
  const std::vector<std::byte>& content() const { return content_; }

 private:
  static constexpr std::uint64_t most_blocks = 12;

  std::uint64_t uniform(std::uint64_t from, std::uint64_t to) {
    return std::uniform_int_distribution<std::uint64_t>(from, to)(random_);
  }

  // Pieces of any length, only their sum being whole blocks.
  std::vector<dma_span> split(dma_span all) {
    std::vector<dma_span> out;
    std::size_t at = 0;
    while (at < all.size()) {
      const auto n = std::min<std::size_t>(uniform(1, 3 * block_), all.size() - at);
      out.push_back(all.subspan(at, n));
      at += n;
    }
    return out;
  }

  void submit(bool write, dma_span part, std::uint64_t first, std::uint64_t count) {
    const std::uint64_t offset = first * block_;
    const auto pieces = split(part);
    const std::vector<const_dma_span> const_pieces(pieces.begin(), pieces.end());
    switch (uniform(0, 3)) {
      case 0: must(run(write ? disk_.write(part, offset) : disk_.read(part, offset))); return;
      case 1:
        must(run(write ? disk_.write_blocks(part, first, count)
                       : disk_.read_blocks(part, first, count)));
        return;
      case 2:
        must(run(write ? disk_.writev(const_pieces, offset) : disk_.readv(pieces, offset)));
        return;
      default:
        must(run(write ? disk_.writev_blocks(const_pieces, first)
                       : disk_.readv_blocks(pieces, first)));
        return;
    }
  }

  bdev_desc disk_;
  std::uint32_t block_;
  bool flushes_;
  std::vector<std::byte> content_;
  dma_buffer buffer_;
  std::vector<std::byte> shadow_;
  std::uint64_t seed_ = 1;
  std::mt19937_64 random_{20240607};
};

class io_content : public testing::Test {
 protected:
  void on_each(auto body) { for_each_kind({kind::malloc, kind::uring, kind::aio}, body); }
};

TEST_F(io_content, random_ranges_agree_with_a_model) {
  on_each([&](kind k) {
    temp_folder folder;
    constexpr std::uint64_t size = 256 << 10;
    for (std::uint32_t block : {512u, 4096u}) {
      const auto name = "d" + std::to_string(block);
      model m(open_device(k, folder, name, size, block), size, block, k != kind::uring);
      for (int i = 0; i < 400; ++i) {
        m.one_operation();
        if (HasFatalFailure()) return;
      }
      m.compare_all();
      if (k != kind::malloc) {
        EXPECT_EQ(content_of(folder.path(name)), m.content());
      }
    }
  });
}

TEST_F(io_content, many_at_once_reach_their_places) {
  on_each([&](kind k) {
    temp_folder folder;
    auto disk = open_device(k, folder, "d0");
    constexpr std::size_t count = 64;
    constexpr std::size_t size = 4096;
    auto buffer = must(dma_buffer::zeroed(count * size));
    auto all = [&](auto&& each) {
      std::vector<sio::io_operation> operations;
      for (std::size_t i = 0; i < count; ++i) operations.push_back(each(i));
      auto body = [&]() -> sio::task<void> {
        auto results = co_await sio::when_all(std::move(operations));
        for (auto& r : results) EXPECT_TRUE(r) << message_of(r);
      };
      run(body());
    };
    for (std::size_t i = 0; i < count; ++i) fill_pattern(buffer.bytes().subspan(i * size, size), i);
    all([&](std::size_t i) { return disk.write(buffer.subspan(i * size, size), (63 - i) * size); });
    std::ranges::fill(buffer, std::byte{0});
    all([&](std::size_t i) { return disk.read(buffer.subspan(i * size, size), i * size); });
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_TRUE(has_pattern(buffer.bytes().subspan(i * size, size), 63 - i)) << i;
    }
  });
}

TEST_F(io_content, unaligned_memory_is_fine) {
  on_each([&](kind k) {
    temp_folder folder;
    auto disk = open_device(k, folder, "d0");
    auto buffer = must(dma_buffer::zeroed(8192 + 64));
    const auto odd = buffer.subspan(3, 4096);
    fill_pattern(odd, 5);
    must(run(disk.write(odd, 512)));
    std::ranges::fill(buffer, std::byte{0xee});
    must(run(disk.read(odd, 512)));
    EXPECT_TRUE(has_pattern(odd, 5));
    EXPECT_TRUE(all_are(buffer.bytes().first(3), std::byte{0xee}));
    EXPECT_TRUE(all_are(buffer.bytes().subspan(4099), std::byte{0xee}));
  });
}

class io_refusal : public testing::Test {
 protected:
  void on_each(auto body) {
    for_each_kind({kind::malloc, kind::null, kind::uring, kind::aio}, [&](kind k) {
      temp_folder folder;
      disk = open_device(k, folder, "d0");
      buffer = must(dma_buffer::zeroed(4096));
      body(k);
      EXPECT_EQ(main_thread().statistics().io_in_flight, 0u);
      disk = bdev_desc();
    });
  }

  static void expect(const sio::result<void>& r, std::errc code, fault why, std::string_view text) {
    ASSERT_FALSE(r) << "expected: " << text;
    EXPECT_TRUE(r.error() == code) << text << ": " << r.error().error_code();
    EXPECT_EQ(r.error().why(), why) << text;
    EXPECT_EQ(r.error().device(), "d0");
    EXPECT_EQ(r.error().message(), text);
  }
  static void invalid(const sio::result<void>& r, fault why, std::string_view text) {
    expect(r, std::errc::invalid_argument, why, text);
  }

  bdev_desc disk;  // of 1 MiB, in blocks of 512
  dma_buffer buffer;
};

TEST_F(io_refusal, misaligned_ranges) {
  on_each([&](kind) {
    invalid(
        run(disk.read(buffer, 100)), fault::misaligned_offset,
        "read of 4096 bytes at 100 from d0: the offset is not a multiple of the block size (512 "
        "bytes)");
    invalid(run(disk.write(buffer.first(1000), 512)), fault::misaligned_length,
            "write of 1000 bytes at 512 to d0: the length is not a multiple of the block size (512 "
            "bytes)");
    invalid(run(disk.write(buffer.first(1), 1)), fault::misaligned_offset,
            "write of 1 bytes at 1 to d0: the offset is not a multiple of the block size (512 "
            "bytes)");
    const std::vector<dma_span> parts = {buffer.first(512), buffer.subspan(512, 100)};
    const std::vector<const_dma_span> const_parts(parts.begin(), parts.end());
    invalid(run(disk.readv(parts, 512)), fault::misaligned_length,
            "read of 612 bytes at 512 from d0: the length is not a multiple of the block size (512 "
            "bytes)");
    invalid(run(disk.writev(const_parts, 3)), fault::misaligned_offset,
            "write of 612 bytes at 3 to d0: the offset is not a multiple of the block size (512 "
            "bytes)");
    invalid(run(disk.writev_blocks(const_parts, 2)), fault::misaligned_length,
            "write of 612 bytes at 1024 to d0: the length is not a multiple of the block size (512 "
            "bytes)");
  });
}

TEST_F(io_refusal, ranges_past_the_end) {
  on_each([&](kind) {
    const std::string why = "past the end (device has 1048576 bytes)";
    invalid(run(disk.read(buffer, 1 << 20)), fault::past_end,
            "read of 4096 bytes at 1048576 from d0: " + why);
    invalid(run(disk.write(buffer, (1 << 20) - 512)), fault::past_end,
            "write of 4096 bytes at 1048064 to d0: " + why);
    const std::uint64_t near_end = last_offset - 511;  // a multiple of the block size
    invalid(run(disk.read(buffer.first(512), near_end)), fault::past_end,
            "read of 512 bytes at 18446744073709551104 from d0: " + why);
    invalid(run(disk.write(buffer, near_end)), fault::past_end,  // its end wraps
            "write of 4096 bytes at 18446744073709551104 to d0: " + why);
    const std::vector<dma_span> parts = {buffer.first(512), buffer.subspan(512, 512)};
    invalid(run(disk.readv(parts, (1 << 20) - 512)), fault::past_end,
            "read of 1024 bytes at 1048064 from d0: " + why);
    invalid(run(disk.readv(parts, near_end)), fault::past_end,
            "read of 1024 bytes at 18446744073709551104 from d0: " + why);
    invalid(run(disk.read_blocks(buffer, 2048, 1)), fault::past_end,
            "read of 512 bytes at 1048576 from d0: " + why);
    invalid(run(disk.write_blocks(buffer, 2041, 8)), fault::past_end,
            "write of 4096 bytes at 1044992 to d0: " + why);
    // Blocks so far out that their byte offset has no number.
    for (std::uint64_t first : {last_offset, last_offset / 2, last_offset / 512 + 1}) {
      invalid(run(disk.read_blocks(buffer, first, 1)), fault::past_end,
              "read of 512 bytes at 18446744073709551615 from d0: " + why);
      invalid(run(disk.readv_blocks(parts, first)), fault::past_end,
              "read of 1024 bytes at 18446744073709551615 from d0: " + why);
    }
    // Up to the end is fine.
    must(run(disk.read(buffer, (1 << 20) - 4096)));
    must(run(disk.read_blocks(buffer, 2040, 8)));
  });
}

TEST_F(io_refusal, writes_through_a_read_only_descriptor) {
  on_each([&](kind) {
    auto readable = must(bdev_desc::open("d0", sio::access::read_only));
    const std::string why = "the descriptor is read-only (open it with access::read_write)";
    const std::vector<const_dma_span> parts = {buffer.first(512)};
    const auto code = std::errc::bad_file_descriptor;
    expect(run(readable.write(buffer, 4096)), code, fault::read_only,
           "write of 4096 bytes at 4096 to d0: " + why);
    expect(run(readable.write_blocks(buffer, 1, 2)), code, fault::read_only,
           "write of 1024 bytes at 512 to d0: " + why);
    expect(run(readable.writev(parts, 0)), code, fault::read_only,
           "write of 512 bytes at 0 to d0: " + why);
    expect(run(readable.writev_blocks(parts, 1)), code, fault::read_only,
           "write of 512 bytes at 512 to d0: " + why);
    expect(run(readable.flush(0, 512)), code, fault::read_only,
           "flush of 512 bytes at 0 on d0: " + why);
    must(run(readable.read(buffer, 0)));
  });
}

TEST_F(io_refusal, empty_buffers_and_bad_vectors) {
  on_each([&](kind) {
    invalid(run(disk.read(dma_span(), 512)), fault::no_buffer,
            "read of 0 bytes at 512 from d0: the buffer is empty");
    invalid(run(disk.write(const_dma_span(), 0)), fault::no_buffer,
            "write of 0 bytes at 0 to d0: the buffer is empty");
    invalid(run(disk.read(dma_buffer(), 0)), fault::no_buffer,
            "read of 0 bytes at 0 from d0: the buffer is empty");
    invalid(run(disk.read_blocks(dma_span(), 0, 0)), fault::no_buffer,
            "read of 0 bytes at 0 from d0: the buffer is empty");
    const std::string why = "the vector of buffers is empty, too long, or contains an empty buffer";
    invalid(run(disk.readv(std::span<const dma_span>(), 512)), fault::bad_vector,
            "read of 0 bytes at 512 from d0: " + why);
    invalid(run(disk.writev(std::span<const const_dma_span>(), 0)), fault::bad_vector,
            "write of 0 bytes at 0 to d0: " + why);
    const std::vector<dma_span> with_hole = {buffer.first(512), buffer.first(0),
                                             buffer.subspan(512, 512)};
    invalid(run(disk.readv(with_hole, 0)), fault::bad_vector,
            "read of 0 bytes at 0 from d0: " + why);
    const std::vector<dma_span> with_null = {buffer.first(512), dma_span()};
    invalid(run(disk.readv_blocks(with_null, 2)), fault::bad_vector,
            "read of 0 bytes at 1024 from d0: " + why);
  });
}

TEST_F(io_refusal, buffers_smaller_than_the_blocks_asked_for) {
  on_each([&](kind) {
    invalid(run(disk.read_blocks(buffer.first(1023), 1, 2)), fault::short_buffer,
            "read of 1024 bytes at 512 from d0: the buffer is smaller than that");
    invalid(run(disk.write_blocks(buffer, 0, 9)), fault::short_buffer,
            "write of 4608 bytes at 0 to d0: the buffer is smaller than that");
    invalid(run(disk.read_blocks(dma_span(), 0, 1)), fault::short_buffer,
            "read of 512 bytes at 0 from d0: the buffer is smaller than that");
    // A length that is nothing modulo 2^64 once it is in bytes.
    invalid(run(disk.write_blocks(buffer, 0, std::uint64_t{1} << 55)), fault::short_buffer,
            "write of 18446744073709551615 bytes at 0 to d0: the buffer is smaller than that");
    must(run(disk.read_blocks(buffer, 0, 8)));
  });
}

TEST_F(io_refusal, zero_lengths_are_nothing_to_do) {
  on_each([&](kind) {
    for (auto r : {run(disk.read(buffer.first(0), 512)), run(disk.read_blocks(buffer, 2048, 0))}) {
      EXPECT_TRUE(r) << message_of(r);
    }
  });
}

TEST_F(io_refusal, flush_where_there_is_none) {
  on_each([&](kind k) {
    if (k == kind::null || k == kind::uring) {
      expect(run(disk.flush(0, 1 << 20)), std::errc::not_supported, fault::unsupported,
             "flush of 1048576 bytes at 0 on d0: not supported by this device");
      expect(run(disk.flush_blocks(2, 3)), std::errc::not_supported, fault::unsupported,
             "flush of 1536 bytes at 1024 on d0: not supported by this device");
      return;
    }
    must(run(disk.flush(0, 1 << 20)));
    must(run(disk.flush_blocks(0, 2048)));
    invalid(run(disk.flush(1, 512)), fault::misaligned_offset,
            "flush of 512 bytes at 1 on d0: the offset is not a multiple of the block size (512 "
            "bytes)");
    invalid(run(disk.flush(0, 1 << 21)), fault::past_end,
            "flush of 2097152 bytes at 0 on d0: past the end (device has 1048576 bytes)");
  });
}

// A refused operation is complete at once, yet its callback waits for its turn.
TEST_F(io_refusal, callbacks_of_refused_operations_run_from_poll) {
  on_each([&](kind) {
    std::vector<std::string> order;
    sio::start(disk.read(buffer, 1), [&](auto r) { order.push_back(r ? "?" : "refused"); });
    sio::start(disk.read(buffer, 0), [&](auto r) { order.push_back(message_of(r)); });
    EXPECT_TRUE(order.empty());
    poll_until([&] { return order.size() == 2; });
    EXPECT_EQ(order, (std::vector<std::string>{"refused", "success"}));
  });
}

class io_device_error : public testing::Test {
 protected:
  void on_each(auto body) { for_each_kind({kind::uring, kind::aio}, body); }
};

// A file cut short under the device: reads of what is missing fail, the rest goes on.
TEST_F(io_device_error, carries_the_nvme_status) {
  on_each([&](kind k) {
    temp_folder folder;
    auto disk = open_device(k, folder, "d0");
    auto buffer = must(dma_buffer::zeroed(8192));
    std::filesystem::resize_file(folder.path("d0"), 512 << 10);
    auto r = run(disk.read(buffer, 768 << 10));
    ASSERT_FALSE(r);
    EXPECT_TRUE(r.error() == std::errc::io_error);
    EXPECT_EQ(r.error().why(), fault::none);
    EXPECT_EQ(r.error().status(), (sio::nvme_status{0, 6}));
    EXPECT_EQ(r.error().what(), sio::operation_kind::read);
    EXPECT_EQ(r.error().offset(), 768u << 10);
    EXPECT_EQ(r.error().length(), 8192u);
    EXPECT_EQ(r.error().message(),
              "read of 8192 bytes at 786432 from d0: internal device error (NVMe 0/06h)");
    auto in_blocks = run(disk.read_blocks(buffer, 1536, 2));
    EXPECT_EQ(message_of(in_blocks),
              "read of 1024 bytes at 786432 from d0: internal device error (NVMe 0/06h)");
    must(run(disk.read(buffer, 0)));
    // The error is readable after its device has gone.
    disk = bdev_desc();
    must(run(sio::delete_bdev("d0")));
    EXPECT_EQ(r.error().device(), "d0");
  });
}

// An operation that fails among others leaves these alone.
TEST_F(io_device_error, stays_with_its_operation) {
  on_each([&](kind k) {
    temp_folder folder;
    auto disk = open_device(k, folder, "d0");
    auto buffer = must(dma_buffer::zeroed(16 * 4096));
    std::filesystem::resize_file(folder.path("d0"), 512 << 10);
    std::vector<std::string> results(16);
    std::size_t done = 0;
    for (std::size_t i = 0; i < 16; ++i) {
      const std::uint64_t offset = i % 3 == 0 ? 768 << 10 : i * 4096;
      sio::start(disk.read(buffer.subspan(i * 4096, 4096), offset), [&, i](auto r) {
        results[i] = message_of(r);
        ++done;
      });
    }
    EXPECT_EQ(done, 0u);
    poll_until([&] { return done == 16; });
    for (std::size_t i = 0; i < 16; ++i) {
      EXPECT_EQ(results[i] == "success", i % 3 != 0) << results[i];
    }
  });
}

// Until it is started an operation is a value: it moves, is replaced, and goes unused.
TEST(io_operation, moves_until_it_is_started) {
  auto disk = open_malloc("m0");
  auto buffer = must(dma_buffer::zeroed(512));
  {
    auto unused = disk.read(buffer, 0);
  }
  auto first = disk.write(buffer, 0);
  auto second = std::move(first);
  fill_pattern(buffer.bytes(), 3);
  must(run(std::move(second)));
  EXPECT_EQ(main_thread().statistics().io_in_flight, 0u);
  std::ranges::fill(buffer, std::byte{0});
  must(run(disk.read(buffer, 0)));
  EXPECT_TRUE(has_pattern(buffer.bytes(), 3));
}

}  // namespace
}  // namespace spdk_io_test
