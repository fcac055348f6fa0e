// SPDX-License-Identifier: BSD-3-Clause
#include "kv_store.hpp"

#include "superblocks.hpp"

#include <algorithm>
#include <cassert>
#include <coroutine>
#include <random>
#include <string>
#include <system_error>
#include <unordered_set>
#include <utility>

namespace kv {
namespace {

constexpr std::uint32_t smallest_record = 4096;
constexpr std::uint32_t largest_record = 16 << 20;
constexpr std::uint64_t fewest_records = 4;  // of the longest, in an area
constexpr std::size_t values_read_at_once = 16;

sio::error refused(std::errc code, sio::operation_kind what, const std::string& why) {
  return {code, what, "kv: " + why};
}

std::size_t max_value(const superblock& super) noexcept { return super.record_size / 4; }

std::size_t longest_operation(const superblock& super) noexcept {
  return operation_header_bytes + max_key_size + max_value(super);
}

// A checkpoint of that many bytes leaves a quarter of the area, and two records at least. A record
// of it is left for the next one when an operation does not fit any more, so it may be a longest
// operation short of full.
std::uint64_t capacity_of(const superblock& super) noexcept {
  const std::uint64_t records = super.area_size / super.record_size;
  const std::uint64_t filled =
      super.record_size - record_header_bytes - longest_operation(super) + 1;
  return (records - std::max<std::uint64_t>(2, records / 4)) * filled;
}

sio::result<void> check_key(std::string_view key) {
  if (!key.empty() && key.size() <= max_key_size) return {};
  return std::unexpected(
      refused(std::errc::invalid_argument, sio::operation_kind::write,
              "a key of " + std::to_string(key.size()) + " bytes; it must have from 1 to 255"));
}

std::uint64_t random_number() {
  std::random_device random;
  return std::uint64_t{random()} << 32 | random();
}

}  // namespace

// A change that waits to be written, and who waits for it.
class kv_store::request {
 public:
  request(kv_store& store, operation what) noexcept : store_(store), what_(what) {}
  request(const request&) = delete;
  request& operator=(const request&) = delete;
  ~request() {
    if (waiting_) store_.forget(*this);
  }

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) {
    waiting_ = waiting;
    store_.enqueue(*this);
  }
  sio::result<bool> await_resume() const noexcept { return outcome_; }

  const operation& what() const noexcept { return what_; }
  void set_outcome(sio::result<bool> outcome) noexcept { outcome_ = outcome; }
  bool succeeds() const noexcept { return outcome_.has_value(); }
  void resume() noexcept { std::exchange(waiting_, nullptr).resume(); }

 private:
  kv_store& store_;
  const operation what_;
  sio::result<bool> outcome_ = false;
  std::coroutine_handle<> waiting_;
};

// --- opening -------------------------------------------------------------------------------------

sio::task<sio::result<void>> kv_store::format(block_device& device, format_options options) {
  const std::uint32_t block = device.block_size();
  if (options.record_size < smallest_record || options.record_size > largest_record ||
      options.record_size % block != 0) {
    co_return std::unexpected(refused(std::errc::invalid_argument, sio::operation_kind::write,
                                      "records of " + std::to_string(options.record_size) +
                                          " bytes cannot be, see format_options"));
  }
  const std::uint64_t blocks = device.size() / block;
  superblock fresh{.store = random_number(),
                   .epoch = 1,
                   .area_size = blocks < 2 ? 0 : (blocks - 2) / 2 * block,
                   .record_size = options.record_size,
                   .block_size = block};
  if (fresh.area_size / fresh.record_size < fewest_records) {
    co_return std::unexpected(refused(std::errc::invalid_argument, sio::operation_kind::write,
                                      "a device of " + std::to_string(device.size()) +
                                          " bytes is too small for records of " +
                                          std::to_string(fresh.record_size)));
  }
  co_return co_await renew_superblocks(device, fresh);
}

sio::task<sio::result<std::unique_ptr<kv_store>>> kv_store::open(block_device& device) {
  auto super = co_await read_superblock(device);
  if (!super) co_return std::unexpected(super.error());
  std::unique_ptr<kv_store> store(new kv_store(device, *super));
  if (auto r = store->allocate_buffers(); !r) co_return std::unexpected(r.error());
  if (auto r = co_await store->recover(); !r) co_return std::unexpected(r.error());
  co_return store;
}

