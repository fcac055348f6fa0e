// SPDX-License-Identifier: BSD-3-Clause
// An io_context as an executor of the library's, and the poller task on it. See asio_adapter.hpp.

namespace spdk_io::inline SPDK_IO_ABI {
namespace adapters::SPDK_IO_ASIO_ADAPTER {

// The executor that poller_task() takes. The io_context is run by one OS thread, the one that
// the polled spdk_io::thread belongs to; run by others as well, the poller task fails (see
// running_poller_task::failure()), and a strand does not help.
class executor {
 public:
  static constexpr bool post_is_thread_safe = true;

  class timer {
   public:
    explicit timer(net::io_context& ctx) : timer_(ctx) {}
    template <class F>
    void start(std::chrono::nanoseconds duration, F f) {
      timer_.expires_after(duration);
      timer_.async_wait([f = std::move(f)](const detail::net_error_code& e) {
        if (!e) f();
      });
    }
    void cancel() { timer_.cancel(); }

   private:
    net::steady_timer timer_;
  };

  // The file is never closed here.
  class watch {
   public:
    watch(net::io_context& ctx, int file) : file_(ctx, file) {}
    watch(watch&&) = default;
    watch& operator=(watch&&) = delete;
    ~watch() {
      if (file_.is_open()) file_.release();
    }
    template <class F>
    void start(F f) {
      file_.async_wait(net::posix::stream_descriptor::wait_read,
                       [f = std::move(f)](const detail::net_error_code& e) {
                         if (!e) f();
                       });
    }
    void cancel() { file_.cancel(); }

   private:
    net::posix::stream_descriptor file_;
  };

  explicit executor(net::io_context& ctx) noexcept : ctx_(&ctx) {}

  template <class F>
  void post(F f) {
    net::post(*ctx_, std::move(f));
  }
  timer new_timer() { return timer(*ctx_); }
  watch new_watch(int file) { return watch(*ctx_, file); }
  bool run_one() { return ctx_->run_one() != 0; }
  std::string_view name() const noexcept { return detail::executor_name; }

 private:
  net::io_context* ctx_;
};

}  // namespace adapters::SPDK_IO_ASIO_ADAPTER

// poller_task() on an io_context, for a task that is kept in a handle, which goes before ctx does:
//   auto polling = sio::poller_task(thread, ctx, sio::idle::spin());
template <class Idle = idle::backoff>
result<running_poller_task<adapters::SPDK_IO_ASIO_ADAPTER::executor>> poller_task(
    thread& t, adapters::SPDK_IO_ASIO_ADAPTER::net::io_context& ctx, Idle policy = {},
    poll_budget budget = {}) {
  return poller_task(t, adapters::SPDK_IO_ASIO_ADAPTER::executor(ctx), policy, budget);
}

}  // namespace spdk_io::inline SPDK_IO_ABI
