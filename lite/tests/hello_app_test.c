// SPDX-License-Identifier: BSD-3-Clause
// An application in C, as small ones are: parses its command line, opens a device, writes a
// greeting, reads it back, stops. Exits with 0 if what it read is what it wrote.
#include "spdk/bdev.h"
#include "spdk/bdev_zone.h"
#include "spdk/env.h"
#include "spdk/event.h"
#include "spdk/log.h"
#include "spdk/stdinc.h"
#include "spdk/string.h"
#include "spdk/thread.h"

static const char greeting[] = "Greetings from a reactor";

/** What the program is about, and where it stands. */
struct hello {
  const char* device;
  struct spdk_bdev_desc* desc;
  struct spdk_bdev* bdev;
  struct spdk_io_channel* channel;
  char* buffer;
  uint64_t length;
  /** The submission that waits for an I/O object, when there is none. */
  struct spdk_bdev_io_wait_entry wait;
};

static struct hello hello = {.device = "Malloc0"};

static void finish(struct hello* h, int rc) {
  if (h->channel != NULL) {
    spdk_put_io_channel(h->channel);
  }
  if (h->desc != NULL) {
    spdk_bdev_close(h->desc);
  }
  spdk_app_stop(rc);
}

/** Has `again` called with `h` once the submission may succeed, or gives up. */
static void retry_or_finish(struct hello* h, int rc, spdk_bdev_io_wait_cb again) {
  if (rc == 0) {
    return;
  }
  if (rc == -ENOMEM) {
    h->wait.bdev = h->bdev;
    h->wait.cb_fn = again;
    h->wait.cb_arg = h;
    rc = spdk_bdev_queue_io_wait(h->bdev, h->channel, &h->wait);
  }
  if (rc != 0) {
    SPDK_ERRLOG("%s: submission refused: %s\n", h->device, spdk_strerror(-rc));
    finish(h, rc);
  }
}

static void read_done(struct spdk_bdev_io* io, bool success, void* arg) {
  struct hello* h = arg;
  spdk_bdev_free_io(io);
  if (success && strcmp(h->buffer, greeting) == 0) {
    printf("read from %s: %s\n", h->device, h->buffer);
    finish(h, 0);
  } else {
    finish(h, -EIO);
  }
}

static void read_back(void* arg) {
  struct hello* h = arg;
  retry_or_finish(h, spdk_bdev_read(h->desc, h->channel, h->buffer, 0, h->length, read_done, h),
                  read_back);
}

static void write_done(struct spdk_bdev_io* io, bool success, void* arg) {
  struct hello* h = arg;
  spdk_bdev_free_io(io);
  if (!success) {
    finish(h, -EIO);
    return;
  }
  memset(h->buffer, 0, h->length);
  read_back(h);
}

static void write_greeting(void* arg) {
  struct hello* h = arg;
  retry_or_finish(h, spdk_bdev_write(h->desc, h->channel, h->buffer, 0, h->length, write_done, h),
                  write_greeting);
}

/** A device without zones takes the request, and fails it later. */
static void zone_reset_done(struct spdk_bdev_io* io, bool success, void* arg) {
  struct hello* h = arg;
  spdk_bdev_free_io(io);
  if (success != spdk_bdev_is_zoned(h->bdev)) {
    SPDK_ERRLOG("%s: resetting a zone %s\n", h->device, success ? "succeeded" : "failed");
    finish(h, -EIO);
    return;
  }
  write_greeting(h);
}

static void reset_zone(void* arg) {
  struct hello* h = arg;
  retry_or_finish(
      h,
      spdk_bdev_zone_management(h->desc, h->channel, 0, SPDK_BDEV_ZONE_RESET, zone_reset_done, h),
      reset_zone);
}

static void device_event(enum spdk_bdev_event_type type, struct spdk_bdev* bdev, void* arg) {
  (void)arg;
  SPDK_NOTICELOG("%s: event %d\n", spdk_bdev_get_name(bdev), (int)type);
}

static int prepare(struct hello* h) {
  int rc = spdk_bdev_open_ext(h->device, true, device_event, NULL, &h->desc);
  if (rc != 0) {
    return rc;
  }
  h->bdev = spdk_bdev_desc_get_bdev(h->desc);
  h->channel = spdk_bdev_get_io_channel(h->desc);
  h->length = (uint64_t)spdk_bdev_get_block_size(h->bdev) * spdk_bdev_get_write_unit_size(h->bdev);
  h->buffer = spdk_dma_zmalloc(h->length, spdk_bdev_get_buf_align(h->bdev), NULL);
  if (h->channel == NULL || h->buffer == NULL) {
    return -ENOMEM;
  }
  snprintf(h->buffer, h->length, "%s", greeting);
  return 0;
}

static void start(void* arg) {
  struct hello* h = arg;
  const int rc = prepare(h);
  if (rc != 0) {
    SPDK_ERRLOG("%s cannot be used: %s\n", h->device, spdk_strerror(-rc));
    finish(h, rc);
    return;
  }
  reset_zone(h);
}

static int take_option(int letter, char* argument) {
  if (letter != 'b') {
    return -EINVAL;
  }
  hello.device = argument;
  return 0;
}

static void print_options(void) { printf(" -b <device>    which device to greet\n"); }

int main(int argc, char** argv) {
  struct spdk_app_opts opts = {0};
  spdk_app_opts_init(&opts, sizeof(opts));
  opts.name = "hello_app";
  opts.rpc_addr = NULL;
  const spdk_app_parse_args_rvals_t parsed =
      spdk_app_parse_args(argc, argv, &opts, "b:", NULL, take_option, print_options);
  if (parsed != SPDK_APP_PARSE_ARGS_SUCCESS) {
    return parsed == SPDK_APP_PARSE_ARGS_HELP ? 0 : 2;
  }
  const int rc = spdk_app_start(&opts, start, &hello);
  spdk_dma_free(hello.buffer);
  spdk_app_fini();
  // 1 is a start that failed; what stopped the program is negative, which exit codes are not.
  return rc < 0 ? 3 : rc;
}
