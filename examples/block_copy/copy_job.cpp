// SPDX-License-Identifier: BSD-3-Clause
#include "copy_job.hpp"

#include "lockstep.hpp"
#include "texts.hpp"

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>

namespace block_copy {
namespace {

std::unexpected<sio::error> refused(const std::string& why) {
  return std::unexpected(
      sio::error(std::errc::invalid_argument, sio::operation_kind::copy, "copy: " + why));
}

std::unexpected<sio::error> refused(sio::operation_kind what, std::errc code, sio::fault why,
                                    const sio::bdev& device, std::uint64_t offset,
                                    std::uint64_t length) {
  return std::unexpected(sio::error(sio::error::io{.code = code,
                                                   .what = what,
                                                   .why = why,
                                                   .device = sio::intern_device_name(device.name()),
                                                   .offset = offset,
                                                   .length = length,
                                                   .device_size = device.size(),
                                                   .block_size = device.block_size()}));
}

bool lies_inside(const sio::bdev& device, std::uint64_t offset, std::uint64_t length) {
  return offset <= device.size() && length <= device.size() - offset;
}

}  // namespace

copy_job::copy_job(sio::bdev_desc from, sio::bdev_desc to, copy_options options)
    : from_(std::move(from)), to_(std::move(to)), options_(std::move(options)) {}

sio::result<void> copy_job::check() {
  const sio::bdev source = from_.bdev();
  const sio::bdev target = to_.bdev();
  if (source.native_handle() == target.native_handle()) {
    return refused(std::string(source.name()) + " is the same device on both sides");
  }
  std::uint64_t length = options_.length;
  if (length == copy_options::to_the_end) {
    length = source.size() - std::min(options_.offset, source.size());
  }
  if (!lies_inside(source, options_.offset, length)) {
    return refused(sio::operation_kind::read, std::errc::invalid_argument, sio::fault::past_end,
                   source, options_.offset, length);
  }
  if (!lies_inside(target, options_.to, length)) {
    return refused(sio::operation_kind::write, std::errc::no_space_on_device, sio::fault::past_end,
                   target, options_.to, length);
  }
  if (to_.mode() == sio::access::read_only) {
    return refused(sio::operation_kind::write, std::errc::bad_file_descriptor,
                   sio::fault::read_only, target, options_.to, length);
  }
  if (options_.chunk == 0) return refused("the chunk size is zero");
  if (options_.depth == 0) return refused("the depth is zero");
  if (options_.resume_from > length) {
    return refused("to be resumed from " + std::to_string(options_.resume_from) +
                   ", but the range has only " + std::to_string(length) + " bytes");
  }
  report_.length = length;
  durable_ = options_.resume_from;
  return {};
}

sio::task<sio::result<copy_report>> copy_job::run() {
  if (auto r = check(); !r) co_return std::unexpected(r.error());
  if (options_.verify && options_.resume_from != 0) {
    auto r = co_await add_up(from_, options_.offset, options_.resume_from, pass::read_again, sum_);
    if (!r) co_return std::unexpected(r.error());
  }
  if (auto r = co_await copy_rest(); !r) co_return std::unexpected(r.error());
  report_.copied = report_.length - options_.resume_from;
  report_.checksum = sum_.value();
  if (options_.verify) {
    if (auto r = co_await verify(); !r) co_return std::unexpected(r.error());
  }
  co_return report_;
}

// [copy]
sio::task<sio::result<void>> copy_job::copy_rest() {
  const std::uint64_t start = options_.resume_from;
  const std::uint64_t length = report_.length - start;
  sio::read_stream in(from_, {.offset = options_.offset + start,
                              .length = length,
                              .chunk = options_.chunk,
                              .depth = options_.depth});
  sio::write_sink out(to_, {.offset = options_.to + start,
                            .length = length,
                            .chunk = options_.chunk,
                            .depth = options_.depth});
  auto summed = sio::transform(in, [&](sio::read_chunk chunk) {
    sum_.add(chunk.bytes());
    tell(pass::copy, out.position() - options_.to, report_.length);
    return chunk;
  });
  auto copied = co_await sio::copy(summed, out);
  // Stopped, or after an error of the source: what was taken is written and flushed all the same.
  auto closed = co_await sio::unstoppable(out.close());
  note_memory(in.memory() + out.memory());
  if (closed) {
    durable_ = out.position() - options_.to;
    tell(pass::copy, durable_, report_.length);
  } else {
    co_await note_failed_write(closed.error(), out.written() - options_.to);
  }
  if (!copied && (closed || !is_stop(copied.error()))) co_return std::unexpected(copied.error());
  co_return closed;
}
// [/copy]

// What lies before the first write that failed is made durable. A flush that failed is not tried
// again: the next one may succeed, and say nothing of what the first one has lost.
sio::task<void> copy_job::note_failed_write(const sio::error& e, std::uint64_t written) {
  if (e.what() == sio::operation_kind::flush || written <= durable_) co_return;
  if (flushes()) {
    const std::uint64_t block = to_.bdev().block_size();
    const std::uint64_t from = (options_.to + durable_) / block * block;
    const std::uint64_t end = (options_.to + written + block - 1) / block * block;
    auto flushed = co_await sio::unstoppable(to_.flush(from, end - from));
    if (!flushed) co_return;
  }
  durable_ = written;
}

sio::task<sio::result<void>> copy_job::add_up(sio::bdev_desc of, std::uint64_t offset,
                                              std::uint64_t length, pass now, crc32c& sum) {
  sio::read_stream in(
      of, {.offset = offset, .length = length, .chunk = options_.chunk, .depth = options_.depth});
  auto r = co_await sio::for_each(in, [&](const sio::read_chunk& chunk) {
    sum.add(chunk.bytes());
    tell(now, chunk.offset() + chunk.size() - offset, length);
  });
  note_memory(in.memory());
  co_return r;
}

sio::task<sio::result<void>> copy_job::verify() {
  crc32c found;
  auto r = co_await add_up(to_, options_.to, report_.length, pass::verify, found);
  if (!r || found.value() == sum_.value()) co_return r;
  co_return co_await find_difference(found.value());
}

// Both are read once more, side by side: for checksums of all chunks there would be no bound.
sio::task<sio::result<void>> copy_job::find_difference(std::uint32_t found) {
  lockstep both(from_, options_.offset, to_, options_.to, report_.length,
                {.chunk = options_.chunk, .depth = options_.depth});
  auto at = co_await both.first_difference();
  note_memory(both.memory());
  if (!at) co_return std::unexpected(at.error());
  std::string text = "verification of " + std::string(to_.bdev().name()) + ": ";
  if (*at) {
    difference where{.at = **at, .chunk = **at / options_.chunk};
    where.begin = where.chunk * options_.chunk;
    where.length = std::min<std::uint64_t>(options_.chunk, report_.length - where.begin);
    difference_ = where;
    text += "chunk " + std::to_string(where.chunk) + " (" + std::to_string(where.length) +
            " bytes at " + std::to_string(options_.to + where.begin) +
            ") is the first that differs from " + std::string(from_.bdev().name()) + ", at " +
            std::to_string(options_.to + where.at);
  } else {
    text += "its CRC-32C is " + hexadecimal(found) + ", and that of what was read from " +
            std::string(from_.bdev().name()) + " was " + hexadecimal(sum_.value()) +
            "; read once more they are equal: one of them has changed, or does not read reliably";
  }
  co_return std::unexpected(
      sio::error(std::errc::illegal_byte_sequence, sio::operation_kind::copy, text));
}

void copy_job::tell(pass now, std::uint64_t done, std::uint64_t total) const {
  if (options_.tell) options_.tell({now, done, total});
}

void copy_job::note_memory(std::size_t bytes) noexcept { memory_ = std::max(memory_, bytes); }

}  // namespace block_copy
