/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices that come, are opened, change their size and go, while others look. */
#include "runtime.h"
#include "transcript.h"

#include "spdk/bdev.h"
#include "spdk/bdev_module.h"
#include "spdk/uuid.h"

enum { steps = 130, name_count = 4, descriptors = 8 };

static const char* const names[name_count] = {"m0", "m1", "n0", "n1"};

static struct descriptor {
  struct spdk_bdev_desc* desc;
  struct spdk_io_channel* channels[runtime_threads];
  int name;
  int thread;
  bool removed;
} descs[descriptors];

static unsigned unregistrations;

static bool is_malloc(int name) { return names[name][0] == 'm'; }

static void start(void) { runtime_start_bdevs("{\"subsystems\":[]}"); }

/* --- creation and deletion --- */

static void create(int name) {
  static const unsigned counts[] = {64, 64, 64, 1, 0, 1000};
  static const unsigned sizes[] = {512, 512, 512, 4096, 0, 100, 1024};
  char params[256];
  const unsigned count = counts[pick(SPDK_COUNTOF(counts))];
  unsigned size = sizes[pick(SPDK_COUNTOF(sizes))];
  if (size == 0 && !is_malloc(name)) {
    size = 512; /* SPDK divides by it */
  }
  const char* const uuid = chance(40) ? ",\"uuid\":\"01234567-89ab-cdef-0123-456789abcdef\"" : "";
  snprintf(params, sizeof params, "{\"name\":\"%s\",\"num_blocks\":%u,\"block_size\":%u%s}",
           names[name], count, size, uuid);
  about_to_call();
  const int rc = call_method(is_malloc(name) ? "bdev_malloc_create" : "bdev_null_create", params);
  said("create %s: %d", params, rc);
}

/* Waits for descriptors, so it is begun only, when some are open. */
static void on_unregistered(void* arg, int rc) {
  noted("unregistered %s: %d", (const char*)arg, rc);
  unregistrations--;
}

static void unregister(int name) {
  struct spdk_bdev* const bdev = spdk_bdev_get_by_name(names[name]);
  if (bdev == NULL) {
    return;
  }
  unregistrations++;
  about_to_call();
  spdk_bdev_unregister(bdev, on_unregistered, (void*)(uintptr_t)names[name]);
  said("unregister %s", names[name]);
}

static void unregister_by_name(int name) {
  unregistrations++;
  about_to_call();
  /* No module is given: whoever has it, it is another one. */
  const int rc = spdk_bdev_unregister_by_name(names[name], NULL, on_unregistered,
                                              (void*)(uintptr_t)names[name]);
  if (rc != 0) {
    unregistrations--;
  }
  said("unregister by name %s: %d", names[name], rc);
}

static bool is_open(int name) {
  for (int i = 0; i < descriptors; i++) {
    if (descs[i].desc != NULL && descs[i].name == name) {
      return true;
    }
    for (int t = 0; t < runtime_threads; t++) {
      if (descs[i].name == name && descs[i].channels[t] != NULL) {
        return true;
      }
    }
  }
  return false;
}

static void delete_device(int name, bool other_module) {
  if (is_open(name)) {
    return; /* the answer would wait */
  }
  char params[64];
  snprintf(params, sizeof params, "{\"name\":\"%s\"}", names[name]);
  about_to_call();
  const int rc = call_method(
      is_malloc(name) != other_module ? "bdev_malloc_delete" : "bdev_null_delete", params);
  said("delete %s other module %d: %d", params, other_module, rc);
}

/* --- descriptors --- */

static void on_event(enum spdk_bdev_event_type type, struct spdk_bdev* bdev, void* arg) {
  struct descriptor* const d = arg;
  noted("event %d for d%d: %s, %u blocks, in place %d", type, (int)(d - descs),
        spdk_bdev_get_name(bdev), (unsigned)spdk_bdev_get_num_blocks(bdev),
        spdk_get_thread() == threads[d->thread]);
  if (type == SPDK_BDEV_EVENT_REMOVE) {
    d->removed = true;
  }
}

static struct descriptor* free_descriptor(void) {
  for (int i = 0; i < descriptors; i++) {
    bool in_use = descs[i].desc != NULL;
    for (int t = 0; t < runtime_threads; t++) {
      in_use = in_use || descs[i].channels[t] != NULL;
    }
    if (!in_use) {
      return &descs[i];
    }
  }
  return NULL;
}

static struct descriptor* any_descriptor(void) {
  const unsigned first = pick(descriptors);
  for (unsigned i = 0; i < descriptors; i++) {
    struct descriptor* const d = &descs[(first + i) % descriptors];
    if (d->desc != NULL) {
      return d;
    }
  }
  return NULL;
}

