// SPDX-License-Identifier: BSD-3-Clause
// Reads ahead: which chunks are in flight, complete, or held, and the order in which they are
// handed out.
#include <spdk_io/read_stream.hpp>

#include "concat.hpp"
#include "repeated_io.hpp"
#include "stream_device.hpp"
#include "wait_steps.hpp"

#include <algorithm>
#include <memory>
#include <vector>

namespace spdk_io::inline SPDK_IO_ABI {

// A piece of the stream's memory: free, being read to, read, or held. Reads that are under way or
// complete stand in a list, in the order in which they were started, and are handed out from its
// head; places that are free in another one, as a stack.
struct detail::read_place {
  enum class stage : std::uint8_t { free, reading, held, read, failed };

  read_ahead* owner = nullptr;
  read_place* next = nullptr;  // in its list
  std::byte* data = nullptr;
  std::uint64_t start = 0;  // bytes, on the device: of the read
  stage at = stage::free;
  std::optional<repeated_io> read;  // from the set-up until the stream goes
};

// Allocated by the stream; it outlives that while chunks are held.
class detail::read_ahead {
  using place = read_place;
  using stage = read_place::stage;

 public:
  read_ahead(stream_device device, const read_stream_options& options)
      : device_(std::move(device)), options_(options) {}
  read_ahead(const read_ahead&) = delete;
  read_ahead& operator=(const read_ahead&) = delete;

  wait_point& point() noexcept { return point_; }
  // The last one may be shorter.
  std::size_t ahead() const noexcept {
    return first_ ? static_cast<std::size_t>((next_start_ - first_->start + chunk_ - 1) / chunk_)
                  : 0;
  }
  std::size_t memory() const noexcept { return memory_.size(); }

  // Starts what can be. True: there is something to hand out, if only an error or the end.
  bool prepare() noexcept {
    if (!set_up_) [[unlikely]]
      set_up();
    submit();
    return can_hand_out();
  }

  bool has_chunk() const noexcept { return first_ && first_->at == stage::read; }
  // Requires: has_chunk(). (With one way out, it is made where it is returned: it is moved often
  // enough by those who take it.)
  result<std::optional<read_chunk>> hand_out() noexcept {
    result<std::optional<read_chunk>> out(std::in_place, std::in_place);
    read_chunk& chunk = **out;
    place& p = *first_;
    first_ = p.next;
    p.at = stage::held;
    chunk.place_ = &p;
    const std::uint64_t to = std::min(p.start + chunk_, end_);
    chunk.offset_ = std::max(p.start, options_.offset);
    chunk.memory_ = dma_span::trusted({p.data + (chunk.offset_ - p.start), to - chunk.offset_});
    return out;
  }
  // Where there is none.
  [[gnu::cold]] result<std::optional<read_chunk>> end() const {
    if (error_) return std::unexpected(*error_);
    return std::optional<read_chunk>();
  }

  void give_back(place& p) noexcept {
    if (!point_.at_home() || closed_ || point_.waited_for()) [[unlikely]]
      return give_back_with_checks(p);
    set_free(p);
  }

  // The stream goes. True if no chunk is held.
  [[nodiscard]] bool close() noexcept {
    for (place& p : places_) {
      if (p.at == stage::reading) p.read->request_stop();
    }
    for (place& p : places_) p.read.reset();
    point_.close();
    closed_ = true;
    return !any_held();
  }

 private:
  void set_free(place& p) noexcept {
    p.at = stage::free;
    p.next = free_;
    free_ = &p;
  }
  // It is waited for, or nobody will want it; where the stream has gone, it goes with its last
  // chunk.
  [[gnu::noinline]] void give_back_with_checks(place& p) noexcept {
    point_.check_os_thread("a chunk of a read_stream");
    set_free(p);
    if (closed_) {
      if (!any_held()) delete this;
    } else if (point_.waited_for()) {
      submit();
      if (can_hand_out()) point_.wake_later();  // it failed at once
    }
  }

  bool any_held() const noexcept {
    return std::ranges::any_of(places_, [](const place& p) { return p.at == stage::held; });
  }

  bool can_hand_out() const noexcept {
    return first_ ? first_->at >= stage::read : next_start_ == last_;
  }

