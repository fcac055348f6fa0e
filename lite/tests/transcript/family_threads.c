/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads, messages and pollers. Time is made up: timed pollers have periods of hundreds of
 * seconds, and the clock that spdk_thread_poll() is given moves in such steps, so that the time
 * which passes for real does not matter.
 */
#include "runtime.h"
#include "transcript.h"

#include "spdk/env.h"

enum { steps = 130, thread_slots = 4, poller_slots = 8, actors = 4096, unit_us = 100 * 1000000 };

struct slot {
  struct spdk_thread* thread;
  char name[8];
  bool left; /* its exit has begun */
};

static struct slot slots[thread_slots];
static unsigned threads_made;
static unsigned messages_made;
static unsigned pollers_made;
static unsigned walks; /* for_each_thread()s that are not over */
static bool critical_pending;
static uint64_t start_ticks;
static unsigned now_units;

enum habit { calm, sends, leaves, pauses, kills, hands_over, habits };

struct actor { /* the argument of a message or poller */
  unsigned id;
  enum habit habit;
  int result;
  unsigned runs_left;
  struct spdk_poller* poller;
  int thread;
  unsigned period;
  bool paused;
};

static struct actor pollers[poller_slots];

static const char* current_name(void) {
  struct spdk_thread* const thread = spdk_get_thread();
  return thread == NULL ? "none" : spdk_thread_get_name(thread);
}

static uint64_t unit_ticks(void) { return spdk_get_ticks_hz() * (unit_us / 1000000); }

static bool alive(int i) {
  return slots[i].thread != NULL && !spdk_thread_is_exited(slots[i].thread);
}

static int pick_thread(void) {
  const int first = (int)pick(thread_slots);
  for (int i = 0; i < thread_slots; i++) {
    const int at = (first + i) % thread_slots;
    if (slots[at].thread != NULL) {
      return at;
    }
  }
  return -1;
}

/* --- messages: the argument carries a number and how many more it sends --- */

static void on_message(void* arg);

static void* message(unsigned follow_ups) {
  return (void*)(uintptr_t)((uintptr_t)++messages_made << 4 | follow_ups);
}

static void on_message(void* arg) {
  const unsigned number = (unsigned)((uintptr_t)arg >> 4);
  const unsigned follow_ups = (unsigned)((uintptr_t)arg & 15);
  noted("m%u on %s", number, current_name());
  if (follow_ups > 0) {
    void* const next = message(follow_ups - 1);
    const int rc = spdk_thread_send_msg(spdk_get_thread(), on_message, next);
    noted("m%u sends m%u %d", number, messages_made, rc);
  }
}

static void on_critical(void* arg) {
  noted("critical %d on %s", arg != NULL, current_name());
  critical_pending = false;
}

static void on_each(void* arg) { noted("each %u on %s", (unsigned)(uintptr_t)arg, current_name()); }

static void on_each_done(void* arg) {
  noted("each %u done on %s", (unsigned)(uintptr_t)arg, current_name());
  walks--;
}

/* --- pollers --- */

static void on_after_poller(void* arg) {
  noted("after p%u on %s", (unsigned)(uintptr_t)arg, current_name());
}

/* Another one of the same thread, or NULL. */
static struct actor* neighbour(const struct actor* self) {
  for (int i = 0; i < poller_slots; i++) {
    struct actor* const other = &pollers[i];
    if (other != self && other->poller != NULL && other->thread == self->thread) {
      return other;
    }
  }
  return NULL;
}

static void act(struct actor* self) {
  struct actor* const other = neighbour(self);
  switch (self->habit) {
    case sends: spdk_thread_send_msg(spdk_get_thread(), on_message, message(1)); break;
    case leaves: spdk_poller_unregister(&self->poller); break;
    case pauses:
      spdk_poller_pause(self->poller);
      self->paused = true;
      break;
    case kills:
      if (other != NULL) {
        noted("p%u removes p%u", self->id, other->id);
        spdk_poller_unregister(&other->poller);
      }
      break;
    case hands_over:
      spdk_thread_register_post_poller_handler(on_after_poller, (void*)(uintptr_t)self->id);
      break;
    default: break;
  }
}

static int on_poller(void* arg) {
  struct actor* const self = arg;
  noted("p%u on %s", self->id, current_name());
  if (self->runs_left > 0 && --self->runs_left == 0) {
    const int result = self->result;
    act(self);
    return result;
  }
  return self->result;
}

static void register_poller(int t) {
  static const int results[] = {0, 1, 0, 7, -1};
  for (int i = 0; i < poller_slots; i++) {
    struct actor* const p = &pollers[i];
    if (p->poller != NULL) {
      continue;
    }
    p->id = ++pollers_made;
    p->habit = (enum habit)pick(habits);
    p->result = results[pick(SPDK_COUNTOF(results))];
    p->runs_left = 1 + pick(4);
    p->thread = t;
    p->period = chance(40) ? 1 + pick(3) : 0;
    p->paused = false;
    spdk_set_thread(slots[t].thread);
    about_to_call();
    p->poller = chance(50) ? SPDK_POLLER_REGISTER(on_poller, p, (uint64_t)p->period * unit_us)
                           : spdk_poller_register(on_poller, p, (uint64_t)p->period * unit_us);
    said("register p%u habit %d every %u on %s: %d", p->id, p->habit, p->period, slots[t].name,
         p->poller != NULL);
    spdk_set_thread(threads[0]);
    return;
  }
}

