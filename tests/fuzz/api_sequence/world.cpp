// SPDX-License-Identifier: BSD-3-Clause
// The steps.
#include "world.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

namespace fuzz {

using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t block = block_states::block_size;
constexpr std::uint64_t most_blocks = 8;  // of an operation
// In a stack of devices an I/O holds its bdev_io while it waits for another, so that a few at once
// must do; of the others more than there are bdev_ios, so that they wait.
constexpr std::uint64_t most_stacked = 6;
constexpr std::uint64_t most_plain = 40;

template <class T>
struct nothing_kept {
  void ended(sio::result<T>*) {}
};

struct kept_read {
  device& d;
  sio::dma_buffer buffer;
  block_states::ticket ticket;
  void ended(sio::result<void>* r) {
    if (!r || !*r || !d.keeps_data()) return;
    const std::string wrong = d.blocks.end_read(ticket, buffer.bytes());
    check(wrong.empty(), d.name, wrong);
  }
};

struct kept_write {
  device& d;
  sio::dma_buffer buffer;
  block_states::ticket ticket;
  void ended(sio::result<void>* r) { d.blocks.end_write(ticket, r && *r); }
};

struct kept_copy {
  device& d;
  block_states::ticket ticket;
  void ended(sio::result<void>* r) { d.blocks.end_copy(ticket, r && *r); }
};

struct kept_buffer {  // for reads whose contents nobody looks at
  sio::dma_buffer buffer;
  void ended(sio::result<void>*) {}
};

struct kept_reset {
  device& d;
  void ended(sio::result<void>*) { ++d.resets_ended; }
};

struct kept_deletion {
  device& d;
  void ended(sio::result<void>* r) {
    check(r != nullptr, "a deletion was dropped");
    if (*r) d.there = false;
  }
};

struct kept_pooled {
  std::vector<sio::pooled_buffer>& out;
  void ended(sio::result<sio::pooled_buffer>* r) {
    if (r && *r) out.push_back(std::move(**r));
  }
};

struct kept_permit {
  std::vector<sio::in_flight_limiter::permit>& out;
  void ended(sio::result<sio::in_flight_limiter::permit>* r) {
    if (r && *r) out.push_back(std::move(**r));
  }
};

sio::dma_buffer buffer_of(std::uint64_t bytes) {
  auto made = sio::dma_buffer::zeroed(std::max<std::uint64_t>(bytes, 1));
  check(made.has_value(), "no memory for a buffer");
  return std::move(*made);
}

sio::task<sio::result<void>> reads_in_scope(sio::bdev_desc disk, sio::dma_span buffer) {
  sio::task_scope scope;
  for (std::uint64_t i = 0; i < 3; ++i)
    scope.spawn(disk.read(buffer.subspan(i * block, block), i * block));
  co_return co_await scope.join();
}

sio::task<sio::result<void>> read_again(sio::bdev_desc disk, sio::dma_span buffer) {
  auto read = [&] { return disk.read(buffer, 0); };
  co_return co_await sio::retry(read, {.attempts = 2, .first_delay = 1us, .max_delay = 1us});
}

}  // namespace

template <class Keep, class Make>
running& world::start(excuses may, std::unique_ptr<Keep> keep, Make what) {
  using operation = decltype(what(*keep));
  using value = std::remove_cvref_t<sio::await_result_t<operation>>;
  using task = sio::task<value>;
  const auto how = static_cast<manner>(in_.u8() % 5);
  Keep& kept = *keep;
  auto added = std::make_unique<running_one<task, Keep>>(std::move(keep));
  running_one<task, Keep>& r = *added;
  r.may = may;
  r.may.limited = how == manner::no_time;
  operations_.push_back(std::move(added));
  r.begin(in_manner<typename value::value_type>(how, r, what(kept)));
  return r;
}

bool world::room(const device& d, std::uint64_t ios) const {
  std::uint64_t taken = ios;
  for (const auto& each : operations_) {
    if (each->stacked == d.stacked()) taken += each->weight;
  }
  return taken <= (d.stacked() ? most_stacked : most_plain);
}

template <class Keep, class Make>
void world::start_io(device& d, bool bad, std::unique_ptr<Keep> keep, Make what) {
  excuses may(d);
  may.bad_range = bad;
  running& r = start(may, std::move(keep), std::move(what));
  r.weight = 1;
  r.stacked = d.stacked();
}

