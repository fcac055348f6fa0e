// SPDX-License-Identifier: BSD-3-Clause
#include "command_line.hpp"

#include "texts.hpp"

#include <limits>
#include <utility>
#include <vector>

namespace block_copy {
namespace {

std::unexpected<std::string> wrong(std::string_view what, std::string_view text) {
  return std::unexpected(std::string(what) + ": " + std::string(text));
}

std::expected<void, std::string> set_number(command_line& line, std::string_view option,
                                            std::string_view text) {
  const auto number = parse_size(text);
  if (!number) return wrong(option, "not a size: \"" + std::string(text) + '"');
  copy_options& o = line.options;
  if (option == "--offset") o.offset = *number;
  if (option == "--length") o.length = *number;
  if (option == "--to") o.to = *number;
  if (option == "--resume-from") o.resume_from = *number;
  if (option == "--chunk") o.chunk = *number;
  if (option != "--depth") return {};
  if (*number > std::numeric_limits<std::uint32_t>::max()) return wrong(option, "too large");
  o.depth = static_cast<std::uint32_t>(*number);
  return {};
}

bool takes_number(std::string_view option) {
  for (auto each : {"--offset", "--length", "--to", "--resume-from", "--chunk", "--depth"}) {
    if (option == each) return true;
  }
  return false;
}

}  // namespace

std::expected<command_line, std::string> parse(std::span<const std::string_view> arguments) {
  command_line line;
  std::vector<std::string_view> devices;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view each = arguments[i];
    if (!each.starts_with("--")) {
      devices.push_back(each);
    } else if (each == "--no-verify") {
      line.options.verify = false;
    } else if (each == "--hugepages") {
      line.hugepages = true;
    } else if (each == "--progress") {
      line.progress = true;
    } else if (each != "--config" && !takes_number(each)) {
      return wrong(each, "no such option");
    } else if (++i == arguments.size()) {
      return wrong(each, "its value is missing");
    } else if (each == "--config") {
      line.config = arguments[i];
    } else if (auto r = set_number(line, each, arguments[i]); !r) {
      return std::unexpected(r.error());
    }
  }
  if (devices.size() != 2) {
    return std::unexpected(std::string("one SOURCE and one DESTINATION are needed"));
  }
  for (auto [text, into] : {std::pair{devices[0], &line.source}, {devices[1], &line.destination}}) {
    auto spec = parse_device(text);
    if (!spec) return std::unexpected(spec.error());
    *into = std::move(*spec);
  }
  return line;
}

}  // namespace block_copy
