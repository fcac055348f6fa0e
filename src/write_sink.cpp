// SPDX-License-Identifier: BSD-3-Clause
// Writes behind: which chunk is filled, which are on their way, and how the blocks at the ends keep
// what belongs to others.
#include <spdk_io/write_sink.hpp>

#include "concat.hpp"
#include "repeated_io.hpp"
#include "stream_device.hpp"
#include "wait_steps.hpp"

#include <spdk_io/operation_info.hpp>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

namespace spdk_io::inline SPDK_IO_ABI {

// A place is a piece of the memory for one chunk: free, filled, or on its way. The chunk that is
// being filled keeps its place when flush() writes what is there of it, and is not filled further
// until that has been written: so the writes of a block follow each other, and what the device
// reads does not change under it.
//
// On its way, a place has up to three steps: the first block of the range is read for what lies
// before it, the block with the end is read for what lies behind it, and then it is written.
class detail::write_behind {
 public:
  enum class answer : std::uint8_t { done, closed, no_space };

  write_behind(stream_device device, const write_sink_options& options)
      : device_(std::move(device)), options_(options), position_(options.offset) {
    going_on_.context = this;
  }
  write_behind(const write_behind&) = delete;
  write_behind& operator=(const write_behind&) = delete;
  ~write_behind() {
    report_loss();
    for (place& p : places_) {
      if (p.at != step::none) p.io->request_stop();
    }
    if (flushing_) device_flush_->request_stop();
    for (place& p : places_) p.io.reset();
    device_flush_.reset();
    if (going_on_.linked()) node_ring::erase(going_on_);
  }

  wait_point& point() noexcept { return point_; }
  std::uint64_t position() const noexcept { return position_; }
  std::size_t memory() const noexcept { return memory_.size(); }
  std::uint64_t written() const noexcept {
    std::uint64_t up_to = std::min(position_, failed_from_);
    for (const place& p : places_) {
      if (p.at != step::none) up_to = std::min(up_to, begin_of_write(p));
    }
    if (filled_ && filled_->at == step::none) up_to = std::min(up_to, filled_->written);
    return up_to;
  }

  // Takes what there is room for. True: all of it, or there is an error.
  bool send(std::span<const std::byte>& bytes) noexcept {
    if (has_room()) {
      if (!filled_ && bytes.size() == chunk_ && behind(position_) == 0 && !error_) [[likely]] {
        write_through(bytes);
      } else {
        fill(bytes);
      }
    }
    waiting_ = &bytes;
    return bytes.empty() || error_;
  }
  answer may_send(std::size_t bytes) noexcept {
    if (closed_) return answer::closed;
    if (!set_up_) [[unlikely]]
      set_up();
    return !error_ && bytes > end_ - position_ ? answer::no_space : answer::done;
  }

  // True: all of it is done, or there is an error and nothing is on its way any more.
  bool flush() noexcept {
    if (!set_up_) set_up();
    waiting_ = nullptr;
    return advance_flush();
  }
  bool closed() const noexcept { return closed_; }
  void set_closed() noexcept { closed_ = true; }

  bool good() const noexcept { return !closed_ && !error_; }
  result<void> outcome() noexcept {
    if (!error_) return {};
    reported_ = true;
    return std::unexpected(*error_);
  }

  error no_space(std::size_t bytes) const {
    if (options_.length == write_sink_options::to_the_end) {
      return error(error::io{.code = std::errc::no_space_on_device,
                             .what = operation_kind::write,
                             .why = fault::past_end,
                             .device = device_.name(),
                             .offset = position_,
                             .length = bytes,
                             .device_size = device_.size(),
                             .block_size = device_.block_size()});
    }
    return error(std::errc::no_space_on_device, operation_kind::send,
                 concat("send into a sink: ", bytes, " bytes at ", position_,
                        " are more than its range, which ends at ", end_));
  }

 private:
  enum class step : std::uint8_t { none, read_head, read_tail, write };
  struct place {
    write_behind* owner = nullptr;
    place* next = nullptr;          // of those that are free
    std::optional<repeated_io> io;  // from the set-up until the sink goes
    std::byte* data = nullptr;
    std::uint64_t start = 0;    // of the chunk on the device
    std::uint64_t written = 0;  // up to here, all of it has been written, or is on its way
    std::uint64_t from = 0;     // what is written now: whole blocks from here
    std::uint64_t to = 0;       // up to here, and what the last block has besides
    step at = step::none;
  };

