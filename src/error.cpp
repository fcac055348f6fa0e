// SPDX-License-Identifier: BSD-3-Clause
// Texts of errors: the table of names, the ring of recent texts, and the words for NVMe statuses.
#include <spdk_io/error.hpp>

#include <array>
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

std::string_view operation_text(operation_kind kind) {
  switch (kind) {
    case operation_kind::none: return "operation";
    case operation_kind::start_env: return "env";
    case operation_kind::attach_thread: return "attaching a thread";
    case operation_kind::use_thread: return "use of a thread";
    case operation_kind::open_bdev: return "open";
    case operation_kind::release_bdev: return "release of the descriptor";
    case operation_kind::find_bdev: return "look-up";
    case operation_kind::get_channel: return "I/O channel";
    case operation_kind::read: return "read";
    case operation_kind::write: return "write";
    case operation_kind::flush: return "flush";
    case operation_kind::create_bdev: return "creation of a device";
    case operation_kind::delete_bdev: return "deletion of a device";
    case operation_kind::load_config: return "configuration";
    case operation_kind::call: return "call";
    case operation_kind::sleep: return "sleep";
    case operation_kind::allocate: return "allocation";
    case operation_kind::register_memory: return "registration of memory";
    case operation_kind::poller: return "poller";
    case operation_kind::run: return "run";
  }
  return "operation";
}

std::string_view preposition(operation_kind kind) {
  if (kind == operation_kind::read) return "from";
  if (kind == operation_kind::write) return "to";
  return "on";
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

std::string status_message(nvme_status status, int code) {
  std::string_view text = "device error";
  for (const auto& known : status_texts) {
    if (known.status == status) text = known.text;
  }
  std::string out(text);
  if (code != EIO && code != ECANCELED) out += detail::concat(", ", std::strerror(code));
  char number[24];
  std::snprintf(number, sizeof(number), " (NVMe %u/%02Xh)", status.type, status.code);
  return out + number;
}

}  // namespace

error::error(std::errc code, operation_kind what, std::string_view text)
    : code_(static_cast<int>(code)), what_(what), text_(texts().keep(text)) {}

error::error(const io& failed) noexcept
    : code_(static_cast<int>(failed.code)),
      what_(failed.what),
      why_(failed.why),
      status_(failed.status),
      device_(failed.device),
      block_size_(failed.block_size),
      offset_(failed.offset),
      length_(failed.length),
      device_size_(failed.device_size) {}

std::string_view error::device() const noexcept { return names().name_of(device_); }

std::string error::message() const {
  if (code_ == 0) return "no error";
  if (text_ != 0) {
    if (auto text = texts().find(text_); !text.empty()) return text;
  }
  std::string out(operation_text(what_));
  const bool has_range = what_ == operation_kind::read || what_ == operation_kind::write ||
                         what_ == operation_kind::flush;
  if (has_range) out += detail::concat(" of ", length_, " bytes at ", offset_);
  if (device_ != 0) out += detail::concat(' ', preposition(what_), ' ', device());
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
    case fault::wrong_thread:
      return out +
             "the channel belongs to another thread (take one with bdev_desc::channel() on "
             "the thread that does the I/O)";
    case fault::no_thread:
      return out + "no SPDK thread is attached here (call spdk_io::thread::attach() first)";
    case fault::thread_exiting: return out + "the thread is exiting";
    case fault::device_closed:
      return out + "the device was closed when the thread that opened it ended";
    case fault::opened_by_library:
      return out + "it was opened with bdev_desc::open(), so that only the library can close it";
    case fault::unsupported: return out + "not supported by this device";
  }
  if (status_ != nvme_status{}) return out + status_message(status_, code_);
  return out + std::strerror(code_);
}

std::ostream& operator<<(std::ostream& out, const error& e) { return out << e.message(); }

std::uint32_t intern_device_name(std::string_view name) { return names().number_of(name); }

}  // namespace spdk_io::inline SPDK_IO_ABI
