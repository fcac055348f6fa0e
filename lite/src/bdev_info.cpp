// SPDX-License-Identifier: BSD-3-Clause
// A device's properties, the names of the kinds of I/O, and what a completion says.
#include "bdev_internal.hpp"

#include <cassert>
#include <cerrno>
#include <cstring>
#include <iterator>

using namespace spdk_lite;

namespace {

constexpr const char* io_type_names[] = {nullptr,
                                         "read",
                                         "write",
                                         "unmap",
                                         "flush",
                                         "reset",
                                         "nvme_admin",
                                         "nvme_io",
                                         "nvme_io_md",
                                         "write_zeroes",
                                         "zcopy",
                                         "get_zone_info",
                                         "zone_management",
                                         "zone_append",
                                         "compare",
                                         "compare_and_write",
                                         "abort",
                                         "seek_hole",
                                         "seek_data",
                                         "copy",
                                         "nvme_iov_md",
                                         "nvme_nssr",
                                         "write_uncorrectable"};
static_assert(std::size(io_type_names) == SPDK_BDEV_NUM_IO_TYPES);

}  // namespace

const char* spdk_bdev_get_name(const spdk_bdev* bdev) { return bdev->name.c_str(); }
const char* spdk_bdev_get_product_name(const spdk_bdev* bdev) { return bdev->product_name; }
const char* spdk_bdev_get_module_name(const spdk_bdev* bdev) { return bdev->module->name; }
const spdk_uuid* spdk_bdev_get_uuid(const spdk_bdev* bdev) { return &bdev->uuid; }
uint32_t spdk_bdev_get_block_size(const spdk_bdev* bdev) { return bdev->block_len; }
uint32_t spdk_bdev_get_physical_block_size(const spdk_bdev* bdev) { return bdev->phys_block_len; }
uint64_t spdk_bdev_get_num_blocks(const spdk_bdev* bdev) { return bdev->num_blocks; }
uint32_t spdk_bdev_get_write_unit_size(const spdk_bdev* bdev) { return bdev->write_unit_size; }
size_t spdk_bdev_get_buf_align(const spdk_bdev* bdev) { return bdev->buf_align(); }
bool spdk_bdev_has_write_cache(const spdk_bdev* bdev) { return bdev->write_cache; }
uint16_t spdk_bdev_get_acwu(const spdk_bdev* bdev) { return bdev->acwu; }
uint32_t spdk_bdev_get_max_copy(const spdk_bdev* bdev) { return bdev->max_copy; }
uint32_t spdk_bdev_get_md_size(const spdk_bdev* bdev) { return bdev->md_len; }

uint32_t spdk_bdev_get_optimal_io_boundary(const spdk_bdev* bdev) {
  return bdev->optimal_io_boundary;
}

uint32_t spdk_bdev_get_data_block_size(const spdk_bdev* bdev) {
  return bdev->block_len - (spdk_bdev_is_md_interleaved(bdev) ? bdev->md_len : 0);
}

bool spdk_bdev_is_md_interleaved(const spdk_bdev* bdev) {
  return bdev->md_len != 0 && bdev->md_interleave;
}

bool spdk_bdev_is_md_separate(const spdk_bdev* bdev) {
  return bdev->md_len != 0 && !bdev->md_interleave;
}

bool spdk_bdev_is_zoned(const spdk_bdev* /*bdev*/) { return false; }

spdk_dif_type spdk_bdev_get_dif_type(const spdk_bdev* /*bdev*/) { return SPDK_DIF_DISABLE; }

spdk_dif_pi_format spdk_bdev_get_dif_pi_format(const spdk_bdev* /*bdev*/) {
  return SPDK_DIF_PI_FORMAT_16;
}

bool spdk_bdev_is_dif_head_of_md(const spdk_bdev* /*bdev*/) { return false; }

bool spdk_bdev_is_dif_check_enabled(const spdk_bdev* /*bdev*/, spdk_dif_check_type /*type*/) {
  return false;
}

uint32_t spdk_bdev_get_preferred_write_alignment(const spdk_bdev* bdev) {
  return bdev->preferred_write_alignment;
}

