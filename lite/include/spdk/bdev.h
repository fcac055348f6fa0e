// SPDX-License-Identifier: BSD-3-Clause
/*
 * Block devices: opening them, their properties, and asynchronous I/O on them. Part of
 * spdk-io's stand-in for SPDK; the calls behave as SPDK's do, and calls that the stand-in
 * does not have are not declared.
 */
#ifndef SPDK_BDEV_H_
#define SPDK_BDEV_H_

#include "spdk/stdinc.h"

#include "spdk/assert.h"
#include "spdk/dif.h"
#include "spdk/histogram_data.h"
#include "spdk/nvme_spec.h"

#include <sys/uio.h>
#include "spdk/queue.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SPDK_BDEV_SMALL_BUF_MAX_SIZE 8192
#define SPDK_BDEV_LARGE_BUF_MAX_SIZE (64 * 1024)

struct spdk_bdev;
struct spdk_bdev_desc;
struct spdk_bdev_io;
struct spdk_io_channel;
struct spdk_uuid;
struct spdk_memory_domain;
struct spdk_accel_sequence;

/* --- events --- */

enum spdk_bdev_event_type {
  SPDK_BDEV_EVENT_REMOVE,
  SPDK_BDEV_EVENT_RESIZE,
  SPDK_BDEV_EVENT_MEDIA_MANAGEMENT
};

/* Runs on the SPDK thread that opened the descriptor, as a message; never after its close. */
typedef void (*spdk_bdev_event_cb_t)(enum spdk_bdev_event_type type, struct spdk_bdev* bdev,
                                     void* event_ctx);

/* --- kinds of I/O --- */

enum spdk_bdev_io_type {
  SPDK_BDEV_IO_TYPE_INVALID = 0,
  SPDK_BDEV_IO_TYPE_READ,
  SPDK_BDEV_IO_TYPE_WRITE,
  SPDK_BDEV_IO_TYPE_UNMAP,
  SPDK_BDEV_IO_TYPE_FLUSH,
  SPDK_BDEV_IO_TYPE_RESET,
  SPDK_BDEV_IO_TYPE_NVME_ADMIN,
  SPDK_BDEV_IO_TYPE_NVME_IO,
  SPDK_BDEV_IO_TYPE_NVME_IO_MD,
  SPDK_BDEV_IO_TYPE_WRITE_ZEROES,
  SPDK_BDEV_IO_TYPE_ZCOPY,
  SPDK_BDEV_IO_TYPE_GET_ZONE_INFO,
  SPDK_BDEV_IO_TYPE_ZONE_MANAGEMENT,
  SPDK_BDEV_IO_TYPE_ZONE_APPEND,
  SPDK_BDEV_IO_TYPE_COMPARE,
  SPDK_BDEV_IO_TYPE_COMPARE_AND_WRITE,
  SPDK_BDEV_IO_TYPE_ABORT,
  SPDK_BDEV_IO_TYPE_SEEK_HOLE,
  SPDK_BDEV_IO_TYPE_SEEK_DATA,
  SPDK_BDEV_IO_TYPE_COPY,
  SPDK_BDEV_IO_TYPE_NVME_IOV_MD,
  SPDK_BDEV_IO_TYPE_NVME_NSSR,
  SPDK_BDEV_IO_TYPE_WRITE_UNCORRECTABLE,
  SPDK_BDEV_NUM_IO_TYPES
};

/*
 * Runs on the thread of the channel. The I/O must be given back with spdk_bdev_free_io(),
 * in the callback or later.
 */
typedef void (*spdk_bdev_io_completion_cb)(struct spdk_bdev_io* bdev_io, bool success,
                                           void* cb_arg);

/* --- options of one I/O --- */

union spdk_bdev_nvme_cdw12 {
  uint32_t raw;
  struct {
    uint32_t reserved : 20;
    uint32_t dtype : 4;
    uint32_t reserved2 : 8;
  } write;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_bdev_nvme_cdw12) == 4, "size of spdk_bdev_nvme_cdw12");

