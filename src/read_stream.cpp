// SPDX-License-Identifier: BSD-3-Clause
// Reads ahead: which chunks are in flight, complete, or held, and the order in which they are
// handed out.
#include <spdk_io/read_stream.hpp>

#include "concat.hpp"
#include "stream_device.hpp"

#include <spdk_io/io_operation.hpp>

#include <algorithm>
#include <memory>
#include <vector>

namespace spdk_io::inline SPDK_IO_ABI {

// Allocated by the stream; it outlives that while chunks are held.
//
// A place is a piece of the memory: free, being read to, read, or held. Reads are numbered; those
// from next_out_ to next_in_ are under way or complete, in order_, a ring of as many as there are
// places. They are started in order, and handed out in order.
class detail::read_ahead {
 public:
  read_ahead(stream_device device, const read_stream_options& options)
      : device_(std::move(device)), options_(options) {}
  read_ahead(const read_ahead&) = delete;
  read_ahead& operator=(const read_ahead&) = delete;

  wait_point& point() noexcept { return point_; }
  std::size_t ahead() const noexcept { return static_cast<std::size_t>(next_in_ - next_out_); }
  std::size_t memory() const noexcept { return memory_.size(); }

  // Starts what can be. True: there is something to hand out, if only an error or the end.
  bool prepare() noexcept {
    if (!set_up_) set_up();
    submit();
    return can_hand_out();
  }

  result<std::optional<read_chunk>> hand_out() noexcept {
    if (next_out_ == next_in_) {
      if (error_) return std::unexpected(*error_);
      return std::optional<read_chunk>();
    }
    const std::uint32_t number = order_[out_at_];
    place& p = places_[number];
    if (p.at == stage::failed) return std::unexpected(*error_);
    p.at = stage::held;
    ++held_;
    const std::uint64_t number_of_read = next_out_++;
    if (++out_at_ == order_.size()) out_at_ = 0;
    const std::uint64_t start = start_of(number_of_read);
    const std::uint64_t from = std::max(start, options_.offset);
    const std::uint64_t to = std::min(end_of(number_of_read), end_);
    // Made where it is returned: it is moved often enough by those who take it.
    result<std::optional<read_chunk>> out(std::in_place, std::in_place);
    read_chunk& chunk = **out;
    chunk.owner_ = this;
    chunk.place_ = number;
    chunk.offset_ = from;
    chunk.memory_ = memory_.subspan(number * stride_ + (from - start), to - from);
    return out;
  }

  // True: it was the last, and the stream has gone.
  [[nodiscard]] bool give_back(std::uint32_t number) noexcept {
    point_.check_os_thread("a chunk of a read_stream");
    places_[number].at = stage::free;
    free_.push_back(number);
    --held_;
    if (closed_) return held_ == 0;
    if (point_.waited_for()) {
      submit();
      if (can_hand_out()) point_.wake_later();  // it failed at once
    }
    return false;
  }

  // The stream goes. True if no chunk is held.
  [[nodiscard]] bool close() noexcept {
    for (place& p : places_) {
      if (p.at == stage::reading) p.read->request_stop();
    }
    for (place& p : places_) p.read.reset();
    point_.close();
    closed_ = true;
    return held_ == 0;
  }

 private:
  enum class stage : std::uint8_t { free, reading, read, failed, held };
  struct place {
    read_ahead* owner = nullptr;
    std::optional<io_operation> read;
    std::uint64_t number = 0;  // of the read
    stage at = stage::free;
  };

  std::uint64_t start_of(std::uint64_t read) const noexcept { return first_ + read * chunk_; }
  // Whole blocks.
  std::uint64_t end_of(std::uint64_t read) const noexcept {
    return std::min(start_of(read) + chunk_, last_);
  }

  bool can_hand_out() const noexcept {
    if (next_out_ == next_in_) return next_out_ == reads_ || error_;
    const stage at = places_[order_[out_at_]].at;
    return at == stage::read || at == stage::failed;
  }

  void set_up() noexcept {
    set_up_ = true;
    if (auto r = try_set_up(); !r) {
      error_ = r.error();
      reads_ = 0;
    }
  }

