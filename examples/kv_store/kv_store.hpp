// SPDX-License-Identifier: BSD-3-Clause
// A key-value store on one block device: a log of what was put and erased, and an index in memory
// of where each value lies.
#pragma once

#include "block_device.hpp"
#include "format.hpp"
#include "log_reader.hpp"
#include "log_writer.hpp"

#include <spdk_io/spdk_io.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace kv {

using bytes = std::vector<std::byte>;

struct format_options {
  // Bytes, of the longest log record: as much as one write and one flush can make durable together.
  // From 4096 to 16 MiB, a multiple of the block size. A value has at most a quarter of it.
  std::uint32_t record_size = 256 << 10;
};

struct store_statistics {
  std::size_t keys = 0;
  std::uint64_t live_bytes = 0;   // what keys and values take, of ...
  std::uint64_t capacity = 0;     // ... what there is room for
  std::uint64_t records = 0;      // written since it was opened, each with one flush
  std::uint64_t operations = 0;   // in them
  std::uint64_t checkpoints = 0;  // how often the log was written anew, without what is obsolete
};

// What holds:
// * put() and erase() succeed when the change is durable. Changes become durable in the order in
//   which the calls were started: after a loss of power all that were acknowledged are there, and
//   of those that were under way the first few, or none, or all.
// * get() gives what is durable, whole, or an error; never a part of a value, nor a mixture.
// * Where the device fails to write or flush, what was under way is there or not when the store is
//   opened next. Until then, writing is refused with a message that says why; reading goes on.
//
// Keys have 1 to 255 bytes, values up to max_value_size(). Any number of coroutines may call at the
// same time. A put() or erase() that has begun is not stopped by stop requests; a get() is.
// Lifetimes: the device outlives the store; keys and values live until the call has ended.
// Thread: the SPDK thread on which it was opened. Requires: close() was awaited, and no call is
// under way, when it is destroyed.
class kv_store {
 public:
  // Makes the device an empty store, whatever was there. Errors: invalid_argument (the options, or
  // a device that is too small), the device's.
  static sio::task<sio::result<void>> format(block_device& device, format_options options = {});

  // Reads the log, up to the first record that was not completed. Errors: no_such_device_or_address
  // (no store is there), io_error (it is damaged), not_supported (another version, or other
  // blocks), the device's.
  static sio::task<sio::result<std::unique_ptr<kv_store>>> open(block_device& device);

  kv_store(const kv_store&) = delete;
  kv_store& operator=(const kv_store&) = delete;
  ~kv_store();

  // Errors: invalid_argument (an empty key, a key or a value that is too long), no_space_on_device,
  // operation_not_permitted (closed), io_error (an earlier write has failed), the device's.
  sio::task<sio::result<void>> put(std::string_view key, bytes_view value);
  // Gives whether it was there. Needs no space. Errors: put()'s.
  sio::task<sio::result<bool>> erase(std::string_view key);
  // Nothing if it is not there. Errors: io_error (it is not what was written),
  // operation_not_permitted (closed), the device's.
  sio::task<sio::result<std::optional<bytes>>> get(std::string_view key);

  // Waits for what was put and erased, whether it is asked to stop or not; nothing more can be.
  // Gives the error that has ended writing, if one has. One call at a time.
  sio::task<sio::result<void>> close();

  std::vector<std::string> keys() const;  // in no order
  std::size_t max_value_size() const noexcept;
  store_statistics statistics() const noexcept;

 private:
  // Where an operation lies. Its value is the end of it.
  struct place {
    std::uint64_t offset = 0;  // bytes
    std::uint32_t size = 0;    // bytes
  };
  struct string_hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  using moves = std::vector<std::pair<place*, std::uint64_t>>;
  class request;

  kv_store(block_device& device, const superblock& super) : device_(device), super_(super) {}

  // Opening.
  sio::result<void> allocate_buffers();
  sio::task<sio::result<void>> recover();
  sio::task<sio::result<void>> write_again(std::uint64_t offset, std::uint64_t end);

  // Writing: one coroutine does it, as long as something waits.
  sio::task<sio::result<bool>> change(operation what);
  void enqueue(request& r);
  void forget(request& r) noexcept;
  sio::task<void> write_what_waits();
  sio::task<sio::result<void>> write_one_record();
  void gather(record_builder& record);
  void decide(request& r, record_builder& record, std::uint64_t& live);
  void apply(bytes_view record, std::uint64_t offset);
  void acknowledge(const sio::result<void>& written);

  sio::task<sio::result<void>> checkpoint();
  sio::task<sio::result<void>> copy_live(log_record from, log_writer& to, moves& moved);
  place* live_at(std::string_view key, std::uint64_t offset);

  // Reading.
  sio::task<sio::result<void>> read_operation(place where, sio::dma_span into);
  bytes_view operation_in(place where, bytes_view blocks) const noexcept;

  block_device& device_;
  superblock super_;
  std::unordered_map<std::string, place, string_hash, std::equal_to<>> index_;
  std::uint64_t live_bytes_ = 0;

  sio::dma_buffer record_buffer_;  // what is being written
  sio::dma_buffer window_;         // what is read of the log, for recovery and checkpoints
  std::optional<sio::dma_pool> value_buffers_;
  std::optional<log_writer> log_;

  std::deque<request*> queue_;  // in the order of the calls
  std::vector<request*>
      taken_;  // out of the queue, and not acknowledged; null: nobody waits for it
  bool writing_ = false;
  bool closed_ = false;
  std::optional<sio::error> failure_;
  store_statistics statistics_;
  sio::task_scope scope_;  // the last member, so that what runs in it ends before the others go
};

}  // namespace kv
