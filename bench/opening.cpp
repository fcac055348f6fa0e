// SPDX-License-Identifier: BSD-3-Clause
#include "opening.hpp"

#include <spdk/bdev.h>
#include <spdk/thread.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace bench {
namespace {

void on_event(spdk_bdev_event_type, spdk_bdev*, void*) {}

std::int64_t raw_devices(null_devices& devices, heap_meter in_use) {
  std::vector<spdk_bdev_desc*> disks(devices.count());
  std::vector<spdk_io_channel*> channels(devices.count());
  std::int64_t before = 0;
  for (std::uint32_t i = 0; i < devices.count(); ++i) {
    if (i == 1) before = in_use();
    const std::string name = null_devices::name(i);
    if (spdk_bdev_open_ext(name.c_str(), false, on_event, nullptr, &disks[i]) != 0) {
      throw std::runtime_error(name + " cannot be opened");
    }
    channels[i] = spdk_bdev_get_io_channel(disks[i]);
    if (!channels[i]) throw std::runtime_error("SPDK could make no channel of " + name);
  }
  const std::int64_t used = in_use() - before;
  for (spdk_io_channel* channel : channels) spdk_put_io_channel(channel);
  while (devices.first_thread().poll() > 0) continue;
  for (spdk_bdev_desc* disk : disks) spdk_bdev_close(disk);
  return used;
}

std::int64_t library_devices(null_devices& devices, heap_meter in_use) {
  std::vector<sio::bdev_desc> disks;
  std::vector<sio::io_channel> channels;
  disks.reserve(devices.count());
  channels.reserve(devices.count());
  std::int64_t before = 0;
  for (std::uint32_t i = 0; i < devices.count(); ++i) {
    if (i == 1) before = in_use();
    disks.push_back(must(sio::bdev_desc::open(null_devices::name(i))));
    channels.push_back(must(disks.back().channel()));
  }
  return in_use() - before;
}

// The library takes threads that it did not make along when it polls the first one, and destroys
// those that have exited.
std::int64_t raw_threads(null_devices& devices, std::uint32_t count, heap_meter in_use) {
  const std::uint32_t others = sio::thread::count();
  std::vector<spdk_thread*> threads(count);
  const std::int64_t before = in_use();
  for (std::uint32_t i = 0; i < count; ++i) {
    threads[i] = spdk_thread_create(("raw" + std::to_string(i)).c_str(), nullptr);
    if (!threads[i]) throw std::runtime_error("SPDK could make no thread");
  }
  const std::int64_t used = in_use() - before;
  spdk_thread* const mine = spdk_get_thread();
  for (spdk_thread* thread : threads) {
    spdk_set_thread(thread);
    spdk_thread_exit(thread);
  }
  spdk_set_thread(mine);
  while (sio::thread::count() > others) devices.first_thread().poll();
  return used;
}

std::int64_t library_threads(std::uint32_t count, heap_meter in_use) {
  sio::run_loop loop;
  std::vector<sio::thread> threads;
  std::vector<sio::running_poller_task<sio::run_loop::executor>> polling;
  threads.reserve(count);
  polling.reserve(count);
  const std::int64_t before = in_use();
  for (std::uint32_t i = 0; i < count; ++i) {
    threads.push_back(must(sio::thread::create("ours" + std::to_string(i))));
    polling.push_back(
        must(sio::poller_task(threads.back(), loop.get_executor(), sio::idle::spin{})));
  }
  return in_use() - before;
}

}  // namespace

bytes_of_one memory_of_devices(null_devices& devices, heap_meter in_use) {
  const double count = devices.count() - 1;
  bytes_of_one out{};
  out.raw = static_cast<double>(raw_devices(devices, in_use)) / count;
  out.library = static_cast<double>(library_devices(devices, in_use)) / count;
  return out;
}

bytes_of_one memory_of_threads(null_devices& devices, std::uint32_t count, heap_meter in_use) {
  bytes_of_one out{};
  out.raw = static_cast<double>(raw_threads(devices, count, in_use)) / count;
  out.library = static_cast<double>(library_threads(count, in_use)) / count;
  return out;
}

}  // namespace bench
