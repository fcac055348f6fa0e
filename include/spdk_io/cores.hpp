// SPDX-License-Identifier: BSD-3-Clause
// The cores that SPDK's environment was given (its core mask).
#pragma once

#include <spdk_io/abi.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>

namespace spdk_io::inline SPDK_IO_ABI {

// The range of core numbers, ascending; empty while there is no environment. Under the
// application framework each core has a reactor, and run_on() runs code there. Any thread.
//   for (std::uint32_t core : spdk_io::cores()) …
class core_range {
 public:
  class iterator {
   public:
    using value_type = std::uint32_t;
    using difference_type = std::ptrdiff_t;

    iterator() = default;
    explicit iterator(std::uint32_t core) noexcept : core_(core) {}
    std::uint32_t operator*() const noexcept { return core_; }
    iterator& operator++() noexcept;
    iterator operator++(int) noexcept {
      iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(iterator, iterator) = default;

   private:
    std::uint32_t core_ = UINT32_MAX;
  };

  iterator begin() const noexcept;
  iterator end() const noexcept { return iterator(); }
  std::size_t size() const noexcept;
  bool empty() const noexcept { return size() == 0; }
};

inline core_range cores() noexcept { return {}; }

// The core of the calling OS thread, if it is one that SPDK's environment runs on: the OS thread
// that started it, or a reactor.
std::optional<std::uint32_t> current_core() noexcept;

// The lowest; nothing while there is no environment.
std::optional<std::uint32_t> first_core() noexcept;

}  // namespace spdk_io::inline SPDK_IO_ABI
