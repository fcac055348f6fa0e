// SPDX-License-Identifier: BSD-3-Clause
// What the fuzzers share: bytes read as numbers, checks that end the process with a message, and
// the environment, which starts once. Polls are counted: nothing here looks at a clock.
#pragma once

#include <spdk_io/spdk_io.hpp>

#include "started.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <utility>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace fuzz {

namespace sio = spdk_io;

// A finding: libFuzzer keeps the input, the replay names its file.
[[noreturn]] inline void found(std::string_view what) {
  std::fprintf(stderr, "FOUND: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}
inline void check(bool holds, std::string_view what) {
  if (!holds) [[unlikely]]
    found(what);
}
inline void check(bool holds, std::string_view what, const std::string& context) {
  if (!holds) [[unlikely]]
    found(std::string(what) + ": " + context);
}

// The input, taken byte by byte; zeroes after its end.
class reader {
 public:
  explicit reader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  bool empty() const { return at_ >= bytes_.size(); }
  std::uint8_t u8() { return empty() ? 0 : bytes_[at_++]; }
  std::uint64_t number(int bytes) {
    std::uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value |= std::uint64_t{u8()} << (8 * i);
    return value;
  }
  // At most that many.
  std::string_view text(std::size_t length) {
    const std::size_t n = std::min(length, bytes_.size() - std::min(at_, bytes_.size()));
    std::string_view out(reinterpret_cast<const char*>(bytes_.data()) + at_, n);
    at_ += n;
    return out;
  }

 private:
  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
};

// The environment and the first thread, from the first input to the end of the process.
class environment {
 public:
  explicit environment(int memory_mib)
      : env_(sio::env::start({.name = "spdk_io_fuzz",
                              .memory_mib = memory_mib,
                              .hugepages = false,
                              .pci = false})
                 .value()),
        thread_(sio::thread::attach("main").value()) {}

  sio::thread& thread() { return thread_; }

  // So many polls are far more than anything here takes: who needs more waits for ever.
  template <class Done>
  void poll_until(Done done, std::string_view what, long most = 5'000'000) {
    for (long i = 0; !done(); ++i) {
      if (i == most) hang(what);
      thread_.poll();
    }
  }
  template <class A>
  auto run(A what, std::string_view name) {
    spdk_io_test::started<A> running(std::move(what));
    poll_until([&] { return running.done(); }, name);
    return running.take();
  }

 private:
  [[noreturn]] void hang(std::string_view what) {
    for (const auto& each : thread_.operations()) {
      std::fprintf(stderr, "  left: %s\n", each.message().c_str());
    }
    found("never ends: " + std::string(what));
  }

  sio::env env_;
  sio::thread thread_;
};

}  // namespace fuzz
