// SPDX-License-Identifier: BSD-3-Clause
// Every block operation at offsets and lengths where sums overflow, products wrap and devices end,
// on devices of every block size. An oracle that counts in 128 bits says what must come: success,
// or which error, to the letter. After each group the device is written and read as if nothing had
// been, and what nobody wrote to is as it was.
#include "devices.hpp"

#include <spdk_io/subsystems.hpp>

#include <functional>
#include <limits>
#include <set>

namespace spdk_io_test {
namespace {

using sio::bdev_desc;
using sio::const_dma_span;
using sio::dma_buffer;
using sio::dma_span;
using sio::fault;
using sio::io_channel;
using sio::operation_kind;
using sio::result;

__extension__ using wide = unsigned __int128;
constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();

std::uint64_t saturated(wide value) {
  return value > most ? most : static_cast<std::uint64_t>(value);
}

// --- devices ---

struct device {
  std::string name;
  std::function<void(const temp_folder&)> create;
  std::uint64_t blocks;
  std::uint32_t block;
  bool keeps = true;  // what is written to it
  std::uint64_t size() const { return blocks * block; }
};
void PrintTo(const device& d, std::ostream* out) { *out << d.name; }

device of_kind(kind k, std::uint32_t block, std::uint64_t blocks = 16) {
  auto name = std::string(to_string(k)) + "_" + std::to_string(block);
  auto create = [=](const temp_folder& folder) {
    create_device(k, folder, name, blocks * block, block);
  };
  return {name, create, blocks, block, k != kind::null};
}

// Metadata between the blocks makes the blocks odd; apart from them it has a buffer of its own.
device with_metadata(std::uint32_t data, std::uint32_t metadata, bool between) {
  const std::uint64_t blocks = 16;
  auto name = std::string(between ? "between_" : "apart_") + std::to_string(data + metadata);
  auto create = [=](const temp_folder&) {
    must(run(sio::init_subsystems(
        R"({"subsystems":[{"subsystem":"bdev","config":[{"method":"bdev_malloc_create","params":{)"
        R"("name":")" +
        name + R"(","num_blocks":16,"block_size":)" + std::to_string(data) + R"(,"md_size":)" +
        std::to_string(metadata) + R"(,"md_interleave":)" + (between ? "true" : "false") +
        "}}]}]}")));
  };
  return {name, create, blocks, between ? data + metadata : data};
}

std::vector<device> devices() {
  std::vector<device> out;
  for (std::uint32_t block : {512u, 1024u, 1536u, 4096u, 8192u, 65536u}) {
    out.push_back(of_kind(kind::malloc, block));
  }
  out.push_back(with_metadata(512, 8, true));
  out.push_back(with_metadata(4096, 128, true));
  out.push_back(with_metadata(512, 8, false));
  for (kind k : {kind::uring, kind::aio}) {
    out.push_back(of_kind(k, 512));
    out.push_back(of_kind(k, 4096));
  }
  // As large as bytes can tell.
  out.push_back(of_kind(kind::null, 512, most / 512));
  out.push_back(of_kind(kind::null, 65536, most / 65536));
  out.push_back(of_kind(kind::null, 1u << 31, most >> 31));
  return out;
}

// --- operations ---

enum class unit { bytes, blocks };
enum class shape { range, one_buffer, vector, copy_to, copy_from };

struct arguments {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint64_t other = 0;  // the other place of a copy
  dma_span data;
  dma_span second;
  dma_span metadata;
  std::vector<dma_span> parts;
  std::vector<dma_span> second_parts;
};

template <class Target>
struct operation {
  std::string name;
  operation_kind kind;
  unit in;
  shape form;
  bool metadata;
  std::function<result<void>(const Target&, const arguments&)> run;

  bool is_copy() const { return form == shape::copy_to || form == shape::copy_from; }
  bool has_buffer() const { return form == shape::one_buffer || form == shape::vector; }
};

result<void> finished(result<void> r) { return r; }
template <class Operation>
result<void> finished(Operation started) {
  return run(std::move(started));
}

// Gives back what was lent.
result<void> lent_and_given_back(sio::zcopy_operation taking, const arguments& a,
                                 std::uint32_t unit_size) {
  auto buffer = run(std::move(taking));
  if (!buffer) return std::unexpected(buffer.error());
  EXPECT_EQ(buffer->size(), a.length * unit_size);
  return run(buffer->release());
}

