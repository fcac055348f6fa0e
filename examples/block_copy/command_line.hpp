// SPDX-License-Identifier: BSD-3-Clause
// What the program is told.
#pragma once

#include "copy_job.hpp"
#include "device_spec.hpp"

#include <expected>
#include <span>
#include <string>
#include <string_view>

namespace block_copy {

inline constexpr std::string_view usage =
    "usage: blockcopy [OPTION ...] SOURCE DESTINATION\n"
    "SOURCE and DESTINATION, each one of\n"
    "  [aio:]PATH           a file or block device, through Linux AIO\n"
    "  uring:PATH           the same through io_uring, which cannot flush\n"
    "  malloc:SIZE[:BLOCK]  memory, to try things out; BLOCK bytes in a block, or 512\n"
    "  bdev:NAME            a device of the configuration\n"
    "--config FILE          SPDK's configuration, as JSON\n"
    "--hugepages            use hugepages, and PCI devices: for NVMe drives\n"
    "--offset SIZE          where to begin on the source, 0 if not given\n"
    "--length SIZE          how much, else all to the source's end\n"
    "--to SIZE              where to begin on the destination, 0 if not given\n"
    "--chunk SIZE           of a read or write, 256k if not given\n"
    "--depth N              chunks that are read ahead and written behind, 16 if not given\n"
    "--resume-from SIZE     so much of the range is there already\n"
    "--no-verify            do not read the destination afterwards\n"
    "--progress             say on stderr how far it is\n"
    "SIZE is a number of bytes, or one with k, M, G or T behind it. Offsets and lengths may be "
    "any.\n"
    "Exit status: 0 copied, and verified unless told not to; 1 an error, or they differ; 2 bad\n"
    "usage; 130 stopped by Ctrl-C (128 plus the signal), what is there is durable.\n";

struct command_line {
  device_spec source;
  device_spec destination;
  std::string config;  // empty: none
  bool hugepages = false;
  bool progress = false;
  copy_options options;
};

// What is wrong with them, in a line, otherwise.
std::expected<command_line, std::string> parse(std::span<const std::string_view> arguments);

}  // namespace block_copy
