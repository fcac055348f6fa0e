// SPDX-License-Identifier: BSD-3-Clause
// What a poller task can do while there is nothing to do, by name.
#pragma once

#include <spdk_io/spdk_io.hpp>

#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace bench {

namespace sio = spdk_io;

template <class Policy>
struct named_policy {
  std::string_view name;
  bool interrupt_mode = false;  // SPDK must be started in it
};

inline constexpr std::tuple policies{
    named_policy<sio::idle::spin>{"spin"},
    named_policy<sio::idle::backoff>{"backoff"},
    named_policy<sio::idle::interrupt>{"interrupt", true},
};

// The executor has what the policy needs.
template <class Executor, class Policy>
concept takes_policy = requires(sio::thread& t, Executor ex, Policy p) {
  { sio::poller_task(t, ex, p) };
};

// f(named_policy<P>) for each that the executor takes.
template <class Executor, class F>
void for_each_policy(F f) {
  const auto each = [&]<class Policy>(named_policy<Policy> policy) {
    if constexpr (takes_policy<Executor, Policy>) f(policy);
  };
  std::apply([&](auto... all) { (each(all), ...); }, policies);
}

template <class Executor>
std::vector<std::string> policy_names() {
  std::vector<std::string> names;
  for_each_policy<Executor>([&](auto policy) { names.emplace_back(policy.name); });
  return names;
}

// f(named_policy<P>) for the one of that name.
template <class Executor, class F>
void with_policy(std::string_view name, F f) {
  bool found = false;
  for_each_policy<Executor>([&](auto policy) {
    if (policy.name != name) return;
    found = true;
    f(policy);
  });
  if (!found) throw std::runtime_error("this executor does not take " + std::string(name));
}

}  // namespace bench
