// SPDX-License-Identifier: BSD-3-Clause
// A range of one device copied to another one, and checked.
#pragma once

#include "crc32c.hpp"

#include <spdk_io/spdk_io.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <system_error>

namespace block_copy {

namespace sio = spdk_io;

enum class pass : std::uint8_t { read_again, copy, verify };

// How far a pass is: bytes of `total`.
struct progress {
  pass now = pass::copy;
  std::uint64_t done = 0;
  std::uint64_t total = 0;
};

struct copy_options {
  static constexpr std::uint64_t to_the_end = std::numeric_limits<std::uint64_t>::max();

  std::uint64_t offset = 0;           // bytes, any: where the range begins on the source
  std::uint64_t length = to_the_end;  // bytes, any: of the range
  std::uint64_t to = 0;               // bytes, any: where it begins on the destination
  std::size_t chunk = 256 << 10;      // bytes of each read and write, rounded up to whole blocks
  std::uint32_t depth = 16;           // chunks that are read ahead, and that are written behind
  std::uint64_t resume_from = 0;      // bytes of the range that are on the destination already
  bool verify = true;                 // read the destination afterwards
  std::function<void(progress)> tell = {};  // called after each chunk; it must not throw
};

struct copy_report {
  std::uint64_t length = 0;    // bytes: of the range
  std::uint64_t copied = 0;    // bytes: by this job, the rest was there
  std::uint32_t checksum = 0;  // CRC-32C of what was read of the source; see run()
};

// Where source and destination differ first.
struct difference {
  std::uint64_t at = 0;      // bytes from the beginning of the range
  std::uint64_t chunk = 0;   // its number
  std::uint64_t begin = 0;   // bytes from the beginning of the range
  std::uint64_t length = 0;  // bytes, of the chunk
};

// Of an error: somebody has asked for it.
inline bool is_stop(const sio::error& e) noexcept {
  return e.code() == std::errc::operation_canceled && e.why() == sio::fault::stopped;
}

// One copy. Both devices stay open while it lives; others must not write to either range meanwhile.
// Memory: `depth` chunks for each side, and two blocks; nothing is allocated for a chunk.
// Thread: the SPDK thread that awaits run().
class copy_job {
 public:
  copy_job(sio::bdev_desc from, sio::bdev_desc to, copy_options options);

  // Once. Copies what is behind `resume_from`, flushes, and, to verify, reads all of the range on
  // the destination and compares its CRC-32C with that of what it has read of the source: the whole
  // range as well, what an earlier job has copied included. Without `verify` the checksum is that
  // of what was copied.
  //
  // Errors: invalid_argument (the same device on both sides; a range past the source's end; more to
  // resume from than the range has; no chunk size, no depth), no_space_on_device (the destination
  // is too small), bad_file_descriptor (it is open for reading only): nothing was read or written.
  // Those of a read, a write or a flush, with their place. illegal_byte_sequence: the destination
  // differs, see first_difference().
  //
  // Cancellation: operation_canceled, fault::stopped, once all that the destination had taken has
  // been written and flushed. Then, as after any error, durable() says how much of the range is
  // there. Requires: this lives until it has ended.
  sio::task<sio::result<copy_report>> run();

  // Bytes, from where the range begins: they are on the destination's stable storage, and need not
  // be copied again, unless verification has found that they differ. Where the device cannot flush,
  // as a uring device, they are merely written.
  std::uint64_t durable() const noexcept { return durable_; }
  bool flushes() const noexcept { return to_.bdev().supports(sio::io_kind::flush); }
  std::uint64_t length() const noexcept { return report_.length; }  // bytes; 0 before it begins
  const std::optional<difference>& first_difference() const noexcept { return difference_; }
  // Bytes of DMA memory that chunks were in, at most at one time.
  std::size_t memory() const noexcept { return memory_; }

 private:
  sio::result<void> check();
  sio::task<sio::result<void>> copy_rest();
  sio::task<sio::result<void>> verify();
  sio::task<sio::result<void>> add_up(sio::bdev_desc of, std::uint64_t offset, std::uint64_t length,
                                      pass now, crc32c& sum);
  sio::task<sio::result<void>> find_difference(std::uint32_t found);
  sio::task<void> note_failed_write(const sio::error& e, std::uint64_t written);
  void tell(pass now, std::uint64_t done, std::uint64_t total) const;
  void note_memory(std::size_t bytes) noexcept;

  sio::bdev_desc from_;
  sio::bdev_desc to_;
  copy_options options_;
  crc32c sum_;  // of the source
  copy_report report_;
  std::uint64_t durable_ = 0;
  std::size_t memory_ = 0;
  std::optional<difference> difference_;
};

}  // namespace block_copy
