// SPDX-License-Identifier: BSD-3-Clause
// What all block operations have in common: their arguments, where they stand, and the way from
// the start through SPDK to the ready list.
#pragma once

#include <spdk_io/detail/node_ring.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/operation_info.hpp>

#include <bit>
#include <cstdint>
#include <limits>

struct iovec;
struct spdk_bdev_io;
extern "C" void spdk_bdev_free_io(spdk_bdev_io* bdev_io);

namespace spdk_io::inline SPDK_IO_ABI::detail {

struct channel_state;
struct desc_state;
class abort_retries;
class default_timeout;
class memory_wait;
class thread_state;

// Offsets and lengths in bytes or in blocks.
enum class io_unit : std::uint8_t { bytes, blocks };

// One buffer; an array of iovec, whose sum is the length; or arguments of its own, kept by the
// class that derives from io_core.
enum class io_form : std::uint8_t { single, vectored, special };

struct io_request {
  operation_kind kind = operation_kind::read;
  io_unit in = io_unit::bytes;
  io_form form = io_form::single;
  void* buffer = nullptr;   // vectored: the array of iovec
  std::uint32_t count = 0;  // vectored: its length
  std::uint64_t capacity = std::numeric_limits<std::uint64_t>::max();  // of the buffer, bytes
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// What decides how it is submitted, and how `target` and the offsets are to be read.
struct io_shape {
  operation_kind kind;
  io_unit unit;
  io_form form;
  bool by_desc;  // the target is a desc_state still, not yet the channel_state

  // As one word: a single comparison.
  friend constexpr bool operator==(io_shape a, io_shape b) noexcept {
    return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
  }
};
static_assert(sizeof(io_shape) == 4);

// Has that member stored by itself. GCC would gather two of them in a vector register first, which
// takes more instructions, and whoever reads one of them back has to wait.
template <class T>
[[gnu::always_inline]] inline void store_alone(const T& member) noexcept {
  asm volatile("" : : "m"(member));
}

class io_core : public ready_node {
 public:
  // The short way, for nearly all: a read or write of bytes in one buffer, on a channel. Here, so
  // that the compiler knows which it is, and need not read back what it has just written.
  bool begin() noexcept {
    constexpr io_shape plain_read{operation_kind::read, io_unit::bytes, io_form::single, false};
    constexpr io_shape plain_write{operation_kind::write, io_unit::bytes, io_form::single, false};
    if (shape_ == plain_read) return begin_read(*this, target_, buffer_, offset_, length_);
    if (shape_ == plain_write) return begin_write(*this, target_, buffer_, offset_, length_);
    return begin_with_checks();
  }
  result<void> finish() noexcept {
    if (io_stage == stage_succeeded) [[likely]]
      return {};
    if (const error* failed = finish_with_checks()) return std::unexpected(*failed);
    return {};
  }

  // See stop_aware_promise.hpp. It completes once SPDK has let go of it and of the abort: as
  // stopped if that came to pass, else with its real result (the device cannot abort, or had done
  // it).
  void request_stop() noexcept { stop(false); }
  void refuse_stopped() noexcept { refuse(std::errc::operation_canceled, fault::stopped); }

  // Before it is started: the descriptor's default timeout is not for it.
  void note_own_deadline() noexcept { stop_flags_ |= own_deadline; }

  // Of one that has been started and has not been resumed.
  operation_info info() const noexcept;

 protected:
  friend class abort_retries;
  friend class default_timeout;
  friend class memory_wait;
  friend class thread_state;

  // io_stage. From `waiting` on the destructor has something to do.
  static constexpr std::uint8_t stage_fresh = 0;
  static constexpr std::uint8_t stage_done = 1;       // code_ tells how
  static constexpr std::uint8_t stage_succeeded = 2;  // the same, without a look at code_
  static constexpr std::uint8_t stage_waiting = 3;    // in its thread's memory_wait
  static constexpr std::uint8_t stage_in_flight = 4;  // in its channel's ring
  static constexpr std::uint8_t stage_ready = 5;      // in its thread's ready list, or popped
  static constexpr std::uint8_t stage_held = 6;       // in that list, and holding its bdev_io still
  static constexpr std::uint8_t stage_parked = 7;     // complete; in its channel, for its abort

  // stop_flags_, of one that is in flight or parked.
  static constexpr std::uint8_t abort_wanted = 1;  // memory was short for it
  static constexpr std::uint8_t abort_out = 2;     // at SPDK
  static constexpr std::uint8_t for_timeout = 4;   // stopped because its time was up
  static constexpr std::uint8_t own_deadline = 8;  // the descriptor's default is not for it
  static constexpr std::uint8_t abort_later = 16;  // the device did not find it: to be asked again

  // `target` is the channel_state, or with by_desc the desc_state.
  io_core(void* target, const io_request& r, bool by_desc) noexcept
      : ready_node(unset{}), shape_{r.kind, r.in, r.form, by_desc} {
    target_ = target;
    store_alone(target_);
    buffer_ = r.buffer;
    store_alone(buffer_);
    offset_ = r.offset;
    store_alone(offset_);
    length_ = r.length;
    if (r.form == io_form::vectored) {
      capacity_ = r.count;
    } else if (r.in == io_unit::blocks) {
      capacity_ = r.capacity;  // nobody else looks at it
    }
  }
  io_core(io_core&&) = default;
  io_core& operator=(io_core&&) = delete;
  ~io_core() = default;