static void open_device(int name) {
  struct descriptor* const d = free_descriptor();
  if (d == NULL) {
    return;
  }
  const bool writable = chance(60);
  const bool with_callback = !chance(5);
  const bool by_uuid = chance(15);
  const char* const text = by_uuid ? "01234567-89ab-cdef-0123-456789abcdef" : names[name];
  d->thread = (int)pick(runtime_threads);
  d->removed = false;
  spdk_set_thread(threads[d->thread]);
  about_to_call();
  const int rc = spdk_bdev_open_ext(text, writable, with_callback ? on_event : NULL, d, &d->desc);
  said("open d%d %s on %d writable %d callback %d: %d", (int)(d - descs), text, d->thread, writable,
       with_callback, rc);
  if (rc != 0) {
    d->desc = NULL;
  } else {
    const char* const opened = spdk_bdev_get_name(spdk_bdev_desc_get_bdev(d->desc));
    for (int i = 0; i < name_count; i++) {
      if (strcmp(opened, names[i]) == 0) {
        d->name = i;
      }
    }
    noted("it is %s", opened);
  }
  spdk_set_thread(threads[0]);
}

static void get_channel(struct descriptor* d) {
  const int t = (int)pick(runtime_threads);
  if (d->channels[t] != NULL) {
    return;
  }
  spdk_set_thread(threads[t]);
  about_to_call();
  d->channels[t] = spdk_bdev_get_io_channel(d->desc);
  said("channel of d%d on %d: %d", (int)(d - descs), t, d->channels[t] != NULL);
  spdk_set_thread(threads[0]);
}

static void put_channels(struct descriptor* d) {
  for (int t = 0; t < runtime_threads; t++) {
    if (d->channels[t] != NULL) {
      spdk_set_thread(threads[t]);
      about_to_call();
      spdk_put_io_channel(d->channels[t]);
      said("put channel of d%d on %d", (int)(d - descs), t);
      d->channels[t] = NULL;
    }
  }
  spdk_set_thread(threads[0]);
}

static void close_device(struct descriptor* d) {
  const bool first_channels = chance(60);
  if (first_channels) {
    put_channels(d);
  }
  spdk_set_thread(threads[d->thread]);
  about_to_call();
  spdk_bdev_close(d->desc);
  said("close d%d, channels put %d", (int)(d - descs), first_channels);
  d->desc = NULL;
  spdk_set_thread(threads[0]);
  if (!first_channels) {
    put_channels(d);
  }
}

/* --- changes and questions --- */

static void resize(int name) {
  static const unsigned counts[] = {64, 1, 128, 1000, 32, 0};
  struct spdk_bdev* const bdev = spdk_bdev_get_by_name(names[name]);
  if (bdev == NULL) {
    return;
  }
  const unsigned count = counts[pick(SPDK_COUNTOF(counts))];
  about_to_call();
  const int rc = spdk_bdev_notify_blockcnt_change(bdev, count);
  said("resize %s to %u: %d, %u", names[name], count, rc, (unsigned)spdk_bdev_get_num_blocks(bdev));
}

static void ask(int name) {
  struct spdk_bdev* const bdev = spdk_bdev_get_by_name(names[name]);
  if (bdev == NULL) {
    said("ask %s: none", names[name]);
    return;
  }
  said("ask %s: %s/%s %u x %u data %u phys %u unit %u align %u cache %d qd %u zoned %d",
       names[name], spdk_bdev_get_product_name(bdev), spdk_bdev_get_module_name(bdev),
       (unsigned)spdk_bdev_get_num_blocks(bdev), spdk_bdev_get_block_size(bdev),
       spdk_bdev_get_data_block_size(bdev), spdk_bdev_get_physical_block_size(bdev),
       spdk_bdev_get_write_unit_size(bdev), (unsigned)spdk_bdev_get_buf_align(bdev),
       spdk_bdev_has_write_cache(bdev), (unsigned)spdk_bdev_get_qd(bdev), spdk_bdev_is_zoned(bdev));
}

