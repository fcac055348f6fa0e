/* SPDX-License-Identifier: BSD-3-Clause */
/* Functions without state: strings, numbers, UUIDs, CPU sets, iovecs, PCI addresses. */
#include "runtime.h"
#include "transcript.h"

#include "spdk/cpuset.h"
#include "spdk/env.h"
#include "spdk/string.h"
#include "spdk/util.h"
#include "spdk/uuid.h"

enum { steps = 120, longest = 48 };

static void nothing(void) {}

/* Of characters that matter to the function. */
static void choose_text(char* text, const char* alphabet, unsigned most) {
  const unsigned length = pick(most + 1);
  const unsigned letters = (unsigned)strlen(alphabet);
  for (unsigned i = 0; i < length; i++) {
    text[i] = alphabet[pick(letters)];
  }
  text[length] = '\0';
}

/* What a terminal and a line of a transcript can show. */
static const char* shown(const char* text) {
  static char out[2][4 * longest + 8];
  static int which;
  if (text == NULL) {
    return "(null)";
  }
  which = !which;
  char* to = out[which];
  for (size_t i = 0; text[i] != '\0' && i < longest; i++) {
    const unsigned char c = (unsigned char)text[i];
    to += c >= 33 && c < 127 ? sprintf(to, "%c", c) : sprintf(to, "\\%02x", c);
  }
  *to = '\0';
  return out[which];
}

static void numbers(void) {
  static const char* const samples[] = {"0",
                                        "1",
                                        "-1",
                                        "+5",
                                        " 7",
                                        "7 ",
                                        "0x10",
                                        "010",
                                        "",
                                        "abc",
                                        "12ab",
                                        "2147483648",
                                        "9223372036854775807",
                                        "9223372036854775808",
                                        "-0",
                                        "99999999999999999999"};
  static const int bases[] = {10, 10, 16, 8, 0, 2};
  char text[longest];
  const int base = bases[pick(SPDK_COUNTOF(bases))];
  if (chance(40)) {
    choose_text(text, "0123456789-+x ab", 6);
  } else {
    snprintf(text, sizeof text, "%s", samples[pick(SPDK_COUNTOF(samples))]);
  }
  const long a = spdk_strtol(text, base);
  const long long b = spdk_strtoll(text, base);
  said("strtol %s base %d: %ld %lld", shown(text), base, a, b);
}

static void capacity(void) {
  static const char* const samples[] = {
      "1K", "2M",  "3G", "4k", "5KB", "0", "-1", "K", "1T", "1.5G", "99999999999999999999",
      "12", "7Kib"};
  char text[longest];
  if (chance(50)) {
    choose_text(text, "0123456789KMGkmgBbT ", 5);
  } else {
    snprintf(text, sizeof text, "%s", samples[pick(SPDK_COUNTOF(samples))]);
  }
  /* SPDK reads what it never set, if there is nothing to read. */
  if (text[strspn(text, " ")] == '\0') {
    text[0] = '7';
    text[1] = '\0';
  }
  uint64_t value = 12345;
  errno = 0;
  bool prefix = false;
  const int rc = spdk_parse_capacity(text, &value, &prefix);
  if (rc != 0) { /* what was left there says nothing */
    value = 0;
    prefix = false;
  }
  said("capacity %s: %d %" PRIu64 " %d", shown(text), rc, value, prefix);
}

static void address(void) {
  static const char* const samples[] = {
      "127.0.0.1:80", "[::1]:80", "[::1]", "host", "host:", ":80", "[::1]80", "[", "a:b:c"};
  char text[longest];
  if (chance(50)) {
    choose_text(text, "a1.:[]", 8);
  } else {
    snprintf(text, sizeof text, "%s", samples[pick(SPDK_COUNTOF(samples))]);
  }
  char before[longest];
  memcpy(before, text, sizeof before);
  char* host = NULL;
  char* port = NULL;
  const int rc = spdk_parse_ip_addr(text, &host, &port);
  said("address %s: %d", shown(before), rc);
  if (rc == 0) {
    noted("host %s", shown(host));
    noted("port %s", shown(port));
  }
}