  result<void> try_set_up() {
    const auto refuse = [&](std::string_view why) {
      return std::unexpected(
          error(std::errc::invalid_argument, operation_kind::read, concat("read_stream: ", why)));
    };
    if (options_.chunk == 0) return refuse("the chunk size is zero");
    if (options_.depth == 0) return refuse("the depth is zero");
    if (auto r = device_.open(operation_kind::read); !r) return r;
    const std::uint64_t size = device_.size();
    const std::uint32_t block = device_.block_size();
    const std::uint64_t offset = options_.offset;
    const bool to_the_end = options_.length == read_stream_options::to_the_end;
    const std::uint64_t length = !to_the_end ? options_.length : offset < size ? size - offset : 0;
    if (offset > size || length > size - offset) {
      return std::unexpected(error(error::io{.code = std::errc::invalid_argument,
                                             .what = operation_kind::read,
                                             .why = fault::past_end,
                                             .device = device_.name(),
                                             .offset = offset,
                                             .length = length,
                                             .device_size = size,
                                             .block_size = block}));
    }
    if (length == 0) return {};
    end_ = offset + length;
    first_ = offset / block * block;
    last_ = (end_ + block - 1) / block * block;
    // No chunk need be longer than the range.
    chunk_ = std::min<std::uint64_t>(options_.chunk, last_ - first_);
    chunk_ = (chunk_ + block - 1) / block * block;
    const std::uint64_t reads = (last_ - first_ + chunk_ - 1) / chunk_;
    const auto places = static_cast<std::uint32_t>(std::min<std::uint64_t>(options_.depth, reads));
    auto memory = device_.allocate(places, chunk_, options_.numa, stride_);
    if (!memory) return std::unexpected(memory.error());
    memory_ = std::move(*memory);
    places_ = std::vector<place>(places);
    order_.resize(places);
    free_.reserve(places);
    // The first ones last: what was given back last is used first, while caches know it.
    for (std::uint32_t i = places; i-- > 0;) {
      places_[i].owner = this;
      free_.push_back(i);
    }
    reads_ = reads;
    return {};
  }

  void submit() noexcept {
    while (next_in_ != reads_ && !error_ && !free_.empty()) {
      const std::uint32_t number = free_.back();
      free_.pop_back();
      place& p = places_[number];
      p.number = next_in_;
      order_[in_at_] = number;
      if (++in_at_ == order_.size()) in_at_ = 0;
      const std::uint64_t start = start_of(next_in_++);
      p.read.emplace(device_.channel(), io_request{.kind = operation_kind::read,
                                                   .buffer = memory_.data() + number * stride_,
                                                   .offset = start,
                                                   .length = end_of(p.number) - start});
      p.read->continue_with(completed, &p);
      p.at = stage::reading;
      if (!p.read->begin()) take(p);
    }
  }

  static void completed(ready_node& node) {
    place& p = *static_cast<place*>(node.context);
    read_ahead& self = *p.owner;
    self.take(p);
    // Last: who is resumed may destroy all of this.
    if (p.number == self.next_out_ && self.point_.waited_for()) self.point_.wake();
  }

  void take(place& p) noexcept {
    const auto r = p.read->finish();
    if (r) [[likely]] {
      p.at = stage::read;
      return;
    }
    p.at = stage::failed;
    if (error_ && failed_ < p.number) return;  // nobody gets that far
    error_ = r.error();
    failed_ = p.number;
    for (std::uint64_t i = p.number + 1; i < next_in_; ++i) {
      place& later = places_[order_[i % order_.size()]];
      if (later.at == stage::reading) later.read->request_stop();
    }
  }

  stream_device device_;
  const read_stream_options options_;
  wait_point point_;
  bool closed_ = false;  // the stream has gone
  bool set_up_ = false;
  std::optional<error> error_;  // of the set-up, or of the first read that failed
  std::uint64_t failed_ = 0;    // which one that is
  std::uint64_t end_ = 0;       // bytes, of the range
  std::uint64_t first_ = 0;     // bytes, of its blocks
  std::uint64_t last_ = 0;
  std::uint64_t chunk_ = 0;  // bytes, of each read
  std::uint64_t reads_ = 0;  // in all
  std::uint64_t next_in_ = 0;
  std::uint64_t next_out_ = 0;
  std::size_t in_at_ = 0;  // where these are in order_
  std::size_t out_at_ = 0;
  std::size_t held_ = 0;
  std::size_t stride_ = 0;
  dma_buffer memory_;
  std::vector<place> places_;
  std::vector<std::uint32_t> order_;
  std::vector<std::uint32_t> free_;  // reserved in full
};

using detail::read_ahead;

read_stream::read_stream(const bdev_desc& disk, const read_stream_options& options)
    : state_(new read_ahead(detail::stream_device(disk), options)) {}
read_stream::read_stream(const io_channel& disk, const read_stream_options& options)
    : state_(new read_ahead(detail::stream_device(disk), options)) {}

read_stream::~read_stream() {
  if (state_ && state_->close()) delete state_;
}

next_chunk_operation read_stream::next() noexcept { return next_chunk_operation(state_); }
std::size_t read_stream::ahead() const noexcept { return state_ ? state_->ahead() : 0; }
std::size_t read_stream::memory() const noexcept { return state_ ? state_->memory() : 0; }

void read_chunk::give_back() noexcept {
  read_ahead* owner = std::exchange(owner_, nullptr);
  memory_ = {};
  if (owner->give_back(place_)) delete owner;
}

next_chunk_operation::next_chunk_operation(read_ahead* state) noexcept
    : operation_base(std::in_place, state ? &state->point() : nullptr), state_(state) {}

next_chunk_operation::~next_chunk_operation() {
  detail::leave_promise(*this);
  settle("a stream");
}

bool next_chunk_operation::begin() noexcept {
  if (!claim() || state_->prepare()) return false;
  suspend();
  return true;
}

result<std::optional<read_chunk>> next_chunk_operation::finish() {
  if (failed()) return std::unexpected(failure(operation_kind::next, "stream"));
  release();
  return state_->hand_out();
}

}  // namespace spdk_io::inline SPDK_IO_ABI