static void ask_more(int name) {
  struct spdk_bdev* const bdev = spdk_bdev_get_by_name(names[name]);
  if (bdev == NULL) {
    return;
  }
  char supported[64];
  int length = 0;
  for (int type = 0; type <= SPDK_BDEV_IO_TYPE_NVME_IOV_MD; type++) {
    const bool yes = spdk_bdev_io_type_supported(bdev, (enum spdk_bdev_io_type)type);
    supported[length++] = yes ? '1' : '0';
  }
  supported[length] = '\0';
  said("types of %s: %s acwu %u copy %u boundary %u md %u/%d/%d dif %d/%d", names[name], supported,
       spdk_bdev_get_acwu(bdev), spdk_bdev_get_max_copy(bdev),
       spdk_bdev_get_optimal_io_boundary(bdev), spdk_bdev_get_md_size(bdev),
       spdk_bdev_is_md_interleaved(bdev), spdk_bdev_is_md_separate(bdev),
       spdk_bdev_get_dif_type(bdev), spdk_bdev_is_dif_head_of_md(bdev));
}

static void list(void) {
  char text[200];
  int length = 0;
  text[0] = '\0';
  for (struct spdk_bdev* b = spdk_bdev_first(); b != NULL; b = spdk_bdev_next(b)) {
    length += snprintf(text + length, sizeof text - (size_t)length, " %s", spdk_bdev_get_name(b));
  }
  length += snprintf(text + length, sizeof text - (size_t)length, " |");
  for (struct spdk_bdev* b = spdk_bdev_first_leaf(); b != NULL; b = spdk_bdev_next_leaf(b)) {
    length += snprintf(text + length, sizeof text - (size_t)length, " %s", spdk_bdev_get_name(b));
  }
  said("list:%s", text);
}

struct visit {
  int left; /* this many, then it ends */
};

static int visit(void* arg, struct spdk_bdev* bdev) {
  struct visit* const v = arg;
  noted("visit %s", spdk_bdev_get_name(bdev));
  return --v->left == 0 ? -EALREADY : 0;
}

static void walk(void) {
  struct visit v = {.left = (int)pick(4)};
  const bool leaves = chance(50);
  const int left = v.left;
  about_to_call();
  const int rc = leaves ? spdk_for_each_bdev_leaf(&v, visit) : spdk_for_each_bdev(&v, visit);
  said("walk %d leaves %d: %d", left, leaves, rc);
}

static void ask_types(void) {
  const int type = (int)pick(30) - 2;
  const char* const name = type >= 0 && type < SPDK_BDEV_NUM_IO_TYPES
                               ? spdk_bdev_get_io_type_name((enum spdk_bdev_io_type)type)
                               : NULL;
  said("type %d: %s back %d, unknown %d", type, name == NULL ? "-" : name,
       name == NULL ? 0 : spdk_bdev_get_io_type(name), spdk_bdev_get_io_type("nonsense"));
}

static void poll_one(void) {
  const int t = (int)pick(runtime_threads);
  /* Whether it did something is not said: how many messages the end of a channel takes depends on
   * how many channels the module's channel has, which is its own affair. */
  about_to_call();
  spdk_thread_poll(threads[t], 0, 0);
  said("poll %d", t);
}

static void step(void) {
  const int name = (int)pick(name_count);
  const uint32_t kind = pick(100);
  struct descriptor* const d = any_descriptor();
  if (kind < 14) {
    create(name);
  } else if (kind < 17) {
    delete_device(name, chance(20));
  } else if (kind < 20) {
    unregister(name);
  } else if (kind < 22) {
    unregister_by_name(name);
  } else if (kind < 42) {
    open_device(name);
  } else if (kind < 52) {
    if (d != NULL) {
      get_channel(d);
    }
  } else if (kind < 54) {
    if (d != NULL) {
      put_channels(d);
    }
  } else if (kind < 62) {
    if (d != NULL) {
      close_device(d);
    }
  } else if (kind < 68) {
    resize(name);
  } else if (kind < 73) {
    ask(name);
  } else if (kind < 76) {
    ask_more(name);
  } else if (kind < 79) {
    list();
  } else if (kind < 82) {
    walk();
  } else if (kind < 83) {
    ask_types();
  } else {
    poll_one();
  }
}

static void settle(void) {
  about_to_call();
  for (int i = 0; i < 50; i++) {
    poll_threads();
  }
  said("settle: %u unregistrations under way", unregistrations);
}

static void sequence(unsigned number) {
  (void)number;
  memset(descs, 0, sizeof descs);
  unregistrations = 0;
  create(0);
  create(2);
  for (int i = 0; i < steps; i++) {
    step();
  }
  settle();
  for (int i = 0; i < descriptors; i++) {
    if (descs[i].desc != NULL) {
      close_device(&descs[i]);
    }
    put_channels(&descs[i]);
  }
  settle();
  for (int name = 0; name < name_count; name++) {
    delete_device(name, false);
  }
  list();
}

const struct family family_bdev = {
    "bdev",
    30,
    start,
    sequence,
    runtime_stop_bdevs,
    "v25.05 crashes when a device is opened by a UUID that was freed"};