static void in_place(void) {
  char text[longest];
  choose_text(text, "aB9 \t\n\r", 10);
  char copy[longest];
  const uint32_t kind = pick(3);
  memcpy(copy, text, sizeof copy);
  if (kind == 0) {
    char* const result = spdk_strlwr(copy);
    said("strlwr %s: %d", shown(text), result == copy);
  } else if (kind == 1) {
    char* const result = spdk_str_trim(copy);
    said("trim %s: %d", shown(text), result == copy);
  } else {
    const size_t gone = spdk_str_chomp(copy);
    said("chomp %s: %zu", shown(text), gone);
  }
  noted("%s", shown(copy));
}

static void fields(void) {
  char text[longest];
  choose_text(text, "ab,; '\"\\", 12);
  char copy[longest];
  memcpy(copy, text, sizeof copy);
  char* at = copy;
  said("strsepq %s", shown(text));
  for (int i = 0; i < 16; i++) {
    const char* const field = spdk_strsepq(&at, ",;");
    if (field == NULL) {
      break;
    }
    noted("%s", shown(field));
  }
}

static void arrays(void) {
  char text[longest];
  choose_text(text, "abc,, ;", 12);
  const char* const delimiters = chance(50) ? "," : ",;";
  char** const array = spdk_strarray_from_string(text, delimiters);
  said("array %s by %s: %d", shown(text), delimiters, array != NULL);
  if (array == NULL) {
    return;
  }
  char** const copy = spdk_strarray_dup((const char**)array);
  for (char** a = copy; *a != NULL; a++) {
    noted("%s", shown(*a));
  }
  spdk_strarray_free(copy);
  spdk_strarray_free(array);
}

static void padding(void) {
  char text[longest];
  char field[16];
  choose_text(text, "ab c", 20);
  const unsigned size = 1 + pick(15);
  const char pad = chance(50) ? ' ' : '\0';
  memset(field, '#', sizeof field);
  spdk_strcpy_pad(field, text, size, pad);
  const size_t length = spdk_strlen_pad(field, size, pad);
  said("pad %s to %u with %02x: %08x %zu", shown(text), size, pad, checksum(field, sizeof field),
       length);
}

static void replacing(void) {
  static const char* const searches[] = {"a", "ab", "b"};
  static const char* const replacements[] = {"", "x", "long", "a"};
  char text[longest];
  char out[longest];
  choose_text(text, "abc", 10);
  const size_t size = 1 + pick(20);
  const char* const search = searches[pick(SPDK_COUNTOF(searches))];
  const char* const replacement = replacements[pick(SPDK_COUNTOF(replacements))];
  memset(out, 0, sizeof out);
  const int rc = spdk_strcpy_replace(out, size, text, search, replacement);
  said("replace %s in %s by %s, %zu bytes: %d", search, shown(text), replacement, size, rc);
  if (rc == 0) {
    noted("%s", shown(out));
  }
}

static void errors(void) {
  static const int numbers_[] = {0,     EINVAL, ENOMEM, ENODEV,  EBADF,
                                 EPERM, 133,    5000,   ENOTSUP, EBUSY};
  const int number = numbers_[pick(SPDK_COUNTOF(numbers_))];
  char text[64];
  spdk_strerror_r(number, text, sizeof text);
  said("strerror %d: %s same %d", number, spdk_strerror(number),
       strcmp(text, spdk_strerror(number)) == 0);
}

static void formatting(void) {
  const int number = (int)pick(100000);
  char* text = spdk_sprintf_alloc("%d-%s", number, "x");
  text = spdk_sprintf_append_realloc(text, "+%08x", number);
  said("sprintf %d: %s", number, text);
  free(text);
}

static void zeroes(void) {
  unsigned char bytes[64] = {0};
  const unsigned size = pick(65);
  const unsigned at = pick(64);
  bytes[at] = chance(50) ? 1 : 0;
  said("all zero %u, %u at %u: %d", size, bytes[at], at, spdk_mem_all_zero(bytes, size));
}

