// SPDX-License-Identifier: BSD-3-Clause
// Walks over active pollers and open devices.
#include "restless.hpp"

#include "concat.hpp"
#include "exported_by_spdk.hpp"
#include "thread_state.hpp"

#include <spdk/bdev.h>

#include <algorithm>
#include <cstdio>

namespace spdk_io::inline SPDK_IO_ABI::detail {
namespace {

// f(poller) for each active one of the thread, and of those that modules made and it polls along.
template <class F>
void for_each_poller(const thread_state& t, F f) {
  if (!spdk_thread_get_first_active_poller || !spdk_thread_get_next_active_poller) return;
  auto walk = [&](spdk_thread* thread) {
    spdk_poller* each = spdk_thread_get_first_active_poller(thread);
    for (; each; each = spdk_thread_get_next_active_poller(each)) f(each);
  };
  walk(t.native);
  for (spdk_thread* each : t.adopted) walk(each);
}

bool contains(const std::vector<const spdk_poller*>& in, const spdk_poller* what) noexcept {
  return std::ranges::find(in, what) != in.end();
}

std::string name_of(spdk_poller* poller) {
  const char* name = spdk_poller_get_name ? spdk_poller_get_name(poller) : nullptr;
  return name ? name : "?";
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& each : names) out += (out.empty() ? "" : ", ") + each;
  return out;
}

void add_once(std::vector<std::string>& to, std::string name) {
  if (std::ranges::find(to, name) == to.end()) to.push_back(std::move(name));
}

}  // namespace

void restless::sleeps() {
  innocent_.clear();
  for_each_poller(thread_, [this](spdk_poller* each) { innocent_.push_back(each); });
  for (auto& [desc, channel] : thread_.channels) channel->has_slept = true;
}

std::vector<std::string> restless::names_of_devices() const {
  std::vector<std::string> out;
  for (const auto& [desc, channel] : thread_.channels) {
    if (channel->has_slept || !channel->native) continue;
    add_once(out, concat(spdk_bdev_get_name(channel->bdev), " of module ",
                         spdk_bdev_get_module_name(channel->bdev)));
  }
  return out;
}

void restless::accuse() {
  accused_.clear();
  for_each_poller(thread_, [this](spdk_poller* each) {
    if (!contains(innocent_, each)) accused_.push_back(each);
  });
  const bool all = accused_.empty();  // one of them is another one at the same place
  std::vector<std::string> pollers;
  for_each_poller(thread_, [&](spdk_poller* each) {
    if (all) accused_.push_back(each);
    if (all || contains(accused_, each)) add_once(pollers, name_of(each));
  });
  say(pollers, names_of_devices());
}

void restless::say(const std::vector<std::string>& pollers,
                   const std::vector<std::string>& devices) {
  auto& said = thread_.said_to_be_restless;
  const std::size_t before = said.size();
  for (const auto& each : pollers) add_once(said, each);
  for (const auto& each : devices) add_once(said, each);
  if (said.size() == before && before != 0) return;
  if (before == 0 && said.empty()) said.emplace_back();
  std::string who = "a file descriptor of something that cannot be named";
  if (!pollers.empty()) {
    who = concat(pollers.size() == 1 ? "the poller " : "one of the pollers ", joined(pollers));
  }
  if (!devices.empty()) who += concat(" (opened since it last slept: ", joined(devices), ')');
  std::fprintf(stderr,
               "spdk-io: thread \"%s\" cannot sleep in interrupt mode, since it is always woken by "
               "%s; until that has gone it backs off instead (idle::interrupt::otherwise)\n",
               thread_.name.c_str(), who.c_str());
}

bool restless::one_has_gone() const noexcept {
  std::size_t left = 0;
  for_each_poller(thread_, [&](spdk_poller* each) { left += contains(accused_, each) ? 1 : 0; });
  return left < accused_.size();
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