template <class F>
auto world::through(const device& d, F f) {
  return d.channel && (in_.u8() & 1) ? f(*d.channel) : f(*d.handle);
}

running* world::any_operation() {
  if (operations_.empty()) return nullptr;
  return operations_[in_.u8() % operations_.size()].get();
}

block_states::range world::any_range() {
  const std::uint64_t first = in_.u8() % block_states::count;
  const std::uint64_t most = std::min(most_blocks, block_states::count - first);
  return {.first = first, .blocks = 1 + in_.u8() % most};
}

block_states::range world::extent::blocks() const {
  return bad ? block_states::range{} : block_states::range{offset / block, length / block};
}

world::extent world::any_extent(const device& d, std::uint64_t most) {
  if (in_.u8() % 16 != 0) {
    const auto r = any_range();
    return {.offset = r.first * block, .length = r.blocks * block};
  }
  extent e{.offset = in_.number(8), .length = in_.number(8)};
  if (in_.u8() & 1) e.offset %= 2 * d.size();
  if (e.length > most) e.length %= most + 1;
  e.bad = e.offset % block != 0 || e.length % block != 0 || e.offset > d.size() ||
          e.length > d.size() - e.offset;
  return e;
}

void world::create(device& d) {
  if (d.there) return;
  auto made = env_.run(d.create(), "a creation");
  check(made.has_value(), "a creation fails", made ? d.name : made.error().message());
}

void world::open(device& d) {
  if (!d.there || d.handle) return;
  auto opened = sio::bdev_desc::open(d.name);
  check(opened.has_value() || d.deleting, "a device does not open", d.name);
  if (opened) d.handle = std::move(*opened);
}

void world::close(device& d) { d.handle.reset(); }

void world::toggle_channel(device& d) {
  if (d.channel) {
    d.channel.reset();
  } else if (d.handle) {
    auto made = d.handle->channel();
    check(made.has_value() || d.deleting, "no channel", d.name);
    if (made) d.channel = std::move(*made);
  }
}

void world::remove(device& d) {
  if (!d.there || d.deleting) return;
  d.deleting = true;
  ++d.deletions;
  auto added = std::make_unique<running_one<sio::task<sio::result<void>>, kept_deletion>>(
      std::make_unique<kept_deletion>(d));
  auto& r = *added;
  deletions_.push_back(std::move(added));
  r.begin(sio::delete_bdev(d.name));
}

void world::resize(device& d) {
  if (!d.there || d.deleting || d.kind != device_kind::null) return;
  d.resized = true;
  (void)env_.run(sio::resize_bdev(d.name, (1 + in_.u8() % 64u) << 20), "a resize");
}

void world::inject(device& d) {
  if (!d.there || d.deleting || d.kind != device_kind::error) return;
  d.injected = true;
  const std::uint8_t what = in_.u8();
  if (what % 4 == 0) {
    check(env_.run(sio::clear_errors(d.name), "a call").has_value(), "clear_errors() fails");
    return;
  }
  const sio::injected_error error{
      .on = static_cast<sio::inject_on>(what / 4 % 5),
      .how = what % 4 == 1 ? sio::inject_how::no_memory : sio::inject_how::failure,
      .count = in_.u8() % 4u};
  check(env_.run(sio::inject_error(d.name, error), "a call").has_value(), "inject_error() fails");
}

void world::wait_for_event(device& d) {
  if (!d.handle) return;
  excuses may(d);
  may.ended = may.busy = true;
  start(may, std::make_unique<nothing_kept<sio::device_event>>(),
        [&](auto&) { return d.handle->next_event(); });
}

void world::read(device& d) {
  if (!d.handle || !room(d, 1)) return;
  const extent e = any_extent(d, most_blocks * block);
  auto keep = std::make_unique<kept_read>(d, buffer_of(e.length), d.blocks.begin_read(e.blocks()));
  start_io(d, e.bad, std::move(keep), [&](kept_read& k) {
    return through(
        d, [&](const auto& disk) { return disk.read(k.buffer.subspan(0, e.length), e.offset); });
  });
}

