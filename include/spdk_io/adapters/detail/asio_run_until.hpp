// SPDX-License-Identifier: BSD-3-Clause
// run_until() on an io_context. See asio_adapter.hpp.

namespace spdk_io::inline SPDK_IO_ABI {

// run_until() on an io_context: `app` is anything generically awaitable (a spdk_io::task) or an
// asio::awaitable. The io_context may have other work; it is left as it is when app has ended.
// Where the io_context is stopped before, or the poller task fails since other OS threads run the
// io_context as well, an asio::awaitable stays in it, suspended: what it has in flight is complete
// when run_until() returns, and it goes on where the io_context is run again, or is destroyed with
// it.
template <awaitable A, class Idle = idle::backoff>
std::remove_cvref_t<await_result_t<A>> run_until(
    adapters::SPDK_IO_ASIO_ADAPTER::net::io_context& ctx, thread& t, A&& app, Idle policy = {}) {
  auto work = adapters::SPDK_IO_ASIO_ADAPTER::net::make_work_guard(ctx);
  return run_until(adapters::SPDK_IO_ASIO_ADAPTER::executor(ctx), t, std::forward<A>(app), policy);
}
template <class T, class Idle = idle::backoff>
T run_until(adapters::SPDK_IO_ASIO_ADAPTER::net::io_context& ctx, thread& t,
            adapters::SPDK_IO_ASIO_ADAPTER::net::awaitable<T> app, Idle policy = {}) {
  namespace net = adapters::SPDK_IO_ASIO_ADAPTER::net;
  auto work = net::make_work_guard(ctx);
  auto polling = poller_task(t, adapters::SPDK_IO_ASIO_ADAPTER::executor(ctx), policy);
  if (!polling) return spdk_io::detail::fail_with<T>(polling.error());
  polling->return_on_failure();
  // Shared: an app that has not ended when this returns or throws lives on in the io_context.
  auto outcome = std::make_shared<spdk_io::detail::outcome<T>>();
  net::co_spawn(ctx, std::move(app), [outcome](std::exception_ptr e, auto... value) {
    if (e) {
      outcome->set_exception(std::move(e));
    } else {
      outcome->set(std::move(value)...);
    }
  });
  while (!outcome->done() && !polling->failure() && ctx.run_one() != 0) {
  }
  polling->stop();
  spdk_io::detail::drain(t);
  if (outcome->done()) return outcome->take();
  const error* failure = polling->failure();
  return spdk_io::detail::fail_with<T>(failure ? *failure : spdk_io::detail::loop_stopped(t));
}

}  // namespace spdk_io::inline SPDK_IO_ABI
