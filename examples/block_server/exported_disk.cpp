// SPDX-License-Identifier: BSD-3-Clause
// What a device can do, in the words of the protocol, and requests done.
#include "exported_disk.hpp"

#include <bit>
#include <system_error>

namespace nbd {
namespace {

std::uint16_t flags_of(const sio::bdev_desc& disk, bool only_read) {
  // Every connection uses the same device, without a cache in between: a flush on one of them is a
  // flush of what all have written.
  unsigned flags = has_flags | can_multi_conn;
  if (only_read) return static_cast<std::uint16_t>(flags | read_only);
  if (disk.bdev().supports(sio::io_kind::flush)) flags |= send_flush | send_fua;
  if (disk.bdev().supports(sio::io_kind::unmap)) flags |= send_trim;
  if (disk.bdev().supports(sio::io_kind::write_zeroes)) flags |= send_write_zeroes;
  return static_cast<std::uint16_t>(flags);
}

bool writes(command c) {
  return c == command::write || c == command::trim || c == command::write_zeroes;
}

status to_status(const sio::result<void>& r) {
  if (r) return status::ok;
  // The device has gone, or the server is asked to end at once.
  if (r.error() == std::errc::no_such_device || r.error() == std::errc::operation_canceled)
    return status::shutting_down;
  return status::io_error;
}

}  // namespace

sio::result<exported_disk> exported_disk::make(sio::bdev_desc disk, options o) {
  auto channel = disk.channel();
  if (!channel) return std::unexpected(channel.error());
  const std::uint32_t block = disk.bdev().block_size();
  if (!std::has_single_bit(block) || block > 65536 || o.max_request == 0 ||
      o.max_request % block != 0) {
    return std::unexpected(sio::error(std::errc::invalid_argument, sio::operation_kind::none,
                                      "requests of " + std::to_string(o.max_request) +
                                          " bytes cannot be served from blocks of " +
                                          std::to_string(block)));
  }
  o.read_only = o.read_only || disk.mode() == sio::access::read_only;
  const std::uint16_t flags = flags_of(disk, o.read_only);
  return exported_disk(std::move(disk), std::move(*channel), std::move(o), flags);
}

bool exported_disk::knows(const request& r) const noexcept {
  unsigned known = can(send_fua) ? fua : 0;
  switch (r.what) {
    case command::read:
    case command::write: break;
    case command::flush:
      if (!can(send_flush)) return false;
      break;
    case command::trim:
      if (!can(send_trim)) return false;
      break;
    case command::write_zeroes:
      if (!can(send_write_zeroes)) return false;
      known |= no_hole;
      break;
    default: return false;
  }
  return (r.flags & ~known) == 0;
}

status exported_disk::check(const request& r) const noexcept {
  if (can(read_only) && writes(r.what)) return status::not_permitted;
  if (!knows(r)) return status::invalid;
  if (r.what == command::flush)
    return r.offset == 0 && r.length == 0 ? status::ok : status::invalid;
  if (r.length == 0 || r.length % block_size() != 0 || r.offset % block_size() != 0)
    return status::invalid;
  const bool transfers = r.what == command::read || r.what == command::write;
  if (transfers && r.length > max_request()) return status::invalid;
  if (r.offset > size() || r.length > size() - r.offset) {
    const bool fills = r.what == command::write || r.what == command::write_zeroes;
    return fills ? status::no_space : status::invalid;
  }
  return status::ok;
}

// [perform]
asio::awaitable<status> exported_disk::perform(request r, sio::dma_span buffer,
                                               sio::local_stop_token stop) {
  auto stoppable = [stop](auto operation) {
    return with_stop_token(stop, std::move(operation)).async(asio::use_awaitable);
  };
  sio::result<void> done;
  switch (r.what) {
    case command::read: done = co_await stoppable(channel_.read(buffer, r.offset)); break;
    case command::write: done = co_await stoppable(channel_.write(buffer, r.offset)); break;
    case command::trim: done = co_await stoppable(channel_.unmap(r.offset, r.length)); break;
    case command::write_zeroes:
      done = co_await stoppable(channel_.write_zeroes(r.offset, r.length));
      break;
    default: break;
  }
  // A write that has to be on stable storage is a write and then a flush.
  if (done && (r.what == command::flush || (writes(r.what) && (r.flags & fua) != 0)))
    done = co_await stoppable(channel_.flush(0, size()));
  co_return to_status(done);
}
// [/perform]

asio::awaitable<sio::result<void>> exported_disk::flush(sio::local_stop_token stop) {
  if (!can(send_flush)) co_return sio::result<void>();
  auto all = with_stop_token(stop, channel_.flush(0, size()));
  co_return co_await std::move(all).async(asio::use_awaitable);
}

}  // namespace nbd
