// SPDX-License-Identifier: BSD-3-Clause
// The input is a configuration in SPDK's JSON format: the subsystems start with it as an
// application's would, its devices are read, and they stop again. Every failure has a message,
// and an ordinary start works afterwards. On lite only: SPDK cannot start its subsystems again.
#include "fuzz.hpp"

#include "callback_wait.hpp"
#include "configuration.hpp"

#include <spdk/bdev.h>
#include <spdk/init.h>
#include <spdk/rpc.h>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <filesystem>
#include <fstream>
#include <utility>

extern "C" {
int __real_open(const char* path, int flags, ...);
int __wrap_open(const char* path, int flags, ...);
}

namespace {

namespace sio = fuzz::sio;
using fuzz::check;
using sio::result;
using sio::task;

// Files for devices, in a folder of this process, where what a configuration names is looked for.
class scratch_folder {
 public:
  scratch_folder() {
    auto pattern = (std::filesystem::temp_directory_path() / "spdk_io_fuzz.XXXXXX").string();
    check(::mkdtemp(pattern.data()) != nullptr, "mkdtemp failed");
    path_ = pattern;
    for (auto [name, size] : {std::pair("disk", 65536), {"odd", 1000}, {"empty", 0}}) {
      std::ofstream(path_ / name).close();
      std::filesystem::resize_file(path_ / name, static_cast<std::uintmax_t>(size));
    }
    fd_ = ::open(path_.c_str(), O_DIRECTORY | O_CLOEXEC);
    check(fd_ >= 0, "the scratch folder does not open");
  }
  scratch_folder(const scratch_folder&) = delete;
  scratch_folder& operator=(const scratch_folder&) = delete;
  ~scratch_folder() {
    ::close(fd_);
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  int fd() const { return fd_; }

 private:
  std::filesystem::path path_;
  int fd_ = -1;
};

int confined_to = -1;  // its descriptor, while an input runs

constexpr std::string_view ordinary = R"({"subsystems":[
  {"subsystem":"iobuf","config":[{"method":"iobuf_set_options","params":{
    "small_pool_count":512,"large_pool_count":32,"small_bufsize":8192,"large_bufsize":135168}}]},
  {"subsystem":"bdev","config":[{"method":"bdev_set_options","params":{
    "bdev_io_pool_size":512,"bdev_io_cache_size":8,"bdev_auto_examine":true,
    "iobuf_small_cache_size":8,"iobuf_large_cache_size":2}},
   {"method":"bdev_malloc_create","params":{
    "name":"ordinary","num_blocks":8,"block_size":512}}]}]})";

task<int> start_subsystems() {
  sio::detail::callback_wait done("the start of the subsystems");
  spdk_subsystem_init(sio::detail::callback_wait::on_done, &done);
  const int rc = co_await done;
  co_return rc;
}

task<void> stop_subsystems() {
  sio::detail::callback_wait done("the end of the subsystems");
  spdk_subsystem_fini([](void* wait) { sio::detail::callback_wait::on_done(0, wait); }, &done);
  co_await done;
}

class fuzzer {
 public:
  void run(std::string_view json) {
    confined_to = folder_.fd();
    if (start(json, false)) use_all();
    stop();
    start(ordinary, true);
    use("ordinary", true);
    stop();
    confined_to = -1;
  }

 private:
  // The steps of init_subsystems(), which does them once in a process.
  bool start(std::string_view json, bool must) {
    spdk_rpc_set_state(SPDK_RPC_STARTUP);
    const bool configured = load(json, must);
    const int rc = main_.run(start_subsystems(), "the start of the subsystems");
    check(rc == 0 || !must, "the subsystems do not start after another configuration");
    if (rc != 0) return false;
    spdk_rpc_set_state(SPDK_RPC_RUNTIME);
    if (configured) load(json, must);
    return true;
  }
  void stop() { main_.run(stop_subsystems(), "the end of the subsystems"); }

  bool load(std::string_view json, bool must) {
    auto loaded =
        main_.run(sio::detail::load_configuration(
                      std::string(json), sio::operation_kind::load_config, "configuration"),
                  "a configuration");
    if (loaded) return true;
    const std::string text = loaded.error().message();
    check(!must, "an ordinary configuration fails", text);
    check(loaded.error().code() != std::errc{}, "a failure with the code of a success", text);
    check(text.starts_with("configuration: ") && text.size() > 15, "no reason", text);
    check(text.find('\n') == text.npos, "a message of several lines", text);
    return false;
  }

  void use_all() {
    int left = 8;
    for (const auto& each : sio::list_bdevs()) {
      if (left-- == 0) break;
      use(each.name, false);
    }
  }

  // What takes long (a device that delays) is stopped; what an error device holds, here or further
  // down, no abort ends: a reset of that device does.
  void use(const std::string& name, bool must) {
    auto disk = sio::bdev_desc::open(name, sio::access::read_only);
    check(disk || !must, "an ordinary device does not open");
    if (!disk) return;
    auto buffer = sio::dma_buffer::zeroed(disk->bdev().block_size());
    if (!buffer) return;
    sio::local_stop_source stop;
    spdk_io_test::started reading(sio::with_stop_token(stop.get_token(), disk->read(*buffer, 0)));
    for (int i = 0; i < 100 && !reading.done(); ++i) main_.thread().poll();
    stop.request_stop();
    for (int i = 0; i < 1000 && !reading.done(); ++i) main_.thread().poll();
    if (!reading.done()) reset_all();
    main_.poll_until([&] { return reading.done(); }, "a read of " + name);
    const auto r = reading.take();
    check(r || !must, "an ordinary read fails");
    check(r || !r.error().message().empty(), "an I/O error without a message");
  }

  void reset_all() {
    for (const auto& each : sio::list_bdevs()) {
      auto disk = sio::bdev_desc::open(each.name, sio::access::read_only);
      if (disk) (void)main_.run(disk->reset(), "a reset of " + each.name);
    }
  }

  fuzz::environment main_{64};
  scratch_folder folder_;
  // The library counts on its own start; what follows stops the subsystems and starts them again.
  bool started_ = [this] {
    check(main_.run(sio::init_subsystems(ordinary), "the first start").has_value(),
          "the first start fails");
    stop();
    return true;
  }();
};

}  // namespace

int __wrap_open(const char* path, int flags, ...) {
  mode_t mode = 0;
  if ((flags & O_CREAT) != 0) {
    va_list args;
    va_start(args, flags);
    mode = va_arg(args, mode_t);
    va_end(args);
  }
  if (confined_to < 0) return __real_open(path, flags, mode);
  const std::string_view name(path);
  if (name.find('/') == name.npos && !name.starts_with('.')) {
    return ::openat(confined_to, path, flags, mode);
  }
  errno = EACCES;
  return -1;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzzer the_fuzzer;
  the_fuzzer.run({reinterpret_cast<const char*>(data), size});
  return 0;
}
