// SPDX-License-Identifier: BSD-3-Clause
// Command-line options of `spdk-io verify`.
#include "verify_options.hpp"

#include "option_values.hpp"
#include "units.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <unistd.h>

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <ranges>
#include <string_view>
#include <utility>
#include <vector>

namespace spdk_io_tool {
namespace {

constexpr std::uint32_t most_depth = 65536;
constexpr std::uint64_t most_request = std::uint64_t(64) << 20;

template <class T>
using names = std::initializer_list<std::pair<std::string_view, T>>;

// An option that takes one of a few words.
template <class T>
void add_choice(CLI::App& app, const char* option, T& out, names<T> known, const char* help) {
  auto set = [option, &out, known = std::vector(known)](const std::string& text) {
    auto found = std::ranges::find(known, text, &std::pair<std::string_view, T>::first);
    if (found == known.end()) {
      throw CLI::ValidationError(option, fmt::format("\"{}\" is none of {}", text,
                                                     fmt::join(std::views::keys(known), ", ")));
    }
    out = found->second;
  };
  app.add_option_function<std::string>(option, set, help)->type_name("KIND");
}

outcome<void> check_sizes(const verify_options& o) {
  if (o.block_size < 512 || o.block_size % 512 != 0 || o.block_size > most_request) {
    return refused(fmt::format("--block-size {} is not a multiple of 512 from 512 to {}",
                               o.block_size, format_size(most_request)));
  }
  if (o.size == 0 || o.size % o.block_size != 0) {
    return refused(fmt::format("--size {} is not a multiple, above 0, of --block-size {}", o.size,
                               o.block_size));
  }
  if (o.size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return refused(fmt::format("--size {} is more than a file can have", format_size(o.size)));
  }
  if (o.depth == 0 || o.depth > most_depth) {
    return refused(fmt::format("--depth {} is not from 1 to {}", o.depth, most_depth));
  }
  if (o.corrupt_block && *o.corrupt_block >= o.blocks()) {
    return refused(fmt::format("--corrupt-block {}: the blocks are 0 to {}", *o.corrupt_block,
                               o.blocks() - 1));
  }
  return {};
}

outcome<void> check_device(const verify_options& o) {
  if (o.device == device_kind::null) {
    return refused("--device null keeps nothing, so there is nothing to verify");
  }
  if (o.on_file()) return {};
  if (!o.file.empty() || o.overwrite || o.keep || o.corrupt_block) {
    return refused(
        "--device malloc has no file: leave out --file, --overwrite, --keep and "
        "--corrupt-block");
  }
  return {};
}

}  // namespace

CLI::App* add_verify(CLI::App& app, verify_options& o) {
  CLI::App* verify = app.add_subcommand(
      "verify", "Write a seeded pattern, read it back in random order, check every byte");
  verify
      ->add_option("--file", o.file,
                   "File or block device under test (default: a fresh file in the current "
                   "folder)")
      ->type_name("PATH")
      ->check([](const std::string& path) {
        return path.empty() ? std::string("the name is empty") : std::string();
      });
  verify
      ->add_option_function<std::string>(
          "--size", [&o](const std::string& text) { set_size(text, "--size", o.size); },
          "Bytes to test, with suffix K, M, G or T (default: 256M)")
      ->type_name("SIZE");
  verify
      ->add_option_function<std::string>(
          "--block-size",
          [&o](const std::string& text) { set_size(text, "--block-size", o.block_size); },
          "Bytes of a request (default: 4096)")
      ->type_name("SIZE");
  verify->add_option("--depth", o.depth, "Requests in flight (default: 32)")->type_name("NUMBER");
  verify
      ->add_option_function<std::string>(
          "--seed", [&o](const std::string& text) { set_seed(text, o.seed); },
          "Of pattern and order (default: random, and printed)")
      ->type_name("NUMBER");
  verify->add_option("--generation", o.generation, "Goes into the pattern (default: 1)")
      ->type_name("NUMBER");
  add_choice(*verify, "--device", o.device,
             {{"uring", device_kind::uring},
              {"aio", device_kind::aio},
              {"malloc", device_kind::malloc},
              {"null", device_kind::null}},
             "uring, aio or malloc (default: uring)");
  add_choice(*verify, "--idle", o.idle,
             {{"spin", idle_kind::spin}, {"backoff", idle_kind::backoff}},
             "spin or backoff, when there is nothing to do (default: backoff)");
  verify->add_flag("--overwrite", o.overwrite,
                   "Take an existing file or block device, and destroy what it holds");
  verify->add_flag("--keep", o.keep, "Do not remove the file afterwards");
  verify->add_flag("--hugepages", o.hugepages, "Take memory from hugepages");
  verify
      ->add_option("--corrupt-block", o.corrupt_block,
                   "For testing: flip a byte of that block in the file between the passes")
      ->type_name("NUMBER");
  return verify;
}

outcome<void> complete(verify_options& o) {
  if (auto ok = check_sizes(o); !ok) return ok;
  if (auto ok = check_device(o); !ok) return ok;
  if (o.file.empty() && o.on_file()) o.file = fmt::format("spdk-io-verify-{}.img", ::getpid());
  if (!o.seed) o.seed = random_seed();
  return {};
}

}  // namespace spdk_io_tool
