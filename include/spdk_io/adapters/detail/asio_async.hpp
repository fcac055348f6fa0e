// SPDX-License-Identifier: BSD-3-Clause
// The library's operations with Asio's completion tokens. See asio_adapter.hpp.

namespace spdk_io::inline SPDK_IO_ABI {
namespace adapters::SPDK_IO_ASIO_ADAPTER {

// operation.async(token): any of the library's operations with an Asio completion token, e.g.
//   auto r = co_await disk.read(block, 0).async(asio::use_awaitable);
// The completion signature is void(T), with T the operation's result. The handler's associated
// executor, allocator and (in Asio 1.19 and later) cancellation slot are used. with_timeout() and
// with_stop_token() of an operation are operations as well.
//
// Where the headers for standalone Asio and for Boost.Asio are both included, the token says whose
// it is: it belongs to the Asio in whose namespace its type, an argument of its type as a template,
// or its executor_type is. A token that belongs to neither, as a lambda, goes to standalone Asio,
// which makes no difference to a callable: it is called from thread::poll() in either case. A token
// type of one's own for Boost.Asio, without an executor_type, is passed to
// adapters::boost_asio::async(operation, token), which does not look whose it is.
//
// Cancellation: terminal and partial requests ask the operation to end early; total ones are
// ignored, since an aborted write may have been done in part. The handler is called all the same,
// once SPDK has let go of the buffer: with errc::operation_canceled, or, where the device cannot
// abort or had done it, with the real result. The slot is cleared then. Emit on the OS thread of
// the operation.
//
// A context that is destroyed (on the OS thread of the I/O; anywhere else the program is ended,
// with a message) while operations of its handlers are in flight: each is asked to stop and waited
// for, then the handlers are destroyed without being called, and with them the coroutines that they
// would resume. So a buffer may belong to a coroutine that awaits an operation, a coroutine or a
// timer. Other Asio services (of sockets, channels, signals) are shut down before this one if they
// were first used after the first operation: a coroutine that waits there lends no buffers.
//
// A thread that is destroyed first completes what is in flight: the handlers are with their context
// then, and run there or are destroyed with it.
//
// A handler without an executor (asio::system_executor) belongs to no context: it is called from
// thread::poll(), or at the end of the thread, whatever contexts have gone meanwhile.
template <spdk_io::detail::operation Op, class Token>
auto async(Op&& op, Token&& token) {
  using value = typename Op::value_type;
  return net::async_initiate<Token, void(value)>(
      []<class Handler>(Handler&& handler, Op&& started) {
        std::decay_t<Handler> own(std::forward<Handler>(handler));
        detail::async_state<Op, std::decay_t<Handler>>::start(std::move(started), std::move(own));
      },
      token, std::forward<Op>(op));
}

namespace detail {

// Argument-dependent lookup finds redirect_error(), which any token can be passed to, where this
// Asio's namespace is one of T's.
template <class T>
concept of_this_asio = requires(T& t, net_error_code& e) {
  { redirect_error(t, e) } -> std::same_as<net::redirect_error_t<std::decay_t<T>>>;
};

template <class Token>
concept own_token = of_this_asio<std::remove_cvref_t<Token>> || requires {
  requires of_this_asio<typename std::remove_cvref_t<Token>::executor_type>;
};

}  // namespace detail
}  // namespace adapters::SPDK_IO_ASIO_ADAPTER

namespace detail {

// Found by the operation, whose base class is in this namespace.
template <operation Op, adapters::SPDK_IO_ASIO_ADAPTER::detail::own_token Token>
auto async_start(Op&& op, Token&& token, own_token) {
  return adapters::SPDK_IO_ASIO_ADAPTER::async(std::forward<Op>(op), std::forward<Token>(token));
}
template <operation Op, class Token>
auto async_start(Op&& op, Token&& token, adapters::SPDK_IO_ASIO_ADAPTER::detail::any_token) {
  return adapters::SPDK_IO_ASIO_ADAPTER::async(std::forward<Op>(op), std::forward<Token>(token));
}

}  // namespace detail
}  // namespace spdk_io::inline SPDK_IO_ABI
