// SPDX-License-Identifier: BSD-3-Clause
// What is seen of the victims: results, resumptions, buffers, and code that runs when none may.
#pragma once

#include "target.hpp"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace lifetimes {

class failures {
 public:
  void expect(bool true_thing, std::string text) {
    if (!true_thing) all_.push_back(std::move(text));
  }
  const std::vector<std::string>& all() const noexcept { return all_; }

 private:
  std::vector<std::string> all_;
};

class witness {
 public:
  // While one of these lives, no code of the program's may run.
  class silence {
   public:
    silence(witness& w, std::string during) : witness_(w) { witness_.silence_ = std::move(during); }
    silence(const silence&) = delete;
    silence& operator=(const silence&) = delete;
    ~silence() { witness_.silence_ = {}; }

   private:
    witness& witness_;
  };

  explicit witness(failures& f) : failures_(f) {}

  void result(sio::result<void> r) {
    code_runs("a victim");
    results_.push_back(std::move(r));
  }
  void code_runs(std::string who) {
    failures_.expect(silence_.empty(), who + " ran during " + silence_);
  }
  const std::vector<sio::result<void>>& results() const noexcept { return results_; }

 private:
  failures& failures_;
  std::string silence_;  // empty: none
  std::vector<sio::result<void>> results_;
};

// Ordinary memory of exactly that size, so that ASan sees a byte too much, or too late.
class plain_buffer {
 public:
  plain_buffer() : bytes_(new std::byte[io_size]) { clear(); }
  sio::dma_span span() { return sio::dma_span::trusted({bytes_.get(), io_size}); }
  void clear() { std::ranges::fill(bytes(), poison); }
  bool is_clear() {
    return std::ranges::all_of(bytes(), [](std::byte b) { return b == poison; });
  }

 private:
  static constexpr std::byte poison{0xee};
  std::span<std::byte> bytes() { return {bytes_.get(), io_size}; }
  std::unique_ptr<std::byte[]> bytes_;
};

}  // namespace lifetimes
