// SPDX-License-Identifier: BSD-3-Clause
// The poller task as a coroutine of Asio's. See asio_adapter.hpp.

namespace spdk_io::inline SPDK_IO_ABI::adapters::SPDK_IO_ASIO_ADAPTER {
namespace detail {

// Asio's side of a poller coroutine.
class runtime {
 public:
  explicit runtime(const net::any_io_executor& ex)
      : timer_(std::make_shared<net::steady_timer>(ex)) {}

  auto yield() { return net::post(timer_->get_executor(), net::use_awaitable); }
  net::awaitable<void> sleep_for(std::chrono::nanoseconds duration) {
    timer_->expires_after(duration);
    net_error_code ignored;  // cancelled: woken early
    co_await timer_->async_wait(net::redirect_error(net::use_awaitable, ignored));
  }
  void wake() noexcept {
    net::post(timer_->get_executor(), [timer = timer_] { timer->cancel(); });
  }

 private:
  std::shared_ptr<net::steady_timer> timer_;
};

class watching_runtime {
 public:
  explicit watching_runtime(const net::any_io_executor& ex) : file_(ex) {}
  watching_runtime(watching_runtime&&) = default;
  watching_runtime& operator=(watching_runtime&&) = delete;
  ~watching_runtime() {
    if (file_.is_open()) file_.release();
  }

  auto yield() { return net::post(file_.get_executor(), net::use_awaitable); }
  net::awaitable<void> wait_readable(int file) {
    if (!file_.is_open()) file_.assign(file);
    net_error_code ignored;  // the file's state is looked at anyway
    co_await file_.async_wait(net::posix::stream_descriptor::wait_read,
                              net::redirect_error(net::use_awaitable, ignored));
  }

 private:
  net::posix::stream_descriptor file_;
};

inline net::awaitable<void> poll_on_this_executor(
    std::shared_ptr<spdk_io::detail::thread_state> state, idle::backoff policy,
    std::stop_token stop, poll_budget budget) {
  auto ex = co_await net::this_coro::executor;
  co_await spdk_io::detail::poll_with_backoff<net::awaitable<void>>(
      std::move(state), runtime(ex), policy, std::move(stop), budget);
}

inline net::awaitable<void> poll_on_this_executor(
    std::shared_ptr<spdk_io::detail::thread_state> state, idle::interrupt policy,
    std::stop_token stop, poll_budget budget) {
  auto ex = co_await net::this_coro::executor;
  co_await spdk_io::detail::poll_with_interrupts<net::awaitable<void>>(
      std::move(state), watching_runtime(ex), policy, std::move(stop), budget);
}

inline net::awaitable<void> spin_on_this_executor(
    std::shared_ptr<spdk_io::detail::thread_state> state, std::stop_token stop,
    poll_budget budget) {
  auto ex = co_await net::this_coro::executor;
  auto yield = [ex] { return net::post(ex, net::use_awaitable); };
  co_await spdk_io::detail::poll_spinning<net::awaitable<void>>(std::move(state), yield,
                                                                std::move(stop), budget);
}

}  // namespace detail

// The poller task as a coroutine of Asio's own, spawned like any other task of the loop:
//   asio::co_spawn(ctx, sio::adapters::asio::poller_task(thread, sio::idle::backoff()),
//                  asio::detached);
// It ends when `stop` is requested or the thread ends, and with an exception where Asio resumes it
// on another OS thread than that of `t`. See spdk_io::poller_coroutine().
inline net::awaitable<void> poller_task(thread& t, idle::backoff policy = {},
                                        std::stop_token stop = {}, poll_budget budget = {}) {
  return detail::poll_on_this_executor(t.shared_state(), policy, std::move(stop), budget);
}
inline net::awaitable<void> poller_task(thread& t, idle::interrupt policy,
                                        std::stop_token stop = {}, poll_budget budget = {}) {
  return detail::poll_on_this_executor(t.shared_state(), policy, std::move(stop), budget);
}
inline net::awaitable<void> poller_task(thread& t, idle::spin, std::stop_token stop = {},
                                        poll_budget budget = {}) {
  return detail::spin_on_this_executor(t.shared_state(), std::move(stop), budget);
}

}  // namespace spdk_io::inline SPDK_IO_ABI::adapters::SPDK_IO_ASIO_ADAPTER
