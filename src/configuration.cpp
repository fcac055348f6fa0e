// SPDX-License-Identifier: BSD-3-Clause
// Texts of SPDK's JSON configuration: written for calls, read from its log after failures.
#include "configuration.hpp"

#include "callback_wait.hpp"
#include "concat.hpp"
#include "log_capture.hpp"

#include <spdk/init.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

namespace spdk_io::inline SPDK_IO_ABI::detail {
namespace {

// What follows `key` in one of SPDK's error objects, e.g. {"code": -17, "message": "File exists"}.
std::string_view after(std::string_view text, std::string_view key) {
  auto at = text.find(key);
  if (at == text.npos) return {};
  text.remove_prefix(at + key.size());
  auto begin = text.find_first_not_of(" :\t\n");
  return begin == text.npos ? std::string_view() : text.substr(begin);
}

std::string_view string_value(std::string_view text) {
  if (text.empty() || text.front() != '"') return {};
  text.remove_prefix(1);
  return text.substr(0, text.find('"'));
}

constexpr int invalid_params = -32602;  // of JSON-RPC
constexpr std::string_view response_mark = "error response";

// SPDK tells by number why a text is no JSON.
std::string in_words(std::string_view line) {
  constexpr std::string_view mark = "Parsing JSON configuration failed (-";
  std::string_view why;
  if (line.starts_with(mark)) {
    switch (line.substr(mark.size()).front()) {
      case '1': why = ": it is not valid JSON"; break;
      case '2': why = ": the JSON text ends too early"; break;
      case '3': why = ": the JSON text is nested too deeply"; break;
      default: break;
    }
  }
  return concat(line, why);
}

// As the parsers see it: no surrogates, nothing beyond the last code point, no longer than needed.
bool is_utf8(std::string_view text) {
  auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  for (std::size_t i = 0; i < text.size();) {
    const unsigned lead = byte(i);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const std::size_t length = lead < 0xc2   ? 0
                               : lead < 0xe0 ? 2
                               : lead < 0xf0 ? 3
                               : lead < 0xf5 ? 4
                                             : 0;
    if (length == 0 || length > text.size() - i) return false;
    const unsigned least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const unsigned most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (byte(i + 1) < least || byte(i + 1) > most) return false;
    for (std::size_t next = 2; next < length; ++next) {
      if (byte(i + next) < 0x80 || byte(i + next) > 0xbf) return false;
    }
    i += length;
  }
  return true;
}

// The error lines that SPDK logged before the call's response: usually the real reason.
std::string first_reason(std::string_view log) {
  std::string_view line = log.substr(0, log.find('\n'));
  return line.starts_with(response_mark) ? std::string() : in_words(line);
}

}  // namespace

logged_failure read_failure(std::string_view log, int rc) {
  logged_failure out;
  out.code = std::errc{rc < 0 ? -rc : EINVAL};
  out.text = first_reason(log);
  auto at = log.find(response_mark);
  if (at == log.npos) {
    if (out.text.empty()) out.text = std::strerror(static_cast<int>(out.code));
    return out;
  }
  std::string_view response = log.substr(at);
  int code = 0;
  auto number = after(response, "\"code\"");
  std::from_chars(number.data(), number.data() + number.size(), code);
  // Below are JSON-RPC's own codes, e.g. -32602 for parameters of the wrong type.
  if (code < 0 && code > -4096) out.code = std::errc{-code};
  auto message = string_value(after(response, "\"message\""));
  if (out.text.empty() || out.text == message) {
    out.text = message;
  } else if (!message.empty()) {
    out.text = concat(message, " (", out.text, ")");
  }
  if (code == invalid_params || out.text.find("decode_object") != out.text.npos) {
    out.text += ": a parameter is missing, unknown, given twice, or has a value of the wrong kind";
  }
  return out;
}

// Not with a stream: that of a folder throws.
result<std::string> read_configuration_file(const std::string& path, std::string_view whose) {
  auto refuse = [&](std::errc code, std::string_view why) {
    return std::unexpected(error(code, operation_kind::load_config, concat(whose, ": ", why)));
  };
  // The system would look for what stands before it.
  if (path.find('\0') != path.npos) {
    return refuse(std::errc::invalid_argument, concat("the path \"", path, "\" contains a NUL"));
  }
  std::string text;
  std::FILE* file = std::fopen(path.c_str(), "rb");
  int code = file ? 0 : errno;
  if (file) {
    char chunk[4096];
    while (std::size_t got = std::fread(chunk, 1, sizeof(chunk), file)) text.append(chunk, got);
    if (std::ferror(file)) code = errno;
    std::fclose(file);
  }
  if (code != 0) {
    return refuse(std::errc{code}, concat("cannot read \"", path, "\": ", std::strerror(code)));
  }
  if (text.empty()) return refuse(std::errc::invalid_argument, concat("\"", path, "\" is empty"));
  return text;
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", static_cast<unsigned char>(c));
      out += escape;
    } else {
      out += c;
    }
  }
  return out + '"';
}

task<result<void>> load_configuration(std::string json, operation_kind kind, std::string what) {
  log_capture log;
  callback_wait done("a configuration call of SPDK");
  spdk_subsystem_load_config(json.data(), static_cast<ssize_t>(json.size()), callback_wait::on_done,
                             &done, true);
  int rc = co_await done;
  if (rc == 0) co_return result<void>();
  auto failure = read_failure(log.text(), rc);
  co_return std::unexpected(error(failure.code, kind, concat(what, ": ", failure.text)));
}

std::string one_call(std::string_view method, std::string_view params) {
  return concat(R"({"subsystems":[{"subsystem":"bdev","config":[{"method":)", quote(method),
                R"(,"params":)", params, "}]}]}");
}

task<result<void>> run_call(std::string method, std::string params, operation_kind kind,
                            std::string what, std::move_only_function<result<void>()> check) {
  auto home = co_await subsystem_thread();
  if (!home) co_return std::unexpected(home.error());
  std::string json = one_call(method, params);
  auto check_all = [&]() -> result<void> {
    if (check) {
      if (auto ok = check(); !ok) return ok;
    }
    if (is_utf8(json)) return {};
    return std::unexpected(
        error(std::errc::invalid_argument, kind,
              concat(what, ": names and paths must be UTF-8, as SPDK's configuration is")));
  };
  auto run = [&]() -> task<result<void>> {
    return load_configuration_in_turn(json, kind, what, check_all);
  };
  auto ran = co_await home->call(run);
  co_return ran;
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