union spdk_bdev_nvme_cdw13 {
  uint32_t raw;
  struct {
    uint32_t reserved : 16;
    uint32_t dspec : 16;
  } write;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_bdev_nvme_cdw13) == 4, "size of spdk_bdev_nvme_cdw13");

/*
 * For the calls that end in _ext. size is that of the structure as the caller knows it, at
 * least up to metadata. There are no memory domains and no accel sequences here: both must
 * be NULL.
 */
struct spdk_bdev_ext_io_opts {
  size_t size;
  struct spdk_memory_domain* memory_domain;
  void* memory_domain_ctx;
  /* Of a device with separate metadata. */
  void* metadata;
  struct spdk_accel_sequence* accel_sequence;
  uint32_t dif_check_flags_exclude_mask;
  union spdk_bdev_nvme_cdw12 nvme_cdw12;
  union spdk_bdev_nvme_cdw13 nvme_cdw13;
} __attribute__((packed));
SPDK_STATIC_ASSERT(sizeof(struct spdk_bdev_ext_io_opts) == 52, "size of spdk_bdev_ext_io_opts");

/* --- options of the layer, to be set before it is initialised --- */

struct spdk_bdev_opts {
  uint32_t bdev_io_pool_size;
  uint32_t bdev_io_cache_size;
  bool bdev_auto_examine;
  uint8_t reserved9[7];
  /* sizeof() as the caller knows the structure: later fields are left alone. */
  size_t opts_size;
  uint32_t iobuf_small_cache_size;
  uint32_t iobuf_large_cache_size;
} __attribute__((packed));
SPDK_STATIC_ASSERT(sizeof(struct spdk_bdev_opts) == 32, "size of spdk_bdev_opts");

void spdk_bdev_get_opts(struct spdk_bdev_opts* opts, size_t opts_size);

/* -1 if the pool could not fill the caches of all threads and one more. */
int spdk_bdev_set_opts(struct spdk_bdev_opts* opts);

/* --- start-up, for programs that do not use spdk_subsystem_init() --- */

typedef void (*spdk_bdev_init_cb)(void* cb_arg, int rc);
typedef void (*spdk_bdev_fini_cb)(void* cb_arg);
typedef void (*spdk_bdev_wait_for_examine_cb)(void* arg);

void spdk_bdev_initialize(spdk_bdev_init_cb cb_fn, void* cb_arg);
void spdk_bdev_finish(spdk_bdev_fini_cb cb_fn, void* cb_arg);
int spdk_bdev_wait_for_examine(spdk_bdev_wait_for_examine_cb cb_fn, void* cb_arg);

/* --- finding devices --- */

/* By name, or by UUID in lower case. */
struct spdk_bdev* spdk_bdev_get_by_name(const char* bdev_name);
struct spdk_bdev* spdk_bdev_first(void);
struct spdk_bdev* spdk_bdev_next(struct spdk_bdev* prev);
struct spdk_bdev* spdk_bdev_first_leaf(void);
struct spdk_bdev* spdk_bdev_next_leaf(struct spdk_bdev* prev);

/* Each device is held open while fn runs; a result other than 0 ends the walk. */
typedef int (*spdk_for_each_bdev_fn)(void* ctx, struct spdk_bdev* bdev);
int spdk_for_each_bdev(void* ctx, spdk_for_each_bdev_fn fn);
int spdk_for_each_bdev_leaf(void* ctx, spdk_for_each_bdev_fn fn);
/* In the order of the names; -ENODEV at the first that is not there. */
int spdk_for_each_bdev_by_name(void* ctx, spdk_for_each_bdev_fn fn, const char** names,
                               size_t count);

/* --- descriptors and channels --- */

/*
 * -EINVAL without an event callback, -ENODEV if there is no such device or it is going away,
 * -EPERM for writing if a module has claimed it, which has built another device on it.
 * Aborts where there is no current SPDK thread. Close it on the same SPDK thread.
 */
int spdk_bdev_open_ext(const char* bdev_name, bool write, spdk_bdev_event_cb_t event_cb,
                       void* event_ctx, struct spdk_bdev_desc** desc);