void world::write(device& d) {
  if (!d.handle || !room(d, 1)) return;
  const extent e = any_extent(d, most_blocks * block);
  ++writer_;
  sio::dma_buffer buffer = buffer_of(e.length);
  block_states::fill(buffer.bytes(), writer_, e.blocks());
  auto keep =
      std::make_unique<kept_write>(d, std::move(buffer), d.blocks.begin_write(e.blocks(), writer_));
  start_io(d, e.bad, std::move(keep), [&](kept_write& k) {
    return through(
        d, [&](const auto& disk) { return disk.write(k.buffer.subspan(0, e.length), e.offset); });
  });
}

void world::zero(device& d, bool unmap) {
  if (!d.handle || !room(d, 1)) return;
  const extent e = any_extent(d, ~std::uint64_t{0} - 1);
  auto keep =
      std::make_unique<kept_write>(d, sio::dma_buffer(), d.blocks.begin_write(e.blocks(), 0));
  start_io(d, e.bad, std::move(keep), [&](auto&) {
    return through(d, [&](const auto& disk) {
      return unmap ? disk.unmap(e.offset, e.length) : disk.write_zeroes(e.offset, e.length);
    });
  });
}

void world::flush(device& d) {
  if (!d.handle || !room(d, 1)) return;
  const extent e = any_extent(d, ~std::uint64_t{0} - 1);
  start_io(d, e.bad, std::make_unique<nothing_kept<void>>(),
           [&](auto&) { return d.handle->flush(e.offset, e.length); });
}

void world::copy(device& d) {
  if (!d.handle || !room(d, 1)) return;
  auto from = any_range();
  auto to = any_range();
  from.blocks = to.blocks = std::min(from.blocks, to.blocks);
  if (from.first < to.first + to.blocks && to.first < from.first + from.blocks) return;
  auto keep = std::make_unique<kept_copy>(d, d.blocks.begin_copy(from, to));
  excuses may(d);
  // Of a null device it is emulated, and fails where a part of it is stopped by a reset.
  may.fails_anyway = may.fails_anyway || d.kind == device_kind::slow ||
                     d.kind == device_kind::fast_delay || d.kind == device_kind::null;
  running& r = start(may, std::move(keep), [&](auto&) {
    return d.handle->copy(
        {.from = from.first * block, .to = to.first * block, .length = to.blocks * block});
  });
  r.weight = 1;
  r.stacked = d.stacked();
}

void world::reset(device& d) {
  if (!d.handle || !room(d, 1)) return;
  ++d.resets;
  start_io(d, false, std::make_unique<kept_reset>(d), [&](auto&) { return d.handle->reset(); });
}

void world::read_on_second(device& d) {
  if (!d.handle || !second_ || !room(d, 1)) return;
  excuses may(d);
  running& r = start(may, std::make_unique<kept_buffer>(buffer_of(block)), [&](kept_buffer& k) {
    return second_->ref().call(
        [disk = *d.handle, into = k.buffer.subspan(0, block)] { return disk.read(into, 0); });
  });
  r.weight = 1;
  r.stacked = d.stacked();
  r.on_second = true;
}

void world::read_in_scope(device& d) {
  if (!d.handle || !room(d, 3)) return;
  running& r = start(excuses(d), std::make_unique<kept_buffer>(buffer_of(3 * block)),
                     [&](kept_buffer& k) { return reads_in_scope(*d.handle, k.buffer); });
  r.weight = 3;
  r.stacked = d.stacked();
}

void world::read_with_retry(device& d) {
  if (!d.handle || !room(d, 1)) return;
  running& r = start(excuses(d), std::make_unique<kept_buffer>(buffer_of(block)),
                     [&](kept_buffer& k) { return read_again(*d.handle, k.buffer); });
  r.weight = 1;
  r.stacked = d.stacked();
}

void world::take_buffer() {
  const std::uint8_t what = in_.u8();
  if (what % 4 == 0) {
    pool_.reset();  // those who wait hear of it
  } else if (what % 4 == 1 && !buffers_.empty()) {
    buffers_.erase(buffers_.begin() + what % buffers_.size());
  } else {
    if (!pool_) pool_ = sio::dma_pool::create({.buffers = 2, .size = block}).value();
    excuses may;
    may.ended = true;
    start(may, std::make_unique<kept_pooled>(buffers_), [&](auto&) { return pool_->allocate(); });
  }
}

