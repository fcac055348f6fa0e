// SPDX-License-Identifier: BSD-3-Clause
// Texts of errors: the table of names, the ring of recent texts, and the words for NVMe statuses.
#include <spdk_io/error.hpp>

#include <spdk_io/operation_info.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <mutex>
#include <ostream>
#include <unordered_map>
#include "concat.hpp"

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

// Device names live for the process: errors refer to them after their device has gone.
class name_table {
 public:
  std::uint32_t number_of(std::string_view name) {
    if (name.empty()) return 0;
    std::lock_guard lock(mutex_);
    if (auto found = numbers_.find(name); found != numbers_.end()) return found->second;
    names_.emplace_back(name);
    auto number = static_cast<std::uint32_t>(names_.size());
    numbers_.emplace(names_.back(), number);
    return number;
  }

  std::string_view name_of(std::uint32_t number) {
    std::lock_guard lock(mutex_);
    return number == 0 || number > names_.size() ? std::string_view() : names_[number - 1];
  }

 private:
  std::mutex mutex_;
  std::deque<std::string> names_;  // a deque, so that views of its elements stay valid
  std::unordered_map<std::string_view, std::uint32_t> numbers_;
};

// The most recent texts. Bounded, so that a program may fail as often as it likes.
class text_ring {
 public:
  std::uint32_t keep(std::string_view text) {
    std::lock_guard lock(mutex_);
    if (++last_ == 0) ++last_;  // 0 means "no text"
    slot& s = slots_[last_ % slots_.size()];
    s.number = last_;
    s.text = text;
    return last_;
  }

  std::string find(std::uint32_t number) {
    std::lock_guard lock(mutex_);
    const slot& s = slots_[number % slots_.size()];
    return number != 0 && s.number == number ? s.text : std::string();
  }

 private:
  struct slot {
    std::uint32_t number = 0;
    std::string text;
  };
  std::mutex mutex_;
  std::array<slot, 1024> slots_;
  std::uint32_t last_ = 0;
};

// Never destroyed: errors are printed by static destructors too.
name_table& names() {
  static auto* table = new name_table;
  return *table;
}

text_ring& texts() {
  static auto* ring = new text_ring;
  return *ring;
}

// Texts quote names, and what SPDK says of a configuration: neither may break the line, or speak to
// a terminal.
std::string one_line(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char each : text) {
    const auto c = static_cast<unsigned char>(each);
    if (c >= 0x20 && c != 0x7f) {
      out += each;
      continue;
    }
    char escape[8];
    std::snprintf(escape, sizeof(escape), "\\x%02x", c);
    out += escape;
  }
  return out;
}

std::string_view operation_text(operation_kind kind) {
  switch (kind) {
    case operation_kind::none: return "operation";
    case operation_kind::start_env: return "env";
    case operation_kind::attach_thread: return "attaching a thread";
    case operation_kind::use_thread: return "use of a thread";
    case operation_kind::open_bdev: return "open";
    case operation_kind::release_bdev: return "release of the descriptor";
    case operation_kind::next_event: return "wait for an event";
    case operation_kind::find_bdev: return "look-up";
    case operation_kind::get_channel: return "I/O channel";
    case operation_kind::read: return "read";
    case operation_kind::write: return "write";
    case operation_kind::flush: return "flush";
    case operation_kind::write_zeroes: return "write of zeroes";
    case operation_kind::unmap: return "unmap";
    case operation_kind::reset: return "reset";
    case operation_kind::compare: return "compare";
    case operation_kind::compare_and_write: return "compare-and-write";
    case operation_kind::copy: return "copy";
    case operation_kind::zcopy_read: return "zcopy for reading";
    case operation_kind::zcopy_write: return "zcopy for writing";
    case operation_kind::zcopy_commit: return "commit of a zcopy";
    case operation_kind::zcopy_release: return "release of a zcopy";
    case operation_kind::create_bdev: return "creation of a device";
    case operation_kind::delete_bdev: return "deletion of a device";
    case operation_kind::change_bdev: return "change of a device";
    case operation_kind::resize_bdev: return "resizing of a device";
    case operation_kind::load_config: return "configuration";
    case operation_kind::call: return "call";
    case operation_kind::sleep: return "sleep";
    case operation_kind::allocate: return "allocation";
    case operation_kind::take_buffer: return "taking a buffer of a pool";
    case operation_kind::acquire: return "acquiring a permit for I/O";
    case operation_kind::lock: return "locking a mutex";
    case operation_kind::acquire_semaphore: return "acquiring a semaphore";
    case operation_kind::wait_for_event: return "wait for an async_event";
    case operation_kind::spawn: return "spawning into a scope";
    case operation_kind::retry: return "retry";
    case operation_kind::register_memory: return "registration of memory";
    case operation_kind::statistics: return "statistics";
    case operation_kind::histogram: return "latency histogram";
    case operation_kind::qos: return "QoS limits";
    case operation_kind::poller: return "poller";
    case operation_kind::run: return "run";
    case operation_kind::next: return "next of a stream";
    case operation_kind::send: return "send into a sink";
    case operation_kind::flush_sink: return "flush of a sink";
  }
  return "operation";
}