struct spdk_bdev_open_opts {
  size_t size;
  /* Blocks without metadata. -EINVAL where it is separate, -ENOTSUP where it is interleaved. */
  bool hide_metadata;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_bdev_open_opts) == 16, "size of spdk_bdev_open_opts");

void spdk_bdev_open_opts_init(struct spdk_bdev_open_opts* opts, size_t opts_size);
/* opts may be NULL. */
int spdk_bdev_open_ext_v2(const char* bdev_name, bool write, spdk_bdev_event_cb_t event_cb,
                          void* event_ctx, struct spdk_bdev_open_opts* opts,
                          struct spdk_bdev_desc** desc);
void spdk_bdev_close(struct spdk_bdev_desc* desc);
struct spdk_bdev* spdk_bdev_desc_get_bdev(struct spdk_bdev_desc* desc);

/* The channel of the current SPDK thread; to be put with spdk_put_io_channel(). */
struct spdk_io_channel* spdk_bdev_get_io_channel(struct spdk_bdev_desc* desc);

/* What the device's module shows to those who know it; NULL here. */
void* spdk_bdev_get_module_ctx(struct spdk_bdev_desc* desc);

struct spdk_bdev_open_async_opts {
  size_t size;
  /* How long to wait for the device to appear; 0, the default, not at all. */
  uint64_t timeout_ms;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_bdev_open_async_opts) == 16,
                   "size of spdk_bdev_open_async_opts");

typedef void (*spdk_bdev_open_async_cb_t)(struct spdk_bdev_desc* desc, int rc, void* cb_arg);

/*
 * open_cb runs later on this thread, with a descriptor or -ENODEV, -ETIMEDOUT (it did not
 * appear in time), -ESHUTDOWN (the layer ends). -EINVAL if a function is missing.
 */
int spdk_bdev_open_async(const char* bdev_name, bool write, spdk_bdev_event_cb_t event_cb,
                         void* event_ctx, struct spdk_bdev_open_async_opts* opts,
                         spdk_bdev_open_async_cb_t open_cb, void* open_cb_arg);

/*
 * Visits the channels one after the other, each on its own thread, until
 * spdk_bdev_for_each_channel_continue() is given a status other than 0; then cpl on this one.
 */
struct spdk_bdev_channel_iter;
typedef void (*spdk_bdev_for_each_channel_msg)(struct spdk_bdev_channel_iter* i,
                                               struct spdk_bdev* bdev, struct spdk_io_channel* ch,
                                               void* ctx);
typedef void (*spdk_bdev_for_each_channel_done)(struct spdk_bdev* bdev, void* ctx, int status);
void spdk_bdev_for_each_channel(struct spdk_bdev* bdev, spdk_bdev_for_each_channel_msg fn,
                                void* ctx, spdk_bdev_for_each_channel_done cpl);
void spdk_bdev_for_each_channel_continue(struct spdk_bdev_channel_iter* i, int status);

/* --- properties --- */

