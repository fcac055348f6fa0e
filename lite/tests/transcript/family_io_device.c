/* SPDX-License-Identifier: BSD-3-Clause */
/* I/O devices, their channels, and walks over the channels. */
#include "runtime.h"
#include "transcript.h"

#include "spdk/env.h"

enum { steps = 190, workers = 3, device_count = 3, context_size = 24 };

struct device { /* its address is the io_device */
  char name;
  int failing; /* how many channels are still refused */
  bool registered;
  bool leaving; /* a walk is under way while it is unregistered */
  unsigned walks;
};

/* Older releases have no such call. */
struct spdk_io_channel* spdk_io_channel_ref(struct spdk_io_channel* ch) __attribute__((weak));

static struct device devices[device_count];
static struct spdk_thread* worker[workers];
static struct spdk_io_channel* channels[device_count][workers];
static unsigned references[device_count][workers];
static unsigned walk_number;
static unsigned going; /* unregistrations that are not over */

static struct held_walk {
  struct spdk_io_channel_iter* iter;
  int worker;
} held;

static int worker_now(void) {
  for (int i = 0; i < workers; i++) {
    if (worker[i] == spdk_get_thread()) {
      return i;
    }
  }
  return -1;
}

static int create_channel(void* io_device, void* context) {
  struct device* const d = io_device;
  const unsigned char* const bytes = context;
  int sum = 0;
  for (int i = 0; i < context_size; i++) {
    sum += bytes[i];
  }
  noted("create %c on %d, context %d", d->name, worker_now(), sum);
  if (d->failing > 0) {
    d->failing--;
    return -ENOMEM;
  }
  memset(context, d->name, context_size);
  return 0;
}

static void destroy_channel(void* io_device, void* context) {
  const struct device* const d = io_device;
  noted("destroy %c on %d, context %c", d->name, worker_now(), *(char*)context);
}

static void on_unregistered(void* io_device) {
  struct device* const d = io_device;
  noted("unregistered %c on %d", d->name, worker_now());
  d->leaving = false;
  going--;
}

static void register_device(int i) {
  struct device* const d = &devices[i];
  if (d->leaving) {
    return;
  }
  if (!d->registered) {
    d->failing = chance(25) ? 1 + (int)pick(2) : 0;
  }
  about_to_call();
  spdk_io_device_register(d, create_channel, destroy_channel, context_size,
                          chance(50) ? "device" : NULL);
  said("register %c again %d failing %d", d->name, d->registered, d->failing);
  d->registered = true;
}

static void unregister_device(int i, bool with_callback) {
  struct device* const d = &devices[i];
  if (!d->registered) {
    return;
  }
  /* Without a callback nobody knows when it is over. */
  with_callback = with_callback || d->walks > 0;
  for (int w = 0; w < workers; w++) {
    with_callback = with_callback || channels[i][w] != NULL;
  }
  d->registered = false;
  d->leaving = with_callback;
  going += with_callback ? 1 : 0;
  about_to_call();
  spdk_io_device_unregister(d, with_callback ? on_unregistered : NULL);
  said("unregister %c callback %d walks %u", d->name, with_callback, d->walks);
}

static void get_channel(int i, int w) {
  struct device* const d = &devices[i];
  spdk_set_thread(worker[w]);
  about_to_call();
  struct spdk_io_channel* const ch = spdk_get_io_channel(d);
  said("get %c on %d: %d same %d", d->name, w, ch != NULL, ch == channels[i][w]);
  if (ch != NULL) {
    channels[i][w] = ch;
    references[i][w]++;
  }
  spdk_set_thread(threads[0]);
}

static void put_channel(int i, int w) {
  if (references[i][w] == 0) {
    return;
  }
  spdk_set_thread(worker[w]);
  about_to_call();
  spdk_put_io_channel(channels[i][w]);
  said("put %c on %d", devices[i].name, w);
  if (--references[i][w] == 0) {
    channels[i][w] = NULL;
  }
  spdk_set_thread(threads[0]);
}

static void ref_channel(int i, int w) {
  if (references[i][w] == 0) {
    return;
  }
  const int other = (int)pick(workers);
  spdk_set_thread(worker[other]);
  about_to_call();
  struct spdk_io_channel* const ch =
      spdk_io_channel_ref != NULL ? spdk_io_channel_ref(channels[i][w]) : NULL;
  said("ref %c of %d on %d: %d", devices[i].name, w, other, ch != NULL);
  references[i][w] += ch != NULL ? 1 : 0;
  spdk_set_thread(threads[0]);
}

static void ask_channel(int i, int w) {
  struct spdk_io_channel* const ch = channels[i][w];
  if (ch == NULL) {
    return;
  }
  char* const context = spdk_io_channel_get_ctx(ch);
  said("ask %c on %d: context %c back %d thread %d device %d", devices[i].name, w, context[1],
       spdk_io_channel_from_ctx(context) == ch, spdk_io_channel_get_thread(ch) == worker[w],
       spdk_io_channel_get_io_device(ch) == &devices[i]);
}

/* --- walks --- */

struct walk {
  unsigned number;
  struct device* device;
  unsigned visits;
  unsigned fail_at; /* this visit ends it with an error; 0: none */
  unsigned hold_at; /* this visit goes on later */
};

static struct walk walk_slots[64];

