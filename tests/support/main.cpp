// SPDX-License-Identifier: BSD-3-Clause
// main() of the tests that need a running environment.
#include "spdk_test.hpp"

#include <cstdio>
#include <optional>
#include <string_view>

namespace spdk_io_test {
namespace {

std::optional<sio::thread> first_thread;

// Suites that need interrupt mode say so by their names. Run beside others, they skip.
bool only_interrupt_suites() {
  const auto& all = *testing::UnitTest::GetInstance();
  int with = 0;
  int without = 0;
  for (int i = 0; i < all.total_test_suite_count(); ++i) {
    const auto& suite = *all.GetTestSuite(i);
    if (!suite.should_run()) continue;
    ++(std::string_view(suite.name()).starts_with("interrupt_") ? with : without);
  }
  return with > 0 && without == 0;
}

class environment : public testing::Environment {
 public:
  void SetUp() override {
    auto env = sio::env::start({.name = "spdk_io_test",
                                .hugepages = false,
                                .pci = false,
                                .interrupt = only_interrupt_suites()});
    ASSERT_TRUE(env) << env.error();
    env_.emplace(std::move(*env));
    auto thread = sio::thread::attach("main");
    ASSERT_TRUE(thread) << thread.error();
    first_thread.emplace(std::move(*thread));
  }
  void TearDown() override {
    first_thread.reset();
    env_.reset();
  }

 private:
  std::optional<sio::env> env_;
};

}  // namespace

sio::thread& main_thread() { return *first_thread; }

}  // namespace spdk_io_test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  testing::AddGlobalTestEnvironment(new spdk_io_test::environment);
  std::printf("provider: %s\n", std::string(spdk_io::provider_version()).c_str());
  return RUN_ALL_TESTS();
}
