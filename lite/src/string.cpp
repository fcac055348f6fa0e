// SPDX-License-Identifier: BSD-3-Clause
// String helpers of the C API.
#include "spdk/string.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>

namespace {

char* copy_of(std::string_view text) { return strndup(text.data(), text.size()); }

/// strtol() and strtoll() with the checks that the callers want: all of the text, not negative.
template <typename Number>
Number parse_number(const char* text, int base, Number (*convert)(const char*, char**, int)) {
  char* end = nullptr;
  errno = 0;
  const Number value = convert(text, &end, base);
  if (errno != 0) {
    return -errno;
  }
  if (*end != '\0') {
    return -EINVAL;
  }
  return value >= 0 ? value : -ERANGE;
}

std::size_t count_fields(std::string_view text, std::string_view delimiters) {
  return 1 + static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [&](char c) {
           return delimiters.find(c) != std::string_view::npos;
         }));
}

char** empty_string_array(std::size_t count) {
  return static_cast<char**>(std::calloc(count + 1, sizeof(char*)));
}

bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

}  // namespace

char* spdk_vsprintf_append_realloc(char* buffer, const char* format, va_list args) {
  va_list measured;
  va_copy(measured, args);
  const int added = std::vsnprintf(nullptr, 0, format, measured);
  va_end(measured);
  if (added < 0) {
    return nullptr;
  }
  const std::size_t old_length = buffer != nullptr ? std::strlen(buffer) : 0;
  const std::size_t room = static_cast<std::size_t>(added) + 1;
  char* const grown = static_cast<char*>(std::realloc(buffer, old_length + room));
  if (grown != nullptr) {
    std::vsnprintf(grown + old_length, room, format, args);
  }
  return grown;
}

char* spdk_sprintf_append_realloc(char* buffer, const char* format, ...) {
  va_list args;
  va_start(args, format);
  char* const result = spdk_vsprintf_append_realloc(buffer, format, args);
  va_end(args);
  return result;
}

char* spdk_vsprintf_alloc(const char* format, va_list args) {
  return spdk_vsprintf_append_realloc(nullptr, format, args);
}

char* spdk_sprintf_alloc(const char* format, ...) {
  va_list args;
  va_start(args, format);
  char* const result = spdk_vsprintf_alloc(format, args);
  va_end(args);
  return result;
}

char* spdk_strlwr(char* s) {
  for (char* c = s; c != nullptr && *c != '\0'; ++c) {
    *c = static_cast<char>(std::tolower(static_cast<unsigned char>(*c)));
  }
  return s;
}

char* spdk_str_trim(char* s) {
  if (s == nullptr) {
    return nullptr;
  }
  std::string_view text{s};
  while (!text.empty() && is_space(text.front())) {
    text.remove_prefix(1);
  }
  while (!text.empty() && is_space(text.back())) {
    text.remove_suffix(1);
  }
  std::memmove(s, text.data(), text.size());
  s[text.size()] = '\0';
  return s;
}

size_t spdk_str_chomp(char* s) {
  const std::size_t before = std::strlen(s);
  std::size_t length = before;
  while (length > 0 && (s[length - 1] == '\n' || s[length - 1] == '\r')) {
    s[--length] = '\0';
  }
  return before - length;
}

char* spdk_strsepq(char** stringp, const char* delim) {
  char* const field = *stringp;
  if (field == nullptr) {
    return nullptr;
  }
  const std::string_view delimiters{delim};
  const auto is_delimiter = [&](char c) { return delimiters.find(c) != std::string_view::npos; };
  const char* in = field;
  char* out = field;
  char quote = '\0';
  for (; *in != '\0' && *in != '\n'; ++in) {
    // Within single quotes a backslash is an ordinary character.
    if (*in == '\\' && quote != '\'') {
      if (in[1] == '\0' || in[1] == '\n') {
        ++in;
        break;
      }
      *out++ = *++in;
    } else if (quote != '\0' && *in == quote) {
      quote = '\0';
    } else if (quote == '\0' && (*in == '"' || *in == '\'')) {
      quote = *in;
    } else if (quote == '\0' && is_delimiter(*in)) {
      ++in;
      break;
    } else {
      *out++ = *in;
    }
  }
  while (*in != '\0' && is_delimiter(*in)) {
    ++in;
  }
  *stringp = *in != '\0' ? field + (in - field) : nullptr;
  *out = '\0';
  return field;
}

void spdk_strerror_r(int errnum, char* buf, size_t buflen) {
  const char* const text = strerror_r(errnum, buf, buflen);
  if (text != buf) {
    std::snprintf(buf, buflen, "%s", text);
  }
}

