// SPDX-License-Identifier: BSD-3-Clause
// The modules aio and uring on real files. Runs on SPDK unchanged, but for what SPDK lacks:
// the way to do without io_uring, for which the program runs itself again with that denied.
#include "bdev_fixture.hpp"

#include "spdk/version.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <deque>
#include <memory>

namespace bdev_test {
namespace {

constexpr const char* deny_variable = "BDEV_TEST_DENY_IO_URING";

bool is_spdk() { return std::string_view(SPDK_VERSION_STRING).find("lite") == std::string::npos; }

/// Makes io_uring_setup() fail as it does under Docker's default profile.
bool deny_io_uring() {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = std::size(code), .filter = code};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

const bool io_uring_denied = std::getenv(deny_variable) != nullptr && deny_io_uring();

/// A file that goes away with the object.
class file {
 public:
  explicit file(std::size_t size, const char* dir = "/var/tmp") {
    path = std::string(dir) + "/bdev_file_test.XXXXXX";
    fd = mkstemp(path.data());
    EXPECT_GE(fd, 0);
    resize(size);
  }
  ~file() {
    close(fd);
    unlink(path.c_str());
  }
  file(const file&) = delete;
  file& operator=(const file&) = delete;

  void resize(std::size_t size) const { EXPECT_EQ(ftruncate(fd, static_cast<off_t>(size)), 0); }

  std::string path;
  int fd = -1;
};

constexpr std::size_t mib = 1024 * 1024;

std::string create_params(const std::string& path, const std::string& more = "") {
  return R"({"name":"f","filename":")" + path + R"(","block_size":512)" + more + "}";
}

class file_bdev : public testing::TestWithParam<const char*> {
 protected:
  [[nodiscard]] std::string module() const { return GetParam(); }
  [[nodiscard]] bool aio() const { return module() == "aio"; }

  void create(const std::string& more = "") {
    ASSERT_EQ(call("bdev_" + module() + "_create", create_params(f.path, more)), 0) << logged;
    d = std::make_unique<device>("f");
    threads::poll_times(3);
  }

  /// What the failing method's error says, or "".
  std::string create_error(const std::string& params) {
    logged.clear();
    if (call("bdev_" + module() + "_create", params) == 0) {
      EXPECT_EQ(remove(module(), "f"), 0);
      return "";
    }
    const std::size_t at = logged.find("\"code\": ") + 8;
    return logged.substr(at, logged.find('\n', logged.find("\"message\"")) - at);
  }

  void TearDown() override {
    if (d != nullptr) {
      d->close();
      d.reset();
      EXPECT_EQ(remove(module(), "f"), 0);
    }
  }

  bool write(unsigned char* data, std::size_t offset, std::size_t size) {
    outcome o;
    EXPECT_EQ(spdk_bdev_write(d->desc, d->ch, data, offset, size, outcome::callback, &o), 0);
    EXPECT_FALSE(o.done);
    return o.wait();
  }
  bool read(unsigned char* data, std::size_t offset, std::size_t size) {
    outcome o;
    EXPECT_EQ(spdk_bdev_read(d->desc, d->ch, data, offset, size, outcome::callback, &o), 0);
    EXPECT_FALSE(o.done);
    return o.wait();
  }