const char* spdk_bdev_get_name(const struct spdk_bdev* bdev);
const char* spdk_bdev_get_product_name(const struct spdk_bdev* bdev);
const char* spdk_bdev_get_module_name(const struct spdk_bdev* bdev);
const struct spdk_uuid* spdk_bdev_get_uuid(const struct spdk_bdev* bdev);
uint32_t spdk_bdev_get_block_size(const struct spdk_bdev* bdev);
uint32_t spdk_bdev_get_data_block_size(const struct spdk_bdev* bdev);
uint32_t spdk_bdev_get_physical_block_size(const struct spdk_bdev* bdev);
uint64_t spdk_bdev_get_num_blocks(const struct spdk_bdev* bdev);
uint32_t spdk_bdev_get_write_unit_size(const struct spdk_bdev* bdev);
uint32_t spdk_bdev_get_preferred_write_alignment(const struct spdk_bdev* bdev);
uint32_t spdk_bdev_get_preferred_write_granularity(const struct spdk_bdev* bdev);
uint32_t spdk_bdev_get_optimal_write_size(const struct spdk_bdev* bdev);
uint32_t spdk_bdev_get_preferred_unmap_alignment(const struct spdk_bdev* bdev);
uint32_t spdk_bdev_get_preferred_unmap_granularity(const struct spdk_bdev* bdev);
/* SPDK_ENV_NUMA_ID_ANY if the device does not say. */
int32_t spdk_bdev_get_numa_id(struct spdk_bdev* bdev);
size_t spdk_bdev_get_buf_align(const struct spdk_bdev* bdev);
uint32_t spdk_bdev_get_optimal_io_boundary(const struct spdk_bdev* bdev);
bool spdk_bdev_has_write_cache(const struct spdk_bdev* bdev);
uint16_t spdk_bdev_get_acwu(const struct spdk_bdev* bdev);
uint32_t spdk_bdev_get_max_copy(const struct spdk_bdev* bdev);
uint32_t spdk_bdev_get_md_size(const struct spdk_bdev* bdev);
bool spdk_bdev_is_md_interleaved(const struct spdk_bdev* bdev);
bool spdk_bdev_is_md_separate(const struct spdk_bdev* bdev);
bool spdk_bdev_is_zoned(const struct spdk_bdev* bdev);
enum spdk_dif_type spdk_bdev_get_dif_type(const struct spdk_bdev* bdev);
enum spdk_dif_pi_format spdk_bdev_get_dif_pi_format(const struct spdk_bdev* bdev);
bool spdk_bdev_is_dif_head_of_md(const struct spdk_bdev* bdev);
bool spdk_bdev_is_dif_check_enabled(const struct spdk_bdev* bdev,
                                    enum spdk_dif_check_type check_type);

/* The same as the descriptor sees it. */
uint32_t spdk_bdev_desc_get_block_size(struct spdk_bdev_desc* desc);
uint32_t spdk_bdev_desc_get_md_size(struct spdk_bdev_desc* desc);
bool spdk_bdev_desc_is_md_interleaved(struct spdk_bdev_desc* desc);
bool spdk_bdev_desc_is_md_separate(struct spdk_bdev_desc* desc);
enum spdk_dif_type spdk_bdev_desc_get_dif_type(struct spdk_bdev_desc* desc);
enum spdk_dif_pi_format spdk_bdev_desc_get_dif_pi_format(struct spdk_bdev_desc* desc);
bool spdk_bdev_desc_is_dif_head_of_md(struct spdk_bdev_desc* desc);
bool spdk_bdev_desc_hide_metadata(struct spdk_bdev_desc* desc);
bool spdk_bdev_desc_is_dif_check_enabled(struct spdk_bdev_desc* desc,
                                         enum spdk_dif_check_type check_type);

/*
 * The queue depth, sampled every period microseconds (0: never): the last sample (UINT64_MAX
 * while there is none), the time with I/O in flight, and that time weighted with the depth.
 */
void spdk_bdev_set_qd_sampling_period(struct spdk_bdev* bdev, uint64_t period);
uint64_t spdk_bdev_get_qd_sampling_period(const struct spdk_bdev* bdev);
uint64_t spdk_bdev_get_qd(const struct spdk_bdev* bdev);
uint64_t spdk_bdev_get_io_time(const struct spdk_bdev* bdev);
uint64_t spdk_bdev_get_weighted_io_time(const struct spdk_bdev* bdev);

bool spdk_bdev_io_type_supported(struct spdk_bdev* bdev, enum spdk_bdev_io_type io_type);
const char* spdk_bdev_get_io_type_name(enum spdk_bdev_io_type io_type);
int spdk_bdev_get_io_type(const char* io_type_string);

/* --- I/O ---
 * Offsets and lengths are bytes, or blocks in the _blocks calls. All return 0 if the
 * completion callback will run, else -EBADF (descriptor not opened for writing), -EINVAL
 * (not block-aligned, or beyond the end), -ENOTSUP, or -ENOMEM (no I/O object to be had:
 * see spdk_bdev_queue_io_wait()). Buffers and iovecs must live until the completion.
 */

int spdk_bdev_read(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch, void* buf,
                   uint64_t offset, uint64_t nbytes, spdk_bdev_io_completion_cb cb, void* cb_arg);
