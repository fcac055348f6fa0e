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

/* --- descriptors and channels --- */

/*
 * -EINVAL without an event callback, -ENODEV if there is no such device or it is going away,
 * -EPERM for writing if a module has claimed it, which has built another device on it.
 * Aborts where there is no current SPDK thread. Close it on the same SPDK thread.
 */
int spdk_bdev_open_ext(const char* bdev_name, bool write, spdk_bdev_event_cb_t event_cb,
                       void* event_ctx, struct spdk_bdev_desc** desc);
void spdk_bdev_close(struct spdk_bdev_desc* desc);
struct spdk_bdev* spdk_bdev_desc_get_bdev(struct spdk_bdev_desc* desc);

/* The channel of the current SPDK thread; to be put with spdk_put_io_channel(). */
struct spdk_io_channel* spdk_bdev_get_io_channel(struct spdk_bdev_desc* desc);

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
size_t spdk_bdev_get_buf_align(const struct spdk_bdev* bdev);
uint32_t spdk_bdev_get_optimal_io_boundary(const struct spdk_bdev* bdev);
bool spdk_bdev_has_write_cache(const struct spdk_bdev* bdev);
uint16_t spdk_bdev_get_acwu(const struct spdk_bdev* bdev);
uint32_t spdk_bdev_get_max_copy(const struct spdk_bdev* bdev);
uint64_t spdk_bdev_get_qd(const struct spdk_bdev* bdev);
uint32_t spdk_bdev_get_md_size(const struct spdk_bdev* bdev);
bool spdk_bdev_is_md_interleaved(const struct spdk_bdev* bdev);
bool spdk_bdev_is_md_separate(const struct spdk_bdev* bdev);
bool spdk_bdev_is_zoned(const struct spdk_bdev* bdev);
enum spdk_dif_type spdk_bdev_get_dif_type(const struct spdk_bdev* bdev);
enum spdk_dif_pi_format spdk_bdev_get_dif_pi_format(const struct spdk_bdev* bdev);
bool spdk_bdev_is_dif_head_of_md(const struct spdk_bdev* bdev);
bool spdk_bdev_is_dif_check_enabled(const struct spdk_bdev* bdev,
                                    enum spdk_dif_check_type check_type);

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

int spdk_bdev_write_zeroes(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch, uint64_t offset,
                           uint64_t len, spdk_bdev_io_completion_cb cb, void* cb_arg);
int spdk_bdev_write_zeroes_blocks(struct spdk_bdev_desc* desc, struct spdk_io_channel* ch,
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

#ifdef __cplusplus
}
#endif

#endif