static void uuids(void) {
  static const char* const samples[] = {"01234567-89ab-cdef-0123-456789abcdef",
                                        "01234567-89AB-CDEF-0123-456789ABCDEF",
                                        "00000000-0000-0000-0000-000000000000",
                                        "0123456789abcdef0123456789abcdef",
                                        "01234567-89ab-cdef-0123-456789abcde",
                                        "01234567-89ab-cdef-0123-456789abcdefa",
                                        "g1234567-89ab-cdef-0123-456789abcdef",
                                        "",
                                        "0-1-2-3-4",
                                        "{01234567-89ab-cdef-0123-456789abcdef}"};
  static const struct spdk_uuid last = {.u.raw = {1, 0x23, 0x45, 0x67, 0x89}};
  struct spdk_uuid uuid;
  memset(&uuid, 0, sizeof uuid);
  const char* const text = samples[pick(SPDK_COUNTOF(samples))];
  const int rc = spdk_uuid_parse(&uuid, text);
  char out[SPDK_UUID_STRING_LEN] = "";
  const size_t size = chance(80) ? sizeof out : pick(37);
  const int format_rc = rc == 0 ? spdk_uuid_fmt_lower(out, size, &uuid) : 0;
  int order = rc == 0 ? spdk_uuid_compare(&uuid, &last) : 0;
  order = order < 0 ? -1 : order > 0;
  said("uuid %s: %d, %zu bytes %d %s null %d order %d", text, rc, size, format_rc,
       format_rc == 0 ? out : "-", rc == 0 && spdk_uuid_is_null(&uuid), order);
  if (rc == 0) {
    struct spdk_uuid named;
    const int sha_rc = spdk_uuid_generate_sha1(&named, &uuid, text, strlen(text));
    spdk_uuid_fmt_lower(out, sizeof out, &named);
    noted("sha1 %d %s", sha_rc, out);
  }
}

static void cpus(void) {
  static const char* const samples[] = {"0x3",    "[0,2-3]", "f",       "0xF0F,00", "[1-]",
                                        "[3-1]",  "",        "[]",      "xyz",      "[1023]",
                                        "[1024]", "0x",      "[0 , 2]", "1,2"};
  char text[longest];
  if (chance(45)) {
    choose_text(text, "[]0123456789,-xfF ", 8);
  } else {
    snprintf(text, sizeof text, "%s", samples[pick(SPDK_COUNTOF(samples))]);
  }
  struct spdk_cpuset set;
  struct spdk_cpuset other;
  memset(&set, 0, sizeof set);
  memset(&other, 0, sizeof other);
  const int rc = spdk_cpuset_parse(&set, text);
  said("cpuset %s: %d", shown(text), rc != 0 ? (rc < 0 ? -1 : 1) : 0);
  if (rc != 0) {
    return;
  }
  noted("%u of them: %s", spdk_cpuset_count(&set), spdk_cpuset_fmt(&set));
  spdk_cpuset_set_cpu(&other, pick(16), true);
  spdk_cpuset_set_cpu(&other, 1, true);
  const uint32_t kind = pick(4);
  struct spdk_cpuset result;
  spdk_cpuset_copy(&result, &set);
  switch (kind) {
    case 0: spdk_cpuset_and(&result, &other); break;
    case 1: spdk_cpuset_or(&result, &other); break;
    case 2: spdk_cpuset_xor(&result, &other); break;
    default: spdk_cpuset_negate(&result);
  }
  noted("op %u: %u %d %d %08x", kind, spdk_cpuset_count(&result), spdk_cpuset_get_cpu(&result, 1),
        spdk_cpuset_equal(&result, &set), checksum(result.cpus, sizeof result.cpus));
}

static unsigned make_iovs(struct iovec* iovs, char* memory) {
  const unsigned count = pick(5);
  size_t at = 0;
  for (unsigned i = 0; i < count; i++) {
    iovs[i].iov_base = memory + at;
    iovs[i].iov_len = pick(20);
    at += iovs[i].iov_len;
  }
  return count;
}