int spdk_bdev_read_blocks(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch, void* buf,
                          uint64_t offset_blocks, uint64_t num_blocks,
                          spdk_bdev_io_completion_cb cb, void* cb_arg);
int spdk_bdev_readv(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch, struct iovec* iov,
                    int iovcnt, uint64_t offset, uint64_t nbytes, spdk_bdev_io_completion_cb cb,
                    void* cb_arg);
int spdk_bdev_readv_blocks(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch,
                           struct iovec* iov, int iovcnt, uint64_t offset_blocks,
                           uint64_t num_blocks, spdk_bdev_io_completion_cb cb, void* cb_arg);

int spdk_bdev_write(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch, void* buf,
                    uint64_t offset, uint64_t nbytes, spdk_bdev_io_completion_cb cb, void* cb_arg);
int spdk_bdev_write_blocks(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch, void* buf,
                           uint64_t offset_blocks, uint64_t num_blocks,
                           spdk_bdev_io_completion_cb cb, void* cb_arg);
int spdk_bdev_writev(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch, struct iovec* iov,
                     int iovcnt, uint64_t offset, uint64_t len, spdk_bdev_io_completion_cb cb,
                     void* cb_arg);
int spdk_bdev_writev_blocks(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch,
                            struct iovec* iov, int iovcnt, uint64_t offset_blocks,
                            uint64_t num_blocks, spdk_bdev_io_completion_cb cb, void* cb_arg);

/*
 * With metadata in a buffer of its own, for devices that keep it separately. -EINVAL if the
 * device does not, or without a data buffer. NULL: without metadata.
 */
int spdk_bdev_read_blocks_with_md(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch,
                                  void* buf, void* md, uint64_t offset_blocks, uint64_t num_blocks,
                                  spdk_bdev_io_completion_cb cb, void* cb_arg);
int spdk_bdev_readv_blocks_with_md(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch,
                                   struct iovec* iov, int iovcnt, void* md, uint64_t offset_blocks,
                                   uint64_t num_blocks, spdk_bdev_io_completion_cb cb,
                                   void* cb_arg);
int spdk_bdev_write_blocks_with_md(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch,
                                   void* buf, void* md, uint64_t offset_blocks, uint64_t num_blocks,
                                   spdk_bdev_io_completion_cb cb, void* cb_arg);
int spdk_bdev_writev_blocks_with_md(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch,
                                    struct iovec* iov, int iovcnt, void* md, uint64_t offset_blocks,
                                    uint64_t num_blocks, spdk_bdev_io_completion_cb cb,
                                    void* cb_arg);

/* -EINVAL if the options' size is wrong, or as above. opts may be NULL. */
int spdk_bdev_readv_blocks_ext(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch,
                               struct iovec* iov, int iovcnt, uint64_t offset_blocks,
                               uint64_t num_blocks, spdk_bdev_io_completion_cb cb, void* cb_arg,
                               struct spdk_bdev_ext_io_opts* opts);
int spdk_bdev_writev_blocks_ext(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch,
                                struct iovec* iov, int iovcnt, uint64_t offset_blocks,
                                uint64_t num_blocks, spdk_bdev_io_completion_cb cb, void* cb_arg,
                                struct spdk_bdev_ext_io_opts* opts);

/*
 * A difference is a failed completion with NVMe status 2/85h. Where the device has no
 * compare of its own it is a read, which the layer compares.
 */
int spdk_bdev_compare_blocks(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch, void* buf,
                             uint64_t offset_blocks, uint64_t num_blocks,
                             spdk_bdev_io_completion_cb cb, void* cb_arg);
int spdk_bdev_compare_blocks_with_md(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch,
                                     void* buf, void* md, uint64_t offset_blocks,
                                     uint64_t num_blocks, spdk_bdev_io_completion_cb cb,
                                     void* cb_arg);
int spdk_bdev_comparev_blocks(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch,
                              struct iovec* iov, int iovcnt, uint64_t offset_blocks,
                              uint64_t num_blocks, spdk_bdev_io_completion_cb cb, void* cb_arg);