std::string_view preposition(operation_kind kind) {
  if (kind == operation_kind::read) return "from";
  if (kind == operation_kind::write) return "to";
  if (kind == operation_kind::reset || kind == operation_kind::next_event) return "of";
  return "on";
}

bool has_range(operation_kind kind) {
  switch (kind) {
    case operation_kind::read:
    case operation_kind::write:
    case operation_kind::flush:
    case operation_kind::write_zeroes:
    case operation_kind::unmap:
    case operation_kind::compare:
    case operation_kind::compare_and_write:
    case operation_kind::copy:
    case operation_kind::zcopy_read:
    case operation_kind::zcopy_write:
    case operation_kind::zcopy_commit:
    case operation_kind::zcopy_release: return true;
    default: return false;
  }
}

struct status_text {
  nvme_status status;
  std::string_view text;
};

// Statuses that a block device's user meets, by status code type and status code.
constexpr status_text status_texts[] = {
    {{0, 0x01}, "invalid command opcode"},
    {{0, 0x02}, "invalid field in command"},
    {{0, 0x04}, "data transfer error"},
    {{0, 0x05}, "aborted by power loss"},
    {{0, 0x06}, "internal device error"},
    {{0, 0x07}, "aborted"},
    {{0, 0x08}, "aborted, queue deleted"},
    {{0, 0x0b}, "invalid namespace or format"},
    {{0, 0x20}, "namespace is write-protected"},
    {{0, 0x80}, "past the end of the device"},
    {{0, 0x81}, "capacity exceeded"},
    {{0, 0x82}, "namespace not ready"},
    {{0, 0x83}, "reservation conflict"},
    {{2, 0x80}, "write fault"},
    {{2, 0x81}, "unrecovered read error"},
    {{2, 0x82}, "guard check failed"},
    {{2, 0x83}, "application tag check failed"},
    {{2, 0x84}, "reference tag check failed"},
    {{2, 0x85}, "compare failure"},
    {{2, 0x86}, "access denied"},
    {{2, 0x87}, "deallocated or unwritten block"},
    {{3, 0x00}, "internal path error"},
    {{3, 0x02}, "path inaccessible"},
};

std::string status_number(nvme_status status) {
  char number[24];
  std::snprintf(number, sizeof(number), " (NVMe %u/%02Xh)", status.type, status.code);
  return number;
}

std::string status_message(nvme_status status, int code) {
  std::string_view text = "device error";
  for (const auto& known : status_texts) {
    if (known.status == status) text = known.text;
  }
  std::string out(text);
  if (code != EIO && code != ECANCELED) out += detail::concat(", ", std::strerror(code));
  return out + status_number(status);
}

}  // namespace

std::string operation_info::what() const {
  std::string out(operation_text(kind));
  if (has_range(kind)) {
    out += detail::concat(" of ", length, " bytes ");
    if (kind == operation_kind::copy) {
      out += detail::concat("from ", source, " to ", offset);
    } else {
      out += detail::concat("at ", offset);
    }
  }
  if (!device.empty()) out += detail::concat(' ', preposition(kind), ' ', one_line(device));
  return out;
}

error::error(std::errc code, operation_kind what, std::string_view text)
    : code_(static_cast<std::int16_t>(code)),
      what_(what),
      described_(true),
      text_or_source_(texts().keep(one_line(text))) {}

error::error(const io& failed) noexcept
    : code_(static_cast<std::int16_t>(failed.code)),
      what_(failed.what),
      why_(failed.why),
      status_(failed.status),
      device_(failed.device),
      block_size_(failed.block_size),
      text_or_source_(failed.source),
      offset_(failed.offset),
      length_(failed.length),
      device_size_(failed.device_size) {}

std::string_view error::device() const noexcept { return detail::device_name(device_); }
std::uint64_t error::source() const noexcept { return described_ ? 0 : text_or_source_; }

std::string error::message() const {
  if (code_ == 0) return "no error";
  return attempts_ > 1 ? detail::concat(reason(), ", after ", attempts_, " attempts") : reason();
}

