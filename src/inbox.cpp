// SPDX-License-Identifier: BSD-3-Clause
// The cold parts of a thread's inbox.
#include <spdk_io/detail/inbox.hpp>

namespace spdk_io::inline SPDK_IO_ABI::detail {

message_node* inbox::closed() noexcept {
  static message_node mark;
  return &mark;
}

message_node* inbox::reverse(message_node* newest) noexcept {
  message_node* oldest = nullptr;
  if (newest == closed()) return nullptr;
  while (newest) {
    message_node* older = newest->next_message;
    newest->next_message = oldest;
    oldest = newest;
    newest = older;
  }
  return oldest;
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