static void iovecs(void) {
  char from[100];
  char to[100];
  struct iovec source[5];
  struct iovec target[5];
  for (size_t i = 0; i < sizeof from; i++) {
    from[i] = (char)(i * 7 + 1);
  }
  memset(to, 0, sizeof to);
  const unsigned source_count = make_iovs(source, from);
  const unsigned target_count = make_iovs(target, to);
  const uint32_t kind = pick(6);
  size_t result = 0;
  switch (kind) {
    case 0: result = spdk_iovcpy(source, source_count, target, target_count); break;
    case 1: result = spdk_iovmove(source, source_count, target, target_count); break;
    case 2: spdk_iov_memset(target, (int)target_count, 9); break;
    case 3: spdk_copy_iovs_to_buf(to, sizeof to, source, (int)source_count); break;
    case 4: spdk_copy_buf_to_iovs(target, (int)target_count, from, sizeof from); break;
    default: {
      struct spdk_iov_xfer transfer;
      const size_t first = pick(30);
      spdk_iov_xfer_init(&transfer, target, (int)target_count);
      result = spdk_iov_xfer_from_buf(&transfer, from, first);
      result = result * 100 + spdk_iov_xfer_from_buf(&transfer, from + first, 30);
    }
  }
  said("iovecs %u, %u of %u: %zu %08x", kind, source_count, target_count, result,
       checksum(to, sizeof to));
}

static void arithmetic(void) {
  const uint32_t shift = pick(33);
  const uint32_t x = (uint32_t)((uint64_t)pick(UINT32_MAX) >> shift) + 2;
  const uint32_t divisor = 1 + pick(1000);
  uint64_t state = x;
  const uint64_t random = spdk_rand_xorshift64(&state);
  said("arithmetic %u: %u %u %d %u %" PRIu64 " %" PRIu64 " %" PRIx64, x, spdk_u32log2(x),
       (unsigned)spdk_u64log2((uint64_t)x << 20), spdk_u32_is_pow2(x),
       x < 1u << 30 ? spdk_align32pow2(x) : 0, spdk_divide_round_up(x, divisor),
       spdk_round_up(x, divisor), random);
}

static void pci(void) {
  static const char* const samples[] = {"0000:81:00.1", "1.2.3.4",      "81:00.1",
                                        "81",           "0000:81:20.0", "nvme",
                                        "0000:81:00.8", "ffff:ff:1f.7", "1:2:3"};
  char text[longest];
  if (chance(50)) {
    choose_text(text, "0123f:.", 12);
  } else {
    snprintf(text, sizeof text, "%s", samples[pick(SPDK_COUNTOF(samples))]);
  }
  struct spdk_pci_addr pci_address;
  struct spdk_pci_addr low = {.domain = 0, .bus = 0x40, .dev = 1, .func = 0};
  memset(&pci_address, 0, sizeof pci_address);
  const int rc = spdk_pci_addr_parse(&pci_address, text);
  char out[32] = "";
  const size_t size = chance(80) ? sizeof out : pick(14);
  const int format_rc = rc == 0 ? spdk_pci_addr_fmt(out, size, &pci_address) : 0;
  int order = rc == 0 ? spdk_pci_addr_compare(&pci_address, &low) : 0;
  order = order < 0 ? -1 : order > 0;
  said("pci %s: %d, %zu bytes %d %s order %d", shown(text), rc, size, format_rc,
       rc == 0 && format_rc == 0 ? out : "-", order);
}

static void sequence(unsigned number) {
  static void (*const functions[])(void) = {
      numbers, capacity,   address, in_place, fields, arrays, padding,    replacing,
      errors,  formatting, zeroes,  uuids,    cpus,   iovecs, arithmetic, pci};
  (void)number;
  for (int i = 0; i < steps; i++) {
    functions[pick(SPDK_COUNTOF(functions))]();
  }
}

const struct family family_strings = {"strings", 16, runtime_silence, sequence, nothing, NULL};