const char* spdk_strerror(int errnum) {
  static thread_local std::array<char, 256> text;
  spdk_strerror_r(errnum, text.data(), text.size());
  return text.data();
}

void spdk_strcpy_pad(void* dst, const char* src, size_t size, int pad) {
  const std::size_t length = strnlen(src, size);
  std::memcpy(dst, src, length);
  std::memset(static_cast<char*>(dst) + length, pad, size - length);
}

size_t spdk_strlen_pad(const void* str, size_t size, int pad) {
  const auto* const bytes = static_cast<const unsigned char*>(str);
  while (size > 0 && bytes[size - 1] == static_cast<unsigned char>(pad)) {
    --size;
  }
  return size;
}

int spdk_parse_ip_addr(char* ip, char** host, char** port) {
  if (ip == nullptr) {
    return -EINVAL;
  }
  *host = nullptr;
  *port = nullptr;
  char* rest = nullptr;
  if (ip[0] == '[') {
    char* const bracket = std::strchr(ip, ']');
    if (bracket == nullptr) {
      return -EINVAL;
    }
    *bracket = '\0';
    *host = ip + 1;
    rest = bracket + 1;
    if (*rest != '\0' && *rest != ':') {
      return -EINVAL;
    }
  } else {
    *host = ip;
    rest = ip + std::strcspn(ip, ":");
  }
  if (*rest == ':') {
    *rest = '\0';
    *port = rest[1] != '\0' ? rest + 1 : nullptr;
  }
  return 0;
}

int spdk_parse_capacity(const char* cap_str, uint64_t* cap, bool* has_prefix) {
  char* end = nullptr;
  const unsigned long long value = std::strtoull(cap_str, &end, 10);  // too much is the most
  if (end == cap_str) {
    return -EINVAL;
  }
  unsigned shift = 0;
  switch (*end) {
    case '\0': break;
    case 'k':
    case 'K': shift = 10; break;
    case 'm':
    case 'M': shift = 20; break;
    case 'g':
    case 'G': shift = 30; break;
    default: return -EINVAL;
  }
  *cap = std::uint64_t{value} << shift;
  if (has_prefix != nullptr) {
    *has_prefix = *end != '\0';
  }
  return 0;
}

bool spdk_mem_all_zero(const void* data, size_t size) {
  const auto* const bytes = static_cast<const unsigned char*>(data);
  return std::all_of(bytes, bytes + size, [](unsigned char byte) { return byte == 0; });
}

long int spdk_strtol(const char* nptr, int base) { return parse_number<long>(nptr, base, strtol); }

long long int spdk_strtoll(const char* nptr, int base) {
  return parse_number<long long>(nptr, base, strtoll);
}

char** spdk_strarray_from_string(const char* str, const char* delim) {
  std::string_view rest{str};
  const std::string_view delimiters{delim};
  const std::size_t count = count_fields(rest, delimiters);
  char** const result = empty_string_array(count);
  for (std::size_t i = 0; result != nullptr && i < count; ++i) {
    const std::string_view field = rest.substr(0, rest.find_first_of(delimiters));
    result[i] = copy_of(field);
    if (result[i] == nullptr) {
      spdk_strarray_free(result);
      return nullptr;
    }
    rest.remove_prefix(std::min(field.size() + 1, rest.size()));
  }
  return result;
}

char** spdk_strarray_dup(const char** strarray) {
  std::size_t count = 0;
  while (strarray[count] != nullptr) {
    ++count;
  }
  char** const result = empty_string_array(count);
  for (std::size_t i = 0; result != nullptr && i < count; ++i) {
    result[i] = copy_of(strarray[i]);
    if (result[i] == nullptr) {
      spdk_strarray_free(result);
      return nullptr;
    }
  }
  return result;
}

void spdk_strarray_free(char** strarray) {
  for (char** string = strarray; string != nullptr && *string != nullptr; ++string) {
    std::free(*string);
  }
  std::free(strarray);
}

int spdk_strcpy_replace(char* dst, size_t size, const char* src, const char* search,
                        const char* replace) {
  if (dst == nullptr || src == nullptr || search == nullptr || replace == nullptr) {
    return -EINVAL;
  }
  const std::string_view needle{search};
  std::string text{src};
  for (std::size_t at = text.find(needle); !needle.empty() && at != std::string::npos;
       at = text.find(needle, at + std::strlen(replace))) {
    text.replace(at, needle.size(), replace);
  }
  if (text.size() >= size) {
    return -EINVAL;
  }
  std::memcpy(dst, text.c_str(), text.size() + 1);
  return 0;
}