int spdk_bdev_comparev_blocks_with_md(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch,
                                      struct iovec* iov, int iovcnt, void* md,
                                      uint64_t offset_blocks, uint64_t num_blocks,
                                      spdk_bdev_io_completion_cb cb, void* cb_arg);

/*
 * Compares and then writes, with no other write in between. -EINVAL for more blocks than
 * spdk_bdev_get_acwu(). spdk_bdev_io_get_nvme_fused_status() tells the two apart.
 */
int spdk_bdev_comparev_and_writev_blocks(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch,
                                         struct iovec* compare_iov, int compare_iovcnt,
                                         struct iovec* write_iov, int write_iovcnt,
                                         uint64_t offset_blocks, uint64_t num_blocks,
                                         spdk_bdev_io_completion_cb cb, void* cb_arg);

/* Within the device. The ranges must not overlap. */
int spdk_bdev_copy_blocks(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch,
                          uint64_t dst_offset_blocks, uint64_t src_offset_blocks,
                          uint64_t num_blocks, spdk_bdev_io_completion_cb cb, void* cb_arg);

/*
 * Lends the device's own buffer for the blocks: see spdk_bdev_io_get_iovec() in the
 * completion. iov may be NULL. Without populate the buffer's contents are undefined. The I/O
 * is not freed then but given to spdk_bdev_zcopy_end(), which writes the buffer if commit.
 */
int spdk_bdev_zcopy_start(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch,
                          struct iovec* iov, int iovcnt, uint64_t offset_blocks,
                          uint64_t num_blocks, bool populate, spdk_bdev_io_completion_cb cb,
                          void* cb_arg);
/* -EINVAL for an I/O of another kind. */
int spdk_bdev_zcopy_end(struct spdk_bdev_io* bdev_io, bool commit, spdk_bdev_io_completion_cb cb,
                        void* cb_arg);

/*
 * The next block with data, or without, from the offset on: spdk_bdev_io_get_seek_offset() in
 * the completion, UINT64_MAX if there is none. Devices that do not know are full of data.
 */
int spdk_bdev_seek_data(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch,
                        uint64_t offset_blocks, spdk_bdev_io_completion_cb cb, void* cb_arg);
int spdk_bdev_seek_hole(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch,
                        uint64_t offset_blocks, spdk_bdev_io_completion_cb cb, void* cb_arg);

int spdk_bdev_write_zeroes(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch, uint64_t offset,
                           uint64_t len, spdk_bdev_io_completion_cb cb, void* cb_arg);
int spdk_bdev_write_zeroes_blocks(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch,
                                  uint64_t offset_blocks, uint64_t num_blocks,
                                  spdk_bdev_io_completion_cb cb, void* cb_arg);
/* Makes reads of the blocks fail until they are written; -ENOTSUP where the device cannot. */
int spdk_bdev_write_uncorrectable_blocks(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch,
                                         uint64_t offset_blocks, uint64_t num_blocks,
                                         spdk_bdev_io_completion_cb cb, void* cb_arg);
int spdk_bdev_unmap(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch, uint64_t offset,
                    uint64_t nbytes, spdk_bdev_io_completion_cb cb, void* cb_arg);
int spdk_bdev_unmap_blocks(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch,
                           uint64_t offset_blocks, uint64_t num_blocks,
                           spdk_bdev_io_completion_cb cb, void* cb_arg);
int spdk_bdev_flush(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch, uint64_t offset,
                    uint64_t length, spdk_bdev_io_completion_cb cb, void* cb_arg);
int spdk_bdev_flush_blocks(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch,
                           uint64_t offset_blocks, uint64_t num_blocks,
                           spdk_bdev_io_completion_cb cb, void* cb_arg);

/* New and queued I/O of all channels of the device completes as aborted while it runs. */
int spdk_bdev_reset(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch,
                    spdk_bdev_io_completion_cb cb, void* cb_arg);

/* Aborts every I/O of this channel whose callback argument is bio_cb_arg. */
int spdk_bdev_abort(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch, void* bio_cb_arg,
                    spdk_bdev_io_completion_cb cb, void* cb_arg);