uint32_t spdk_bdev_get_preferred_write_granularity(const spdk_bdev* bdev) {
  return bdev->preferred_write_granularity;
}

uint32_t spdk_bdev_get_optimal_write_size(const spdk_bdev* bdev) {
  return bdev->optimal_write_size;
}

uint32_t spdk_bdev_get_preferred_unmap_alignment(const spdk_bdev* bdev) {
  return bdev->preferred_unmap_alignment;
}

uint32_t spdk_bdev_get_preferred_unmap_granularity(const spdk_bdev* bdev) {
  return bdev->preferred_unmap_granularity;
}

int32_t spdk_bdev_get_numa_id(spdk_bdev* bdev) { return bdev->numa_id; }

uint32_t spdk_bdev_desc_get_block_size(spdk_bdev_desc* desc) { return desc_block_size(desc); }
uint32_t spdk_bdev_desc_get_md_size(spdk_bdev_desc* desc) { return desc->bdev->md_len; }

bool spdk_bdev_desc_is_md_interleaved(spdk_bdev_desc* desc) {
  return spdk_bdev_is_md_interleaved(desc->bdev);
}

bool spdk_bdev_desc_is_md_separate(spdk_bdev_desc* desc) {
  return spdk_bdev_is_md_separate(desc->bdev);
}

spdk_dif_type spdk_bdev_desc_get_dif_type(spdk_bdev_desc* desc) {
  return spdk_bdev_get_dif_type(desc->bdev);
}

spdk_dif_pi_format spdk_bdev_desc_get_dif_pi_format(spdk_bdev_desc* desc) {
  return spdk_bdev_get_dif_pi_format(desc->bdev);
}

bool spdk_bdev_desc_is_dif_head_of_md(spdk_bdev_desc* desc) {
  return spdk_bdev_is_dif_head_of_md(desc->bdev);
}

bool spdk_bdev_desc_is_dif_check_enabled(spdk_bdev_desc* desc, spdk_dif_check_type check_type) {
  return spdk_bdev_is_dif_check_enabled(desc->bdev, check_type);
}

bool spdk_bdev_desc_hide_metadata(spdk_bdev_desc* desc) { return desc->hide_metadata; }

// The modules here have no context for users.
void* spdk_bdev_get_module_ctx(spdk_bdev_desc* /*desc*/) { return nullptr; }

bool spdk_bdev_io_type_supported(spdk_bdev* bdev, spdk_bdev_io_type io_type) {
  return bdev->supports(io_type) ||
         (io_type == SPDK_BDEV_IO_TYPE_WRITE_ZEROES && bdev->supports(SPDK_BDEV_IO_TYPE_WRITE));
}

const char* spdk_bdev_get_io_type_name(spdk_bdev_io_type io_type) {
  return io_type > SPDK_BDEV_IO_TYPE_INVALID && io_type < SPDK_BDEV_NUM_IO_TYPES
             ? io_type_names[io_type]
             : nullptr;
}

int spdk_bdev_get_io_type(const char* io_type_string) {
  for (int type = SPDK_BDEV_IO_TYPE_READ; type < SPDK_BDEV_NUM_IO_TYPES; ++type) {
    if (std::strcmp(io_type_string, io_type_names[type]) == 0) {
      return type;
    }
  }
  return -1;
}

void spdk_bdev_io_get_nvme_status(const spdk_bdev_io* io, uint32_t* cdw0, int* sct, int* sc) {
  *cdw0 = io->nvme_cdw0;
  *sct = SPDK_NVME_SCT_GENERIC;
  *sc = SPDK_NVME_SC_SUCCESS;
  if (io->type == SPDK_BDEV_IO_TYPE_ABORT) {
    // As in NVMe, an abort that did not abort anything is no error by itself.
    *cdw0 = io->status == io_status::success ? 0 : 1;
    return;
  }
  switch (io->status) {
    case io_status::success: break;
    case io_status::aborted: *sc = SPDK_NVME_SC_ABORTED_BY_REQUEST; break;
    case io_status::nvme_error:
      *sct = io->nvme_sct;
      *sc = io->nvme_sc;
      break;
    case io_status::miscompare:
      *sct = SPDK_NVME_SCT_MEDIA_ERROR;
      *sc = SPDK_NVME_SC_COMPARE_FAILURE;
      break;
    default: *sc = SPDK_NVME_SC_INTERNAL_DEVICE_ERROR;
  }
}

