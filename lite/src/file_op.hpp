// SPDX-License-Identifier: BSD-3-Clause
// What both file engines do with an operation that was carried out partly.
#pragma once

#include "file_engine.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>

namespace spdk_lite {

/// A first-in first-out list through file_op::next.
class file_op_list {
 public:
  [[nodiscard]] bool empty() const { return head_ == nullptr; }

  void push(file_op* op) {
    op->next = nullptr;
    *tail_ = op;
    tail_ = &op->next;
  }

  file_op* pop() {
    file_op* op = head_;
    if (op != nullptr && (head_ = op->next) == nullptr) {
      tail_ = &head_;
    }
    return op;
  }

  file_op_list() = default;
  file_op_list(const file_op_list&) = delete;
  file_op_list& operator=(const file_op_list&) = delete;

 private:
  file_op* head_ = nullptr;
  file_op** tail_ = &head_;
};

struct file_op_vector {
  iovec* iov;
  int count;
};

inline bool is_transfer(const file_op& op) {
  return op.what == file_op::kind::read || op.what == file_op::kind::write;
}

/// What is left to transfer: the caller's iovecs at first, later a copy in the room, which
/// may be too small for all, so that the next transfer is partial again.
inline file_op_vector remaining(const file_op& op) {
  if (op.done == 0) {
    return {op.iov, op.iovcnt};
  }
  std::size_t skip = op.done;
  int count = 0;
  for (const iovec* it = op.iov; it != op.iov + op.iovcnt && count < op.room_count; ++it) {
    if (skip >= it->iov_len) {
      skip -= it->iov_len;
      continue;
    }
    op.room[count++] = {static_cast<std::byte*>(it->iov_base) + skip, it->iov_len - skip};
    skip = 0;
  }
  return {op.room, count};
}

/// Takes in a system call's result (bytes, or a negative errno). True if the operation has
/// ended, with its result set; else it is to be carried out again for the rest.
inline bool advance(file_op& op, std::int64_t rc) {
  if (rc == -EAGAIN || rc == -EINTR) {
    return false;
  }
  op.result = rc;
  if (rc < 0 || !is_transfer(op)) {
    return true;
  }
  op.done += static_cast<std::uint64_t>(rc);
  if (op.done >= op.len) {
    op.result = 0;
    return true;
  }
  if (rc == 0) {  // the end of the file
    op.result = op.done != 0 ? static_cast<std::int64_t>(op.done) : -EIO;
    return true;
  }
  return false;
}

}  // namespace spdk_lite