static void visit(struct spdk_io_channel_iter* iter) {
  struct walk* const w = spdk_io_channel_iter_get_ctx(iter);
  struct spdk_io_channel* const ch = spdk_io_channel_iter_get_channel(iter);
  w->visits++;
  noted("walk %u on %d: device %d thread %d", w->number, worker_now(),
        spdk_io_channel_iter_get_io_device(iter) == w->device,
        spdk_io_channel_get_thread(ch) == spdk_get_thread());
  if (w->visits == w->hold_at && held.iter == NULL) {
    held.iter = iter;
    held.worker = worker_now();
    return;
  }
  spdk_for_each_channel_continue(iter, w->visits == w->fail_at ? -EIO : 0);
}

static void walked(struct spdk_io_channel_iter* iter, int status) {
  struct walk* const w = spdk_io_channel_iter_get_ctx(iter);
  noted("walk %u over on %d: %d, %u visits", w->number, worker_now(), status, w->visits);
  w->device->walks--;
}

static void walk_channels(int i, int from) {
  struct device* const d = &devices[i];
  /* While the device leaves, a walk is refused; when it has left, asking is an error. */
  const bool known = d->registered || (d->leaving && d->walks > 0);
  if (!known || walk_number == SPDK_COUNTOF(walk_slots)) {
    return;
  }
  struct walk* const w = &walk_slots[walk_number];
  w->number = ++walk_number;
  w->device = d;
  w->visits = 0;
  w->fail_at = chance(25) ? 1 + pick(3) : 0;
  w->hold_at = chance(25) ? 1 + pick(2) : 0;
  const bool leaving = !d->registered;
  d->walks++;
  spdk_set_thread(worker[from]);
  about_to_call();
  spdk_for_each_channel(d, visit, w, walked);
  said("walk %u over %c from %d leaving %d fail %u hold %u", w->number, d->name, from, leaving,
       w->fail_at, w->hold_at);
  spdk_set_thread(threads[0]);
}

static void go_on(int status) {
  if (held.iter == NULL) {
    return;
  }
  struct spdk_io_channel_iter* const iter = held.iter;
  held.iter = NULL;
  spdk_set_thread(worker[held.worker]);
  about_to_call();
  spdk_for_each_channel_continue(iter, status);
  said("go on on %d: %d", held.worker, status);
  spdk_set_thread(threads[0]);
}

static void poll_worker(int w) {
  about_to_call();
  const int rc = spdk_thread_poll(worker[w], chance(40) ? 1 : 0, 0);
  said("poll %d: %d", w, rc);
}

static void poll_app(void) {
  about_to_call();
  const int rc = spdk_thread_poll(threads[0], 0, 0);
  said("poll app: %d", rc);
}

static void step(void) {
  const int i = (int)pick(device_count);
  const int w = (int)pick(workers);
  const uint32_t kind = pick(100);
  if (kind < 8) {
    register_device(i);
  } else if (kind < 13) {
    unregister_device(i, chance(70));
  } else if (kind < 33) {
    get_channel(i, w);
  } else if (kind < 48) {
    put_channel(i, w);
  } else if (kind < 53) {
    ref_channel(i, w);
  } else if (kind < 57) {
    ask_channel(i, w);
  } else if (kind < 67) {
    walk_channels(i, w);
  } else if (kind < 72) {
    go_on(chance(30) ? -EAGAIN : 0);
  } else if (kind < 78) {
    poll_app();
  } else {
    poll_worker(w);
  }
}

static void poll_everything(void) {
  for (int round = 0; round < 60; round++) {
    spdk_thread_poll(threads[0], 0, 0);
    for (int w = 0; w < workers; w++) {
      spdk_thread_poll(worker[w], 0, 0);
    }
  }
}

static void sequence(unsigned number) {
  memset(channels, 0, sizeof channels);
  memset(references, 0, sizeof references);
  walk_number = 0;
  going = 0;
  for (int i = 0; i < device_count; i++) {
    devices[i] = (struct device){.name = (char)('A' + i)};
  }
  for (int w = 0; w < workers; w++) {
    worker[w] = spdk_thread_create("worker", NULL);
  }
  register_device((int)(number % device_count));
  for (int i = 0; i < steps; i++) {
    step();
  }
  go_on(0);
  poll_everything();
  go_on(0);
  for (int i = 0; i < device_count; i++) {
    for (int w = 0; w < workers; w++) {
      while (references[i][w] > 0) {
        put_channel(i, w);
      }
    }
    poll_everything();
    unregister_device(i, true);
    poll_everything();
  }
  said("left: %u unregistrations", going);
  for (int w = 0; w < workers; w++) {
    spdk_set_thread(worker[w]);
    const int rc = spdk_thread_exit(worker[w]);
    about_to_call();
    spdk_thread_poll(worker[w], 0, 0);
    said("exit %d: %d, exited %d", w, rc, spdk_thread_is_exited(worker[w]));
    while (!spdk_thread_is_exited(worker[w])) { /* at most five seconds */
      spdk_thread_poll(worker[w], 0, 0);
    }
    spdk_thread_destroy(worker[w]);
  }
  spdk_set_thread(threads[0]);
}

const struct family family_io_device = {"io_device",          30,  runtime_start_threads, sequence,
                                        runtime_stop_threads, NULL};
