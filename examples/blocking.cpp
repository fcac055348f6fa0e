// Without coroutines: a callback takes the result, or a thread that may block waits for it.
#include <spdk_io/spdk_io.hpp>

#include <cstdint>
#include <iostream>
#include <thread>

namespace sio = spdk_io;

// [callback]
// Reads blocks one after another; nobody waits. `done` takes the first error, or success.
template <class Done>
void read_from(sio::io_channel& disk, sio::dma_span block, std::uint64_t offset, std::uint64_t end,
               Done done) {
  if (offset == end) return done(sio::result<void>());
  sio::start(disk.read(block, offset), [&disk, block, offset, end, done](sio::result<void> r) {
    if (!r) return done(r);
    read_from(disk, block, offset + block.size(), end, done);
  });
}
// [/callback]

int main() {
  auto env = sio::env::start({.name = "blocking", .hugepages = false, .pci = false}).value();
  auto thread = sio::thread::attach("storage").value();
  sio::block_on(thread, sio::init_subsystems()).value();
  sio::block_on(thread, sio::create_bdev(sio::malloc_bdev{.name = "disk0", .size = 1 << 20}))
      .value();
  auto disk = sio::bdev_desc::open("disk0", sio::access::read_write).value();
  auto channel = disk.channel().value();
  auto block = sio::dma_buffer::zeroed(4096).value();

  // [get]
  // On the thread that does the I/O: polls until it is done.
  auto written = channel.write(block, 0).get();
  std::cout << "written: " << (written ? "yes" : written.error().message()) << '\n';
  // [/get]

  bool finished = false;
  read_from(channel, block, 0, 1 << 20, [&](sio::result<void> r) {
    std::cout << "all blocks read: " << (r ? "yes" : r.error().message()) << '\n';
    finished = true;
  });
  while (!finished) thread.poll();

  auto worker = sio::thread::spawn("worker").value();
  // [call]
  // On any other thread: asks one that does I/O, and sleeps until it has answered.
  std::jthread other([&, worker = worker.ref()] {
    auto past = worker.call([&] { return disk.read(block, 1 << 20); }).get();
    std::cout << "past the end: " << (past ? "read" : past.error().message()) << '\n';
  });
  // [/call]
}
