// SPDX-License-Identifier: BSD-3-Clause
// The life of a thread_pool.
#include <spdk_io/thread_pool.hpp>

#include "affinity.hpp"
#include "concat.hpp"

#include <spdk_io/detail/fatal.hpp>
#include <spdk_io/yield.hpp>

#include <algorithm>
#include <string_view>

namespace spdk_io::inline SPDK_IO_ABI {
namespace detail {

error thread_pool_state::why_stopped() const {
  return error(std::errc::operation_canceled, operation_kind::call,
               concat("thread_pool \"", name_, "\": stopped on request"));
}

task<void> thread_pool_state::serve(std::shared_ptr<thread_pool_state> pool, std::size_t index) {
  (void)co_await stop_wait(&pool->end_);
  while (pool->any_work(index)) co_await yield();
}

const std::vector<thread_ref>& refs_of(const thread_pool_state* pool) noexcept {
  static const std::vector<thread_ref> none;
  return pool ? pool->refs : none;
}

task<result<void>> stop_work(std::shared_ptr<thread_pool_state> pool) {
  if (!pool) co_return result<void>();
  pool->request_stop();
  for (std::size_t i = 0; i < pool->refs.size(); ++i) {
    auto ended = [&pool, i]() -> task<void> {
      while (pool->any_work(i)) co_await yield();
    };
    auto r = co_await unstoppable(pool->refs[i].call(ended));
    // A thread that has ended has no work either.
    if (!r && r.error() == std::errc::operation_not_permitted) co_return r;
  }
  co_return result<void>();
}

}  // namespace detail

namespace {

template <class... Parts>
std::unexpected<error> refuse(const thread_pool_options& options, const Parts&... why) {
  return std::unexpected(
      error(std::errc::invalid_argument, operation_kind::attach_thread,
            detail::concat("thread_pool \"", options.name, "\": ", detail::concat(why...))));
}

std::string listed(const std::vector<std::uint32_t>& cores) {
  std::string out;
  for (std::uint32_t core : cores) out += detail::concat(out.empty() ? "" : ", ", core);
  return out;
}

}  // namespace

result<thread_pool> thread_pool::start(const thread_pool_options& options) {
  const std::vector<std::uint32_t> allowed = detail::affinity().cores();
  const std::vector<std::uint32_t>& cores = options.cores.empty() ? allowed : options.cores;
  for (std::uint32_t core : cores) {
    if (std::ranges::find(allowed, core) == allowed.end()) {
      return refuse(options, "core ", core, " is not one that this OS thread may run on (",
                    listed(allowed), ")");
    }
  }
  const std::size_t threads = options.threads != 0 ? options.threads : cores.size();
  if (options.pin && threads > cores.size()) {
    return refuse(options, "cannot pin ", threads, " threads to ", cores.size(), " cores (",
                  listed(cores), ")");
  }
  if (threads == 0) return refuse(options, "the system does not say which cores there are");

  thread_pool pool(std::make_shared<detail::thread_pool_state>(options.name, threads));
  for (std::size_t i = 0; i < threads; ++i) {
    std::vector<std::uint32_t> own = options.cores;
    if (options.pin) own = {cores[i]};
    auto main = [state = pool.state_, i](thread&, std::stop_token) {
      return detail::thread_pool_state::serve(state, i);
    };
    auto started = spawned_thread::start(detail::concat(options.name, '-', i), std::move(main),
                                         options.idle, std::move(own));
    if (!started) return std::unexpected(started.error());
    pool.state_->refs.push_back(started->ref());
    pool.threads_.push_back(std::move(*started));
  }
  return pool;
}

thread_pool& thread_pool::operator=(thread_pool&& other) noexcept {
  if (this != &other) {
    join();
    state_ = std::move(other.state_);
    threads_ = std::move(other.threads_);
  }
  return *this;
}

void thread_pool::request_stop() noexcept {
  if (state_) state_->request_stop();
}

void thread_pool::join() noexcept {
  for (const spawned_thread& each : threads_) {
    if (!each.is_this_os_thread()) continue;
    detail::fatal(detail::concat("thread_pool \"", state_->name(),
                                 "\" was joined or destroyed on its own thread \"",
                                 each.ref().name(), "\", and would wait for itself"));
  }
  request_stop();
  if (state_) state_->let_threads_end();
  for (spawned_thread& each : threads_) each.request_stop();
  threads_.clear();
}

}  // namespace spdk_io::inline SPDK_IO_ABI