kv_store::~kv_store() { assert(queue_.empty() && taken_.empty() && "close() the store first"); }

sio::result<void> kv_store::allocate_buffers() {
  const auto make = [&](sio::dma_buffer& buffer) -> sio::result<void> {
    auto made = sio::dma_buffer::allocate(super_.record_size);
    if (!made) return std::unexpected(made.error());
    buffer = std::move(*made);
    return {};
  };
  if (auto r = make(record_buffer_); !r) return r;
  if (auto r = make(window_); !r) return r;
  // An operation begins anywhere in a block.
  const std::size_t size =
      round_up(longest_operation(super_), super_.block_size) + super_.block_size;
  auto pool = sio::dma_pool::create({.buffers = values_read_at_once, .size = size});
  if (!pool) return std::unexpected(pool.error());
  value_buffers_.emplace(std::move(*pool));
  return {};
}

sio::task<sio::result<void>> kv_store::recover() {
  log_reader log(device_, super_, window_);
  std::uint64_t last = log.position();
  while (true) {
    auto record = co_await log.next();
    if (!record) co_return std::unexpected(record.error());
    if (!*record) break;
    last = (*record)->offset;
    apply((*record)->content, last);
  }
  statistics_ = {};
  log_.emplace(device_, super_, record_buffer_);
  log_->continue_at(log.position(), log.sequence());

  // What was read last may not be durable: whoever wrote it may have been killed before flush(), or
  // have seen that fail. Now that it counts, it is written once more, and so is the superblock. A
  // write of what is there already is not torn.
  if (auto r = co_await write_again(last, log.position()); !r) co_return r;
  if (auto r = co_await write_superblock(device_, super_); !r) co_return r;
  // With a new generation it goes to the other place: what is there may be damaged, or older.
  superblock next = super_;
  ++next.generation;
  if (auto r = co_await write_superblock(device_, next); !r) co_return r;
  super_ = next;
  co_return sio::result<void>();
}

sio::task<sio::result<void>> kv_store::write_again(std::uint64_t offset, std::uint64_t end) {
  if (offset == end) co_return sio::result<void>();
  const sio::dma_span record = record_buffer_.first(end - offset);
  if (auto r = co_await device_.read(record, offset); !r) co_return r;
  co_return co_await device_.write(record, offset);
}

// --- writing -------------------------------------------------------------------------------------

sio::task<sio::result<void>> kv_store::put(std::string_view key, bytes_view value) {
  if (auto r = check_key(key); !r) co_return r;
  if (value.size() > max_value_size()) {
    co_return std::unexpected(refused(std::errc::invalid_argument, sio::operation_kind::write,
                                      "a value of " + std::to_string(value.size()) +
                                          " bytes, more than " + std::to_string(max_value_size())));
  }
  auto done = co_await change({key, value});
  if (!done) co_return std::unexpected(done.error());
  co_return sio::result<void>();
}

sio::task<sio::result<bool>> kv_store::erase(std::string_view key) {
  if (auto r = check_key(key); !r) co_return std::unexpected(r.error());
  co_return co_await change({key, std::nullopt});
}

sio::task<sio::result<bool>> kv_store::change(operation what) {
  if (closed_) {
    co_return std::unexpected(refused(std::errc::operation_not_permitted,
                                      sio::operation_kind::write, "the store is closed"));
  }
  request mine(*this, what);
  auto outcome = co_await mine;
  // The caller goes on from thread::poll(), and not from within the writer, which it may destroy.
  co_await sio::yield();
  co_return outcome;
}

void kv_store::enqueue(request& r) {
  queue_.push_back(&r);
  if (writing_) return;
  writing_ = true;
  scope_.spawn(write_what_waits());
}

// Its coroutine is destroyed: what is not on its way yet does not happen.
void kv_store::forget(request& r) noexcept {
  std::erase(queue_, &r);
  std::ranges::replace(taken_, &r, nullptr);
}

