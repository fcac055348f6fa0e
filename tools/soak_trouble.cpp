// SPDX-License-Identifier: BSD-3-Clause
// The kinds of trouble, at random times.
#include "soak_trouble.hpp"

#include <spdk_io/bdev_options.hpp>
#include <spdk_io/device_event.hpp>
#include <spdk_io/error_injection.hpp>
#include <spdk_io/sleep_for.hpp>
#include <spdk_io/task_scope.hpp>

#include <chrono>
#include <utility>

namespace spdk_io_tool {

namespace sio = spdk_io;

trouble_counts& trouble_counts::operator+=(const trouble_counts& o) noexcept {
  injections += o.injections;
  resets += o.resets;
  removals += o.removals;
  from_below += o.from_below;
  return *this;
}

soak_trouble::soak_trouble(const soak_options& options, soak_stack& stack,
                           std::vector<soak_lane*> lanes, std::uint64_t seed,
                           const std::atomic<bool>& ending)
    : options_(options), stack_(stack), lanes_(std::move(lanes)), random_(seed), ending_(ending) {}

sio::task<outcome<void>> soak_trouble::run() {
  if (auto opened = co_await open(); !opened) co_return failed(opened.error().message());
  if (options_.corrupt && stack_.shape().errors) {
    auto damaged = co_await sio::inject_error(
        stack_.error_layer(), {.on = sio::inject_on::read,
                               .how = sio::inject_how::corrupt_data,
                               .count = 16,  // some of them may be cancelled, or destroyed
                               .corrupt_offset = 100});
    if (!damaged) co_return failed(damaged.error().message());
  }
  const std::chrono::duration<double, std::milli> mean(options_.trouble);
  while (!ending_.load(std::memory_order_relaxed)) {
    const double factor = static_cast<double>(random_() % 2000) / 1000;
    const auto pause = options_.trouble > 0 ? mean * factor : std::chrono::milliseconds(10);
    (void)co_await sio::sleep_for(std::chrono::ceil<std::chrono::microseconds>(pause));
    if (options_.trouble <= 0) continue;
    if (auto ok = co_await one(); !ok) co_return failed(stack_.top() + ": " + ok.error().message());
  }
  if (stack_.shape().errors) {
    auto cleared = co_await sio::clear_errors(stack_.error_layer());
    if (!cleared) co_return failed(cleared.error().message());
  }
  co_return outcome<void>();
}

sio::task<outcome<void>> soak_trouble::finish() {
  if (auto ok = co_await take_back(); !ok) co_return failed(ok.error().message());
  // From the top, since a delay device would come again with what it was built on.
  for (std::size_t layer = stack_.layers(); layer-- > 0;) {
    if (auto ok = co_await stack_.remove(layer); !ok) co_return failed(ok.error().message());
  }
  co_return outcome<void>();
}

sio::task<sio::result<void>> soak_trouble::open() {
  auto lost = co_await stack_.create();
  if (!lost) co_return std::unexpected(lost.error());
  auto disk = sio::bdev_desc::open(stack_.top());
  if (!disk) co_return std::unexpected(disk.error());
  disk_ = *disk;
  for (soak_lane* lane : lanes_) {
    auto hand_over = [&] { lane->open(*disk, *lost); };
    if (auto ok = co_await lane->home().call(hand_over); !ok) co_return ok;
  }
  co_return sio::result<void>();
}

sio::task<sio::result<void>> soak_trouble::take_back() {
  for (soak_lane* lane : lanes_) {
    auto close = [&] { return lane->close(); };
    if (auto ok = co_await lane->home().call(close); !ok) co_return ok;
  }
  disk_.reset();
  co_return sio::result<void>();
}

sio::task<sio::result<void>> soak_trouble::one() {
  const std::uint64_t dice = random_() % 100;
  if (dice < 45 && stack_.shape().errors) return inject();
  if (dice < 65) return reset();
  return remove_and_make_again();
}

sio::task<sio::result<void>> soak_trouble::inject() {
  ++counts_.injections;
  sio::injected_error error{.on = static_cast<sio::inject_on>(random_() % 5),
                            .count = static_cast<std::uint32_t>(1 + random_() % 64)};
  switch (random_() % 4) {
    case 0: error.how = sio::inject_how::no_memory; break;
    case 1:
      error.how = sio::inject_how::nvme_failure;
      error.status = {0, 4};  // data transfer error
      break;
    case 2: error.queue_depth = 4; break;
    default: break;
  }
  return sio::inject_error(stack_.error_layer(), error);
}

sio::task<sio::result<void>> soak_trouble::reset() {
  if (!disk_->bdev().supports(sio::io_kind::reset)) co_return sio::result<void>();
  ++counts_.resets;
  co_return co_await disk_->reset();
}

// The lanes go on until the removal is told, and their I/O is in flight when it begins.
sio::task<sio::result<void>> soak_trouble::remove_and_make_again() {
  const std::size_t layer = random_() % stack_.layers();
  ++counts_.removals;
  if (layer + 1 < stack_.layers()) ++counts_.from_below;
  sio::task_scope removal;
  removal.spawn(stack_.remove(layer));
  for (;;) {
    auto event = co_await disk_->next_event();
    if (!event) co_return std::unexpected(event.error());
    if (event->what == sio::device_event::kind::removed) break;
  }
  if (auto ok = co_await take_back(); !ok) co_return ok;
  if (auto gone = co_await removal.join(); !gone) co_return gone;
  co_return co_await open();
}

}  // namespace spdk_io_tool
