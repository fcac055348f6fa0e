// SPDX-License-Identifier: BSD-3-Clause
// The library's SPDK threads, by process and by OS thread.
#include "thread_registry.hpp"

#include "thread_state.hpp"

#include <algorithm>
#include <mutex>
#include <vector>

namespace spdk_io::inline SPDK_IO_ABI::detail {
namespace {

thread_local std::vector<thread_state*> local_threads;
// Set while make_thread() creates one, so that the hook knows it from a module's own.
constinit thread_local bool making_thread = false;

std::mutex names_mutex;
std::vector<const thread_state*> all_threads;

}  // namespace

std::shared_ptr<thread_state> make_thread(std::string_view name) {
  const std::string text(name);
  making_thread = true;
  spdk_thread* native = spdk_thread_create(text.c_str(), nullptr);
  making_thread = false;
  if (!native) return nullptr;
  auto state = std::make_shared<thread_state>(native, name);
  local_threads.push_back(state.get());
  std::lock_guard lock(names_mutex);
  all_threads.push_back(state.get());
  return state;
}

void forget_thread(thread_state& state) noexcept {
  std::erase(local_threads, &state);
  if (current_thread == &state) current_thread = nullptr;
  std::lock_guard lock(names_mutex);
  std::erase(all_threads, &state);
}

bool is_live(const thread_state* state) noexcept {
  return std::ranges::find(local_threads, state) != local_threads.end();
}

void poll_local_threads() noexcept {
  // By index: a poll may add or remove threads.
  for (std::size_t i = 0; i < local_threads.size(); ++i) {
    if (!local_threads[i]->inside_spdk()) local_threads[i]->poll_without_user_code(0);
  }
}

void turn_other_local_threads(const thread_state& except) {
  for (std::size_t i = 0; i < local_threads.size(); ++i) {
    thread_state& each = *local_threads[i];
    if (&each != &except && !each.inside_spdk()) each.poll(0);
  }
}

std::string live_thread_names() {
  std::lock_guard lock(names_mutex);
  std::string out;
  for (const auto* state : all_threads) out += " \"" + state->name + '"';
  return out;
}

// A thread that a module of SPDK makes is polled along with the thread that it is made on.
// Returning an error makes the creation fail, which beats a module that waits for ever.
int on_thread_operation(spdk_thread* thread, spdk_thread_op op) {
  if (op != SPDK_THREAD_OP_NEW || making_thread) return 0;
  if (!current_thread) return -ENOTSUP;
  current_thread->adopted.push_back(thread);
  return 0;
}

bool supports_thread_operation(spdk_thread_op op) { return op == SPDK_THREAD_OP_NEW; }

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