void spdk_bdev_free_io(struct spdk_bdev_io* bdev_io);

typedef void (*spdk_bdev_io_timeout_cb)(void* cb_arg, struct spdk_bdev_io* bdev_io);

/*
 * Looks once a second, and calls cb_fn on the thread of each I/O of this descriptor that is
 * older, each time. The I/O goes on. 0: no more.
 */
int spdk_bdev_set_timeout(struct spdk_bdev_desc* desc, uint64_t timeout_in_sec,
                          spdk_bdev_io_timeout_cb cb_fn, void* cb_arg);

/* --- waiting for an I/O object --- */

typedef void (*spdk_bdev_io_wait_cb)(void* cb_arg);

/* Zero-initialise it; it must live until cb_fn runs, and cannot be withdrawn. */
struct spdk_bdev_io_wait_entry {
  struct spdk_bdev* bdev;
  spdk_bdev_io_wait_cb cb_fn;
  void* cb_arg;
  /* Queue at the head: other I/O holds resources until this one has run. */
  bool dep_unblock;
  uint8_t pad[7];
  TAILQ_ENTRY(spdk_bdev_io_wait_entry) link;
};

/* -EINVAL if an I/O object is to be had on this thread, or the device is another one. */
int spdk_bdev_queue_io_wait(struct spdk_bdev* bdev, struct spdk_io_channel* ch,
                            struct spdk_bdev_io_wait_entry* entry);

/* --- what a completion says --- */

void spdk_bdev_io_get_nvme_status(const struct spdk_bdev_io* bdev_io, uint32_t* cdw0, int* sct,
                                  int* sc);
void spdk_bdev_io_get_aio_status(const struct spdk_bdev_io* bdev_io, int* aio_result);
void spdk_bdev_io_get_iovec(struct spdk_bdev_io* bdev_io, struct iovec** iovp, int* iovcntp);
void* spdk_bdev_io_get_md_buf(struct spdk_bdev_io* bdev_io);
void* spdk_bdev_io_get_cb_arg(struct spdk_bdev_io* bdev_io);
void spdk_bdev_io_get_nvme_fused_status(const struct spdk_bdev_io* bdev_io, uint32_t* cdw0,
                                        int* first_sct, int* first_sc, int* second_sct,
                                        int* second_sc);
uint32_t spdk_bdev_io_get_block_size(struct spdk_bdev_io* bdev_io);
bool spdk_bdev_io_hide_metadata(struct spdk_bdev_io* bdev_io);
uint64_t spdk_bdev_io_get_seek_offset(const struct spdk_bdev_io* bdev_io);

/* --- statistics --- */

struct spdk_bdev_io_error_stat;

/* Of I/O that succeeded; the layer's children of a split I/O count instead of it. */
struct spdk_bdev_io_stat {
  uint64_t bytes_read;
  uint64_t num_read_ops;
  uint64_t bytes_written;
  uint64_t num_write_ops;
  uint64_t bytes_unmapped;
  uint64_t num_unmap_ops;
  uint64_t bytes_copied;
  uint64_t num_copy_ops;
  uint64_t read_latency_ticks;
  uint64_t max_read_latency_ticks;
  uint64_t min_read_latency_ticks;
  uint64_t write_latency_ticks;
  uint64_t max_write_latency_ticks;
  uint64_t min_write_latency_ticks;
  uint64_t unmap_latency_ticks;
  uint64_t max_unmap_latency_ticks;
  uint64_t min_unmap_latency_ticks;
  uint64_t copy_latency_ticks;
  uint64_t max_copy_latency_ticks;
  uint64_t min_copy_latency_ticks;
  uint64_t ticks_rate;
  /* NULL. */
  struct spdk_bdev_io_error_stat* io_error;
};

enum spdk_bdev_reset_stat_mode {
  SPDK_BDEV_RESET_STAT_ALL,
  SPDK_BDEV_RESET_STAT_MAXMIN,
  SPDK_BDEV_RESET_STAT_ERROR,
  SPDK_BDEV_RESET_STAT_NONE
};

