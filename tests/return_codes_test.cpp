// SPDX-License-Identifier: BSD-3-Clause
// For each case in which SPDK answers with a code of its own: what the user gets to see. The rows
// are those of the table of return codes that the library was written from; each case runs on all
// devices for which it makes sense.
#include "devices.hpp"

#include <functional>
#include <limits>

namespace spdk_io_test {
namespace {

using sio::bdev_desc;
using sio::const_dma_span;
using sio::dma_buffer;
using sio::dma_span;
using sio::fault;

using outcome = sio::result<void>;

outcome without_value(sio::result<sio::zcopy_buffer> r) {
  if (!r) return std::unexpected(r.error());
  return {};
}

class return_codes : public testing::Test {
 protected:
  static constexpr std::uint64_t size = 1 << 20;

  void on_each(std::initializer_list<kind> kinds, auto body) {
    for_each_kind(kinds, [&](kind k) {
      temp_folder folder;
      create_device(k, folder, "d0", size);
      disk = must(bdev_desc::open("d0"));
      readable = must(bdev_desc::open("d0", sio::access::read_only));
      if (buffer.empty()) buffer = must(dma_buffer::zeroed(4096));
      body(k);
      EXPECT_TRUE(main_thread().operations().empty());
      disk = bdev_desc();
      readable = bdev_desc();
    });
  }
  void on_all(auto body) { on_each({kind::malloc, kind::null, kind::uring, kind::aio}, body); }

  static void expect(const outcome& r, std::errc code, fault why, std::string_view text) {
    ASSERT_FALSE(r) << "expected: " << text;
    EXPECT_TRUE(r.error() == code) << text << ": " << r.error().error_code();
    EXPECT_EQ(r.error().why(), why) << text;
    EXPECT_EQ(r.error().message(), text);
  }
  static void invalid(const outcome& r, fault why, std::string_view text) {
    expect(r, std::errc::invalid_argument, why, text);
  }

  // Every operation that has a range, on [offset, offset + length).
  struct named {
    std::string what;
    std::function<outcome()> run;
  };
  std::vector<named> ranged(const bdev_desc& on, std::uint64_t offset, std::uint64_t length) {
    const auto data = buffer.first(length);
    parts = {data};
    const auto range = " of " + std::to_string(length) + " bytes at " + std::to_string(offset);
    const sio::io_options none = {};
    return {
        {"read" + range + " from d0", [=, &on] { return run(on.read(data, offset)); }},
        {"read" + range + " from d0", [=, &on, this] { return run(on.readv(parts, offset)); }},
        {"read" + range + " from d0", [=, &on] { return run(on.read(data, offset, none)); }},
        {"write" + range + " to d0", [=, &on] { return run(on.write(data, offset)); }},
        {"write" + range + " to d0", [=, &on, this] { return run(on.writev(parts, offset)); }},
        {"write" + range + " to d0", [=, &on] { return run(on.write(data, offset, none)); }},
        {"write of zeroes" + range + " on d0",
         [=, &on] { return run(on.write_zeroes(offset, length)); }},
        {"unmap" + range + " on d0", [=, &on] { return run(on.unmap(offset, length)); }},
        {"compare" + range + " on d0", [=, &on] { return run(on.compare(data, offset)); }},
        {"compare" + range + " on d0", [=, &on, this] { return run(on.comparev(parts, offset)); }},
        {"compare-and-write" + range + " on d0",
         [=, &on] { return run(on.compare_and_write(data, data, offset)); }},
        {"copy of " + std::to_string(length) + " bytes from 0 to " + std::to_string(offset) +
             " on d0",
         [=, &on] { return run(on.copy({.from = 0, .to = offset, .length = length})); }},
    };
  }