  [[gnu::noinline]] void set_up() noexcept {
    set_up_ = true;
    if (auto r = try_set_up(); !r) error_ = r.error();
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
    const std::uint64_t first = offset / block * block;
    const std::uint64_t last = (end_ + block - 1) / block * block;
    // No chunk need be longer than the range.
    chunk_ = std::min<std::uint64_t>(options_.chunk, last - first);
    chunk_ = (chunk_ + block - 1) / block * block;
    const std::uint64_t reads = (last - first - 1) / chunk_ + 1;
    const auto places = static_cast<std::uint32_t>(std::min<std::uint64_t>(options_.depth, reads));
    std::size_t stride = 0;
    auto memory = device_.allocate(places, chunk_, options_.numa, stride);
    if (!memory) return std::unexpected(memory.error());
    memory_ = std::move(*memory);
    places_ = std::vector<place>(places);
    // The first ones last: what was given back last is used first, while caches know it.
    for (std::uint32_t i = places; i-- > 0;) {
      place& p = places_[i];
      p.owner = this;
      p.data = memory_.data() + i * stride;
      p.read.emplace(device_.channel(), completed, &p);
      p.next = std::exchange(free_, &p);
    }
    next_start_ = first;
    last_ = last;
    return {};
  }

  void submit() noexcept {
    while (free_ && next_start_ != last_) {
      place& p = *free_;
      free_ = p.next;
      p.next = nullptr;
      (first_ ? newest_->next : first_) = &p;
      newest_ = &p;
      const std::uint64_t start = next_start_;
      const std::uint64_t length = std::min(chunk_, last_ - start);
      next_start_ = start + length;
      p.start = start;
      p.at = stage::reading;
      if (!p.read->begin_noted_read<note>(device_.channel(), p.data, start, length)) [[unlikely]]
        take(p);
    }
  }

  static void note(void* argument) {
    place& p = *static_cast<place*>(argument);
    p.at = stage::read;
    if (&p == p.owner->first_ && p.owner->point_.waited_for()) p.owner->point_.wake_later();
  }
  static void completed(ready_node& node) {
    place& p = *static_cast<place*>(node.context);
    read_ahead& self = *p.owner;
    self.take(p);
    // Last: who is resumed may destroy all of this.
    if (&p == self.first_ && self.point_.waited_for()) self.point_.wake();
  }

  void take(place& p) noexcept {
    p.at = stage::read;
    if (!p.read->succeeded()) [[unlikely]]
      look_at_result(p);
  }
  [[gnu::noinline, gnu::cold]] void look_at_result(place& p) noexcept {
    if (const auto r = p.read->finish(); !r) fail(p, r.error());
  }

  // Nothing more is started, and what is under way behind it is for nobody.
  void fail(place& p, const error& e) noexcept {
    p.at = stage::failed;
    last_ = next_start_;
    if (error_ && failed_ < p.start) return;  // nobody gets that far
    error_ = e;
    failed_ = p.start;
    for (place* later = p.next; later; later = later->next) {
      if (later->at == stage::reading) later->read->request_stop();
    }
  }

  stream_device device_;
  const read_stream_options options_;
  wait_point point_;
  bool closed_ = false;  // the stream has gone
  bool set_up_ = false;
  std::uint64_t end_ = 0;         // bytes, of the range
  std::uint64_t chunk_ = 0;       // bytes, of each read but the last
  std::uint64_t next_start_ = 0;  // bytes, of the next read
  std::uint64_t last_ = 0;        // where reading ends
  place* first_ = nullptr;        // the next to be handed out
  place* newest_ = nullptr;       // the last of that list, if there are any
  place* free_ = nullptr;
  std::optional<error> error_;  // of the set-up, or of the first read that failed
  std::uint64_t failed_ = 0;    // where that one began
  dma_buffer memory_;
  std::vector<place> places_;
};

using detail::read_ahead;

read_stream::read_stream(const bdev_desc& disk, const read_stream_options& options)
    : state_(new read_ahead(detail::stream_device(disk), options)) {}
read_stream::read_stream(const io_channel& disk, const read_stream_options& options)
    : state_(new read_ahead(detail::stream_device(disk), options)) {}

read_stream::~read_stream() {
  if (state_ && state_->close()) delete state_;
}

std::size_t read_stream::ahead() const noexcept { return state_ ? state_->ahead() : 0; }
std::size_t read_stream::memory() const noexcept { return state_ ? state_->memory() : 0; }

void read_chunk::give_back(detail::read_place& p) noexcept { p.owner->give_back(p); }

bool next_chunk_operation::begin() noexcept {
  if (!claim_here(state_ ? &state_->point() : nullptr) || state_->prepare()) return false;
  suspend_here();
  return true;
}

result<std::optional<read_chunk>> next_chunk_operation::finish() {
  if (failed()) [[unlikely]]
    return std::unexpected(failure(operation_kind::next, "stream"));
  release();
  return state_->has_chunk() ? state_->hand_out() : state_->end();
}

}  // namespace spdk_io::inline SPDK_IO_ABI