template <class Target>
std::vector<operation<Target>> operations(std::uint32_t block) {
  using op = operation<Target>;
  std::vector<op> out;
  auto add = [&](std::string name, operation_kind kind, unit in, shape form, bool metadata,
                 auto call) {
    out.push_back({std::move(name), kind, in, form, metadata,
                   [call](const Target& t, const arguments& a) -> result<void> {
                     return finished(call(t, a));
                   }});
  };
#define FORMS(of, form, metadata, call_in_bytes, call_in_blocks)                \
  add(#call_in_bytes, operation_kind::of, unit::bytes, shape::form, metadata,   \
      [=](const Target& t, const arguments& a) { return t.call_in_bytes; });    \
  add(#call_in_blocks, operation_kind::of, unit::blocks, shape::form, metadata, \
      [=](const Target& t, const arguments& a) { return t.call_in_blocks; })

  const sio::io_options options;
  FORMS(read, one_buffer, false, read(a.data, a.offset), read_blocks(a.data, a.offset, a.length));
  FORMS(write, one_buffer, false, write(a.data, a.offset),
        write_blocks(a.data, a.offset, a.length));
  FORMS(compare, one_buffer, false, compare(a.data, a.offset),
        compare_blocks(a.data, a.offset, a.length));
  FORMS(read, one_buffer, false, read(a.data, a.offset, options),
        read_blocks(a.data, a.offset, a.length, options));
  FORMS(write, one_buffer, false, write(a.data, a.offset, options),
        write_blocks(a.data, a.offset, a.length, options));
  FORMS(compare_and_write, one_buffer, false, compare_and_write(a.data, a.second, a.offset),
        compare_and_write_blocks(a.data, a.second, a.offset, a.length));
  FORMS(read, vector, false, readv(a.parts, a.offset), readv_blocks(a.parts, a.offset));
  FORMS(write, vector, false, writev(a.parts, a.offset), writev_blocks(a.parts, a.offset));
  FORMS(compare, vector, false, comparev(a.parts, a.offset), comparev_blocks(a.parts, a.offset));
  FORMS(read, vector, false, readv(a.parts, a.offset, options),
        readv_blocks(a.parts, a.offset, options));
  FORMS(write, vector, false, writev(a.parts, a.offset, options),
        writev_blocks(a.parts, a.offset, options));
  FORMS(compare_and_write, vector, false, comparev_and_writev(a.parts, a.second_parts, a.offset),
        comparev_and_writev_blocks(a.parts, a.second_parts, a.offset));
  FORMS(flush, range, false, flush(a.offset, a.length), flush_blocks(a.offset, a.length));
  FORMS(write_zeroes, range, false, write_zeroes(a.offset, a.length),
        write_zeroes_blocks(a.offset, a.length));
  FORMS(unmap, range, false, unmap(a.offset, a.length), unmap_blocks(a.offset, a.length));
  FORMS(copy, copy_to, false, copy({.from = a.other, .to = a.offset, .length = a.length}),
        copy_blocks({.from = a.other, .to = a.offset, .length = a.length}));
  FORMS(copy, copy_from, false, copy({.from = a.offset, .to = a.other, .length = a.length}),
        copy_blocks({.from = a.offset, .to = a.other, .length = a.length}));
  FORMS(read, one_buffer, true, read_with_metadata(a.data, a.metadata, a.offset),
        read_blocks_with_metadata(a.data, a.metadata, a.offset, a.length));
  FORMS(write, one_buffer, true, write_with_metadata(a.data, a.metadata, a.offset),
        write_blocks_with_metadata(a.data, a.metadata, a.offset, a.length));
  FORMS(compare, one_buffer, true, compare_with_metadata(a.data, a.metadata, a.offset),
        compare_blocks_with_metadata(a.data, a.metadata, a.offset, a.length));
  FORMS(read, vector, true, readv_with_metadata(a.parts, a.metadata, a.offset),
        readv_blocks_with_metadata(a.parts, a.metadata, a.offset));
  FORMS(write, vector, true, writev_with_metadata(a.parts, a.metadata, a.offset),
        writev_blocks_with_metadata(a.parts, a.metadata, a.offset));
  FORMS(compare, vector, true, comparev_with_metadata(a.parts, a.metadata, a.offset),
        comparev_blocks_with_metadata(a.parts, a.metadata, a.offset));
#undef FORMS
  auto lend = [&](std::string name, operation_kind kind, unit in, auto call) {
    add(std::move(name), kind, in, shape::range, false,
        [call, size = in == unit::bytes ? 1 : block](const Target& t, const arguments& a) {
          return lent_and_given_back(call(t, a), a, size);
        });
  };
  lend("zcopy_read", operation_kind::zcopy_read, unit::bytes,
       [](auto& t, auto& a) { return t.zcopy_read(a.offset, a.length); });
  lend("zcopy_read_blocks", operation_kind::zcopy_read, unit::blocks,
       [](auto& t, auto& a) { return t.zcopy_read_blocks(a.offset, a.length); });
  lend("zcopy_write", operation_kind::zcopy_write, unit::bytes,
       [](auto& t, auto& a) { return t.zcopy_write(a.offset, a.length); });
  lend("zcopy_write_blocks", operation_kind::zcopy_write, unit::blocks,
       [](auto& t, auto& a) { return t.zcopy_write_blocks(a.offset, a.length); });
  return out;
}

