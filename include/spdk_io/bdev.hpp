// SPDX-License-Identifier: BSD-3-Clause
// Block devices as they are: names, sizes, what they can do.
#pragma once

#include <spdk_io/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

struct spdk_bdev;

namespace spdk_io::inline SPDK_IO_ABI {

enum class io_kind : std::uint8_t {
  read,
  write,
  flush,
  unmap,
  write_zeroes,
  reset,
  compare,
  compare_and_write,
  copy,
  abort,
  zcopy,
  nvme_admin,
  nvme_io,
};

// What a device says of itself: a copy, valid whatever becomes of the device.
struct bdev_info {
  std::string name;
  std::string product;                    // e.g. "Malloc disk"
  std::string module;                     // e.g. "malloc"
  std::string uuid;                       // empty if it has none
  std::vector<std::string> aliases;       // other names that it can be opened by, e.g. its UUID
  std::uint32_t block_size = 0;           // bytes: the unit of offsets and lengths
  std::uint32_t data_block_size = 0;      // bytes: without the metadata in it
  std::uint32_t physical_block_size = 0;  // bytes
  std::uint64_t block_count = 0;
  std::uint32_t write_unit = 0;                // blocks: writes should be a multiple
  std::uint32_t atomic_compare_and_write = 0;  // blocks
  std::uint32_t max_copy = 0;                  // blocks that one copy has natively; 0: any number
  std::uint32_t optimal_boundary = 0;          // blocks: better not crossed; 0: none
  std::size_t alignment = 1;                   // bytes: of buffers (others are copied by SPDK)
  std::uint32_t metadata_size = 0;             // bytes for each block
  bool metadata_interleaved = false;           // in the blocks, not in buffers of their own
  unsigned protection_type = 0;                // of the metadata: 1 to 3 as in NVMe; 0: none
  bool write_cache = false;                    // volatile: flush() matters
  bool zoned = false;
  std::vector<io_kind> supported;  // natively or emulated by SPDK

  std::uint64_t size() const noexcept { return block_count * block_size; }  // bytes
  bool supports(io_kind kind) const noexcept;
};

// A non-owning view of a device. It is valid while a descriptor keeps the device open, and
// otherwise until the thread is polled again. Thread: an attached one.
class bdev {
 public:
  // Error: no such device (the message lists those there are); no thread is attached here.
  static result<bdev> find(std::string_view name);

  std::string_view name() const noexcept;
  std::string_view product() const noexcept;
  std::uint32_t block_size() const noexcept;  // bytes
  std::uint64_t block_count() const noexcept;
  std::uint64_t size() const noexcept { return block_count() * block_size(); }  // bytes
  std::size_t alignment() const noexcept;                                       // bytes, of buffers
  bool supports(io_kind kind) const noexcept;  // natively or emulated by SPDK
  bool write_cache() const noexcept;
  bdev_info info() const;

  spdk_bdev* native_handle() const noexcept { return native_; }
  static bdev from_native(spdk_bdev* native) noexcept { return bdev(native); }

 private:
  explicit bdev(spdk_bdev* native) noexcept : native_(native) {}
  spdk_bdev* native_;
};

// All devices, in the order of their registration. Empty before init_subsystems(). Thread: an
// attached one.
std::vector<bdev_info> list_bdevs();

}  // namespace spdk_io::inline SPDK_IO_ABI
