// SPDX-License-Identifier: BSD-3-Clause
// Rarely used options of a read or a write.
#pragma once

#include <spdk_io/dma_buffer.hpp>

#include <cstdint>

struct spdk_accel_sequence;
struct spdk_memory_domain;

namespace spdk_io::inline SPDK_IO_ABI {

// Checks of the data integrity field (DIF), which can be combined with |.
enum class dif_checks : std::uint8_t {
  none = 0,
  reference_tag = 1,
  application_tag = 2,
  guard = 4,
  all = 7,
};
constexpr dif_checks operator|(dif_checks a, dif_checks b) noexcept {
  return static_cast<dif_checks>(static_cast<std::uint8_t>(a) | static_cast<std::uint8_t>(b));
}
constexpr dif_checks operator&(dif_checks a, dif_checks b) noexcept {
  return static_cast<dif_checks>(static_cast<std::uint8_t>(a) & static_cast<std::uint8_t>(b));
}

struct io_options {
  // Of a device that keeps metadata apart from its blocks: at least bdev_info::metadata_size
  // bytes for each block. It must live as the data buffer does; a write only reads it.
  dma_span metadata = {};

  // Checks that the device would do, but not for this I/O.
  dif_checks skip_checks = dif_checks::none;

  // SPDK's own, borrowed until the I/O has completed: where the data is when it is not in this
  // process's memory, and what an accelerator does to it on the way. Not with every provider.
  spdk_memory_domain* memory_domain = nullptr;
  void* memory_domain_context = nullptr;
  spdk_accel_sequence* accel_sequence = nullptr;

  // The command's words 12 and 13, for NVMe devices (directives; SPDK says which bits it takes).
  std::uint32_t nvme_cdw12 = 0;
  std::uint32_t nvme_cdw13 = 0;
};

}  // namespace spdk_io::inline SPDK_IO_ABI