// --- what must come ---

struct outcome {
  fault why = fault::none;  // none: success
  std::errc code = std::errc::invalid_argument;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint64_t source = 0;
};

std::string text_of(operation_kind kind) {
  switch (kind) {
    case operation_kind::read: return "read";
    case operation_kind::write: return "write";
    case operation_kind::flush: return "flush";
    case operation_kind::write_zeroes: return "write of zeroes";
    case operation_kind::unmap: return "unmap";
    case operation_kind::compare: return "compare";
    case operation_kind::compare_and_write: return "compare-and-write";
    case operation_kind::copy: return "copy";
    case operation_kind::zcopy_read: return "zcopy for reading";
    case operation_kind::zcopy_write: return "zcopy for writing";
    default: return "?";
  }
}

std::string reason(fault why, const device& d) {
  const std::string bytes = " bytes)";
  const std::string multiple =
      " is not a multiple of the block size (" + std::to_string(d.block) + bytes;
  const std::string past = "past the end (device has " + std::to_string(d.size()) + bytes;
  switch (why) {
    case fault::past_end: return past;
    case fault::source_past_end: return "the source is " + past;
    case fault::misaligned_offset: return "the offset" + multiple;
    case fault::misaligned_length: return "the length" + multiple;
    case fault::source_misaligned: return "the source" + multiple;
    case fault::short_buffer: return "the buffer is smaller than that";
    case fault::bad_vector:
      return "the vector of buffers is empty, too long, or contains an empty buffer";
    case fault::beyond_atomic_unit:
      return "longer than the device does atomically (see bdev_info::atomic_compare_and_write)";
    case fault::no_metadata: return "the device has no metadata apart from its blocks";
    case fault::unsupported: return "not supported by this device";
    default: return "?";
  }
}

std::string message(const outcome& o, operation_kind kind, const device& d) {
  std::string out = text_of(kind) + " of " + std::to_string(o.length) + " bytes ";
  if (kind == operation_kind::copy) {
    out += "from " + std::to_string(o.source) + " to " + std::to_string(o.offset) + " on ";
  } else {
    const bool read = kind == operation_kind::read;
    const bool write = kind == operation_kind::write;
    out += "at " + std::to_string(o.offset) + (read ? " from " : write ? " to " : " on ");
  }
  return out + d.name + ": " + reason(o.why, d);
}

