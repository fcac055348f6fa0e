// SPDX-License-Identifier: BSD-3-Clause
// The threads' work: blocking system calls, repeated until an operation is done or fails.
#include "file_threads.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

namespace spdk_lite {
namespace {

std::int64_t transfer(const file_op& op) {
  const file_op_vector v = remaining(op);
  const auto at = static_cast<off_t>(op.offset + op.done);
  return op.what == file_op::kind::read ? preadv(op.fd, v.iov, v.count, at)
                                        : pwritev(op.fd, v.iov, v.count, at);
}

std::int64_t carry_out(const file_op& op) {
  const auto at = static_cast<off_t>(op.offset);
  const auto len = static_cast<off_t>(op.len);
  std::int64_t rc = 0;
  switch (op.what) {
    case file_op::kind::read:
    case file_op::kind::write: rc = transfer(op); break;
    case file_op::kind::sync: rc = fsync(op.fd); break;
    case file_op::kind::punch_hole:
      rc = fallocate(op.fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, at, len);
      break;
    case file_op::kind::zero_range: rc = fallocate(op.fd, FALLOC_FL_ZERO_RANGE, at, len); break;
  }
  return rc < 0 ? -errno : rc;
}

/// The thread that starts us may be pinned to one core and polls there: use all others too.
void leave_core() {
  cpu_set_t all;
  CPU_ZERO(&all);
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    CPU_SET(cpu, &all);
  }
  sched_setaffinity(0, sizeof(all), &all);
}

}  // namespace

std::shared_ptr<file_threads> file_threads::get() {
  static std::mutex mutex;
  static std::weak_ptr<file_threads> current;
  const std::lock_guard lock(mutex);
  std::shared_ptr<file_threads> threads = current.lock();
  if (threads == nullptr) {
    threads = std::make_shared<file_threads>();
    current = threads;
  }
  return threads;
}

file_threads::file_threads() {
  // Signals are for the program's own threads.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  for (unsigned i = 0; i < count; ++i) {
    threads_.emplace_back([this] { run(); });
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

file_threads::~file_threads() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_.notify_all();
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

void file_threads::push(file_op* op, file_done_list* done) {
  op->owner = done;
  {
    const std::lock_guard lock(mutex_);
    jobs_.push(op);
  }
  work_.notify_one();
}

void file_threads::run() {
  leave_core();
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
    file_op* op = jobs_.pop();
    if (op == nullptr) {
      return;
    }
    lock.unlock();
    while (!advance(*op, carry_out(*op))) {
    }
    static_cast<file_done_list*>(op->owner)->push(op);
    lock.lock();
  }
}

}  // namespace spdk_lite
