// SPDX-License-Identifier: BSD-3-Clause
// The input is an error: any code, operation, fault, NVMe status, device name and numbers. Its
// message is one line, never empty, and the same each time, whichever way it is formatted.
#include "fuzz.hpp"

#ifdef SPDK_IO_FUZZ_FMT
#include <spdk_io/fmt.hpp>
#endif

#include <algorithm>
#include <sstream>

namespace {

namespace sio = fuzz::sio;
using fuzz::check;

sio::error::io decode_io(fuzz::reader& in) {
  sio::error::io io;
  io.code = static_cast<std::errc>(static_cast<std::int32_t>(in.number(4)));
  io.what = static_cast<sio::operation_kind>(in.u8());
  io.why = static_cast<sio::fault>(in.u8() & 0x7f);
  io.status = {in.u8(), in.u8()};
  io.offset = in.number(8);
  io.length = in.number(8);
  io.source = in.number(8);
  io.device_size = in.number(8);
  io.block_size = static_cast<std::uint32_t>(in.number(4));
  io.device = (in.u8() & 1) != 0 ? sio::intern_device_name(in.text(in.u8()))
                                 : static_cast<std::uint32_t>(in.number(4));
  return io;
}

sio::error decode(fuzz::reader& in) {
  if ((in.u8() & 1) == 0) return sio::error(decode_io(in));
  const auto code = static_cast<std::errc>(static_cast<std::int32_t>(in.number(4)));
  const auto what = static_cast<sio::operation_kind>(in.u8());
  return sio::error(code, what, in.text(in.u8()));
}

void expect_same_text(const sio::error& e, const std::string& text) {
  check(e.message() == text, "a message that changes", text);
  std::ostringstream out;
  out << e;
  check(out.str() == text, "operator<< says something else", out.str());
#ifdef SPDK_IO_FUZZ_FMT
  check(fmt::format("{}", e) == text, "fmt says something else", fmt::format("{}", e));
#endif
  try {
    sio::result<int> failed = std::unexpected(e);
    (void)failed.value();
    fuzz::found("value() of a failure returns");
  } catch (const std::system_error& thrown) {
    check(thrown.what() == std::string(text.c_str()), "what() says something else", text);
    check(thrown.code() == e.error_code(), "an exception with another code", text);
  }
}

void look_at(const sio::error& e) {
  const std::string text = e.message();
  check(!text.empty(), "a message that is empty");
  check(std::ranges::none_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; }),
        "control characters in a message", text);
  expect_same_text(e, text);
  check(e == e.code() && !(e != e.code()), "unequal to its own code", text);
  check(e.error_code() == std::make_error_code(e.code()), "another std::error_code", text);
  check(!e.error_code().message().empty(), "a std::error_code without a message", text);

  const sio::error late = e.as_timed_out();
  check(late == std::errc::timed_out && late.why() == sio::fault::timed_out, "not timed out", text);
  check(!late.message().empty(), "a time-out without a message");
  check(late.offset() == e.offset() && late.device() == e.device(), "timed out elsewhere", text);
}

void look_at(const sio::operation_info& info) {
  check(!info.what().empty() && !info.message().empty(), "an operation without a text");
  check(info == sio::operation_info(info), "an operation unequal to its copy", info.message());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::reader in({data, size});
  for (int left = 64; left > 0 && !in.empty(); --left) {
    const sio::error e = decode(in);
    look_at(e);
    look_at(sio::operation_info{.kind = e.what(),
                                .state = static_cast<sio::operation_state>(in.u8()),
                                .device = e.device(),
                                .offset = e.offset(),
                                .length = e.length(),
                                .source = e.source()});
  }
  return 0;
}