// In bytes or blocks; the length of a vector is always in bytes. `capacity` is the buffer's.
template <class Target>
outcome oracle(const operation<Target>& op, const arguments& a, std::uint64_t capacity,
               const device& d, const sio::bdev_info& info) {
  const bool in_blocks = op.in == unit::blocks;
  const wide scale = in_blocks ? d.block : 1;
  const wide length_scale = op.form == shape::vector ? 1 : scale;
  std::uint64_t to = a.offset;
  std::uint64_t from = a.other;
  if (op.form == shape::copy_from) std::swap(to, from);
  outcome out;
  out.offset = saturated(to * scale);
  out.length = saturated(a.length * length_scale);
  out.source = op.is_copy() ? saturated(from * scale) : 0;
  auto because = [&](fault why) {
    out.why = why;
    if (why == fault::unsupported) out.code = std::errc::not_supported;
    return out;
  };
  const wide place = to * scale;
  const wide bytes = a.length * length_scale;
  const bool outside = place + bytes > wide(d.size());

  // The buffers by themselves.
  if (op.form == shape::vector && a.length == 0) {
    out.length = 0;
    return because(fault::bad_vector);
  }
  if (op.form == shape::vector && in_blocks && bytes % d.block != 0) {
    return because(fault::misaligned_length);
  }
  if (op.form == shape::one_buffer && in_blocks && bytes > capacity) {
    return because(fault::short_buffer);
  }
  if (op.metadata && (info.metadata_size == 0 || info.metadata_interleaved)) {
    return because(fault::no_metadata);
  }
  // The range.
  const bool unsupported_at_once =
      (op.kind == operation_kind::flush && !info.supports(sio::io_kind::flush));
  if (place % d.block != 0) return because(fault::misaligned_offset);
  if (bytes % d.block != 0) return because(fault::misaligned_length);
  if (unsupported_at_once) return because(fault::unsupported);
  if (op.is_copy()) {
    const wide source = from * scale;
    if (source % d.block != 0) return because(fault::source_misaligned);
    if (source + bytes > wide(d.size())) return because(fault::source_past_end);
  }
  if (outside) return because(fault::past_end);
  const bool lends =
      op.kind == operation_kind::zcopy_read || op.kind == operation_kind::zcopy_write;
  if (lends && !info.supports(sio::io_kind::zcopy)) return because(fault::unsupported);
  if (op.kind == operation_kind::unmap && !info.supports(sio::io_kind::unmap) && bytes != 0) {
    return because(fault::unsupported);
  }
  if (op.kind == operation_kind::compare_and_write &&
      bytes > wide(info.atomic_compare_and_write) * d.block) {
    return because(fault::beyond_atomic_unit);
  }
  return out;
}

// --- where ---

std::set<std::uint64_t> byte_places(const device& d) {
  const std::uint64_t size = d.size();
  const std::uint64_t block = d.block;
  std::set<std::uint64_t> out;
  for (int power : {31, 32, 63}) {
    const std::uint64_t p = std::uint64_t{1} << power;
    out.insert({p - 1, p, p + 1});
  }
  out.insert({0, 1, block - 1, block, block + 1, 2 * block});
  out.insert({size - block, size - 1, size, size + 1, size + block, size / 2});
  out.insert({most, most - block + 1, most - 2 * block + 1, most - size + 1});
  for (const std::uint64_t each : std::set(out)) out.insert(each / block * block);
  return out;
}

std::set<std::uint64_t> block_places(const device& d) {
  const std::uint64_t wraps = most / d.block;  // blocks whose bytes just fit, or nearly
  std::set<std::uint64_t> out;
  for (int power : {31, 32, 63}) {
    const std::uint64_t p = std::uint64_t{1} << power;
    out.insert({p - 1, p, p + 1});
  }
  out.insert({0, 1, 2, d.blocks - 1, d.blocks, d.blocks + 1, d.blocks / 2});
  out.insert({wraps - 1, wraps, wraps + 1, wraps + 2, 2 * wraps + 2, most - d.blocks + 1});
  out.insert({most, most - 1, most - d.block + 1});
  return out;
}

// --- running them ---

// What the device should hold.
class hostile_io : public testing::TestWithParam<device> {
 protected:
  static constexpr std::uint64_t room = 1 << 20;  // of the buffers

  void SetUp() override {
    d.create(folder);
    disk = must(bdev_desc::open(d.name));
    info = disk.bdev().info();
    ASSERT_EQ(info.block_size, d.block);
    ASSERT_EQ(info.block_count, d.blocks);
    data = must(dma_buffer::zeroed(room));
    second = must(dma_buffer::zeroed(room));
    metadata = must(dma_buffer::zeroed(4096));
    if (!d.keeps) return;
    model.resize(d.size());
    fill_pattern(model, 1);
    std::ranges::copy(model, data.begin());
    must(run(disk.write(data.first(d.size()), 0)));
  }