static void with_poller(void (*fn)(struct actor*)) {
  const unsigned first = pick(poller_slots);
  for (unsigned i = 0; i < poller_slots; i++) {
    struct actor* const p = &pollers[(first + i) % poller_slots];
    if (p->poller != NULL) {
      spdk_set_thread(slots[p->thread].thread);
      fn(p);
      spdk_set_thread(threads[0]);
      return;
    }
  }
}

static void unregister_poller(struct actor* p) {
  about_to_call();
  spdk_poller_unregister(&p->poller);
  said("unregister p%u: %d", p->id, p->poller == NULL);
}

static void pause_poller(struct actor* p) {
  about_to_call();
  spdk_poller_pause(p->poller);
  said("pause p%u", p->id);
}

static void resume_poller(struct actor* p) {
  about_to_call();
  spdk_poller_resume(p->poller);
  said("resume p%u", p->id);
}

/* --- threads --- */

static void create_thread(void) {
  for (int i = 0; i < thread_slots; i++) {
    if (slots[i].thread != NULL) {
      continue;
    }
    snprintf(slots[i].name, sizeof slots[i].name, "t%u", ++threads_made);
    about_to_call();
    slots[i].thread = spdk_thread_create(slots[i].name, NULL);
    slots[i].left = false;
    said("create %s: %d, %u threads", slots[i].name, slots[i].thread != NULL,
         spdk_thread_get_count());
    return;
  }
}

static void poll_thread(int t) {
  static const uint32_t limits[] = {0, 0, 0, 1, 2, 8, 100};
  const uint32_t limit = limits[pick(SPDK_COUNTOF(limits))];
  now_units += chance(40) ? 1 : 0;
  about_to_call();
  const int rc = spdk_thread_poll(slots[t].thread, limit,
                                  start_ticks + unit_ticks() * now_units + unit_ticks() / 2);
  said("poll %s max %u at %u: %d", slots[t].name, limit, now_units, rc);
}

static void send_messages(int t) {
  const unsigned follow_ups = pick(3);
  const unsigned count = chance(20) ? 10 : 1; /* more than one poll takes */
  for (unsigned i = 0; i < count; i++) {
    about_to_call();
    const int rc = spdk_thread_send_msg(slots[t].thread, on_message, message(follow_ups));
    said("send m%u to %s: %d", messages_made, slots[t].name, rc);
  }
}

static void execute(int t) {
  const bool inside = chance(50);
  spdk_set_thread(inside ? slots[t].thread : threads[0]);
  about_to_call();
  const int rc = spdk_thread_exec_msg(slots[t].thread, on_message, message(0));
  said("exec m%u on %s from %s: %d", messages_made, slots[t].name, current_name(), rc);
  spdk_set_thread(threads[0]);
}

static void send_critical(int t) {
  if (critical_pending || slots[t].left) {
    return;
  }
  critical_pending = true;
  about_to_call();
  const int rc = spdk_thread_send_critical_msg(slots[t].thread, on_critical);
  said("critical to %s: %d", slots[t].name, rc);
}

static void walk_threads(int t) {
  if (slots[t].left) {
    return;
  }
  spdk_set_thread(slots[t].thread);
  walks++;
  about_to_call();
  spdk_for_each_thread(on_each, (void*)(uintptr_t)walks, on_each_done);
  said("for each thread from %s", slots[t].name);
  spdk_set_thread(threads[0]);
}

static void ask(int t) {
  struct spdk_thread* const thread = slots[t].thread;
  const uint64_t next = spdk_thread_next_poller_expiration(thread);
  const uint64_t next_units = next == 0 ? 0 : (next - start_ticks) / unit_ticks();
  said("ask %s: running %d exited %d idle %d pollers %d active %d next %d/%u", slots[t].name,
       spdk_thread_is_running(thread), spdk_thread_is_exited(thread), spdk_thread_is_idle(thread),
       spdk_thread_has_pollers(thread), spdk_thread_has_active_pollers(thread) != 0, next != 0,
       (unsigned)next_units);
}

static void ask_identity(int t) {
  struct spdk_thread* const thread = slots[t].thread;
  const bool bind = chance(50);
  spdk_thread_bind(thread, bind);
  struct spdk_thread_stats stats;
  spdk_set_thread(thread);
  const int stats_rc = spdk_thread_get_stats(&stats);
  const int no_stats_rc = spdk_thread_get_stats(NULL);
  struct spdk_cpuset* const mask = spdk_thread_get_cpumask(thread);
  const int mask_rc = spdk_thread_set_cpumask(mask);
  said("ask %s: name %s by id %d app %d/%d/%d bound %d stats %d/%d mask %d", slots[t].name,
       spdk_thread_get_name(thread), spdk_thread_get_by_id(spdk_thread_get_id(thread)) == thread,
       spdk_thread_is_app_thread(thread), spdk_thread_is_app_thread(NULL),
       spdk_thread_get_app_thread() == threads[0], spdk_thread_is_bound(thread), stats_rc,
       no_stats_rc, mask_rc);
  spdk_set_thread(threads[0]);
}