std::string error::reason() const {
  if (described_) {
    const auto number = static_cast<std::uint32_t>(text_or_source_);
    if (auto text = texts().find(number); !text.empty()) {
      if (why_ == fault::timed_out) return detail::concat("timed out: ", text);
      if (why_ == fault::stopped) return detail::concat("stopped on request: ", text);
      return text;
    }
  }
  // What it was lies with whoever ended it.
  if (why_ == fault::zcopy_ended) {
    return detail::concat(
        operation_text(what_),
        ": it has ended (committed, released, moved from, or its thread has ended)");
  }
  std::string out = operation_info{.kind = what_,
                                   .device = device(),
                                   .offset = offset_,
                                   .length = length_,
                                   .source = source()}
                        .what();
  out += ": ";
  switch (why_) {
    case fault::none: break;
    case fault::past_end:
      return out + detail::concat("past the end (device has ", device_size_, " bytes)");
    case fault::misaligned_offset:
      return out + detail::concat("the offset is not a multiple of the block size (", block_size_,
                                  " bytes)");
    case fault::misaligned_length:
      return out + detail::concat("the length is not a multiple of the block size (", block_size_,
                                  " bytes)");
    case fault::read_only:
      return out + "the descriptor is read-only (open it with access::read_write)";
    case fault::no_buffer: return out + "the buffer is empty";
    case fault::short_buffer: return out + "the buffer is smaller than that";
    case fault::small_bounce_buffer:
      return out + detail::concat("the buffer to bounce through holds less than a block (",
                                  block_size_, " bytes)");
    case fault::bad_vector:
      return out + "the vector of buffers is empty, too long, or contains an empty buffer";
    case fault::no_channel: return out + "the handle is empty (moved from, or never opened)";
    case fault::channel_refused:
      return out +
             "SPDK could make no channel for this thread; it takes the thread's cache from the "
             "pool "
             "of bdev_ios at once, which others have emptied (raise bdev_io_pool_size, or open the "
             "channel earlier)";
    case fault::wrong_thread:
      return out +
             "the channel belongs to another thread (take one with bdev_desc::channel() on "
             "the thread that does the I/O)";
    case fault::no_thread:
      return out + "no SPDK thread is attached here (call spdk_io::thread::attach() first)";
    case fault::thread_exiting: return out + "the thread is exiting";
    case fault::device_closed:
      return out + "the device was closed when the thread that opened it ended";
    case fault::device_removed:
      out += "the device was removed";
      return what_ == operation_kind::next_event ? out + ", nothing more will come" : out;
    case fault::handles_dropped: return out + "the last handle was dropped, so it is closed";
    case fault::events_elsewhere:
      return out + "events come to the thread that opened the device (await them there)";
    case fault::events_awaited: return out + "somebody else waits for them already (one at a time)";
    case fault::opened_by_library:
      return out + "it was opened with bdev_desc::open(), so that only the library can close it";
    case fault::unsupported:
      out += "not supported by this device";
      return status_ == nvme_status{} ? out : out + status_number(status_);
    case fault::miscompare: return out + "the data differs" + status_number(status_);
    case fault::source_past_end:
      return out +
             detail::concat("the source is past the end (device has ", device_size_, " bytes)");
    case fault::source_misaligned:
      return out + detail::concat("the source is not a multiple of the block size (", block_size_,
                                  " bytes)");
    case fault::lengths_differ:
      return out + "the buffers to compare with and to write differ in length";
    case fault::beyond_atomic_unit:
      return out +
             "longer than the device does atomically (see bdev_info::atomic_compare_and_write)";
    case fault::no_metadata: return out + "the device has no metadata apart from its blocks";
    case fault::short_metadata:
      return out + "the metadata buffer is smaller than the blocks' metadata";
    case fault::stopped: return out + "stopped on request";
    case fault::timed_out: return out + "timed out";
    case fault::zcopy_ended: break;
    case fault::change_under_way:
      return out + "another change is under way (try again when it is done)";
    case fault::no_histogram: return out + "none is being taken (call enable_histogram() first)";
    case fault::bad_histogram_options:
      return out +
             "min must be from 0 and below max, and granularity from 1 to 14 (2^granularity "
             "buckets for each power of two)";
    case fault::limit_too_large:
      return out + "a limit is too large to be rounded up (0 means none)";
  }
  if (status_ != nvme_status{}) return out + status_message(status_, code_);
  return out + std::strerror(code_);
}

error error::as_timed_out() const noexcept {
  error other = *this;
  other.code_ = ETIMEDOUT;
  other.why_ = fault::timed_out;
  return other;
}

error error::as_stopped() const noexcept {
  error other = *this;
  other.code_ = ECANCELED;
  other.why_ = fault::stopped;
  return other;
}

error error::after_attempts(std::uint32_t attempts) const noexcept {
  error other = *this;
  other.attempts_ = static_cast<std::uint16_t>(std::min<std::uint32_t>(attempts, 0xffff));
  return other;
}

std::ostream& operator<<(std::ostream& out, const error& e) { return out << e.message(); }

std::string_view detail::device_name(std::uint32_t number) noexcept {
  return names().name_of(number);
}

std::uint32_t intern_device_name(std::string_view name) { return names().number_of(name); }

}  // namespace spdk_io::inline SPDK_IO_ABI
