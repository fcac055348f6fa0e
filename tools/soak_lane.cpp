// SPDX-License-Identifier: BSD-3-Clause
// Operations, the ways to end them, and what each end says about the blocks.
#include "soak_lane.hpp"

#include <spdk_io/sleep_for.hpp>
#include <spdk_io/start.hpp>
#include <spdk_io/task_scope.hpp>
#include <spdk_io/with_stop_token.hpp>
#include <spdk_io/with_timeout.hpp>
#include <spdk_io/yield.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <stop_token>
#include <utility>

namespace spdk_io_tool {

namespace sio = spdk_io;
using std::chrono::microseconds;

namespace {

constexpr std::uint64_t most_blocks = 8;  // of an operation
constexpr std::size_t most_problems = 10;
constexpr std::uint64_t block_size = soak_options::block_size;

std::uint64_t offset_of(block_range r) { return r.first * block_size; }
std::uint64_t length_of(block_range r) { return r.count * block_size; }
sio::dma_span part_of(sio::dma_span buffer, block_range r) {
  return buffer.subspan(0, length_of(r));
}

template <class Op>
sio::task<void> keep_result(Op op, std::optional<sio::result<void>>& out) {
  out = co_await std::move(op);
}

}  // namespace

soak_counts& soak_counts::operator+=(const soak_counts& o) noexcept {
  reads += o.reads;
  writes += o.writes;
  zeroes += o.zeroes;
  copies += o.copies;
  flushes += o.flushes;
  succeeded += o.succeeded;
  failed += o.failed;
  cancelled += o.cancelled;
  timed_out += o.timed_out;
  removed += o.removed;
  destroyed += o.destroyed;
  checked += o.checked;
  wrong += o.wrong;
  unexpected += o.unexpected;
  return *this;
}

soak_lane::soak_lane(const soak_options& options, const soak_shape& shape, block_range part,
                     std::uint64_t seed, sio::thread_ref home, stop_caller& other_thread,
                     const std::atomic<bool>& ending)
    : options_(options),
      shape_(shape),
      model_(options.seed.value_or(0), part, block_size),
      random_(seed),
      home_(std::move(home)),
      other_thread_(other_thread),
      ending_(ending) {
  stoppable_.reserve(options.depth);
}

sio::task<outcome<void>> soak_lane::run() {
  std::vector<sio::dma_buffer> buffers;
  for (std::uint32_t i = 0; i < options_.depth; ++i) {
    auto buffer = sio::dma_buffer::allocate(most_blocks * block_size, block_size);
    if (!buffer) co_return failed(buffer.error().message());
    buffers.push_back(std::move(*buffer));
  }
  sio::task_scope scope;
  for (auto& buffer : buffers) scope.spawn(work(buffer));
  (void)co_await scope.join();
  co_return outcome<void>();
}

void soak_lane::open(sio::bdev_desc disk, bool lost) {
  if (lost) model_.all_zero();
  disk_ = std::move(disk);
}

sio::task<void> soak_lane::close() {
  disk_.reset();
  while (busy_ > 0) co_await sio::yield();
}

sio::task<void> soak_lane::work(sio::dma_span buffer) {
  while (!ending_.load(std::memory_order_relaxed)) {
    if (!disk_) {
      (void)co_await sio::sleep_for(microseconds(50));
      continue;
    }
    ++busy_;
    {
      const sio::bdev_desc disk = *disk_;  // keeps it open
      co_await one(disk, buffer);
    }
    --busy_;
    ended_.store(counts_.operations(), std::memory_order_relaxed);
    stop_another();
  }
}

sio::task<void> soak_lane::one(const sio::bdev_desc& disk, sio::dma_span buffer) {
  const auto at = model_.take(random_, most_blocks);
  if (!at) {
    co_await sio::yield();
    co_return;
  }
  // What SPDK emulates takes further bdev_ios, and with a small pool nobody would give one back.
  const bool natively = options_.stacked() || !shape_.on_file;
  const std::uint64_t dice = random_() % 100;
  if (dice < 45 || model_.must_be_read(*at)) {
    co_await read(disk, part_of(buffer, *at), *at);
  } else if (dice < 86) {
    co_await write(disk, part_of(buffer, *at), *at);
  } else if (dice < 91 && natively && disk.bdev().supports(sio::io_kind::write_zeroes)) {
    co_await zero(disk, *at);
  } else if (dice < 96 && natively && can_copy(disk)) {
    if (const auto room = model_.take(random_, at->count)) {
      co_await copy(disk, *at, *room);
      model_.give_back(*room);
    }
  } else if (disk.bdev().supports(sio::io_kind::flush)) {
    ++counts_.flushes;
    (void)co_await await(disk.flush(offset_of(*at), length_of(*at)));
  } else {
    co_await sio::yield();
  }
  model_.give_back(*at);
}

sio::task<void> soak_lane::read(const sio::bdev_desc& disk, sio::dma_span into, block_range at) {
  ++counts_.reads;
  if (co_await await(disk.read(into, offset_of(at))) != end::success) co_return;
  counts_.checked += at.count;
  if (auto wrong = model_.check(at, into)) {
    ++counts_.wrong;
    problem(fmt::format("{}: {}", disk.bdev().name(), *wrong));
  }
}

sio::task<void> soak_lane::write(const sio::bdev_desc& disk, sio::dma_span from, block_range at) {
  ++counts_.writes;
  const std::uint64_t generation = model_.fill(at, from);
  const end how = co_await await(disk.write(from, offset_of(at)));
  model_.written(at, generation, how == end::success);
}

sio::task<void> soak_lane::zero(const sio::bdev_desc& disk, block_range at) {
  ++counts_.zeroes;
  const end how = co_await await(disk.write_zeroes(offset_of(at), length_of(at)));
  model_.zeroed(at, how == end::success);
}

sio::task<void> soak_lane::copy(const sio::bdev_desc& disk, block_range from, block_range room) {
  const std::uint64_t count = std::min(from.count, room.count);
  from.count = room.count = count;
  if (!model_.known(from) || model_.must_be_read(room)) {
    co_await sio::yield();
    co_return;
  }
  ++counts_.copies;
  const end how = co_await await(
      disk.copy({.from = offset_of(from), .to = offset_of(room), .length = length_of(from)}));
  model_.copied(from, room, how == end::success);
}

// A delay device says that it can what its base can, and then fails.
bool soak_lane::can_copy(const sio::bdev_desc& disk) const noexcept {
  return !shape_.delays && disk.bdev().supports(sio::io_kind::copy);
}

soak_lane::way soak_lane::choose_way() noexcept {
  const std::uint64_t dice = random_() % 100;
  if (dice < 70) return way::plain;
  if (dice < 78) return way::limited;
  if (dice < 86) return way::stopped;
  if (dice < 90) return way::stopped_elsewhere;
  return dice < 95 ? way::pending_destroyed : way::task_destroyed;
}

template <class Op>
sio::task<soak_lane::end> soak_lane::await(Op op) {
  const way how = choose_way();
  std::optional<sio::result<void>> result;
  switch (how) {
    case way::plain: result = co_await std::move(op); break;
    case way::limited:
      result = co_await sio::with_timeout(std::move(op), microseconds(random_() % 500));
      break;
    case way::stopped: result = co_await stopped(std::move(op)); break;
    case way::stopped_elsewhere: result = co_await stopped_elsewhere(std::move(op)); break;
    case way::pending_destroyed: result = co_await pending_destroyed(std::move(op)); break;
    case way::task_destroyed: result = co_await task_destroyed(std::move(op)); break;
  }
  // What is refused has not been anywhere: the others shall have their turn.
  if (result && !*result) co_await sio::yield();
  co_return count(how, result);
}

// By whichever operation of the lane ends next.
template <class Op>
sio::task<sio::result<void>> soak_lane::stopped(Op op) {
  sio::local_stop_source source;
  stoppable_.push_back(&source);
  auto r = co_await sio::with_stop_token(source.get_token(), std::move(op));
  std::erase(stoppable_, &source);
  co_return r;
}

void soak_lane::stop_another() {
  if (stoppable_.empty() || !one_in(2)) return;
  auto* source = stoppable_[random_() % stoppable_.size()];
  std::erase(stoppable_, source);
  source->request_stop();
}

template <class Op>
sio::task<sio::result<void>> soak_lane::stopped_elsewhere(Op op) {
  std::stop_source source;
  other_thread_.request_soon(source);
  co_return co_await sio::with_stop_token(source.get_token(), std::move(op));
}

// No result: destroyed before there was one.
template <class Op>
sio::task<std::optional<sio::result<void>>> soak_lane::pending_destroyed(Op op) {
  std::optional<sio::result<void>> result;
  sio::pending waiting(std::move(op), [&](sio::result<void> r) { result = std::move(r); });
  waiting.start();
  co_await wait_a_little();
  co_return result;
}

template <class Op>
sio::task<std::optional<sio::result<void>>> soak_lane::task_destroyed(Op op) {
  std::optional<sio::result<void>> result;
  sio::task_scope scope;
  scope.spawn(keep_result(std::move(op), result));
  co_await wait_a_little();
  co_return result;
}

sio::task<void> soak_lane::wait_a_little() {
  if (one_in(2)) {
    (void)co_await sio::sleep_for(microseconds(random_() % 100));
    co_return;
  }
  for (std::uint64_t i = random_() % 3; i > 0; --i) co_await sio::yield();
}

soak_lane::end soak_lane::count(way how, const std::optional<sio::result<void>>& result) {
  if (!result) {
    ++counts_.destroyed;
    return end::unknown;
  }
  if (*result) {
    ++counts_.succeeded;
    return end::success;
  }
  const sio::error& e = result->error();
  if (e == std::errc::timed_out) {
    ++counts_.timed_out;
  } else if (e == std::errc::operation_canceled) {
    ++counts_.cancelled;
  } else if (e == std::errc::no_such_device) {
    ++counts_.removed;
  } else {
    ++counts_.failed;
  }
  if (!has_a_cause(how, e)) {
    ++counts_.unexpected;
    problem("without a cause: " + e.message());
  }
  return end::failure;
}

bool soak_lane::has_a_cause(way how, const sio::error& e) const noexcept {
  const bool troubled = options_.trouble > 0;
  if (e == std::errc::timed_out) return how == way::limited;
  if (e == std::errc::operation_canceled) {
    return troubled || how == way::stopped || how == way::stopped_elsewhere;
  }
  // A thread that has no channel left makes one anew, which takes its cache from the pool.
  if (e.why() == sio::fault::channel_refused) return troubled && options_.pool > 0;
  // Errors of an error device, and of one whose base is going.
  return troubled && (e == std::errc::no_such_device || e == std::errc::io_error);
}

void soak_lane::problem(std::string text) {
  if (problems_.size() < most_problems) problems_.push_back(std::move(text));
}

sio::task<outcome<void>> soak_lane::verify() {
  auto buffer = sio::dma_buffer::allocate(most_blocks * block_size, block_size);
  if (!buffer) co_return failed(buffer.error().message());
  const std::uint64_t last = model_.part().first + model_.part().count;
  for (std::uint64_t first = model_.part().first; first < last; first += most_blocks) {
    const block_range at{.first = first, .count = std::min(most_blocks, last - first)};
    const sio::dma_span into = part_of(*buffer, at);
    if (auto r = co_await disk_->read(into, offset_of(at)); !r) {
      co_return failed("the last check: " + r.error().message());
    }
    counts_.checked += at.count;
    if (auto wrong = model_.check(at, into)) {
      ++counts_.wrong;
      problem(fmt::format("{}, at the end: {}", disk_->bdev().name(), *wrong));
    }
  }
  co_return outcome<void>();
}

}  // namespace spdk_io_tool
