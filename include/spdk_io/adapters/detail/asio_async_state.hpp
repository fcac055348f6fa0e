// SPDX-License-Identifier: BSD-3-Clause
// An operation on its way to an Asio handler. See asio_adapter.hpp.

namespace spdk_io::inline SPDK_IO_ABI::adapters::SPDK_IO_ASIO_ADAPTER::detail {

// Asio's own handler of use_awaitable: its coroutine is work of its executor already, from
// asio::co_spawn() to its end.
template <class Handler>
concept resumes_awaitable =
    std::derived_from<Handler, net::detail::awaitable_thread<net::associated_executor_t<Handler>>>;

struct counted_elsewhere {
  template <class Executor>
  explicit counted_elsewhere(const Executor&) noexcept {}
};

// Whether asio::dispatch() would call a function at once. It would go through an allocation, an
// indirect call and a memory fence to do so.
template <class Executor>
bool runs_here(const Executor& ex) noexcept {
  using of_context = net::io_context::executor_type;
  if constexpr (std::is_same_v<Executor, of_context>) {
    return ex.running_in_this_thread();
  } else if constexpr (requires { ex.template target<of_context>(); }) {
    const of_context* inside = ex.template target<of_context>();
    return inside && inside->running_in_this_thread();
  } else {
    return false;
  }
}

// An operation on its way to an Asio handler: allocated with the handler's allocator, freed
// before the handler is dispatched to its executor. It counts as work of that executor.
template <class Op, class Handler>
class async_state : private handler_node {
  using value = typename Op::value_type;
  using handler_executor = net::associated_executor_t<Handler>;
  using allocator = typename std::allocator_traits<
      net::associated_allocator_t<Handler, default_allocator>>::template rebind_alloc<async_state>;
  using memory = std::allocator_traits<allocator>;

  // Takes the state along where nobody is called, since the result is an exception.
  struct deliver {
    explicit deliver(async_state* state) noexcept : self(state) {}
    deliver(deliver&& other) noexcept : self(std::exchange(other.self, nullptr)) {}
    deliver& operator=(deliver&&) = delete;
    ~deliver() {
      if (self && !self->settled_) dissolve(*self);
    }
    void operator()(value&& v) { finish(*std::exchange(self, nullptr), std::move(v)); }

    async_state* self;
  };
  static constexpr bool stoppable = spdk_io::detail::stoppable_operation<Op>;

 public:
  static void start(Op&& op, Handler&& h) {
    handler_list* there = operations::of(net::get_associated_executor(h));
    allocator a = allocator_of(h);
    async_state* self = memory::allocate(a, 1);
    ::new (static_cast<void*>(self)) async_state(std::move(op), std::move(h));
    if constexpr (stoppable) self->connect();
    if (there) there->push_back(*self);
    self->state_->start();
  }

 private:
  using work = std::conditional_t<resumes_awaitable<Handler>, counted_elsewhere,
                                  net::executor_work_guard<handler_executor>>;
  struct remains {
    Handler handler;
    [[no_unique_address]] work counted;
  };

  // By default, where Asio has the memory of its own operations.
  static allocator allocator_of(const Handler& h) noexcept {
    return allocator(net::get_associated_allocator(h, default_allocator()));
  }

  async_state(Op&& op, Handler&& h)
      : handler_(std::move(h)), work_(net::get_associated_executor(handler_)) {
    state_.emplace(std::move(op), deliver{this});
    settle = [](handler_node& n) noexcept { static_cast<async_state&>(n).let_go(); };
    drop = [](handler_node& n) noexcept { dissolve(static_cast<async_state&>(n)); };
  }

  void connect() {
    try {
      slot_.connect(handler_, *state_);
    } catch (...) {
      dissolve(*this);
      throw;
    }
  }

  void let_go() noexcept {
    slot_.disconnect(handler_);
    settled_ = true;
    state_.reset();
  }

  // Frees the state and leaves the handler, with whatever it owns.
  static remains dissolve(async_state& self) noexcept {
    handler_list::erase(self);
    self.let_go();
    remains left{std::move(self.handler_), std::move(self.work_)};
    allocator a = allocator_of(left.handler);
    memory::destroy(a, &self);
    memory::deallocate(a, &self, 1);
    return left;
  }

  static void finish(async_state& self, value&& v) {
    remains left = dissolve(self);
    // Without an executor of its own a handler gets Asio's system executor, which would end the
    // program over an exception; it is called here, on the loop, as Asio's own I/O does it.
    if constexpr (!std::is_same_v<handler_executor, net::system_executor>) {
      const auto ex = net::get_associated_executor(left.handler);
      if (!runs_here(ex)) {
        net::dispatch(ex, [handler = std::move(left.handler), v = std::move(v)]() mutable {
          std::move(handler)(std::move(v));
        });
        return;
      }
    }
    std::move(left.handler)(std::move(v));
  }

  Handler handler_;
  [[no_unique_address]] work work_;
  [[no_unique_address]] slot_connection<Handler, pending<Op, deliver>> slot_;
  bool settled_ = false;
  std::optional<pending<Op, deliver>> state_;
};

}  // namespace spdk_io::inline SPDK_IO_ABI::adapters::SPDK_IO_ASIO_ADAPTER::detail