  // In blocks, which nearly always are a power of two: a division takes longer than all the rest.
  std::uint64_t behind(std::uint64_t offset) const noexcept {
    return block_mask_ ? offset & block_mask_ : offset % block_;
  }
  std::uint64_t down(std::uint64_t offset) const noexcept { return offset - behind(offset); }
  std::uint64_t up(std::uint64_t offset) const noexcept { return down(offset + block_ - 1); }
  std::byte* scratch(step s) noexcept {
    return memory_.end() - (s == step::read_head ? 2 : 1) * scratch_stride_;
  }

  [[gnu::noinline]] void set_up() noexcept {
    set_up_ = true;
    if (auto r = try_set_up(); !r) error_ = r.error();
  }

  result<void> try_set_up() {
    const auto refuse = [&](std::string_view why) {
      return std::unexpected(
          error(std::errc::invalid_argument, operation_kind::write, concat("write_sink: ", why)));
    };
    if (options_.chunk == 0) return refuse("the chunk size is zero");
    if (options_.depth == 0) return refuse("the depth is zero");
    if (auto r = device_.open(operation_kind::write); !r) return r;
    const std::uint64_t size = device_.size();
    block_ = device_.block_size();
    block_mask_ = std::has_single_bit(block_) ? block_ - 1 : 0;
    const std::uint64_t offset = options_.offset;
    const bool to_the_end = options_.length == write_sink_options::to_the_end;
    const std::uint64_t length = !to_the_end ? options_.length : offset < size ? size - offset : 0;
    if (offset > size || length > size - offset) {
      return std::unexpected(error(error::io{.code = std::errc::invalid_argument,
                                             .what = operation_kind::write,
                                             .why = fault::past_end,
                                             .device = device_.name(),
                                             .offset = offset,
                                             .length = length,
                                             .device_size = size,
                                             .block_size = block_}));
    }
    end_ = offset + length;
    first_ = down(offset);
    flushed_ = offset;
    if (length == 0) return {};
    const std::uint64_t all = up(end_) - first_;
    chunk_ = up(std::min<std::uint64_t>(options_.chunk, all));
    const auto places =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(options_.depth, (all - 1) / chunk_ + 1));
    const std::size_t align = device_.alignment();
    scratch_stride_ = (block_ + align - 1) / align * align;
    std::size_t stride = 0;
    auto memory = device_.allocate(places, chunk_, options_.numa, stride, 2 * scratch_stride_);
    if (!memory) return std::unexpected(memory.error());
    memory_ = std::move(*memory);
    places_ = std::vector<place>(places);
    for (std::uint32_t i = places; i-- > 0;) {
      place& p = places_[i];
      p.owner = this;
      p.data = memory_.data() + i * stride;
      p.io.emplace(device_.channel(), completed, &p);
      p.next = std::exchange(free_, &p);
    }
    return {};
  }

  // What flush() writes is not filled.
  bool has_room() const noexcept { return filled_ ? filled_->at == step::none : free_ != nullptr; }