void world::take_permit() {
  const std::uint8_t what = in_.u8();
  if (what % 4 == 0) {
    permits_.clear();
    limiter_.reset();
  } else if (what % 4 == 1 && !permits_.empty()) {
    permits_.erase(permits_.begin() + what % permits_.size());
  } else {
    if (!limiter_) limiter_.emplace(2);
    excuses may;
    may.ended = true;
    start(may, std::make_unique<kept_permit>(permits_),
          [&](auto&) { return limiter_->acquire(1 + what / 4 % 2); });
  }
}

void world::sleep() {
  const bool long_one = in_.u8() & 1;
  start(excuses(), std::make_unique<nothing_kept<void>>(),
        [&](auto&) { return sio::sleep_for(long_one ? 1h : 0h); });
}

void world::toggle_second() {
  if (second_) return drop_second();
  second_ = sio::thread::create("second").value();
}

// What it has in flight may take an hour.
void world::drop_second() {
  std::erase_if(operations_, [](const auto& each) { return each->on_second; });
  second_.reset();
}

void world::poll() {
  env_.thread().poll();
  if (second_) second_->poll();
  const auto finish = [](auto& all) {
    for (std::size_t i = 0; i < all.size();) {
      if (!all[i]->done()) {
        ++i;
        continue;
      }
      const auto one = std::move(all[i]);
      all.erase(all.begin() + static_cast<std::ptrdiff_t>(i));
      one->finish();
    }
  };
  finish(operations_);
  finish(deletions_);
}

void world::step() {
  switch (in_.u8() % 32) {
    case 0:
    case 1: create(any_device()); break;
    case 2:
    case 3: open(any_device()); break;
    case 4: close(any_device()); break;
    case 5: toggle_channel(any_device()); break;
    case 6:
    case 7: read(any_device()); break;
    case 8: read(any_device()); break;
    case 9:
    case 10:
    case 11: write(any_device()); break;
    case 12: zero(any_device(), false); break;
    case 13: zero(any_device(), true); break;
    case 14: copy(any_device()); break;
    case 15: flush(any_device()); break;
    case 16: reset(any_device()); break;
    case 17:
      if (running* one = any_operation()) one->stop();
      break;
    case 18:
    case 19:
      if (!operations_.empty()) {
        const auto at = static_cast<std::ptrdiff_t>(in_.u8() % operations_.size());
        const auto one = std::move(operations_[static_cast<std::size_t>(at)]);
        operations_.erase(operations_.begin() + at);
      }
      break;
    case 20: remove(any_device()); break;
    case 21: resize(any_device()); break;
    case 22: inject(any_device()); break;
    case 23: wait_for_event(any_device()); break;
    case 24: toggle_second(); break;
    case 25: read_on_second(any_device()); break;
    case 26: read_in_scope(any_device()); break;
    case 27: read_with_retry(any_device()); break;
    case 28: take_buffer(); break;
    case 29: take_permit(); break;
    case 30: sleep(); break;
    default:
      for (int i = in_.u8() % 32; i >= 0; --i) poll();
      break;
  }
}

void world::end() {
  const bool handles_first = in_.u8() & 1;
  const auto drop_handles = [&] {
    for (device& d : devices_) {
      d.handle.reset();
      d.channel.reset();
    }
  };
  if (handles_first) drop_handles();
  if (in_.u8() & 1) std::ranges::reverse(operations_);
  operations_.clear();
  drop_second();
  drop_handles();
  pool_.reset();
  for (device& d : devices_) remove(d);
  env_.poll_until(
      [&] {
        poll();
        return deletions_.empty();
      },
      "a deletion");
  for (device& d : devices_) {
    check(!d.there, "a device that stays", d.name);
    if (!d.base_there) continue;
    check(env_.run(sio::delete_bdev(d.base), "a deletion").has_value(), "a base that stays",
          d.base);
  }
  check(sio::list_bdevs().empty(), "devices are left");
  check(env_.thread().operations().empty(), "operations are left");
  check(env_.thread().statistics().io_in_flight == 0, "I/O is left");
}

}  // namespace fuzz
