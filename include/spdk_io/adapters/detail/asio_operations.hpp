// SPDX-License-Identifier: BSD-3-Clause
// What becomes of operations in flight when the Asio context of their handlers goes. See
// asio_adapter.hpp.

namespace spdk_io::inline SPDK_IO_ABI::adapters::SPDK_IO_ASIO_ADAPTER::detail {

using adapters::detail::handler_list;
using adapters::detail::handler_node;

// The operations in flight whose handlers belong to one Asio context. Asio destroys the handlers of
// a context that goes without calling them, and with them the coroutines that they resume: this
// service does so for the library's operations, each after SPDK has let go of its buffer.
class operations : public net::execution_context::service {
 public:
  using key_type = operations;
  static inline net::execution_context::id id;

  explicit operations(net::execution_context& owner) : net::execution_context::service(owner) {}
  // Once more: the handlers that other services have destroyed may have started something.
  ~operations() override {
    drop_all();
    generation_.fetch_add(1, std::memory_order_relaxed);
  }

  // This OS thread's list in the executor's context. Null where the executor has no context, as
  // Asio's system executor, and that of a handler that fulfils a std::promise.
  template <class Executor>
  static handler_list* of(const Executor& ex) {
    if constexpr (std::is_same_v<Executor, net::system_executor>) {
      return nullptr;
    } else if constexpr (net::can_query<const Executor&, net::execution::context_t>::value) {
      return &of_context(net::query(ex, net::execution::context), ex);
    } else if constexpr (!net::execution::is_executor<Executor>::value &&
                         requires { ex.context(); }) {
      return &of_context(ex.context(), ex);
    } else {
      return nullptr;
    }
  }

 private:
  struct found {
    net::execution_context* context;
    handler_list* operations_there;
    unsigned generation;
  };

  template <class Executor>
  static handler_list& of_context(net::execution_context& ctx, const Executor& ex) {
    const unsigned now = generation_.load(std::memory_order_relaxed);
    if (last_.context == &ctx && last_.generation == now) [[likely]]
      return *last_.operations_there;
    // The services that were there first are shut down last. Timers, with which coroutines wait for
    // others that they lend a buffer, are made to be there, where the context can have them without
    // a thread of its own for them.
    if (!net::has_service<operations>(ctx) && net::has_service<net::detail::io_context_impl>(ctx)) {
      net::basic_waitable_timer<std::chrono::steady_clock,
                                net::wait_traits<std::chrono::steady_clock>, Executor>
          first(ex);
    }
    handler_list& mine = net::use_service<operations>(ctx).of_this_os_thread();
    last_ = {.context = &ctx, .operations_there = &mine, .generation = now};
    return mine;
  }

  handler_list& of_this_os_thread() {
    const void* me = spdk_io::detail::this_os_thread();
    std::lock_guard lock(mutex_);
    for (handler_list& each : in_flight_) {
      if (each.owner == me) return each;
    }
    return in_flight_.emplace_front(me);
  }

  void shutdown() noexcept override { drop_all(); }

  // All of them are settled before the first handler goes, since the buffer of one may belong to
  // the coroutine of another. And one by one from the front: what is destroyed with a handler may
  // end further ones, or start some.
  void drop_all() noexcept {
    for (;;) {
      while (handler_node* first = first_in_flight()) {
        first->settle(*first);
        settled_.push_back(*first);
      }
      handler_node* first = settled_.pop_front();
      if (!first) return;
      first->drop(*first);
    }
  }
  handler_node* first_in_flight() noexcept {
    std::lock_guard lock(mutex_);
    for (handler_list& each : in_flight_) {
      if (handler_node* first = each.pop_front()) return first;
    }
    return nullptr;
  }

  // Where this OS thread looked last, valid while no context has gone.
  static inline std::atomic<unsigned> generation_{1};
  static inline constinit thread_local found last_{nullptr, nullptr, 0};

  std::mutex mutex_;  // for the lists' list
  std::forward_list<handler_list> in_flight_;
  handler_list settled_{nullptr};  // of a context that is going
};

}  // namespace spdk_io::inline SPDK_IO_ABI::adapters::SPDK_IO_ASIO_ADAPTER::detail