  [[gnu::noinline]] void fill(std::span<const std::byte>& bytes) noexcept {
    while (!bytes.empty() && !error_ && has_room()) {
      if (!filled_) {
        filled_ = free_;
        free_ = filled_->next;
        filled_->start = down(position_);  // of the first chunk its block's; else a chunk's
        filled_->written = position_;
      }
      place& p = *filled_;
      const std::uint64_t left = p.start + chunk_ - position_;
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left, bytes.size()));
      std::memcpy(p.data + (position_ - p.start), bytes.data(), n);
      bytes = bytes.subspan(n);
      position_ += n;
      if (n == left) {
        filled_ = nullptr;
        n == chunk_ ? submit_whole(p) : submit(p);
      }
    }
  }

  // A whole chunk. Requires: has_room(), none is being filled.
  void write_through(std::span<const std::byte>& bytes) noexcept {
    place& p = *free_;
    free_ = p.next;
    p.start = position_;
    std::memcpy(p.data, bytes.data(), chunk_);
    bytes = {};
    position_ += chunk_;
    submit_whole(p);
  }

  void submit_whole(place& p) noexcept {
    p.from = p.start;
    p.to = position_;
    p.at = step::write;
    ++under_way_;
    if (!p.io->begin_noted_write<note>(device_.channel(), p.data, p.start, chunk_)) [[unlikely]]
      take(p);
  }
  // What of the chunk has not been written, up to the position.
  [[gnu::noinline]] void submit(place& p) noexcept {
    p.from = down(p.written);
    p.to = position_;
    p.written = position_;
    ++under_way_;
    p.at = merges_head(p) ? step::read_head : after_head(p);
    go_on(p);
  }
  // Of what is sent, where the place's write begins; one of a block that goes on with what flush()
  // has written begins before that.
  std::uint64_t begin_of_write(const place& p) const noexcept {
    return std::max(p.from, options_.offset);
  }
  bool merges_head(const place& p) const noexcept { return p.from < options_.offset; }
  step after_head(const place& p) const noexcept {
    return behind(p.to) != 0 ? step::read_tail : step::write;
  }

  // Until it waits for the device, or is done.
  [[gnu::noinline]] void go_on(place& p) noexcept {
    while (p.at != step::none) {
      if (begin(p)) return;
      take(p);
    }
  }
  bool begin(place& p) noexcept {
    if (p.at == step::write) {
      return p.io->begin_noted_write<note>(device_.channel(), p.data + (p.from - p.start), p.from,
                                           up(p.to) - p.from);
    }
    return p.io->begin_read(device_.channel(), scratch(p.at),
                            p.at == step::read_head ? first_ : down(p.to), block_);
  }

  static void note(void* argument) {
    place& p = *static_cast<place*>(argument);
    write_behind& self = *p.owner;
    self.release(p);
    if (self.point_.waited_for() && !self.going_on_.linked()) {
      self.point_.home()->ready.push_back(self.going_on_);
    }
  }
  static void go_on_waiting(ready_node& node) { static_cast<write_behind*>(node.context)->wake(); }
  static void completed(ready_node& node) {
    place& p = *static_cast<place*>(node.context);
    write_behind& self = *p.owner;
    self.take(p);
    if (p.at != step::none) [[unlikely]]
      self.go_on(p);
    self.wake();
  }

  // Last: who is resumed may destroy all of this.
  void wake() {
    if (point_.waited_for() && (waiting_ ? send(*waiting_) : advance_flush())) point_.wake();
  }

  void take(place& p) noexcept {
    if (!p.io->succeeded() || p.at != step::write) [[unlikely]]
      if (!look_closer(p)) return;
    release(p);
  }
  void release(place& p) noexcept {
    p.at = step::none;
    --under_way_;
    if (&p != filled_) p.next = std::exchange(free_, &p);
  }

  // False: there are further steps.
  [[gnu::noinline]] bool look_closer(place& p) noexcept {
    if (const auto r = p.io->finish(); !r) {
      fail(p.start, r.error());
      failed_from_ = std::min(failed_from_, begin_of_write(p));
      return true;
    }
    if (p.at == step::write) return true;
    merge(p);
    return false;
  }
  // A block was read for what others have in it.
  void merge(place& p) noexcept {
    if (p.at == step::read_head) {
      std::memcpy(p.data, scratch(step::read_head), options_.offset - first_);
      p.at = after_head(p);
    } else {
      const std::uint64_t used = p.to - down(p.to);
      std::memcpy(p.data + (p.to - p.start), scratch(step::read_tail) + used, block_ - used);
      p.at = step::write;
    }
  }

  // The first in the order of the device counts, unless somebody knows another one already.
  void fail(std::uint64_t at, const error& e) noexcept {
    if (error_ && (reported_ || failed_at_ <= at)) return;
    error_ = e;
    failed_at_ = at;
  }

  bool advance_flush() noexcept {
    while (true) {
      if (!error_ && filled_ && filled_->at == step::none && filled_->written != position_) {
        submit(*filled_);
      }
      if (under_way_ > 0 || flushing_) return false;
      if (error_ || flushed_ == position_) return true;
      if (!device_.can_flush()) {
        flushed_ = position_;
        return true;
      }
      flushing_to_ = position_;
      const std::uint64_t from = down(flushed_);
      device_flush_.emplace(device_.channel(), io_request{.kind = operation_kind::flush,
                                                          .offset = from,
                                                          .length = up(position_) - from});
      device_flush_->continue_with(flush_completed, this);
      flushing_ = true;
      if (device_flush_->begin()) return false;
      take_flush();
    }
  }
  static void flush_completed(ready_node& node) {
    auto& self = *static_cast<write_behind*>(node.context);
    self.take_flush();
    self.wake();
  }
  void take_flush() noexcept {
    flushing_ = false;
    if (const auto r = device_flush_->finish(); !r) {
      fail(0, r.error());
    } else {
      flushed_ = flushing_to_;
    }
  }

  void report_loss() const noexcept {
#ifndef NDEBUG
    if (closed_ || error_) return;
    std::uint64_t lost = filled_ ? position_ - filled_->written : 0;
    for (const place& p : places_) {
      if (p.at != step::none) lost += p.to - std::max(p.from, options_.offset);
    }
    if (lost == 0) return;
    std::fprintf(stderr,
                 "spdk-io: a write_sink on %s was destroyed without close(): %llu bytes that were "
                 "sent have not been written\n",
                 std::string(device_name(device_.name())).c_str(),
                 static_cast<unsigned long long>(lost));
#endif
  }

  stream_device device_;
  const write_sink_options options_;
  wait_point point_;
  ready_node going_on_{go_on_waiting};  // linked when writes are noted while somebody waits
  std::span<const std::byte>* waiting_ = nullptr;  // of the send that waits; null: a flush does
  std::optional<error> error_;
  std::uint64_t failed_at_ = 0;
  std::uint64_t failed_from_ = std::numeric_limits<std::uint64_t>::max();  // of all that failed
  bool reported_ = false;
  bool set_up_ = false;
  bool closed_ = false;
  bool flushing_ = false;
  std::uint32_t block_ = 1;
  std::uint32_t block_mask_ = 0;  // 0: no power of two, or blocks of a byte
  std::uint64_t position_;
  std::uint64_t end_ = 0;          // of the range
  std::uint64_t first_ = 0;        // of its blocks
  std::uint64_t chunk_ = 0;        // bytes
  std::uint64_t flushed_ = 0;      // up to here, the device has flushed
  std::uint64_t flushing_to_ = 0;  // or is going to
  std::size_t under_way_ = 0;      // places
  std::size_t scratch_stride_ = 0;
  dma_buffer memory_;
  std::vector<place> places_;
  place* free_ = nullptr;
  place* filled_ = nullptr;
  std::optional<io_operation> device_flush_;
};

