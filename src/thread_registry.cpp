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
struct entry {
  thread_state* state;
  const spdk_thread* native;
};
std::vector<entry> all_threads;

std::shared_ptr<thread_state> add_thread(spdk_thread* native, std::string_view name) {
  std::lock_guard lock(names_mutex);
  if (std::ranges::find(all_threads, native, &entry::native) != all_threads.end()) return nullptr;
  auto state = std::make_shared<thread_state>(native, name);
  local_threads.push_back(state.get());
  all_threads.push_back({state.get(), native});
  return state;
}

}  // namespace

std::shared_ptr<thread_state> make_thread(std::string_view name) {
  const std::string text(name);
  making_thread = true;
  spdk_thread* native = spdk_thread_create(text.c_str(), nullptr);
  making_thread = false;
  if (!native) return nullptr;
  return add_thread(native, name);
}

std::shared_ptr<thread_state> wrap_thread(spdk_thread* native) {
  return add_thread(native, spdk_thread_get_name(native));
}

thread_state* find_local_thread(const spdk_thread* native) noexcept {
  auto found = std::ranges::find(local_threads, native, &thread_state::native);
  return found == local_threads.end() ? nullptr : *found;
}

std::shared_ptr<thread_state> find_thread(const spdk_thread* native) {
  std::lock_guard lock(names_mutex);
  auto found = std::ranges::find(all_threads, native, &entry::native);
  return found == all_threads.end() ? nullptr : found->state->weak_from_this().lock();
}

void forget_thread(thread_state& state) noexcept {
  std::erase(local_threads, &state);
  if (current_thread == &state) current_thread = nullptr;
  std::lock_guard lock(names_mutex);
  std::erase_if(all_threads, [&](const entry& each) { return each.state == &state; });
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
  for (const auto& each : all_threads) out += " \"" + each.state->name + '"';
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
