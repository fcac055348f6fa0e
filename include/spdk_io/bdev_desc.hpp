// SPDX-License-Identifier: BSD-3-Clause
// An open block device.
#pragma once

#include <spdk_io/bdev.hpp>
#include <spdk_io/device_event.hpp>
#include <spdk_io/device_event_stream.hpp>
#include <spdk_io/error.hpp>
#include <spdk_io/io_channel.hpp>
#include <spdk_io/ownership.hpp>

#include <chrono>
#include <string_view>
#include <utility>

struct spdk_bdev_desc;

namespace spdk_io::inline SPDK_IO_ABI {

enum class access { read_only, read_write };

// How to open a device.
struct open_options {
  access mode = access::read_write;
  // How long an I/O may take that has no deadline of its own (with_timeout(), with_deadline());
  // zero: as long as it takes. It ends at the latest an eighth later, with errc::timed_out and
  // fault::timed_out; where the device cannot abort it takes its time all the same, and has its
  // real result. The time that it waits for memory counts. Giving zcopy memory back, and reset(),
  // have no timeout.
  std::chrono::nanoseconds timeout{0};
};

// A copyable handle to an open descriptor. The device is closed once the last bdev_desc and
// io_channel of it is dropped and its I/O has completed, on the thread that opened it. If that
// thread ends first, the device is closed then, and the handles left fail with a clear error.
//
// It does I/O by itself: read(), write() and so on use the calling thread's own channel, looked
// up when the operation starts. io_channel, from channel(), saves the look-up.
// Thread: the handle may be copied and dropped on any; open() needs an attached one, and the
// I/O runs on the thread that starts it.
class bdev_desc : public detail::io_calls<bdev_desc> {
 public:
  // Errors: no_such_device (the message lists those there are); operation_not_permitted (claimed
  // by a module, and read_write was asked for; no thread is attached; no init_subsystems() yet).
  static result<bdev_desc> open(std::string_view name, const open_options& options);
  static result<bdev_desc> open(std::string_view name, access mode = access::read_write) {
    return open(name, open_options{.mode = mode});
  }

  // Takes on a descriptor that the program opened with SPDK's C API. Both may do I/O through it
  // side by side: C code with callbacks, coroutines with these handles.
  //
  // adopt: closed on this thread once the last handle is dropped, or when this thread ends.
  // Requires: it was opened on this thread; nobody else closes it; what C code has in flight has
  // completed by then.
  // borrow: never closed by the library. Requires: it stays open until the last handle is dropped
  // and what was started through the handles has completed. When this thread ends, the handles
  // that are left fail as if it were closed.
  //
  // `mode` is what it was opened for; SPDK does not say. Its events still go to the callback that
  // it was opened with: removed() and next_event() know only of what that tells with mark_removed()
  // and mark_resized().
  // Errors: invalid_argument (null, or adopted already); operation_not_permitted (no thread is
  // attached here); operation_canceled (the thread is ending).
  static result<bdev_desc> from_native(spdk_bdev_desc* native, ownership how,
                                       access mode = access::read_write);

  bdev_desc() = default;  // empty
  bdev_desc(const bdev_desc& other) noexcept;
  bdev_desc(bdev_desc&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  bdev_desc& operator=(bdev_desc other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~bdev_desc();

  // The calling thread's channel: one for each thread, made at the first call and kept while
  // the device is open.
  // Errors: no thread is attached here; the device was closed; SPDK is out of memory.
  result<io_channel> channel() const;

  // What is open. Requires: not empty, not closed(); valid while it is open.
  spdk_io::bdev bdev() const noexcept;
  access mode() const noexcept;

  bool closed() const noexcept;   // empty, or its thread has ended
  bool removed() const noexcept;  // the device is going: drop the handles to let it

  // co_await desc.next_event(): what happens to the device next; see device_event.hpp for who may
  // wait, and for errors.
  //
  // Once the device is removed, new I/O through this descriptor and new channels of it fail with
  // no_such_device (fault::device_removed), on each thread as soon as it has been polled, on the
  // opening thread before next_event() hands the removal out. I/O at SPDK completes with its own
  // result; I/O that waits for memory fails the same way. What zcopy has lent can be given back.
  device_event_operation next_event() const noexcept;

  // The same as a stream, which ends after the removal.
  device_event_stream events() const noexcept;

  spdk_bdev_desc* native_handle() const noexcept;  // borrowed; null if closed

  // Gives an adopted descriptor back: from now on it is a borrowed one, for this handle and the
  // others, and the program closes it. Errors: no_such_device (closed); operation_not_permitted
  // (opened by open(): its events come to the library, so that only the library can close it).
  result<spdk_bdev_desc*> release() noexcept;

  // For the event callback of an adopted or borrowed descriptor, upon SPDK_BDEV_EVENT_REMOVE and
  // SPDK_BDEV_EVENT_RESIZE: what open() does for its own. removed() is true at once, for every
  // handle; the size is the one that the device has now. Any thread. Requires: not empty.
  void mark_removed() const noexcept;
  void mark_resized() const noexcept;

 private:
  friend class detail::io_calls<bdev_desc>;
  friend struct detail::handle_access;
  explicit bdev_desc(detail::desc_state* state) noexcept : state_(state) {}
  detail::desc_state* io_target() const noexcept { return state_; }

  detail::desc_state* state_ = nullptr;
};

}  // namespace spdk_io::inline SPDK_IO_ABI
