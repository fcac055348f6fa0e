// SPDX-License-Identifier: BSD-3-Clause
// The engine over io_uring. I/O is gathered until the next poll, which hands it over in one
// system call and reaps completions without any. Also chooses between the two engines.
#include "file_engine.hpp"

#include "file_op.hpp"
#include "file_threads.hpp"
#include "spdk/log.h"
#include "spdk/string.h"

#include <liburing.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <new>

namespace spdk_lite {
namespace {

constexpr unsigned queue_depth = 512;
constexpr unsigned completion_queue_depth = 4096;
constexpr unsigned reap_batch = 64;
constexpr std::size_t max_transfer = 1U << 30;  ///< the kernel stops a little above it anyway

char engine_device;  ///< its address is the io_device whose channels hold the engines

/// In interrupt mode, makes the SPDK thread's file descriptor readable; else does nothing.
class waker {
 public:
  explicit waker(bool wanted) : fd_(wanted ? eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) : -1) {}
  ~waker() {
    if (fd_ >= 0) {
      close(fd_);
    }
  }
  waker(const waker&) = delete;
  waker& operator=(const waker&) = delete;

  [[nodiscard]] int fd() const { return fd_; }
  void wake() const {
    if (fd_ >= 0) {
      (void)eventfd_write(fd_, 1);
    }
  }
  void clear() const {
    eventfd_t count = 0;
    (void)eventfd_read(fd_, &count);
  }

 private:
  int fd_;
};

class polled_engine : public file_engine {
 public:
  virtual int poll() = 0;
};

class ring_engine final : public polled_engine {
 public:
  /// NULL, with the negative errno, if the kernel refuses.
  static std::unique_ptr<ring_engine> create(const waker& wake, int& rc) {
    auto engine = std::make_unique<ring_engine>(wake);
    // Completions are looked for anyway, so the kernel need not interrupt us for them.
    rc = engine->open(IORING_SETUP_CQSIZE | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
    if (rc == -EINVAL) {
      rc = engine->open(IORING_SETUP_CQSIZE);
    }
    if (rc == 0 && wake.fd() >= 0) {
      rc = io_uring_register_eventfd(&engine->ring_, wake.fd());
    }
    return rc == 0 ? std::move(engine) : nullptr;
  }

  explicit ring_engine(const waker& wake) : wake_(wake) {}
  ~ring_engine() override {
    if (open_) {
      io_uring_queue_exit(&ring_);
    }
  }

  void submit(file_op* op) override {
    op->done = 0;
    if (queued_ == 0) {
      wake_.wake();
    }
    if (again_.empty()) [[likely]] {
      start(op);
    } else {
      again_.push(op);  // behind those that wait already
    }
  }

  int poll() override {
    if (!again_.empty()) [[unlikely]] {
      start_again();
    }
    const unsigned handed_over = queued_;
    if (queued_ != 0) {
      hand_over();
    }
    unsigned reaped = 0;
    if (in_flight_ != 0) {
      reaped = reap();
    }
    return handed_over + reaped > 0 ? SPDK_POLLER_BUSY : SPDK_POLLER_IDLE;
  }

 private:
  int open(unsigned flags) {
    io_uring_params params{};
    params.flags = flags;
    params.cq_entries = completion_queue_depth;
    const int rc = io_uring_queue_init_params(queue_depth, &ring_, &params);
    open_ = rc == 0;
    return rc;
  }

  void start(file_op* op) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) [[unlikely]] {
      hand_over();
      sqe = io_uring_get_sqe(&ring_);
      if (sqe == nullptr) {
        again_.push(op);
        return;
      }
    }
    prepare(sqe, *op);
    io_uring_sqe_set_data(sqe, op);
    ++queued_;
  }

  static void prepare(io_uring_sqe* sqe, const file_op& op) {
    constexpr int hole = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;
    const auto at = static_cast<off_t>(op.offset);
    const auto len = static_cast<off_t>(op.len);
    switch (op.what) {
      case file_op::kind::read:
      case file_op::kind::write: prepare_transfer(sqe, op); break;
      case file_op::kind::sync: io_uring_prep_fsync(sqe, op.fd, 0); break;
      case file_op::kind::punch_hole: io_uring_prep_fallocate(sqe, op.fd, hole, at, len); break;
      case file_op::kind::zero_range:
        io_uring_prep_fallocate(sqe, op.fd, FALLOC_FL_ZERO_RANGE, at, len);
        break;
    }
  }

  static void prepare_transfer(io_uring_sqe* sqe, const file_op& op) {
    const file_op_vector v = remaining(op);
    const std::uint64_t at = op.offset + op.done;
    const bool read = op.what == file_op::kind::read;
    if (v.count == 1) {  // saves the kernel the import of a vector
      const auto len = static_cast<unsigned>(std::min<std::size_t>(v.iov->iov_len, max_transfer));
      read ? io_uring_prep_read(sqe, op.fd, v.iov->iov_base, len, at)
           : io_uring_prep_write(sqe, op.fd, v.iov->iov_base, len, at);
    } else {
      const auto count = static_cast<unsigned>(v.count);
      read ? io_uring_prep_readv(sqe, op.fd, v.iov, count, at)
           : io_uring_prep_writev(sqe, op.fd, v.iov, count, at);
    }
  }