  bdev_desc disk;  // of 1 MiB, in blocks of 512
  bdev_desc readable;
  dma_buffer buffer;
  std::vector<dma_span> parts;
};

// offset or length not block-aligned: -EINVAL
TEST_F(return_codes, misaligned) {
  on_all([&](kind) {
    for (const auto& each : ranged(disk, 100, 512)) {
      invalid(each.run(), fault::misaligned_offset,
              each.what + ": the offset is not a multiple of the block size (512 bytes)");
    }
    for (const auto& each : ranged(disk, 512, 100)) {
      invalid(each.run(), fault::misaligned_length,
              each.what + ": the length is not a multiple of the block size (512 bytes)");
    }
    invalid(run(disk.copy({.from = 100, .to = 512, .length = 512})), fault::source_misaligned,
            "copy of 512 bytes from 100 to 512 on d0: the source is not a multiple of the block "
            "size (512 bytes)");
  });
}

// past the end: -EINVAL
TEST_F(return_codes, past_the_end) {
  on_all([&](kind) {
    for (const auto& each : ranged(disk, size, 512)) {
      invalid(each.run(), fault::past_end, each.what + ": past the end (device has 1048576 bytes)");
    }
    for (const auto& each : ranged(disk, size - 512, 1024)) {
      invalid(each.run(), fault::past_end, each.what + ": past the end (device has 1048576 bytes)");
    }
    invalid(run(disk.copy({.from = size, .to = 0, .length = 512})), fault::source_past_end,
            "copy of 512 bytes from 1048576 to 0 on d0: the source is past the end (device has "
            "1048576 bytes)");
    invalid(run(disk.copy_blocks({.from = 2047, .to = 0, .length = 2})), fault::source_past_end,
            "copy of 1024 bytes from 1048064 to 0 on d0: the source is past the end (device has "
            "1048576 bytes)");
  });
}

// wrapping: -EINVAL
TEST_F(return_codes, wrapping) {
  on_all([&](kind) {
    const std::uint64_t near_end = std::numeric_limits<std::uint64_t>::max() - 511;
    for (const auto& each : ranged(disk, near_end, 1024)) {
      invalid(each.run(), fault::past_end, each.what + ": past the end (device has 1048576 bytes)");
    }
    const std::uint64_t last_block = std::numeric_limits<std::uint64_t>::max();
    const std::string far =
        " at 18446744073709551615 on d0: past the end (device has 1048576 bytes)";
    invalid(run(disk.unmap_blocks(last_block, 2)), fault::past_end, "unmap of 1024 bytes" + far);
    invalid(run(disk.write_zeroes_blocks(last_block, 2)), fault::past_end,
            "write of zeroes of 1024 bytes" + far);
    invalid(run(disk.compare_blocks(buffer, last_block, 2)), fault::past_end,
            "compare of 1024 bytes" + far);
    invalid(run(disk.copy_blocks({.from = last_block, .to = 0, .length = 2})),
            fault::source_past_end,
            "copy of 1024 bytes from 18446744073709551615 to 0 on d0: the source is past the end "
            "(device has 1048576 bytes)");
  });
}

// write, write_zeroes, unmap, flush, copy, compare_and_write, zcopy on a read-only descriptor:
// -EBADF, checked first
TEST_F(return_codes, read_only_descriptor) {
  on_all([&](kind) {
    const std::string why = ": the descriptor is read-only (open it with access::read_write)";
    const auto code = std::errc::bad_file_descriptor;
    // Past the end as well: it is checked first.
    for (const std::uint64_t offset : {std::uint64_t{4096}, size}) {
      for (const auto& each : ranged(readable, offset, 512)) {
        if (each.what.starts_with("read") || each.what.starts_with("compare of")) continue;
        expect(each.run(), code, fault::read_only, each.what + why);
      }
    }
    expect(run(readable.flush(0, 512)), code, fault::read_only,
           "flush of 512 bytes at 0 on d0" + why);
    expect(without_value(run(readable.zcopy_read(0, 512))), code, fault::read_only,
           "zcopy for reading of 512 bytes at 0 on d0" + why);
    expect(without_value(run(readable.zcopy_write(0, 512))), code, fault::read_only,
           "zcopy for writing of 512 bytes at 0 on d0" + why);
    must(run(readable.read(buffer, 0)));
  });
}

// reset on a read-only descriptor: allowed
TEST_F(return_codes, reset_on_a_read_only_descriptor) {
  on_each({kind::malloc, kind::null, kind::aio}, [&](kind) { must(run(readable.reset())); });
}

// 0-block read, 0-block unmap, copy onto itself: succeed, asynchronously
TEST_F(return_codes, nothing_to_do) {
  on_all([&](kind) {
    int done = 0;
    auto count = [&](auto r) {
      EXPECT_TRUE(r) << message_of(r);
      ++done;
    };
    sio::start(disk.read_blocks(buffer, 7, 0), count);
    sio::start(disk.unmap_blocks(7, 0), count);
    sio::start(disk.copy({.from = 512, .to = 512, .length = 1024}), count);
    EXPECT_EQ(main_thread().operations().size(), 3u);
    EXPECT_EQ(done, 0);
    poll_until([&] { return done == 3; });
  });
}

// flush, zcopy unsupported by the device: -ENOTSUP. (abort: the library asks for it only where
// there is one.)
TEST_F(return_codes, unsupported_at_submission) {
  const auto code = std::errc::not_supported;
  on_each({kind::null, kind::uring}, [&](kind) {
    expect(run(disk.flush(0, 1024)), code, fault::unsupported,
           "flush of 1024 bytes at 0 on d0: not supported by this device");
  });
  on_each({kind::null, kind::uring, kind::aio}, [&](kind) {
    expect(without_value(run(disk.zcopy_read(0, 1024))), code, fault::unsupported,
           "zcopy for reading of 1024 bytes at 0 on d0: not supported by this device");
    expect(without_value(run(disk.zcopy_write_blocks(1, 1))), code, fault::unsupported,
           "zcopy for writing of 512 bytes at 512 on d0: not supported by this device");
  });
}

// unmap, reset unsupported: 0, then a failed completion
TEST_F(return_codes, unsupported_at_completion) {
  const auto code = std::errc::not_supported;
  on_each({kind::null, kind::uring, kind::aio}, [&](kind) {
    auto r = run(disk.unmap(512, 1024));
    expect(r, code, fault::unsupported,
           "unmap of 1024 bytes at 512 on d0: not supported by this device (NVMe 0/06h)");
    EXPECT_EQ(r.error().status(), (sio::nvme_status{0, 6}));
    expect(run(disk.unmap_blocks(1, 2)), code, fault::unsupported,
           "unmap of 1024 bytes at 512 on d0: not supported by this device (NVMe 0/06h)");
  });
  on_each({kind::uring}, [&](kind) {
    expect(run(disk.reset()), code, fault::unsupported,
           "reset of d0: not supported by this device (NVMe 0/06h)");
  });
}

// write_zeroes, compare, copy, compare_and_write unsupported: emulated
TEST_F(return_codes, emulated) {
  on_each({kind::uring, kind::aio}, [&](kind) {
    EXPECT_FALSE(disk.bdev().supports(sio::io_kind::compare));
    must(run(disk.write_zeroes(0, 4096)));
    must(run(disk.compare(buffer, 0)));
    must(run(disk.copy({.from = 0, .to = 4096, .length = 4096})));
    must(run(disk.compare_and_write(buffer.first(512), buffer.first(512), 0)));
  });
}

// compare_and_write longer than the atomic unit: -EINVAL
TEST_F(return_codes, beyond_the_atomic_unit) {
  on_all([&](kind) {
    const auto info = disk.bdev().info();
    EXPECT_EQ(info.atomic_compare_and_write, 1u);
    const std::string why =
        ": longer than the device does atomically (see bdev_info::atomic_compare_and_write)";
    invalid(run(disk.compare_and_write(buffer.first(1024), buffer.first(1024), 512)),
            fault::beyond_atomic_unit, "compare-and-write of 1024 bytes at 512 on d0" + why);
    invalid(run(disk.compare_and_write_blocks(buffer, buffer, 1, 2)), fault::beyond_atomic_unit,
            "compare-and-write of 1024 bytes at 512 on d0" + why);
  });
}

// `_ext` options size: what is passed is taken by every release
TEST_F(return_codes, options_of_every_size) {
  on_each({kind::malloc, kind::uring, kind::aio}, [&](kind) {
    const sio::io_options all_sizes[] = {
        {},
        {.skip_checks = sio::dif_checks::all},
        {.nvme_cdw12 = 1},
        {.nvme_cdw13 = 1},
    };
    for (const auto& options : all_sizes) {
      must(run(disk.write(buffer, 0, options)));
      must(run(disk.read(buffer, 0, options)));
    }
  });
}

// no bdev_io available: -ENOMEM. Nobody sees that: every kind waits, and completes.
TEST_F(return_codes, no_bdev_io) {
  must(init_with_pool(2, 1));
  on_each({kind::malloc}, [&](kind) {
    int done = 0;
    int started = 0;
    auto count = [&](auto r) {
      EXPECT_TRUE(r) << message_of(r);
      ++done;
    };
    auto start = [&](auto op) {
      ++started;
      sio::start(std::move(op), count);
    };
    parts = {buffer.first(512)};
    for (int i = 0; i < 3; ++i) {
      start(disk.read(buffer, 0));
      start(disk.write_blocks(buffer, 8, 1));
      start(disk.flush(0, 512));
      start(disk.unmap(8192, 512));
      start(disk.write_zeroes(8192, 512));
      start(disk.compare(buffer, 0));
      start(disk.comparev_blocks(parts, 0));
      start(disk.compare_and_write(buffer.first(512), buffer.first(512), 0));
      start(disk.copy_blocks({.from = 0, .to = 100, .length = 8}));
      start(disk.read(buffer, 0, {}));
    }
    EXPECT_GE(main_thread().statistics().memory_waits, 28u);
    EXPECT_EQ(done, 0);
    poll_until([&] { return done == started; });
  });
}

// The buffers of a compare-and-write.
TEST_F(return_codes, two_buffers) {
  on_all([&](kind) {
    const std::string differ =
        "compare-and-write of 512 bytes at 0 on d0: the buffers to compare with and to write "
        "differ in length";
    invalid(run(disk.compare_and_write(buffer.first(512), buffer.first(1024), 0)),
            fault::lengths_differ, differ);
    const std::vector<const_dma_span> one = {buffer.first(512)};
    const std::vector<const_dma_span> two = {buffer.first(512), buffer.subspan(512, 512)};
    invalid(run(disk.comparev_and_writev(one, two, 0)), fault::lengths_differ, differ);
    invalid(run(disk.comparev_and_writev_blocks(one, two, 0)), fault::lengths_differ, differ);
    const std::string empty = "compare-and-write of 512 bytes at 0 on d0: the buffer is empty";
    invalid(run(disk.compare_and_write(buffer.first(512), dma_buffer(), 0)), fault::no_buffer,
            empty);
    const std::string small =
        "compare-and-write of 512 bytes at 0 on d0: the buffer is smaller than that";
    invalid(run(disk.compare_and_write_blocks(buffer, buffer.first(511), 0, 1)),
            fault::short_buffer, small);
    invalid(run(disk.comparev_and_writev(one, std::vector<dma_span>(), 0)), fault::bad_vector,
            "compare-and-write of 0 bytes at 0 on d0: the vector of buffers is empty, too long, "
            "or contains an empty buffer");
    invalid(run(disk.comparev(std::vector<dma_span>(), 0)), fault::bad_vector,
            "compare of 0 bytes at 0 on d0: the vector of buffers is empty, too long, or contains "
            "an empty buffer");
    invalid(run(disk.readv(std::vector<dma_span>(), 0, {})), fault::bad_vector,
            "read of 0 bytes at 0 from d0: the vector of buffers is empty, too long, or contains "
            "an empty buffer");
    invalid(run(disk.compare(dma_buffer(), 0)), fault::no_buffer,
            "compare of 0 bytes at 0 on d0: the buffer is empty");
    invalid(run(disk.compare_blocks(buffer, 0, 9)), fault::short_buffer,
            "compare of 4608 bytes at 0 on d0: the buffer is smaller than that");
  });
}

// Closed, empty and foreign handles: the same for all kinds.
TEST_F(return_codes, handles_that_cannot) {
  on_each({kind::malloc}, [&](kind) {
    const std::string why = ": the handle is empty (moved from, or never opened)";
    const bdev_desc none;
    const auto code = std::errc::bad_file_descriptor;
    expect(run(none.reset()), code, fault::no_channel, "reset" + why);
    expect(run(none.unmap(0, 512)), code, fault::no_channel, "unmap of 512 bytes at 0" + why);
    expect(run(none.copy({.from = 1, .to = 2, .length = 3})), code, fault::no_channel,
           "copy of 3 bytes from 1 to 2" + why);
    expect(run(none.read(buffer, 0, {})), code, fault::no_channel, "read of 4096 bytes at 0" + why);
    expect(run(sio::io_channel().compare_and_write(buffer, buffer, 0)), code, fault::no_channel,
           "compare-and-write of 4096 bytes at 0" + why);
  });
}

// The completions: success 0/0; a miscompare 2/85h; ABORTED 0/07h; everything else 0/06h.
TEST_F(return_codes, completions) {
  if (!tells_a_miscompare()) GTEST_SKIP() << no_miscompare;
  on_each({kind::uring, kind::aio}, [&](kind) {
    must(run(disk.write(buffer, 0)));
    buffer.data()[0] = std::byte{1};
    auto r = run(disk.compare(buffer, 0));
    expect(r, std::errc::illegal_byte_sequence, fault::miscompare,
           "compare of 4096 bytes at 0 on d0: the data differs (NVMe 2/85h)");
    EXPECT_EQ(r.error().status(), (sio::nvme_status{2, 0x85}));
    r = run(disk.compare_and_write(buffer.first(512), buffer.first(512), 0));
    expect(r, std::errc::illegal_byte_sequence, fault::miscompare,
           "compare-and-write of 512 bytes at 0 on d0: the data differs (NVMe 2/85h)");
    buffer.data()[0] = std::byte{0};
  });
}

// I/O that arrives once a reset has come to its channel: ABORTED.
TEST_F(return_codes, aborted_by_a_reset) {
  on_each({kind::malloc, kind::null, kind::aio}, [&](kind) {
    bool reset = false;
    std::vector<outcome> reads;
    int started = 0;
    sio::start(disk.reset(), [&](auto r) {
      EXPECT_TRUE(r) << message_of(r);
      reset = true;
    });
    EXPECT_FALSE(reset);
    while (!reset) {
      ++started;
      sio::start(disk.read(buffer, 512), [&](auto r) { reads.push_back(r); });
      main_thread().poll(1);
    }
    poll_until([&] { return reads.size() == static_cast<std::size_t>(started); });
    std::erase_if(reads, [](const auto& r) { return r.has_value(); });
    ASSERT_FALSE(reads.empty());
    for (const auto& r : reads) {
      expect(r, std::errc::operation_canceled, fault::none,
             "read of 4096 bytes at 512 from d0: aborted (NVMe 0/07h)");
      EXPECT_EQ(r.error().status(), (sio::nvme_status{0, 7}));
    }
    must(run(disk.read(buffer, 512)));
  });
}

}  // namespace
}  // namespace spdk_io_test
