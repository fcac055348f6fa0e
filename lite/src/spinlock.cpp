// SPDX-License-Identifier: BSD-3-Clause
// Spinlocks that abort when they are misused.
#include "spdk/log.h"
#include "spdk/thread.h"
#include "thread_internal.hpp"

namespace {

void require(bool condition, const char* what) {
  if (!condition) [[unlikely]] {
    SPDK_ERRLOG("unrecoverable spinlock error: %s\n", what);
    spdk_lite::die("unrecoverable spinlock error: %s", what);
  }
}

void require_usable(const spdk_spinlock& lock) {
  require(!lock.destroyed, "the lock has been destroyed");
  require(lock.initialized, "the lock has not been initialised");
}

}  // namespace

namespace spdk_lite {

void check_no_spinlock_held(const spdk_thread& thread) {
  require(thread.spinlocks_held == 0, "a thread goes off the CPU while it holds a lock");
}

}  // namespace spdk_lite

void spdk_spin_init(spdk_spinlock* sspin) {
  *sspin = {};
  require(pthread_spin_init(&sspin->spinlock, PTHREAD_PROCESS_PRIVATE) == 0, "no lock to be had");
  sspin->initialized = true;
}

void spdk_spin_destroy(spdk_spinlock* sspin) {
  require_usable(*sspin);
  require(sspin->thread == nullptr, "a lock that is held is destroyed");
  pthread_spin_destroy(&sspin->spinlock);
  sspin->initialized = false;
  sspin->destroyed = true;
}

void spdk_spin_lock(spdk_spinlock* sspin) {
  spdk_thread* const thread = spdk_lite::current_thread;
  require_usable(*sspin);
  require(thread != nullptr, "there is no current thread");
  // Only this thread stores its own address here, so a stale value cannot equal it.
  require(__atomic_load_n(&sspin->thread, __ATOMIC_RELAXED) != thread, "deadlock");
  pthread_spin_lock(&sspin->spinlock);
  __atomic_store_n(&sspin->thread, thread, __ATOMIC_RELAXED);
  ++thread->spinlocks_held;
}

void spdk_spin_unlock(spdk_spinlock* sspin) {
  spdk_thread* const thread = spdk_lite::current_thread;
  require_usable(*sspin);
  require(thread != nullptr, "there is no current thread");
  require(__atomic_load_n(&sspin->thread, __ATOMIC_RELAXED) == thread,
          "unlocked on another thread than locked");
  --thread->spinlocks_held;
  __atomic_store_n(&sspin->thread, static_cast<spdk_thread*>(nullptr), __ATOMIC_RELAXED);
  pthread_spin_unlock(&sspin->spinlock);
}

bool spdk_spin_held(spdk_spinlock* sspin) {
  require(spdk_lite::current_thread != nullptr, "there is no current thread");
  return __atomic_load_n(&sspin->thread, __ATOMIC_RELAXED) == spdk_lite::current_thread;
}