static void ask_without_thread(void) {
  spdk_set_thread(NULL);
  struct spdk_thread_stats stats;
  const int rc = spdk_thread_get_stats(&stats);
  said("without a thread: current %d stats %d last %d by id %d channel %d",
       spdk_get_thread() != NULL, rc, spdk_thread_get_last_tsc(threads[0]) != 0,
       spdk_thread_get_by_id(UINT64_MAX) != NULL, spdk_get_io_channel(&slots) != NULL);
  spdk_set_thread(threads[0]);
}

static void exit_thread(int t) {
  spdk_set_thread(slots[t].thread);
  about_to_call();
  const int rc = spdk_thread_exit(slots[t].thread);
  slots[t].left = true;
  said("exit %s: %d", slots[t].name, rc);
  spdk_set_thread(threads[0]);
}

static void forget_pollers(int t) {
  for (int i = 0; i < poller_slots; i++) {
    if (pollers[i].poller != NULL && pollers[i].thread == t) {
      pollers[i].poller = NULL; /* freed with the thread */
    }
  }
}

static void destroy_thread(int t) {
  if (!spdk_thread_is_exited(slots[t].thread)) {
    return;
  }
  forget_pollers(t);
  about_to_call();
  spdk_thread_destroy(slots[t].thread);
  said("destroy %s: %u threads", slots[t].name, spdk_thread_get_count());
  slots[t].thread = NULL;
}

static void poll_app(void) {
  about_to_call();
  const int rc = spdk_thread_poll(threads[0], 0, 0);
  said("poll app: %d", rc);
}

static void poll_everything(void) {
  for (int i = 0; i < 40; i++) {
    int busy = spdk_thread_poll(threads[0], 0, 0);
    for (int t = 0; t < thread_slots; t++) {
      if (alive(t) &&
          spdk_thread_poll(slots[t].thread, 0,
                           start_ticks + unit_ticks() * now_units + unit_ticks() / 2) > 0) {
        busy = 1;
      }
    }
    if (busy == 0 && walks == 0) {
      break;
    }
  }
}

/* A thread that still has pollers exits after five seconds; those, and no more, pass at once. */
static void end_thread(int t) {
  if (!slots[t].left) {
    exit_thread(t);
  }
  for (int i = 0; i < 5 && !spdk_thread_is_exited(slots[t].thread); i++) {
    about_to_call();
    const int rc = spdk_thread_poll(slots[t].thread, 0,
                                    start_ticks + unit_ticks() * now_units + unit_ticks() / 2);
    said("poll %s to its end: %d, exited %d", slots[t].name, rc,
         spdk_thread_is_exited(slots[t].thread));
  }
  destroy_thread(t);
}

static void step(void) {
  const int t = pick_thread();
  const uint32_t kind = pick(100);
  if (t < 0 || kind < 5) {
    create_thread();
    return;
  }
  if (kind < 30) {
    if (!spdk_thread_is_exited(slots[t].thread)) {
      poll_thread(t);
    }
  } else if (kind < 34) {
    poll_app();
  } else if (kind < 36) {
    ask_without_thread();
  } else if (kind < 42) {
    ask(t);
  } else if (kind < 45) {
    ask_identity(t);
  } else if (kind < 48) {
    destroy_thread(t);
  } else if (kind < 68) {
    with_poller(kind < 54 ? pause_poller : kind < 62 ? resume_poller : unregister_poller);
  } else if (spdk_thread_is_exited(slots[t].thread)) {
    /* A message would abort the process. */
    register_poller(t);
  } else if (kind < 78) {
    send_messages(t);
  } else if (kind < 82) {
    execute(t);
  } else if (kind < 85) {
    send_critical(t);
  } else if (kind < 88) {
    walk_threads(t);
  } else if (kind < 90) {
    /* A walk must find those alive that it goes to. */
    if (walks == 0 && !critical_pending) {
      exit_thread(t);
    }
  } else {
    register_poller(t);
  }
}

static void sequence(unsigned number) {
  (void)number;
  memset(slots, 0, sizeof slots);
  memset(pollers, 0, sizeof pollers);
  threads_made = 0;
  messages_made = 0;
  pollers_made = 0;
  walks = 0;
  now_units = 0;
  start_ticks = spdk_get_ticks();
  create_thread();
  create_thread();
  for (int i = 0; i < steps; i++) {
    step();
  }
  poll_everything();
  for (int t = 0; t < thread_slots; t++) {
    if (slots[t].thread != NULL) {
      end_thread(t);
    }
  }
}

const struct family family_threads = {
    "threads", 30, runtime_start_threads, sequence, runtime_stop_threads, NULL};