  // The device works, and holds what it should.
  void expect_as_it_was() {
    if (!d.keeps) {
      const std::size_t bytes = d.block <= room ? d.block : 0;
      must(run(disk.write(data.first(bytes), d.size() - d.block)));
      must(run(disk.read(data.first(bytes), d.size() - d.block)));
      return;
    }
    std::ranges::fill(data, std::byte{0xee});
    must(run(disk.read(data.first(d.size()), 0)));
    ASSERT_TRUE(std::ranges::equal(data.bytes().first(d.size()), model));
    const std::uint64_t at = d.size() - d.block;
    fill_pattern(std::span(model).subspan(at), ++seed);
    std::ranges::copy(std::span(model).subspan(at), data.begin());
    must(run(disk.write(data.first(d.block), at)));
    std::ranges::fill(data, std::byte{0xee});
    must(run(disk.read(data.first(d.block), at)));
    ASSERT_TRUE(has_pattern(data.bytes().first(d.block), seed));
  }

  // Buffers of `bytes`. More than there is room for must be refused before anybody looks there.
  void give_buffers(arguments& a, std::uint64_t bytes) {
    auto view = [&](dma_buffer& b, std::uint64_t from, std::uint64_t count) {
      return dma_span::trusted({b.data() + from, count});
    };
    a.data = view(data, 0, bytes);
    a.second = view(second, 0, bytes);
    a.metadata = view(metadata, 0, bytes > room ? most : metadata.size());
    const std::uint64_t half = bytes / 2;
    a.parts.clear();
    a.second_parts.clear();
    for (auto [parts, buffer] : {std::pair(&a.parts, &data), {&a.second_parts, &second}}) {
      if (half != 0) parts->push_back(view(*buffer, 0, half));
      parts->push_back(view(*buffer, std::min(half, room), bytes - half));
    }
  }

  // The other place of a copy: apart from the range if it can be.
  static std::uint64_t apart_from(std::uint64_t place, std::uint64_t length, std::uint64_t end) {
    if (place > end || length > end - place) return 0;
    if (length <= place) return 0;
    return length <= end - place - length ? place + length : place;
  }

  template <class Target>
  void one(const Target& target, const operation<Target>& op, std::uint64_t offset,
           std::uint64_t length, std::uint64_t capacity) {
    const std::uint64_t scale = op.in == unit::blocks ? d.block : 1;
    arguments a;
    a.offset = offset;
    a.length = length;
    a.other = apart_from(offset, length, op.in == unit::blocks ? d.blocks : d.size());
    give_buffers(a, capacity);
    const outcome wanted = oracle(op, a, capacity, d, info);
    if (wanted.why == fault::none) return expect_success(target, op, a, scale);
    const auto r = op.run(target, a);
    ++refused;
    ASSERT_FALSE(r) << op.name << " took " << length << " at " << offset << ", should say "
                    << message(wanted, op.kind, d);
    const auto& e = r.error();
    std::string text = e.message();
    if (auto at = text.find(" (NVMe"); at != text.npos) text.resize(at);
    ASSERT_EQ(text, message(wanted, op.kind, d)) << op.name << ", " << length << " at " << offset;
    ASSERT_EQ(e.why(), wanted.why);
    ASSERT_TRUE(e == wanted.code) << e.error_code();
    ASSERT_EQ(e.what(), op.kind);
    ASSERT_EQ(e.offset(), wanted.offset);
    ASSERT_EQ(e.length(), wanted.length);
    ASSERT_EQ(e.source(), wanted.source);
    ASSERT_EQ(e.device(), d.name);
  }

  template <class Target>
  void expect_success(const Target& target, const operation<Target>& op, arguments a,
                      std::uint64_t scale) {
    const std::uint64_t length_scale = op.form == shape::vector ? 1 : scale;
    const std::uint64_t at = a.offset * scale;
    const std::uint64_t bytes = a.length * length_scale;
    // What keeps nothing cannot be compared with, and has more than fits a buffer.
    const bool compares =
        op.kind == operation_kind::compare || op.kind == operation_kind::compare_and_write;
    if (!d.keeps && (bytes > room || compares || op.is_copy())) return;
    if (!d.keeps && op.kind == operation_kind::write_zeroes) return;
    give_buffers(a, bytes);
    if (d.keeps) prepare(op, at, bytes);
    const auto r = op.run(target, a);
    ++done;
    ASSERT_TRUE(r) << op.name << ", " << a.length << " at " << a.offset << ": " << r.error();
    if (d.keeps) account(op, a, at, bytes, scale);
  }