/* Those of one channel, on its thread; then resets them. A minimum without I/O is UINT64_MAX. */
void spdk_bdev_get_io_stat(struct spdk_bdev* bdev, struct spdk_io_channel* ch,
                           struct spdk_bdev_io_stat* stat,
                           enum spdk_bdev_reset_stat_mode reset_mode);

typedef void (*spdk_bdev_get_device_stat_cb)(struct spdk_bdev* bdev, struct spdk_bdev_io_stat* stat,
                                             void* cb_arg, int rc);

/* The sum of all channels, former ones included. stat must live until the callback. */
void spdk_bdev_get_device_stat(struct spdk_bdev* bdev, struct spdk_bdev_io_stat* stat,
                               enum spdk_bdev_reset_stat_mode reset_mode,
                               spdk_bdev_get_device_stat_cb cb, void* cb_arg);

/* --- histograms of the latency, in ticks --- */

struct spdk_bdev_enable_histogram_opts {
  size_t size;
  /* The range that is told apart, in nanoseconds. */
  uint64_t min_nsec;
  uint64_t max_nsec;
  /* Of enum spdk_bdev_io_type; 0: all. */
  uint8_t io_type;
  uint8_t granularity;
} __attribute__((packed));
SPDK_STATIC_ASSERT(sizeof(struct spdk_bdev_enable_histogram_opts) == 26,
                   "size of spdk_bdev_enable_histogram_opts");

typedef void (*spdk_bdev_histogram_status_cb)(void* cb_arg, int status);
typedef void (*spdk_bdev_histogram_data_cb)(void* cb_arg, int status,
                                            struct spdk_histogram_data* histogram);

void spdk_bdev_enable_histogram_opts_init(struct spdk_bdev_enable_histogram_opts* opts,
                                          size_t size);
/* -EAGAIN while another such call is under way. */
void spdk_bdev_histogram_enable(struct spdk_bdev* bdev, spdk_bdev_histogram_status_cb cb_fn,
                                void* cb_arg, bool enable);
void spdk_bdev_histogram_enable_ext(struct spdk_bdev* bdev, spdk_bdev_histogram_status_cb cb_fn,
                                    void* cb_arg, bool enable,
                                    struct spdk_bdev_enable_histogram_opts* opts);

/* Adds those of all channels to the given one. -EFAULT if they are not enabled. */
void spdk_bdev_histogram_get(struct spdk_bdev* bdev, struct spdk_histogram_data* histogram,
                             spdk_bdev_histogram_data_cb cb_fn, void* cb_arg);
/* That of one channel, inside the call. -EFAULT if they are not enabled. */
void spdk_bdev_channel_get_histogram(struct spdk_io_channel* ch, spdk_bdev_histogram_data_cb cb_fn,
                                     void* cb_arg);

/* --- rate limits --- */

enum spdk_bdev_qos_rate_limit_type {
  SPDK_BDEV_QOS_RW_IOPS_RATE_LIMIT = 0,
  SPDK_BDEV_QOS_RW_BPS_RATE_LIMIT,
  SPDK_BDEV_QOS_R_BPS_RATE_LIMIT,
  SPDK_BDEV_QOS_W_BPS_RATE_LIMIT,
  SPDK_BDEV_QOS_NUM_RATE_LIMIT_TYPES
};

const char* spdk_bdev_get_qos_rpc_type(enum spdk_bdev_qos_rate_limit_type type);

/* I/Os per second and MiB per second; 0: not limited. limits has one element for each type. */
void spdk_bdev_get_qos_rate_limits(struct spdk_bdev* bdev, uint64_t* limits);

/*
 * Likewise; UINT64_MAX leaves a limit as it is. I/Os are rounded up to a multiple of 1000, and
 * limits is overwritten (with bytes, for the bandwidths). The status is -EAGAIN while another
 * such call is under way.
 */
void spdk_bdev_set_qos_rate_limits(struct spdk_bdev* bdev, uint64_t* limits,
                                   void (*cb_fn)(void* cb_arg, int status), void* cb_arg);

#ifdef __cplusplus
}
#endif

#endif
