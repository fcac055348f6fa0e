// SPDX-License-Identifier: BSD-3-Clause
// The library's SPDK threads, by process and by OS thread.
#include "thread_registry.hpp"

#include "thread_state.hpp"

#include <algorithm>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

namespace spdk_io::inline SPDK_IO_ABI::detail {
namespace {

// There while this OS thread has any. Not an object that the end of the OS thread destroys: a
// thread that is a static object ends after that.
constinit thread_local std::vector<thread_state*>* local_list = nullptr;

std::span<thread_state* const> local_threads() noexcept {
  return local_list ? std::span<thread_state* const>(*local_list)
                    : std::span<thread_state* const>();
}
void add_local(thread_state* state) {
  if (!local_list) local_list = new std::vector<thread_state*>;
  local_list->push_back(state);
}
void remove_local(thread_state* state) noexcept {
  if (!local_list) return;
  std::erase(*local_list, state);
  if (local_list->empty()) delete std::exchange(local_list, nullptr);
}

// Set while make_thread() creates one, so that the hook knows it from a module's own.
constinit thread_local bool making_thread = false;

std::mutex names_mutex;
struct entry {
  thread_state* state;
  const spdk_thread* native;
};
// Never destroyed, for the same reason.
auto& all_threads = *new std::vector<entry>;

std::shared_ptr<thread_state> add_thread(spdk_thread* native, std::string_view name) {
  std::lock_guard lock(names_mutex);
  if (std::ranges::find(all_threads, native, &entry::native) != all_threads.end()) return nullptr;
  auto state = std::make_shared<thread_state>(native, name);
  add_local(state.get());
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
  const auto here = local_threads();
  auto found = std::ranges::find(here, native, &thread_state::native);
  return found == here.end() ? nullptr : *found;
}

std::shared_ptr<thread_state> find_thread(const spdk_thread* native) {
  std::lock_guard lock(names_mutex);
  auto found = std::ranges::find(all_threads, native, &entry::native);
  return found == all_threads.end() ? nullptr : found->state->weak_from_this().lock();
}

void forget_thread(thread_state& state) noexcept {
  remove_local(&state);
  if (current_thread == &state) current_thread = nullptr;
  std::lock_guard lock(names_mutex);
  std::erase_if(all_threads, [&](const entry& each) { return each.state == &state; });
}

bool is_live(const thread_state* state) noexcept {
  const auto here = local_threads();
  return std::ranges::find(here, state) != here.end();
}

void poll_local_threads() noexcept {
  // By index: a poll may add or remove threads.
  for (std::size_t i = 0; i < local_threads().size(); ++i) {
    if (!local_threads()[i]->inside_spdk()) local_threads()[i]->poll_without_user_code(0);
  }
}

void turn_other_local_threads(const thread_state& except) {
  for (std::size_t i = 0; i < local_threads().size(); ++i) {
    thread_state& each = *local_threads()[i];
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
  current_thread->wake_if_asleep();  // it would not wake for that one
  return 0;
}

bool supports_thread_operation(spdk_thread_op op) { return op == SPDK_THREAD_OP_NEW; }

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
