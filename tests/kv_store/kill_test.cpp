// SPDX-License-Identifier: BSD-3-Clause
// A process that uses the store is killed at some moment, two hundred times in a row; the next one
// opens the same file, finds what was acknowledged, and goes on.
#include "devices.hpp"
#include "kv_store.hpp"

#include <spdk_io/spdk_io.hpp>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <string>
#include <string_view>

namespace {

namespace sio = spdk_io;
using kv::kv_store;

constexpr std::uint32_t keys = 24;
constexpr std::uint32_t workers = 6;
constexpr std::uint32_t record_size = 4096;
constexpr std::uint64_t device_size = 4096 + 32 * std::uint64_t{record_size};

// The versions of a key that may be there: in one word, so that no kill comes between.
struct versions {
  std::uint32_t acknowledged = 0;
  std::uint32_t started = 0;
};

// Outlives the killed.
struct shared_memory {
  std::array<std::atomic<versions>, keys> allowed{};
  std::array<std::atomic<std::uint32_t>, keys> latest{};
  std::atomic<std::uint32_t> verified{0};
  std::atomic<std::uint32_t> checkpoints{0};
  std::array<char, 256> complaint{};
};

std::string name_of(std::uint32_t key) { return "key" + std::to_string(key); }

// What version 0, 1, 2 … of a key is; nothing: it is erased.
std::optional<kv::bytes> content_of(std::uint32_t key, std::uint32_t version) {
  std::mt19937 random(key * 1'000'003 + version);
  if (version == 0 || random() % 4 == 0) return std::nullopt;
  kv::bytes value(random() % (record_size / 4));
  for (auto& each : value) each = static_cast<std::byte>(random());
  return value;
}

class child {
 public:
  child(shared_memory& memory, int report) : memory_(memory), report_(report) {}

  sio::task<sio::result<void>> run(std::string_view file, bool to_the_end) {
    auto made =
        co_await sio::create_bdev(sio::aio_bdev{.name = "disk", .file = file, .block_size = 512});
    if (!made) co_return std::unexpected(made.error());
    auto disk = sio::bdev_desc::open("disk");
    if (!disk) co_return std::unexpected(disk.error());
    kv::bdev_device device(std::move(*disk));
    tell();
    auto store = co_await kv_store::open(device);
    if (!store) co_return std::unexpected(store.error());
    for (std::uint32_t key = 0; key < keys; ++key) {
      if (auto r = co_await verify(**store, key); !r) co_return r;
    }
    ++memory_.verified;
    if (!to_the_end) {
      sio::task_scope scope;
      for (std::uint32_t i = 0; i < workers; ++i) scope.spawn(change_for_ever(**store, i));
      if (auto r = co_await scope.join(); !r) co_return r;
    }
    co_return co_await (*store)->close();
  }

 private:
  sio::task<sio::result<void>> verify(kv_store& store, std::uint32_t key) {
    auto found = co_await store.get(name_of(key));
    if (!found) co_return std::unexpected(found.error());
    const versions allowed = memory_.allowed[key];
    for (std::uint32_t version : {allowed.acknowledged, allowed.started}) {
      if (*found != content_of(key, version)) continue;
      memory_.allowed[key] = versions{version, version};
      co_return sio::result<void>();
    }
    co_return std::unexpected(
        sio::error(std::errc::illegal_byte_sequence, sio::operation_kind::none,
                   name_of(key) + " is neither of version " + std::to_string(allowed.acknowledged) +
                       " nor of " + std::to_string(allowed.started)));
  }

  sio::task<sio::result<void>> change_for_ever(kv_store& store, std::uint32_t worker) {
    std::mt19937 random(worker + memory_.verified * workers);
    while (true) {
      const std::uint32_t key = worker + random() % (keys / workers) * workers;
      if (auto r = co_await change(store, key); !r) co_return r;
      if (worker == 0) memory_.checkpoints += store.statistics().checkpoints != 0 ? 1 : 0;
      tell();
    }
  }