  template <class Target>
  void prepare(const operation<Target>& op, std::uint64_t at, std::uint64_t bytes) {
    const auto part = std::span(model).subspan(at, bytes);
    if (op.kind == operation_kind::write) fill_pattern(data.bytes().first(bytes), ++seed);
    if (op.kind == operation_kind::read) std::ranges::fill(data.first(bytes), std::byte{0xee});
    if (op.kind == operation_kind::compare) std::ranges::copy(part, data.begin());
    if (op.kind == operation_kind::compare_and_write) {
      std::ranges::copy(part, data.begin());
      fill_pattern(second.bytes().first(bytes), ++seed);
    }
  }

  template <class Target>
  void account(const operation<Target>& op, const arguments& a, std::uint64_t at,
               std::uint64_t bytes, std::uint64_t scale) {
    auto whole = std::span(model);
    auto part = whole.subspan(at, bytes);
    switch (op.kind) {
      case operation_kind::read:
        ASSERT_TRUE(std::ranges::equal(part, data.bytes().first(bytes))) << op.name;
        break;
      case operation_kind::write: std::ranges::copy(data.bytes().first(bytes), part.begin()); break;
      case operation_kind::compare_and_write:
        std::ranges::copy(second.bytes().first(bytes), part.begin());
        break;
      case operation_kind::write_zeroes:
      case operation_kind::unmap: std::ranges::fill(part, std::byte{0}); break;
      case operation_kind::copy: {
        auto other = whole.subspan(a.other * scale, bytes);
        const bool to = op.form == shape::copy_to;
        std::ranges::copy(to ? other : part, (to ? part : other).begin());
        break;
      }
      default: break;
    }
  }

