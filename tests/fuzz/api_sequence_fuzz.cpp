// SPDX-License-Identifier: BSD-3-Clause
// The input is a sequence of calls: devices are made, opened, used, resized and removed, operations
// awaited in every manner, stopped and destroyed, handles and threads dropped, in whichever order.
// A model knows what each block may hold and which errors have a cause; at the end nothing is left.
#include "api_sequence/world.hpp"
#include "fuzz.hpp"

namespace {

// Few bdev_ios, so that operations wait for them.
constexpr std::string_view configuration = R"({"subsystems":[{"subsystem":"bdev","config":[{
  "method":"bdev_set_options","params":{"bdev_io_pool_size":24,"bdev_io_cache_size":4}}]}]})";

class fuzzer {
 public:
  fuzzer() {
    fuzz::check(env_.run(fuzz::sio::init_subsystems(configuration), "the start").has_value(),
                "the start fails");
  }
  void run(fuzz::reader in) {
    fuzz::world w(env_, in);
    for (int left = 400; left > 0 && !in.empty(); --left) w.step();
    w.end();
  }

 private:
  fuzz::environment env_{512};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzzer the_fuzzer;
  the_fuzzer.run(fuzz::reader({data, size}));
  return 0;
}