  // For the destructor of the most derived class, while its members are still there.
  void settle() noexcept {
    if (io_stage > stage_succeeded) [[unlikely]]
      abandon();
  }

  channel_state& channel() const noexcept { return *static_cast<channel_state*>(target_); }
  bool has_buffer() const noexcept {
    return shape_.kind == operation_kind::read || shape_.kind == operation_kind::write ||
           shape_.kind == operation_kind::compare;
  }
  bool is_zcopy_start() const noexcept {
    return shape_.kind == operation_kind::zcopy_read || shape_.kind == operation_kind::zcopy_write;
  }

  bool use_channel_of_this_thread() noexcept;
  bool refuse() noexcept;
  bool refuse(std::errc code, fault why) noexcept;
  bool refuse_invalid(fault why) noexcept;
  bool check_vector() noexcept;
  static bool sum_of(const iovec* buffers, std::uint64_t count, std::uint64_t& total) noexcept;
  bool take_length(std::uint64_t bytes) noexcept;
  bool check_capacity() noexcept;

  static bool begin_read(io_core& self, void* target, void* buffer, std::uint64_t offset,
                         std::uint64_t length) noexcept;
  static bool begin_write(io_core& self, void* target, void* buffer, std::uint64_t offset,
                          std::uint64_t length) noexcept;
  template <auto Submit, auto Complete>
  static bool begin_plain(io_core& self, void* target, void* buffer, std::uint64_t offset,
                          std::uint64_t length) noexcept;
  [[gnu::noinline]] bool begin_with_checks() noexcept;
  [[gnu::noinline, gnu::cold]] bool not_submitted(int rc) noexcept;
  int submit() noexcept;
  int submit_single() noexcept;
  int submit_bytes() noexcept;
  int submit_blocks() noexcept;
  [[gnu::noinline]] int submit_rare_bytes() noexcept;
  [[gnu::noinline]] int submit_rare_blocks() noexcept;
  int submit_vector() noexcept;
  int submit_compare(iovec* buffers, int count) noexcept;
  // False, with why_, where the range in bytes is not one of whole blocks.
  bool in_blocks(std::uint64_t& first, std::uint64_t& count) noexcept;

  inline void put_in_flight(channel_state& channel) noexcept;
  void complete() noexcept;
  [[gnu::noinline]] static void complete_with_checks(spdk_bdev_io* io, bool success,
                                                     io_core& self) noexcept;
  void complete_specially(channel_state& channel) noexcept;
  void note_ready(channel_state& channel) noexcept;
  void become_ready(channel_state& channel) noexcept;

  // Of one in stage_held: it is about to go on; or it stays ready. See thread_state.
  void give_back() noexcept {
    io_stage = stage_succeeded;
    spdk_bdev_free_io(held_);
  }
  void stop_holding() noexcept;

  void stop(bool timed_out) noexcept;
  void leave_memory_wait(int code) noexcept;
  bool may_abort() const noexcept;
  void ask_for_abort() noexcept;
  // False if memory is short for it: it is wanted then.
  bool submit_abort() noexcept;
  void* abort_tag() noexcept;  // the abort's callback argument: not its target's
  static void on_aborted(spdk_bdev_io* io, bool success, void* tag);

  bool unsupported() const noexcept;
  void to_bytes(std::uint32_t block_size) noexcept;
  void describe_failure(int code) noexcept;
  fault explain_invalid(std::uint64_t device_blocks) const noexcept;
  void take_status(spdk_bdev_io* io) noexcept;
  error::io failure() const noexcept;
  error make_error() const noexcept;
  [[gnu::cold]] const error* finish_with_checks() noexcept;
  void abandon() noexcept;
  void wait_until_ready() noexcept;
  static void on_complete(spdk_bdev_io* io, bool success, void* self);

  // For those with arguments of their own: by shape_.kind, in the class that has them.
  bool prepare_special() noexcept;
  int submit_special() noexcept;

  // The first six lie behind ready_node's last bytes, so that an operation has no gaps.
  io_shape shape_;
  fault why_ = fault::none;
  std::uint8_t stop_flags_ = 0;
  // The channel_state, or the desc_state until it is started (shape_.by_desc); in stage_ready the
  // thread_state, since the channel may be gone before the result is taken.
  void* target_;
  union {
    void* buffer_;
    spdk_bdev_io* held_;         // in stage_held
    std::uint64_t device_size_;  // after a failure: bytes
  };
  std::uint64_t offset_;  // in shape_.unit; after a failure: bytes, as is length_
  std::uint64_t length_;
  struct place {
    std::uint32_t device;      // its interned name
    std::uint32_t block_size;  // bytes
  };
  union {
    std::uint64_t capacity_;  // of the buffer, bytes; vectored: how many buffers there are
    place place_;             // once it is complete, or refused
  };
  int code_ = 0;  // errno, positive
  nvme_status status_;
  std::uint16_t started_ = 0;  // where the descriptor has a default timeout: at which tick
};

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