using detail::write_behind;

namespace {
std::unexpected<error> closed_error(operation_kind what) {
  return std::unexpected(error(
      std::errc::bad_file_descriptor, what,
      detail::concat(operation_info{.kind = what, .device = {}}.what(), ": the sink is closed")));
}

[[gnu::noinline]] result<void> why_not_sent(write_behind& state, std::size_t left) {
  if (state.closed()) return closed_error(operation_kind::send);
  if (auto r = state.outcome(); !r) return r;
  if (left > 0) return std::unexpected(state.no_space(left));
  return {};
}
}  // namespace

write_sink::write_sink(const bdev_desc& disk, const write_sink_options& options)
    : state_(new write_behind(detail::stream_device(disk), options)) {}
write_sink::write_sink(const io_channel& disk, const write_sink_options& options)
    : state_(new write_behind(detail::stream_device(disk), options)) {}
write_sink::~write_sink() { delete state_; }

std::uint64_t write_sink::position() const noexcept { return state_ ? state_->position() : 0; }
std::uint64_t write_sink::written() const noexcept { return state_ ? state_->written() : 0; }
std::size_t write_sink::memory() const noexcept { return state_ ? state_->memory() : 0; }

bool send_bytes_operation::begin() noexcept {
  if (!claim_here(state_ ? &state_->point() : nullptr)) return false;
  if (state_->may_send(bytes_.size()) != write_behind::answer::done) return false;
  if (state_->send(bytes_)) return false;
  suspend_here();
  return true;
}

result<void> send_bytes_operation::finish() {
  if (failed()) [[unlikely]]
    return std::unexpected(failure(operation_kind::send, "sink"));
  release();
  if (bytes_.empty() && state_->good()) [[likely]]
    return {};
  return why_not_sent(*state_, bytes_.size());
}

bool flush_sink_operation::begin() noexcept {
  if (!claim_here(state_ ? &state_->point() : nullptr)) return false;
  if (state_->closed() || state_->flush()) return false;
  suspend_here();
  return true;
}

result<void> flush_sink_operation::finish() {
  if (failed()) return std::unexpected(failure(operation_kind::flush_sink, "sink"));
  release();
  if (state_->closed() && !closes_) return closed_error(operation_kind::flush_sink);
  if (closes_) state_->set_closed();
  return state_->outcome();
}

}  // namespace spdk_io::inline SPDK_IO_ABI