  template <class Target>
  void all(const Target& target) {
    for (const auto& op : operations<Target>(d.block)) {
      const auto places = op.in == unit::blocks ? block_places(d) : byte_places(d);
      const auto lengths =
          op.in == unit::blocks && op.form != shape::vector ? places : byte_places(d);
      const std::uint64_t scale = op.in == unit::blocks && op.form != shape::vector ? d.block : 1;
      for (const std::uint64_t offset : places) {
        for (const std::uint64_t length : lengths) {
          const std::uint64_t fits = saturated(wide(length) * scale);
          one(target, op, offset, length, fits);
          // A buffer that is smaller than what is asked for, where that can be.
          if (scale != 1 && op.form == shape::one_buffer) one(target, op, offset, length, d.block);
          if (HasFatalFailure()) return;
        }
      }
      expect_as_it_was();
      if (HasFatalFailure()) return;
    }
    EXPECT_GT(refused, 10'000);
    EXPECT_GT(done, d.keeps ? 500 : 100);
  }

  const device d = GetParam();
  temp_folder folder;
  bdev_desc disk;
  sio::bdev_info info;
  dma_buffer data, second, metadata;
  std::vector<std::byte> model;
  std::uint64_t seed = 1;
  int refused = 0;
  int done = 0;
};

TEST_P(hostile_io, through_a_descriptor) { all(disk); }
TEST_P(hostile_io, through_a_channel) { all(must(disk.channel())); }

INSTANTIATE_TEST_SUITE_P(on, hostile_io, testing::ValuesIn(devices()),
                         [](const auto& tested) { return tested.param.name; });

// --- buffers that are none ---

TEST(hostile_buffers, none_at_all) {
  auto disk = open_malloc("m0", 64 << 10);
  auto buffer = must(dma_buffer::zeroed(4096));
  const dma_span none;
  const dma_span huge_none = dma_span::trusted({static_cast<std::byte*>(nullptr), most});
  const sio::io_options options;
  auto expect = [](const result<void>& r, fault why) {
    ASSERT_FALSE(r);
    EXPECT_TRUE(r.error() == std::errc::invalid_argument) << r.error();
    EXPECT_EQ(r.error().why(), why) << r.error();
  };
  for (const auto& n : {none, huge_none}) {
    for (const std::uint64_t at : {std::uint64_t{0}, std::uint64_t{64 << 10}, most}) {
      for (const auto& r :
           {run(disk.read(n, at)), run(disk.write(n, at)), run(disk.compare(n, at)),
            run(disk.read(n, at, options)), run(disk.write(n, at, options)),
            run(disk.compare_and_write(n, n, at)), run(disk.compare_and_write(buffer, n, at)),
            run(disk.compare_and_write(n, buffer, at)), run(disk.read_with_metadata(n, n, at))}) {
        expect(r, fault::no_buffer);
      }
      const dma_span parts[] = {buffer, n};
      const dma_span good[] = {buffer};
      const std::span<const dma_span> empty;
      for (const auto& r :
           {run(disk.readv(parts, at)), run(disk.writev(parts, at)), run(disk.comparev(parts, at)),
            run(disk.readv(parts, at, options)), run(disk.comparev_and_writev(parts, good, at)),
            run(disk.comparev_and_writev(good, parts, at)), run(disk.readv_blocks(parts, at)),
            run(disk.writev_blocks(empty, at)), run(disk.readv(empty, at)),
            run(disk.comparev(empty, at))}) {
        expect(r, fault::bad_vector);
      }
    }
  }
  must(run(disk.write(buffer, 0)));
  must(run(disk.compare(buffer, 0)));
}

// The sum of the parts does not fit 64 bits: it must not wrap into something that fits the device.
TEST(hostile_buffers, vectors_whose_sum_overflows) {
  auto disk = open_malloc("m0", 64 << 10);
  auto buffer = must(dma_buffer::zeroed(4096));
  auto of = [&](std::uint64_t bytes) { return dma_span::trusted({buffer.data(), bytes}); };
  const std::vector<std::vector<dma_span>> all = {
      {of(most), of(1)},
      {of(most), of(513)},
      {of(1), of(most)},
      {of(most - 511), of(1024)},
      {of(1ull << 63), of(1ull << 63)},
      {of(1ull << 63), of(1ull << 63), of(512)},
      {of(512), of(1ull << 63), of(1ull << 63)},
      {of(most), of(most), of(514)},
  };
  for (const auto& parts : all) {
    for (const auto& r :
         {run(disk.readv(parts, 0)), run(disk.writev(parts, 0)), run(disk.comparev(parts, 0)),
          run(disk.readv_blocks(parts, 0)), run(disk.writev_blocks(parts, 0)),
          run(disk.readv(parts, 0, sio::io_options{})),
          run(disk.comparev_and_writev(parts, parts, 0)),
          run(disk.readv_with_metadata(parts, buffer, 0))}) {
      ASSERT_FALSE(r);
      EXPECT_EQ(r.error().why(), fault::bad_vector) << r.error();
    }
  }
  must(run(disk.write(buffer, 0)));
  must(run(disk.compare(buffer, 0)));
}

TEST(hostile_buffers, no_memory_is_that_large) {
  for (const std::uint64_t bytes : {std::uint64_t{0}, most, most - 1, most - 4095, most / 2 + 1,
                                    std::uint64_t{1} << 63, std::uint64_t{1} << 48}) {
    for (const std::size_t alignment : {1u, 512u, 4096u}) {
      auto r = dma_buffer::allocate(bytes, alignment);
      ASSERT_FALSE(r) << bytes;
      EXPECT_EQ(r.error().what(), operation_kind::allocate);
      EXPECT_NE(r.error().message().find(std::to_string(bytes)), std::string::npos) << r.error();
    }
  }
  for (const std::size_t alignment : {std::size_t{0}, std::size_t{3}, std::size_t{most},
                                      std::size_t{1} << 63, std::size_t{1} << 48}) {
    auto r = dma_buffer::zeroed(4096, alignment);
    ASSERT_FALSE(r) << alignment;
    EXPECT_EQ(r.error().what(), operation_kind::allocate);
  }
  must(dma_buffer::allocate(4096));
}

// --- devices that cannot be ---

class hostile_sizes : public testing::Test {
 protected:
  template <class Options>
  void try_it(const Options& options, bool possible) {
    SCOPED_TRACE("size " + std::to_string(size_of(options)) + ", block size " +
                 std::to_string(options.block_size));
    const auto r = run(sio::create_bdev(options));
    if (!r) {
      const std::string text = r.error().message();
      EXPECT_FALSE(possible) << text;
      EXPECT_TRUE(text.starts_with("creation of \"d0\"")) << text;
      EXPECT_TRUE(std::ranges::none_of(text, [](char c) { return c >= 0 && c < ' '; })) << text;
      EXPECT_TRUE(sio::list_bdevs().empty());
      ++refused;
      return;
    }
    EXPECT_TRUE(possible) << "it was made";
    {
      auto disk = must(bdev_desc::open("d0"));
      const auto info = disk.bdev().info();
      EXPECT_EQ(info.block_size, options.block_size);
      if (size_of(options) != 0) {
        EXPECT_EQ(info.size(), size_of(options));
      }
      // SPDK has no room to copy a buffer that is as large as that and not aligned.
      constexpr std::size_t room = 1 << 20;
      auto buffer = must(dma_buffer::zeroed(std::min<std::size_t>(info.block_size, room),
                                            std::min(info.alignment, room)));
      // A file may be empty, and its device have no block yet.
      const auto at = info.size() == 0 ? 0 : info.size() - info.block_size;
      if (info.size() != 0 && info.block_size <= buffer.size()) {
        must(run(disk.write(buffer, at)));
        must(run(disk.read(buffer, at)));
      }
      EXPECT_FALSE(run(disk.read(buffer, info.size())));
    }
    must(run(sio::delete_bdev("d0")));
    ++made;
  }
  template <class Options>
  static std::uint64_t size_of(const Options& options) {
    if constexpr (requires { options.size; }) return options.size;
    return 0;
  }