  file f{mib};
  std::unique_ptr<device> d;
};

TEST_P(file_bdev, compare_copy_and_compare_and_write_are_emulated) {
  create();
  EXPECT_FALSE(spdk_bdev_io_type_supported(d->bdev(), SPDK_BDEV_IO_TYPE_COMPARE));
  EXPECT_FALSE(spdk_bdev_io_type_supported(d->bdev(), SPDK_BDEV_IO_TYPE_COPY));
  const std::size_t size = 300 * 1024;  // more than one buffer of the layer's
  dma_memory m(size);
  for (std::size_t i = 0; i < size; ++i) {
    m.data[i] = static_cast<unsigned char>(i / 700);
  }
  ASSERT_TRUE(write(m.data, 0, size));
  outcome copy;
  ASSERT_EQ(spdk_bdev_copy_blocks(d->desc, d->ch, 1000, 0, size / 512, outcome::callback, &copy),
            0);
  EXPECT_FALSE(copy.done);
  EXPECT_TRUE(copy.wait());
  dma_memory in(size);
  ASSERT_TRUE(read(in.data, std::size_t{1000} * 512, size));
  EXPECT_EQ(std::memcmp(in.data, m.data, size), 0);

  outcome same;
  outcome different;
  outcome too_large;
  const auto cb = outcome::callback;
  ASSERT_EQ(spdk_bdev_compare_blocks(d->desc, d->ch, m.data, 1000, 100, cb, &same), 0);
  EXPECT_TRUE(same.wait());
  ASSERT_EQ(spdk_bdev_compare_blocks(d->desc, d->ch, m.data, 1001, 100, cb, &different), 0);
  EXPECT_FALSE(different.wait());
  EXPECT_EQ(different.sct, SPDK_NVME_SCT_MEDIA_ERROR);
  EXPECT_EQ(different.sc, SPDK_NVME_SC_COMPARE_FAILURE);
  ASSERT_EQ(spdk_bdev_compare_blocks(d->desc, d->ch, m.data, 0, 512, cb, &too_large), 0);
  EXPECT_FALSE(too_large.wait());
  EXPECT_EQ(too_large.sct, 0);

  dma_memory ones(512, 1);
  iovec compare{m.data, 512};
  iovec wanted{ones.data, 512};
  for (const bool first : {true, false}) {
    outcome o;
    ASSERT_EQ(spdk_bdev_comparev_and_writev_blocks(d->desc, d->ch, &compare, 1, &wanted, 1, 1000, 1,
                                                   cb, &o),
              0);
    EXPECT_FALSE(o.done);
    EXPECT_EQ(o.wait(), first);
  }
  ASSERT_TRUE(read(in.data, std::size_t{1000} * 512, 512));
  EXPECT_TRUE(in.all(1, 0, 512));
}

TEST_P(file_bdev, properties) {
  create();
  spdk_bdev* bdev = d->bdev();
  EXPECT_STREQ(spdk_bdev_get_product_name(bdev), aio() ? "AIO disk" : "URING bdev");
  EXPECT_STREQ(spdk_bdev_get_module_name(bdev), GetParam());
  EXPECT_EQ(spdk_bdev_get_block_size(bdev), 512U);
  EXPECT_EQ(spdk_bdev_get_num_blocks(bdev), mib / 512);
  EXPECT_EQ(spdk_bdev_get_buf_align(bdev), 512U);
  EXPECT_EQ(spdk_bdev_has_write_cache(bdev), aio());
  const auto has = [bdev](spdk_bdev_io_type type) {
    return spdk_bdev_io_type_supported(bdev, type);
  };
  EXPECT_TRUE(has(SPDK_BDEV_IO_TYPE_READ) && has(SPDK_BDEV_IO_TYPE_WRITE));
  EXPECT_TRUE(has(SPDK_BDEV_IO_TYPE_WRITE_ZEROES));  // emulated
  EXPECT_EQ(has(SPDK_BDEV_IO_TYPE_FLUSH), aio());
  EXPECT_EQ(has(SPDK_BDEV_IO_TYPE_RESET), aio());
  EXPECT_FALSE(has(SPDK_BDEV_IO_TYPE_UNMAP));
  EXPECT_FALSE(has(SPDK_BDEV_IO_TYPE_ABORT));
}

TEST_P(file_bdev, what_is_written_is_in_the_file) {
  create();
  dma_memory m(8192, 0x5a);
  EXPECT_TRUE(write(m.data, 4096, 8192));
  dma_memory back(8192);
  EXPECT_EQ(pread(f.fd, back.data, 8192, 4096), 8192);
  EXPECT_TRUE(back.all(0x5a));
  std::memset(back.data, 0, 8192);
  EXPECT_TRUE(read(back.data, 4096, 8192));
  EXPECT_TRUE(back.all(0x5a));
}

TEST_P(file_bdev, buffers_that_are_misaligned_or_missing) {
  create();
  dma_memory m(4096 + 512, 0x77);
  EXPECT_TRUE(write(m.data + 1, 0, 4096));
  std::memset(m.data, 0, m.size);
  EXPECT_TRUE(read(m.data + 3, 0, 4096));
  EXPECT_TRUE(m.all(0x77, 3, 4096 + 3));
  EXPECT_TRUE(m.all(0, 4096 + 3));
  std::vector<unsigned char> ordinary(4096 + 1, 0);
  EXPECT_TRUE(read(ordinary.data() + 1, 0, 4096));
  EXPECT_EQ(std::count(ordinary.begin(), ordinary.end(), 0x77), 4096);
  EXPECT_TRUE(read(nullptr, 0, 4096));
}

TEST_P(file_bdev, vectors_and_large_io) {
  create();
  dma_memory out(mib);
  for (std::size_t i = 0; i < mib; ++i) {
    out.data[i] = static_cast<unsigned char>(i / 512 * 7);
  }
  EXPECT_TRUE(write(out.data, 0, mib));  // larger than a buffer of the layer's: split
  dma_memory in(mib);
  std::vector<iovec> iov;
  for (std::size_t at = 0; at < mib; at += 4096) {
    iov.push_back({in.data + at, 4096});
  }
  outcome o;
  ASSERT_EQ(spdk_bdev_readv(d->desc, d->ch, iov.data(), static_cast<int>(iov.size()), 0, mib,
                            outcome::callback, &o),
            0);
  EXPECT_TRUE(o.wait());
  EXPECT_EQ(std::memcmp(in.data, out.data, mib), 0);
}

TEST_P(file_bdev, misaligned_vectors) {
  create();
  dma_memory out(65536 + 4);
  for (std::size_t i = 0; i < out.size; ++i) {
    out.data[i] = static_cast<unsigned char>(i * 31);
  }
  iovec iov[3] = {{out.data + 4, 1000}, {out.data + 1004, 30000}, {out.data + 31004, 34536}};
  outcome w;
  ASSERT_EQ(spdk_bdev_writev(d->desc, d->ch, iov, 3, 0, 65536, outcome::callback, &w), 0);
  EXPECT_TRUE(w.wait());
  dma_memory in(65536);
  iovec back[2] = {{in.data, 7}, {in.data + 7, 65529}};
  outcome r;
  ASSERT_EQ(spdk_bdev_readv(d->desc, d->ch, back, 2, 0, 65536, outcome::callback, &r), 0);
  EXPECT_TRUE(r.wait());
  EXPECT_EQ(std::memcmp(in.data, out.data + 4, 65536), 0);
}

constexpr std::size_t large = 65536;  ///< takes one of the few large buffers if misaligned

TEST_P(file_bdev, more_misaligned_io_than_there_are_buffers) {
  create();
  constexpr std::size_t count = 100;  // of 64 buffers, shared with others
  dma_memory m(count * (large + 512), 0x21);
  std::deque<outcome> outcomes;
  for (std::size_t i = 0; i < count; ++i) {
    ASSERT_EQ(spdk_bdev_write(d->desc, d->ch, m.data + i * (large + 512) + 1, i % 16 * large, large,
                              outcome::callback, &outcomes.emplace_back()),
              0);
  }
  for (outcome& o : outcomes) {
    EXPECT_TRUE(o.wait());
  }
  dma_memory in(large);
  EXPECT_TRUE(read(in.data, 15 * large, large));
  EXPECT_TRUE(in.all(0x21));
}

TEST_P(file_bdev, a_reset_fails_what_waits_for_a_buffer) {
  create();
  constexpr std::size_t count = 100;
  dma_memory m(count * (large + 512), 0x21);
  std::deque<outcome> outcomes;
  for (std::size_t i = 0; i < count; ++i) {
    ASSERT_EQ(spdk_bdev_read(d->desc, d->ch, m.data + i * (large + 512) + 1, 0, large,
                             outcome::callback, &outcomes.emplace_back()),
              0);
  }
  outcome reset;
  ASSERT_EQ(spdk_bdev_reset(d->desc, d->ch, outcome::callback, &reset), 0);
  EXPECT_EQ(reset.wait(), aio());
  for (outcome& o : outcomes) {
    o.wait();
  }
  EXPECT_TRUE(outcomes.front().success);
  EXPECT_FALSE(outcomes.back().success);
  EXPECT_EQ(outcomes.back().sct, SPDK_NVME_SCT_GENERIC);
  EXPECT_EQ(outcomes.back().sc, SPDK_NVME_SC_INTERNAL_DEVICE_ERROR);
}

TEST_P(file_bdev, many_at_once_on_two_threads) {
  create();
  constexpr int count = 100;
  dma_memory m(count * 512, 0);
  std::deque<outcome> outcomes;
  spdk_set_thread(threads::other);
  spdk_io_channel* there = spdk_bdev_get_io_channel(d->desc);
  spdk_set_thread(threads::app);
  ASSERT_NE(there, nullptr);
  for (int i = 0; i < count; ++i) {
    std::memset(m.data + i * 512, i, 512);
    spdk_set_thread(i % 2 == 0 ? threads::app : threads::other);
    ASSERT_EQ(spdk_bdev_write_blocks(d->desc, i % 2 == 0 ? d->ch : there, m.data + i * 512, i, 1,
                                     outcome::callback, &outcomes.emplace_back()),
              0);
  }
  spdk_set_thread(threads::app);
  for (outcome& o : outcomes) {
    EXPECT_TRUE(o.wait());
  }
  dma_memory in(count * 512, 0xff);
  EXPECT_TRUE(read(in.data, 0, in.size));
  EXPECT_EQ(std::memcmp(in.data, m.data, in.size), 0);
  spdk_set_thread(threads::other);
  spdk_put_io_channel(there);
  spdk_set_thread(threads::app);
  threads::poll_times(3);
}

TEST_P(file_bdev, zeroes) {
  create();
  dma_memory m(mib, 0xff);
  EXPECT_TRUE(write(m.data, 0, mib));
  outcome o;
  ASSERT_EQ(spdk_bdev_write_zeroes(d->desc, d->ch, 512, mib - 1024, outcome::callback, &o), 0);
  EXPECT_TRUE(o.wait());
  EXPECT_TRUE(read(m.data, 0, mib));
  EXPECT_TRUE(m.all(0xff, 0, 512));
  EXPECT_TRUE(m.all(0, 512, mib - 512));
  EXPECT_TRUE(m.all(0xff, mib - 512));
}

TEST_P(file_bdev, flush_unmap_and_reset) {
  create();
  outcome flush;
  const int rc = spdk_bdev_flush(d->desc, d->ch, 0, mib, outcome::callback, &flush);
  EXPECT_EQ(rc, aio() ? 0 : -ENOTSUP);
  EXPECT_FALSE(flush.done);
  EXPECT_TRUE(rc != 0 || flush.wait());
  outcome unmap;
  EXPECT_EQ(spdk_bdev_unmap(d->desc, d->ch, 0, 4096, outcome::callback, &unmap), 0);
  EXPECT_FALSE(unmap.done);
  EXPECT_FALSE(unmap.wait());
  EXPECT_EQ(unmap.sct, SPDK_NVME_SCT_GENERIC);
  EXPECT_EQ(unmap.sc, SPDK_NVME_SC_INTERNAL_DEVICE_ERROR);
  dma_memory m(4096);
  outcome read;
  outcome reset;
  EXPECT_EQ(spdk_bdev_read(d->desc, d->ch, m.data, 0, 4096, outcome::callback, &read), 0);
  EXPECT_EQ(spdk_bdev_reset(d->desc, d->ch, outcome::callback, &reset), 0);
  EXPECT_EQ(reset.wait(), aio());
  EXPECT_TRUE(read.wait());
  outcome abort;
  EXPECT_EQ(spdk_bdev_abort(d->desc, d->ch, &read, outcome::callback, &abort), -ENOTSUP);
}

TEST_P(file_bdev, unmap_and_zeroes_with_fallocate) {
  if (!aio()) {
    GTEST_SKIP() << "an option of aio only";
  }
  create(R"(,"fallocate":true)");
  EXPECT_TRUE(spdk_bdev_io_type_supported(d->bdev(), SPDK_BDEV_IO_TYPE_UNMAP));
  dma_memory m(65536, 0xff);
  EXPECT_TRUE(write(m.data, 0, 65536));
  outcome unmap;
  outcome zeroes;
  ASSERT_EQ(spdk_bdev_unmap(d->desc, d->ch, 0, 8192, outcome::callback, &unmap), 0);
  ASSERT_EQ(spdk_bdev_write_zeroes(d->desc, d->ch, 16384, 8192, outcome::callback, &zeroes), 0);
  // Not every file system has both.
  const bool unmapped = unmap.wait();
  const bool zeroed = zeroes.wait();
  EXPECT_TRUE(read(m.data, 0, 65536));
  EXPECT_TRUE(m.all(unmapped ? 0 : 0xff, 0, 8192));
  EXPECT_TRUE(m.all(zeroed ? 0 : 0xff, 16384, 24576));
  EXPECT_TRUE(m.all(0xff, 24576));
}

TEST_P(file_bdev, read_only) {
  if (!aio()) {
    GTEST_SKIP() << "an option of aio only";
  }
  create(R"(,"readonly":true)");
  dma_memory m(4096);
  EXPECT_TRUE(read(m.data, 0, 4096));
  EXPECT_FALSE(write(m.data, 0, 4096));
}

TEST_P(file_bdev, a_file_that_became_shorter) {
  create();
  f.resize(mib / 2);
  dma_memory m(8192);
  EXPECT_FALSE(read(m.data, mib / 2 + 4096, 4096));
  EXPECT_FALSE(read(m.data, mib / 2 - 4096, 8192));
  EXPECT_TRUE(read(m.data, mib / 2 - 4096, 4096));
}

TEST_P(file_bdev, rescanning) {
  create();
  f.resize(2 * mib);
  EXPECT_EQ(call("bdev_" + module() + "_rescan", R"({"name":"f"})"), 0);
  ASSERT_TRUE(threads::poll_until([&] { return !d->events.empty(); }));
  EXPECT_EQ(d->events[0].type, SPDK_BDEV_EVENT_RESIZE);
  EXPECT_EQ(spdk_bdev_get_num_blocks(d->bdev()), 2 * mib / 512);
  f.resize(mib);
  EXPECT_EQ(call("bdev_" + module() + "_rescan", R"({"name":"f"})"), -EINVAL);
  EXPECT_NE(logged.find("\"code\": -16"), std::string::npos);
  d->close();  // nobody else has it open, but the call itself has
  logged.clear();
  EXPECT_EQ(call("bdev_" + module() + "_rescan", R"({"name":"f"})"), -EINVAL);
  EXPECT_NE(logged.find("\"code\": -16"), std::string::npos);
  EXPECT_NE(logged.find("Could not change num blocks"), std::string::npos) << logged;
  EXPECT_EQ(spdk_bdev_get_num_blocks(spdk_bdev_get_by_name("f")), 2 * mib / 512);
  EXPECT_EQ(call("bdev_" + module() + "_rescan", R"({"name":"first"})"), -EINVAL);
  EXPECT_EQ(call("bdev_" + module() + "_rescan", R"({"name":"nosuch"})"), -EINVAL);
}

TEST_P(file_bdev, an_emptied_file_is_a_removed_device) {
  create();
  f.resize(0);
  dma_memory m(4096);
  EXPECT_FALSE(read(m.data, 0, 4096));
  ASSERT_TRUE(threads::poll_until([&] { return !d->events.empty(); }));
  EXPECT_EQ(d->events[0].type, SPDK_BDEV_EVENT_REMOVE);
  d->close();
  d.reset();
  EXPECT_TRUE(threads::poll_until([] { return spdk_bdev_get_by_name("f") == nullptr; }));
  threads::poll_times(5);
}

TEST_P(file_bdev, without_direct_io) {
  struct stat status{};
  if (stat("/dev/shm", &status) != 0) {
    GTEST_SKIP() << "no tmpfs";
  }
  const file memory(mib, "/dev/shm");
  ASSERT_EQ(call("bdev_" + module() + "_create", create_params(memory.path)), 0);
  d = std::make_unique<device>("f");
  dma_memory m(4096, 0x12);
  EXPECT_TRUE(write(m.data, 512, 4096));
  std::memset(m.data, 0, 4096);
  EXPECT_TRUE(read(m.data, 512, 4096));
  EXPECT_TRUE(m.all(0x12));
}

TEST_P(file_bdev, creation_errors) {
  const std::string uring = R"(-32603,
  "message": "Unable to create URING bdev.")";
  const auto expected = [&](const char* of_aio) { return aio() ? of_aio : uring; };
  EXPECT_EQ(create_error(create_params("/nosuch/file")), expected(R"(-2,
  "message": "No such file or directory")"));
  const std::string invalid = R"(-22,
  "message": "Invalid argument")";
  const auto with = [&](const std::string& rest) {
    return create_error(R"({"name":"f","filename":")" + f.path + "\"" + rest + "}");
  };
  EXPECT_EQ(with(""), expected(invalid.c_str()));  // a file has no block size of its own
  EXPECT_EQ(with(R"(,"block_size":256)"), expected(invalid.c_str()));
  EXPECT_EQ(with(R"(,"block_size":513)"), expected(invalid.c_str()));
  EXPECT_EQ(with(R"(,"block_size":1536)"), expected(invalid.c_str()));
  EXPECT_EQ(with(R"(,"block_size":2097152)"), expected(invalid.c_str()));
  EXPECT_EQ(create_error(R"({"name":"first","filename":")" + f.path + R"(","block_size":512})"),
            expected("-17,\n  \"message\": \"File exists\""));
  if (aio()) {
    EXPECT_EQ(with(R"(,"block_size":512,"nowait":true)"),
              "-95,\n  \"message\": \"Operation not supported\"");
  }
  const std::string decode = "-32603,\n  \"message\": \"spdk_json_decode_object failed\"";
  EXPECT_EQ(create_error(R"({"name":"f"})"), decode);
  EXPECT_EQ(with(R"(,"unknown":1)"), decode);
  f.resize(0);
  EXPECT_EQ(with(R"(,"block_size":512)"), "");  // an empty device is one
}