  /// A failure (interrupted, or no memory now) leaves the entries queued for the next poll.
  void hand_over() {
    const int rc = io_uring_submit(&ring_);
    if (rc > 0) {
      queued_ -= static_cast<unsigned>(rc);
      in_flight_ += static_cast<unsigned>(rc);
    }
    if (queued_ != 0) [[unlikely]] {
      wake_.wake();
    }
  }

  void start_again() {
    file_op_list waiting;
    while (file_op* op = again_.pop()) {
      waiting.push(op);
    }
    while (file_op* op = waiting.pop()) {
      start(op);
    }
  }

  unsigned reap() {
    // Bounded, and copied first: the callbacks may submit, and so use the ring.
    io_uring_cqe* entries[reap_batch];
    unsigned total = 0;
    unsigned count = 0;
    unsigned left = in_flight_;
    do {
      count = io_uring_peek_batch_cqe(&ring_, entries, std::min(reap_batch, left));
      file_op* ops[reap_batch];
      int results[reap_batch];
      for (unsigned i = 0; i < count; ++i) {
        ops[i] = static_cast<file_op*>(io_uring_cqe_get_data(entries[i]));
        results[i] = entries[i]->res;
      }
      io_uring_cq_advance(&ring_, count);
      in_flight_ -= count;
      for (unsigned i = 0; i < count; ++i) {
        finish(ops[i], results[i]);
      }
      total += count;
      left -= count;
    } while (count == reap_batch && left != 0);
    return total;
  }

  void finish(file_op* op, int rc) {
    if (advance(*op, rc)) [[likely]] {
      op->complete(op, op->result);
    } else {
      again_.push(op);
      wake_.wake();
    }
  }

  const waker& wake_;
  io_uring ring_{};
  bool open_ = false;
  unsigned queued_ = 0;     ///< in the submission queue, the kernel has not seen them
  unsigned in_flight_ = 0;  ///< the kernel has them
  file_op_list again_;      ///< to be put into the submission queue
};

class threads_engine final : public polled_engine {
 public:
  explicit threads_engine(const waker& wake) : done_([&wake] { wake.wake(); }) {}

  void submit(file_op* op) override {
    op->done = 0;
    threads_->push(op, &done_);
  }

  int poll() override {
    file_op* op = done_.take();
    if (op == nullptr) {
      return SPDK_POLLER_IDLE;
    }
    while (op != nullptr) {
      file_op* next = op->next;
      op->complete(op, op->result);
      op = next;
    }
    return SPDK_POLLER_BUSY;
  }

 private:
  std::shared_ptr<file_threads> threads_ = file_threads::get();
  file_done_list done_;
};

struct channel {
  explicit channel(bool interrupts) : wake(interrupts) {}

  waker wake;
  std::unique_ptr<polled_engine> engine;
  spdk_poller* poller = nullptr;
  spdk_interrupt* interrupt = nullptr;
};

int poll(void* arg) { return static_cast<channel*>(arg)->engine->poll(); }

int interrupted(void* arg) {
  auto* ch = static_cast<channel*>(arg);
  ch->wake.clear();
  return ch->engine->poll();
}

std::unique_ptr<polled_engine> create_engine(const waker& wake) {
  int rc = 0;
  if (auto ring = ring_engine::create(wake, rc)) {
    return ring;
  }
  static std::atomic<bool> said = false;
  if (!said.exchange(true)) {
    SPDK_WARNLOG("io_uring is not available (%s): files are read and written by %u threads\n",
                 spdk_strerror(-rc), file_threads::count);
  }
  return std::make_unique<threads_engine>(wake);
}

int channel_create(void* /*device*/, void* ctx) {
  const bool interrupts = spdk_interrupt_mode_is_enabled();
  auto* ch = new (ctx) channel(interrupts);
  ch->engine = create_engine(ch->wake);
  ch->poller = SPDK_POLLER_REGISTER(poll, ch, 0);
  if (interrupts) {
    ch->interrupt = SPDK_INTERRUPT_REGISTER(ch->wake.fd(), interrupted, ch);
    spdk_poller_register_interrupt(ch->poller, nullptr, nullptr);
  }
  return 0;
}

void channel_destroy(void* /*device*/, void* ctx) {
  auto* ch = static_cast<channel*>(ctx);
  if (ch->interrupt != nullptr) {
    spdk_interrupt_unregister(&ch->interrupt);
  }
  spdk_poller_unregister(&ch->poller);
  ch->~channel();
}

}  // namespace

void file_engine_start() {
  spdk_io_device_register(&engine_device, channel_create, channel_destroy, sizeof(channel),
                          "file_engine");
}

void file_engine_stop() { spdk_io_device_unregister(&engine_device, nullptr); }

spdk_io_channel* file_engine_get_channel() { return spdk_get_io_channel(&engine_device); }

file_engine* file_engine_of(spdk_io_channel* ch) {
  return static_cast<channel*>(spdk_io_channel_get_ctx(ch))->engine.get();
}

}  // namespace spdk_lite