sio::task<void> kv_store::write_what_waits() {
  // Whoever else has something to write in this turn comes along.
  co_await sio::yield();
  while (!queue_.empty()) {
    auto written = co_await write_one_record();
    if (!written && !failure_) {
      failure_ = refused(std::errc::io_error, sio::operation_kind::write,
                         "open the store again, writing has failed: " + written.error().message());
    }
    acknowledge(written);
  }
  writing_ = false;
}

sio::task<sio::result<void>> kv_store::write_one_record() {
  if (failure_) {
    taken_.assign(queue_.begin(), queue_.end());
    queue_.clear();
    co_return std::unexpected(*failure_);
  }
  if (!log_->has_room()) {
    if (auto r = co_await checkpoint(); !r) {
      taken_.assign(queue_.begin(), queue_.end());
      queue_.clear();
      co_return r;
    }
  }
  log_->record().clear();
  gather(log_->record());
  if (log_->record().empty()) co_return sio::result<void>();
  const std::uint64_t offset = log_->position();
  if (auto r = co_await log_->append(); !r) co_return r;
  if (auto r = co_await device_.flush(); !r) co_return r;
  apply(log_->record().content(), offset);
  ++statistics_.records;
  co_return sio::result<void>();
}

// Takes what fits into one record. A key comes once in it, so that each change can be judged by
// what the index says.
void kv_store::gather(record_builder& record) {
  std::unordered_set<std::string_view> keys;
  std::uint64_t live = live_bytes_;
  while (!queue_.empty()) {
    request& first = *queue_.front();
    if (!record.fits(encoded_size(first.what()))) return;
    if (!keys.insert(first.what().key).second) return;
    queue_.pop_front();
    taken_.push_back(&first);
    decide(first, record, live);
  }
}

void kv_store::decide(request& r, record_builder& record, std::uint64_t& live) {
  const operation& what = r.what();
  const auto found = index_.find(what.key);
  const bool was_there = found != index_.end();
  const std::uint64_t old = was_there ? found->second.size : 0;
  const std::uint64_t now = what.value ? encoded_size(what) : 0;
  if (what.value && live - old + now > capacity_of(super_)) {
    r.set_outcome(std::unexpected(
        refused(std::errc::no_space_on_device, sio::operation_kind::write,
                "full: " + std::to_string(live) + " of " + std::to_string(capacity_of(super_)) +
                    " bytes are taken, " + std::to_string(now) + " more were to be stored")));
    return;
  }
  r.set_outcome(was_there);
  if (!what.value && !was_there) return;
  record.add(what);
  live = live - old + now;
}

void kv_store::apply(bytes_view record, std::uint64_t offset) {
  record_cursor operations(record);
  while (const auto each = operations.next()) {
    const auto found = index_.find(each->what.key);
    if (found != index_.end()) live_bytes_ -= found->second.size;
    if (each->what.value) {
      const place now{offset + each->offset, static_cast<std::uint32_t>(each->encoded.size())};
      if (found != index_.end()) {
        found->second = now;
      } else {
        index_.emplace(each->what.key, now);
      }
      live_bytes_ += now.size;
    } else if (found != index_.end()) {
      index_.erase(found);
    }
    ++statistics_.operations;
  }
}

void kv_store::acknowledge(const sio::result<void>& written) {
  for (request* each : std::exchange(taken_, {})) {
    if (!each) continue;
    if (!written && each->succeeds()) each->set_outcome(std::unexpected(written.error()));
    each->resume();
  }
}

sio::task<sio::result<void>> kv_store::close() {
  closed_ = true;
  // A stop request would reach what is being written, and fail it.
  if (auto r = co_await sio::unstoppable(scope_.join()); !r) co_return r;
  if (failure_) co_return std::unexpected(*failure_);
  co_return sio::result<void>();
}

// --- checkpoints ---------------------------------------------------------------------------------

