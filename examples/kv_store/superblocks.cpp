// SPDX-License-Identifier: BSD-3-Clause
#include "superblocks.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <system_error>

namespace kv {
namespace {

sio::error refused(std::errc code, const std::string& why) {
  return {code, sio::operation_kind::read, "kv: " + why};
}

sio::result<void> check(const superblock& super, const block_device& device) {
  if (super.block_size == 0 || super.block_size % device.block_size() != 0) {
    return std::unexpected(refused(std::errc::not_supported,
                                   "the store has blocks of " + std::to_string(super.block_size) +
                                       " bytes, the device of " +
                                       std::to_string(device.block_size())));
  }
  if (super.area_size > device.size() || super.area_end(1) > device.size()) {
    return std::unexpected(
        refused(std::errc::io_error, "the device has become smaller than the store on it"));
  }
  return {};
}

}  // namespace

sio::task<sio::result<superblock>> read_superblock(block_device& device) {
  const std::uint32_t block_size = device.block_size();
  auto blocks = sio::dma_buffer::allocate(2 * std::size_t{block_size});
  if (!blocks) co_return std::unexpected(blocks.error());
  if (auto r = co_await device.read(*blocks, 0); !r) co_return std::unexpected(r.error());

  std::array<superblock, 2> copies;
  std::array<superblock_state, 2> states{};
  for (std::size_t i : {0U, 1U}) {
    states[i] = decode(bytes_view(blocks->bytes()).subspan(i * block_size, block_size), copies[i]);
  }
  const auto any_is = [&](superblock_state s) { return states[0] == s || states[1] == s; };
  if (any_is(superblock_state::unknown_version)) {
    co_return std::unexpected(refused(std::errc::not_supported, "a store of another version"));
  }
  if (!any_is(superblock_state::valid)) {
    const bool damaged = any_is(superblock_state::damaged);
    co_return std::unexpected(
        damaged ? refused(std::errc::io_error, "no superblock is whole: the store is damaged")
                : refused(std::errc::no_such_device_or_address, "no store on this device"));
  }
  std::size_t chosen = states[0] == superblock_state::valid ? 0 : 1;
  if (states[1] == superblock_state::valid && copies[1].generation > copies[chosen].generation) {
    chosen = 1;
  }
  if (auto r = check(copies[chosen], device); !r) co_return std::unexpected(r.error());
  co_return copies[chosen];
}

sio::task<sio::result<void>> write_superblock(block_device& device, superblock what) {
  auto block = sio::dma_buffer::allocate(what.block_size);
  if (!block) co_return std::unexpected(block.error());
  encode(what, block->bytes());
  if (auto r = co_await device.write(*block, what.superblock_offset()); !r) co_return r;
  co_return co_await device.flush();
}

sio::task<sio::result<void>> renew_superblocks(block_device& device, superblock& what) {
  for (int copy = 0; copy < 2; ++copy) {
    ++what.generation;
    if (auto r = co_await write_superblock(device, what); !r) co_return r;
  }
  co_return sio::result<void>();
}

}  // namespace kv
