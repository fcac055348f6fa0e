// SPDX-License-Identifier: BSD-3-Clause
// What a C program on liburing does: the same ring as lite's engine sets up, everything that was
// prepared handed over in one system call, and completions looked for without one.
#include "file_io.hpp"

#include <liburing.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <vector>

namespace bench {
namespace {

constexpr unsigned queue_depth = 512;
constexpr unsigned completion_queue_depth = 4096;
constexpr unsigned reap_batch = 64;

class ring {
 public:
  ring() {
    int rc = open(IORING_SETUP_CQSIZE | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
    if (rc == -EINVAL) rc = open(IORING_SETUP_CQSIZE);  // a kernel before 5.19
    if (rc < 0) throw std::system_error(-rc, std::generic_category(), "io_uring");
  }
  ring(const ring&) = delete;
  ring& operator=(const ring&) = delete;
  ~ring() { io_uring_queue_exit(&ring_); }

  io_uring* operator&() noexcept { return &ring_; }

 private:
  int open(unsigned flags) {
    io_uring_params params{};
    params.flags = flags;
    params.cq_entries = completion_queue_depth;
    return io_uring_queue_init_params(queue_depth, &ring_, &params);
  }

  io_uring ring_{};
};

class ring_loop {
 public:
  ring_loop(const file_job& job, const direct_file& file)
      : fd_(file.fd()), io_size_(job.io_size), write_(job.write), load_(job, file.size()) {
    for (std::uint32_t i = 0; i < job.depth; ++i) buffers_.push_back(make_buffer(job.io_size));
  }

  file_figures run() {
    for (aligned_memory& buffer : buffers_) start(buffer.get());
    while (queued_ + in_flight_ > 0) {
      if (queued_ > 0) hand_over();
      reap();
    }
    return load_.figures();
  }

 private:
  void start(std::byte* buffer) {
    std::uint64_t offset = 0;
    if (!load_.take(offset)) return;
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    if (entry == nullptr) [[unlikely]] {
      hand_over();
      entry = io_uring_get_sqe(&ring_);
      if (entry == nullptr) throw std::runtime_error("the submission queue stays full");
    }
    if (write_) {
      io_uring_prep_write(entry, fd_, buffer, io_size_, offset);
    } else {
      io_uring_prep_read(entry, fd_, buffer, io_size_, offset);
    }
    io_uring_sqe_set_data(entry, buffer);
    ++queued_;
  }

  void hand_over() {
    const int rc = io_uring_submit(&ring_);
    if (rc < 0) {
      if (rc == -EINTR || rc == -EAGAIN || rc == -EBUSY) return;  // the next time
      throw std::system_error(-rc, std::generic_category(), "io_uring_submit");
    }
    queued_ -= static_cast<unsigned>(rc);
    in_flight_ += static_cast<unsigned>(rc);
  }

  void reap() {
    io_uring_cqe* entries[reap_batch];
    unsigned count = 0;
    do {
      count = io_uring_peek_batch_cqe(&ring_, entries, reap_batch);
      for (unsigned i = 0; i < count; ++i) {
        check(entries[i]->res);
        load_.completed();
        start(static_cast<std::byte*>(io_uring_cqe_get_data(entries[i])));
      }
      io_uring_cq_advance(&ring_, count);
      in_flight_ -= count;
    } while (count == reap_batch);
  }

  void check(int result) const {
    if (result == static_cast<int>(io_size_)) [[likely]]
      return;
    if (result < 0) throw std::system_error(-result, std::generic_category(), "an I/O failed");
    throw std::runtime_error("an I/O was carried out partly");
  }

  ring ring_;
  int fd_;
  std::uint32_t io_size_;
  bool write_;
  timed_load load_;
  std::vector<aligned_memory> buffers_;
  unsigned queued_ = 0;     // the kernel has not seen them
  unsigned in_flight_ = 0;  // the kernel has them
};

}  // namespace

file_figures liburing_file_io(const file_job& job) {
  const direct_file file(job.file);
  ring_loop loop(job, file);
  return loop.run();
}

}  // namespace bench