// Copies what is live to the other area, as the beginning of a new log. Until the superblock is
// written the old one counts, from then on the new one.
sio::task<sio::result<void>> kv_store::checkpoint() {
  superblock next = super_;
  next.area = 1 - super_.area;
  next.epoch = super_.generation + 1;
  log_reader old(device_, super_, window_);
  log_writer fresh(device_, next, record_buffer_);
  fresh.record().clear();
  moves moved;
  while (true) {
    auto record = co_await old.next();
    if (!record) co_return std::unexpected(record.error());
    if (!*record) break;
    if (auto r = co_await copy_live(**record, fresh, moved); !r) co_return r;
  }
  if (old.position() != log_->position() || moved.size() != index_.size()) {
    co_return std::unexpected(refused(std::errc::io_error, sio::operation_kind::read,
                                      "the log is damaged: not all of it can be read"));
  }
  if (!fresh.record().empty()) {
    if (auto r = co_await fresh.append(); !r) co_return r;
  }
  if (auto r = co_await device_.flush(); !r) co_return r;
  if (auto r = co_await renew_superblocks(device_, next); !r) co_return r;

  // Together: a get() sees by the epoch that what it reads may have moved.
  super_ = next;
  log_ = fresh;
  for (const auto& [where, offset] : moved) where->offset = offset;
  ++statistics_.checkpoints;
  co_return sio::result<void>();
}

sio::task<sio::result<void>> kv_store::copy_live(log_record from, log_writer& to, moves& moved) {
  record_cursor operations(from.content);
  while (const auto each = operations.next()) {
    place* const live = live_at(each->what.key, from.offset + each->offset);
    if (!live) continue;
    if (!to.record().fits(each->encoded.size())) {
      if (auto r = co_await to.append(); !r) co_return r;
      to.record().clear();
    }
    moved.emplace_back(live, to.position() + to.record().add_encoded(each->encoded));
  }
  co_return sio::result<void>();
}

// Its place, if that is where it lies. (Places stay where they are: nobody else changes the index.)
kv_store::place* kv_store::live_at(std::string_view key, std::uint64_t offset) {
  const auto found = index_.find(key);
  return found != index_.end() && found->second.offset == offset ? &found->second : nullptr;
}

// --- reading -------------------------------------------------------------------------------------

sio::task<sio::result<std::optional<bytes>>> kv_store::get(std::string_view key) {
  if (closed_) {
    co_return std::unexpected(refused(std::errc::operation_not_permitted, sio::operation_kind::read,
                                      "the store is closed"));
  }
  auto buffer = co_await value_buffers_->allocate();
  if (!buffer) co_return std::unexpected(buffer.error());
  while (true) {
    const auto found = index_.find(key);
    if (found == index_.end()) co_return std::nullopt;
    const place where = found->second;
    const std::uint64_t epoch = super_.epoch;
    if (auto r = co_await read_operation(where, *buffer); !r) co_return std::unexpected(r.error());
    // A checkpoint has moved it, and the next one may have begun to write over it.
    if (super_.epoch != epoch) continue;

    const auto what = verified_operation(operation_in(where, buffer->bytes()));
    if (!what || !what->value || what->key != key) {
      co_return std::unexpected(refused(
          std::errc::io_error, sio::operation_kind::read,
          "what lies at " + std::to_string(where.offset) + " is not what was written there"));
    }
    co_return bytes(what->value->begin(), what->value->end());
  }
}

// The blocks in which it lies.
sio::task<sio::result<void>> kv_store::read_operation(place where, sio::dma_span into) {
  const std::uint64_t begin = where.offset / super_.block_size * super_.block_size;
  const std::uint64_t end = round_up(where.offset + where.size, super_.block_size);
  co_return co_await device_.read(into.first(end - begin), begin);
}

bytes_view kv_store::operation_in(place where, bytes_view blocks) const noexcept {
  return blocks.subspan(where.offset % super_.block_size, where.size);
}

std::vector<std::string> kv_store::keys() const {
  std::vector<std::string> all;
  all.reserve(index_.size());
  for (const auto& [key, where] : index_) all.push_back(key);
  return all;
}

std::size_t kv_store::max_value_size() const noexcept { return max_value(super_); }

store_statistics kv_store::statistics() const noexcept {
  store_statistics now = statistics_;
  now.keys = index_.size();
  now.live_bytes = live_bytes_;
  now.capacity = capacity_of(super_);
  return now;
}

}  // namespace kv