  sio::task<sio::result<void>> change(kv_store& store, std::uint32_t key) {
    const std::uint32_t version = ++memory_.latest[key];
    const std::string name = name_of(key);
    const auto value = content_of(key, version);
    memory_.allowed[key] = versions{memory_.allowed[key].load().acknowledged, version};
    if (value) {
      if (auto r = co_await store.put(name, *value); !r) co_return r;
    } else {
      auto r = co_await store.erase(name);
      if (!r) co_return std::unexpected(r.error());
    }
    memory_.allowed[key] = versions{version, version};
    co_return sio::result<void>();
  }

  // One byte to the parent, which counts them.
  void tell() const {
    if (write(report_, "+", 1) != 1) std::_Exit(2);
  }

  shared_memory& memory_;
  int report_;
};

[[noreturn]] void live(shared_memory& memory, int report, const std::string& file,
                       bool to_the_end) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto env = sio::env::start({.name = "kv_kill", .hugepages = false, .pci = false}).value();
  sio::result<void> r;
  {
    auto thread = sio::thread::attach("main").value();
    child self(memory, report);
    r = sio::block_on(thread, self.run(file, to_the_end));
  }
  if (!r) {
    std::snprintf(memory.complaint.data(), memory.complaint.size(), "%s",
                  r.error().message().c_str());
  }
  std::_Exit(r ? 0 : 1);
}

class killed : public testing::Test {
 protected:
  killed() {
    void* memory = mmap(nullptr, sizeof(shared_memory), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memory_ = new (memory) shared_memory;
  }
  ~killed() override { munmap(memory_, sizeof(shared_memory)); }

  // Gives how it ended. It is killed after that many bytes from it, or never.
  int child_process(std::optional<std::uint64_t> killed_after) {
    std::array<int, 2> report{};
    if (pipe2(report.data(), O_CLOEXEC) != 0) std::abort();
    const pid_t pid = fork();
    if (pid == 0) live(*memory_, report[1], file_, !killed_after);
    close(report[1]);
    if (killed_after) {
      read_bytes(report[0], *killed_after);
      kill(pid, SIGKILL);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    close(report[0]);
    return status;
  }

  static void read_bytes(int from, std::uint64_t count) {
    std::array<char, 256> part;
    while (count != 0) {
      const ssize_t n = read(from, part.data(), std::min<std::uint64_t>(count, part.size()));
      if (n <= 0) return;  // it has ended by itself
      count -= static_cast<std::uint64_t>(n);
    }
  }

  void format() {
    const pid_t pid = fork();
    if (pid == 0) {
      auto env = sio::env::start({.name = "kv_kill", .hugepages = false, .pci = false}).value();
      auto thread = sio::thread::attach("main").value();
      auto made = sio::block_on(thread, sio::create_bdev(sio::aio_bdev{
                                            .name = "disk", .file = file_, .block_size = 512}));
      kv::bdev_device device(sio::bdev_desc::open(made.value()).value());
      const auto r = sio::block_on(thread, kv_store::format(device, {.record_size = record_size}));
      std::_Exit(r ? 0 : 1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }

  spdk_io_test::temp_folder folder_;
  std::string file_ = folder_.file("disk", device_size);
  shared_memory* memory_;
};

TEST_F(killed, two_hundred_times_in_a_row) {
  format();
  std::mt19937 random(20260101);
  for (int round = 0; round < 200; ++round) {
    // Sometimes while it is opened, mostly in the middle of things.
    const std::uint64_t after = random() % 5 == 0 ? 1 : 2 + random() % 200;
    const int status = child_process(after);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        << "round " << round << ", wait status " << status << ": " << memory_->complaint.data();
  }
  const int status = child_process(std::nullopt);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << memory_->complaint.data();
  EXPECT_GT(memory_->verified, 140U);
  EXPECT_GT(memory_->checkpoints, 0U);
}

}  // namespace