  static constexpr std::uint32_t block_sizes[] = {
      0,     1,       2,        3,        7,          256,        511,       512,
      513,   520,     1000,     1023,     1024,       1025,       1536,      4095,
      4096,  4097,    4160,     5000,     8192,       12345,      65535,     65536,
      65537, 1 << 20, 1u << 30, 1u << 31, 0x80000001, 0xfffffe00, 0xffffffff};
  int made = 0;
  int refused = 0;
};

TEST_F(hostile_sizes, of_malloc_and_null_devices) {
  for (const std::uint32_t block : block_sizes) {
    std::set<std::uint64_t> sizes = {0,
                                     1,
                                     511,
                                     512,
                                     65536,
                                     1 << 20,
                                     most,
                                     most - 511,
                                     most / 2,
                                     1ull << 63,
                                     1ull << 32,
                                     (1ull << 32) - 1,
                                     (1ull << 32) + 1};
    for (const std::uint64_t factor : {1ull, 2ull, 3ull}) sizes.insert(factor * block);
    if (block != 0) sizes.insert(most / block * block);
    for (const std::uint64_t size : sizes) {
      const bool fits = block % 512 == 0 && block != 0 && size != 0 && size % block == 0;
      try_it(sio::null_bdev{.name = "d0", .size = size, .block_size = block}, fits);
      // In between it depends on the memory that there is.
      if (size > 16 << 20 && size < 1ull << 46) continue;
      try_it(sio::malloc_bdev{.name = "d0", .size = size, .block_size = block},
             fits && size <= 16 << 20);
    }
  }
  EXPECT_GT(made, 50);
  EXPECT_GT(refused, 400);
}

TEST_F(hostile_sizes, of_file_devices) {
  temp_folder folder;
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{511},
                                   std::uint64_t{512}, std::uint64_t{1} << 20}) {
    const std::string file = folder.file("file", size);
    for (const std::uint32_t block : block_sizes) {
      if (block == 0) continue;  // the library chooses
      const bool power = (block & (block - 1)) == 0;
      const bool fits = power && block >= 512 && size % block == 0;
      try_it(sio::uring_bdev{.name = "d0", .file = file, .block_size = block}, fits);
      try_it(sio::aio_bdev{.name = "d0", .file = file, .block_size = block}, fits);
    }
  }
  EXPECT_GT(made, 10);
  EXPECT_GT(refused, 200);
}

TEST_F(hostile_sizes, of_other_parameters) {
  for (const std::uint32_t odd : {1u, 3u, 511u, 513u, 0x80000001u, 0xffffffffu}) {
    try_it(sio::null_bdev{.name = "d0", .size = 4096, .physical_block_size = odd}, false);
    try_it(sio::malloc_bdev{.name = "d0", .size = 4096, .physical_block_size = odd}, false);
  }
}

}  // namespace
}  // namespace spdk_io_test
