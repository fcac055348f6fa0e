/* SPDX-License-Identifier: BSD-3-Clause */
/* A small program, for its compile time and its size: one read, written with SPDK's C API.
 * small_cpp.cpp does the same with the library. */
#include <spdk/bdev.h>
#include <spdk/env.h>
#include <spdk/event.h>
#include <spdk/string.h>

#include <stdio.h>

struct program {
  struct spdk_bdev_desc* desc;
  struct spdk_io_channel* channel;
  void* buffer;
  int rc;
};

static void stop(struct program* p, int rc) {
  if (p->channel) spdk_put_io_channel(p->channel);
  if (p->desc) spdk_bdev_close(p->desc);
  spdk_dma_free(p->buffer);
  p->rc = rc;
  spdk_app_stop(rc);
}

static void on_event(enum spdk_bdev_event_type type, struct spdk_bdev* bdev, void* context) {
  (void)type;
  (void)bdev;
  (void)context;
}

static void on_read(struct spdk_bdev_io* io, bool success, void* argument) {
  spdk_bdev_free_io(io);
  if (!success) fprintf(stderr, "the read failed\n");
  stop(argument, success ? 0 : 1);
}

static void start(void* argument) {
  struct program* p = argument;
  int rc = spdk_bdev_open_ext("null", false, on_event, NULL, &p->desc);
  if (rc != 0) {
    fprintf(stderr, "open: %s\n", spdk_strerror(-rc));
    stop(p, 1);
    return;
  }
  p->channel = spdk_bdev_get_io_channel(p->desc);
  p->buffer = spdk_dma_zmalloc(4096, 4096, NULL);
  if (!p->channel || !p->buffer) {
    fprintf(stderr, "no memory\n");
    stop(p, 1);
    return;
  }
  rc = spdk_bdev_read(p->desc, p->channel, p->buffer, 0, 4096, on_read, p);
  if (rc != 0) {
    fprintf(stderr, "read: %s\n", spdk_strerror(-rc));
    stop(p, 1);
  }
}

int main(void) {
  static const char json[] =
      "{\"subsystems\": [{\"subsystem\": \"bdev\", \"config\": [{\"method\": \"bdev_null_create\", "
      "\"params\": {\"name\": \"null\", \"num_blocks\": 2048, \"block_size\": 512}}]}]}";
  struct spdk_app_opts opts = {0};
  struct program p = {0};
  int rc;

  spdk_app_opts_init(&opts, sizeof(opts));
  opts.name = "small_c";
  opts.rpc_addr = NULL;
  opts.no_huge = true;
  opts.no_pci = true;
  opts.mem_size = 512;
  opts.json_data = (void*)json;
  opts.json_data_size = sizeof(json) - 1;
  rc = spdk_app_start(&opts, start, &p);
  spdk_app_fini();
  return rc != 0 ? rc : p.rc;
}