INSTANTIATE_TEST_SUITE_P(modules, file_bdev, testing::Values("aio", "uring"),
                         [](const auto& info) { return std::string(info.param); });

/// Runs this program once more, without io_uring; returns what it printed if it failed.
/// The text is kept apart: CTest takes a skip that the other run reports for one of this test.
std::string run_denied(const char* filter) {
  const file output(0);
  const pid_t child = fork();
  if (child == 0) {
    setenv(deny_variable, "1", 1);
    dup2(output.fd, STDOUT_FILENO);
    dup2(output.fd, STDERR_FILENO);
    execl("/proc/self/exe", "bdev_file_test", "--gtest_brief=1", filter, nullptr);
    _exit(127);
  }
  int status = 0;
  if (waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    return "";
  }
  std::string text(64 * 1024, '\0');
  const ssize_t size = pread(output.fd, text.data(), text.size(), 0);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  for (std::size_t at = 0; (at = text.find("SKIPPED", at)) != std::string::npos;) {
    text.replace(at, 7, "skipped");
  }
  return "status " + std::to_string(status) + ":\n" + text;
}

TEST(file_engine, does_without_io_uring) {
  if (is_spdk()) {
    GTEST_SKIP() << "SPDK's module uring needs io_uring";
  }
  EXPECT_EQ(run_denied("--gtest_filter=-file_engine.*"), "");
  EXPECT_EQ(run_denied("--gtest_filter=file_engine.says_once*"), "");
}

TEST(file_engine, says_once_that_io_uring_is_not_there) {
  if (!io_uring_denied) {
    GTEST_SKIP() << "io_uring has not been denied";
  }
  logged.clear();
  const file f(mib);
  ASSERT_EQ(call("bdev_uring_create", create_params(f.path)), 0);
  {
    const device here("f");
    const on_other scope;
    const device there("f");
  }
  threads::poll_times(3);
  device("f").close();
  const std::string_view text = "io_uring is not available (Operation not permitted)";
  const std::size_t first = logged.find(text);
  EXPECT_NE(first, std::string::npos);
  EXPECT_EQ(logged.find(text, first + 1), std::string::npos);
  threads::poll_times(3);
  EXPECT_EQ(remove("uring", "f"), 0);
}

}  // namespace
}  // namespace bdev_test
