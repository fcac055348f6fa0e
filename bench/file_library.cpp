// SPDX-License-Identifier: BSD-3-Clause
// The library on a file, or on any device that SPDK's configuration makes.
#include "file_io.hpp"
#include "io_world.hpp"

#include <vector>

namespace bench {
namespace {

struct library_run {
  sio::io_channel& disk;
  timed_load& load;
};

sio::task<sio::result<void>> reads(library_run& run, sio::dma_buffer& buffer) {
  std::uint64_t offset = 0;
  while (run.load.take(offset)) {
    if (auto r = co_await run.disk.read(buffer, offset); !r) co_return r;
    run.load.completed();
  }
  co_return sio::result<void>();
}

sio::task<sio::result<void>> writes(library_run& run, sio::dma_buffer& buffer) {
  std::uint64_t offset = 0;
  while (run.load.take(offset)) {
    if (auto r = co_await run.disk.write(buffer, offset); !r) co_return r;
    run.load.completed();
  }
  co_return sio::result<void>();
}

sio::task<sio::result<void>> all(library_run& run, std::vector<sio::dma_buffer>& buffers,
                                 bool write) {
  sio::task_scope scope;
  for (sio::dma_buffer& buffer : buffers) {
    scope.spawn(write ? writes(run, buffer) : reads(run, buffer));
  }
  co_return co_await scope.join();
}

sio::bdev_desc open_device(sio::thread& thread, const file_job& job) {
  const auto mode = job.write ? sio::access::read_write : sio::access::read_only;
  if (!job.configuration.empty()) {
    must(sio::block_on(thread, sio::init_subsystems(sio::config_file{job.configuration})));
    return must(sio::bdev_desc::open(job.bdev, mode));
  }
  must(sio::block_on(thread, sio::create_bdev(sio::uring_bdev{.name = "file", .file = job.file})));
  return must(sio::bdev_desc::open("file", mode));
}

std::vector<sio::dma_buffer> make_buffers(const file_job& job) {
  std::vector<sio::dma_buffer> out;
  for (std::uint32_t i = 0; i < job.depth; ++i) {
    out.push_back(must(sio::dma_buffer::allocate(job.io_size, 4096)));
    fill(out.back().data(), out.back().size());
  }
  return out;
}

}  // namespace

file_figures library_file_io(const file_job& job) {
  sio::env env = must(sio::env::start({.name = "spdk_io_file",
                                       .core_mask = job.core_mask,
                                       .memory_mib = 1024,
                                       .hugepages = false,
                                       .pci = false,
                                       .keep_affinity = !job.core_mask.empty()}));
  sio::thread thread = must(sio::thread::attach("bench"));
  sio::bdev_desc desc = open_device(thread, job);
  sio::io_channel disk = must(desc.channel());
  std::vector<sio::dma_buffer> buffers = make_buffers(job);
  timed_load load(job, desc.bdev().size());
  library_run run{.disk = disk, .load = load};
  must(sio::run_until(thread, all(run, buffers, job.write), sio::idle::spin{}));
  return load.figures();
}

}  // namespace bench