void spdk_bdev_io_get_nvme_fused_status(const spdk_bdev_io* io, uint32_t* cdw0, int* first_sct,
                                        int* first_sc, int* second_sct, int* second_sc) {
  struct status {
    int sct = SPDK_NVME_SCT_GENERIC;
    int sc = SPDK_NVME_SC_SUCCESS;
  } first, second;
  switch (io->status) {
    case io_status::success: break;
    case io_status::aborted: first.sc = second.sc = SPDK_NVME_SC_ABORTED_BY_REQUEST; break;
    case io_status::miscompare:
      first = {SPDK_NVME_SCT_MEDIA_ERROR, SPDK_NVME_SC_COMPARE_FAILURE};
      second.sc = SPDK_NVME_SC_ABORTED_FAILED_FUSED;
      break;
    case io_status::first_fused_failed:
      first.sc = SPDK_NVME_SC_INTERNAL_DEVICE_ERROR;
      second.sc = SPDK_NVME_SC_ABORTED_FAILED_FUSED;
      break;
    case io_status::nvme_error:
      if (io->nvme_sct == SPDK_NVME_SCT_MEDIA_ERROR &&
          io->nvme_sc == SPDK_NVME_SC_COMPARE_FAILURE) {
        first = {io->nvme_sct, io->nvme_sc};
        second.sc = SPDK_NVME_SC_ABORTED_FAILED_FUSED;
      } else {
        second = {io->nvme_sct, io->nvme_sc};
      }
      break;
    default: first.sc = second.sc = SPDK_NVME_SC_INTERNAL_DEVICE_ERROR;
  }
  *first_sct = first.sct;
  *first_sc = first.sc;
  *second_sct = second.sct;
  *second_sc = second.sc;
  *cdw0 = io->nvme_cdw0;
}

void spdk_bdev_io_get_aio_status(const spdk_bdev_io* io, int* aio_result) {
  assert(aio_result != nullptr);
  switch (io->status) {
    case io_status::success: *aio_result = 0; break;
    case io_status::aio_error: *aio_result = io->aio_result; break;
    default: *aio_result = -EIO;
  }
}

void spdk_bdev_io_get_iovec(spdk_bdev_io* io, iovec** iovp, int* iovcntp) {
  if (io == nullptr) {
    return;
  }
  const bool has_data = io->type == SPDK_BDEV_IO_TYPE_READ || io->type == SPDK_BDEV_IO_TYPE_WRITE ||
                        io->type == SPDK_BDEV_IO_TYPE_ZCOPY;
  if (iovp != nullptr) {
    *iovp = has_data ? io->iovs : nullptr;
  }
  if (iovcntp != nullptr) {
    *iovcntp = has_data ? io->iovcnt : 0;
  }
}

void* spdk_bdev_io_get_md_buf(spdk_bdev_io* io) {
  if (io == nullptr || !spdk_bdev_is_md_separate(io->bdev)) {
    return nullptr;
  }
  const bool has_md = io->type == SPDK_BDEV_IO_TYPE_READ || io->type == SPDK_BDEV_IO_TYPE_WRITE;
  return has_md ? io->md_buf : nullptr;
}

uint32_t spdk_bdev_io_get_block_size(spdk_bdev_io* io) { return desc_block_size(io->desc); }

bool spdk_bdev_io_hide_metadata(spdk_bdev_io* io) { return io->desc->hide_metadata; }

uint64_t spdk_bdev_io_get_seek_offset(const spdk_bdev_io* io) { return io->seek_offset; }

void* spdk_bdev_io_get_cb_arg(spdk_bdev_io* io) { return io->cb_arg; }
