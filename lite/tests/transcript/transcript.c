/* SPDX-License-Identifier: BSD-3-Clause */
#include "transcript.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { longest_line = 400 };

static FILE* record;
static char** expected; /* lines; NULL when recording */
static size_t expected_count;
static size_t expected_at;

static struct transcript_result result;
static const struct family* family_now;
static unsigned sequence_now;
static uint64_t seed_now;
static unsigned long first_call;
static bool differs; /* this sequence does: no more is compared */
static bool inside_call;
static char last_call[longest_line];

static uint64_t generator;

/* --- choosing: splitmix64 --- */

static uint64_t next_random(void) {
  uint64_t z = generator += 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

uint32_t pick(uint32_t n) { return (uint32_t)((next_random() >> 32) * n >> 32); }

bool chance(uint32_t percent) { return pick(100) < percent; }

void shuffle(unsigned* values, unsigned count) {
  for (unsigned i = count; i > 1; i--) {
    const unsigned other = pick(i);
    const unsigned value = values[i - 1];
    values[i - 1] = values[other];
    values[other] = value;
  }
}

/* --- lines --- */

static bool is_heading(const char* line) { return strncmp(line, "== ", 3) == 0; }

static void report(const char* want, const char* got) {
  printf("%s, sequence %u, seed 0x%016llx, step %lu (line %zu of the recording)\n",
         family_now->name, sequence_now, (unsigned long long)seed_now, result.calls - first_call,
         expected_at + 1);
  if (last_call[0] != '\0') {
    printf("  last call: %s\n", last_call);
  }
  printf("  expected:  %s\n  got:       %s\n", want, got);
  fflush(stdout);
  differs = true;
  result.differing++;
}

static const char* expected_line(void) {
  if (expected_at == expected_count || is_heading(expected[expected_at])) {
    return NULL;
  }
  return expected[expected_at];
}

static void emit(const char* line) {
  if (record != NULL) {
    fprintf(record, "%s\n", line);
    fflush(record);
    return;
  }
  if (differs) {
    return;
  }
  const char* const want = expected_line();
  if (want == NULL || strcmp(want, line) != 0) {
    report(want == NULL ? "(the end of the sequence)" : want, line);
    return;
  }
  expected_at++;
}

void about_to_call(void) { inside_call = true; }

void said(const char* format, ...) {
  char line[longest_line];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  inside_call = false;
  result.calls++;
  memcpy(last_call, line, sizeof line);
  emit(line);
}

void noted(const char* format, ...) {
  char line[longest_line];
  va_list args;
  line[0] = inside_call ? '>' : ' ';
  va_start(args, format);
  vsnprintf(line + 1, sizeof line - 1, format, args);
  va_end(args);
  emit(line);
}

/* FNV-1a */
uint32_t checksum(const void* data, size_t size) {
  const unsigned char* bytes = data;
  uint32_t hash = 0x811c9dc5u;
  for (size_t i = 0; i < size; i++) {
    hash = (hash ^ bytes[i]) * 0x01000193u;
  }
  return hash;
}

/* --- recording and checking --- */

static void read_lines(FILE* from) {
  char* line = NULL;
  size_t space = 0;
  ssize_t length;
  while ((length = getline(&line, &space, from)) >= 0) {
    if (length > 0 && line[length - 1] == '\n') {
      line[length - 1] = '\0';
    }
    if (strncmp(line, "# ", 2) == 0) {
      continue; /* a comment: what the file is */
    }
    expected = realloc(expected, (expected_count + 1) * sizeof *expected);
    if (expected == NULL) {
      abort();
    }
    expected[expected_count++] = strdup(line);
  }
  free(line);
}

void transcript_open(FILE* to, FILE* from) {
  record = to;
  if (from != NULL) {
    read_lines(from);
  }
}

void transcript_begin(const struct family* family, unsigned sequence) {
  family_now = family;
  sequence_now = sequence;
  seed_now = ((uint64_t)checksum(family->name, strlen(family->name)) << 32) + sequence;
  generator = seed_now;
  first_call = result.calls;
  differs = false;
  inside_call = false;
  last_call[0] = '\0';

  char heading[longest_line];
  snprintf(heading, sizeof heading, "== %s %u seed 0x%016llx", family->name, sequence,
           (unsigned long long)seed_now);
  if (record != NULL) {
    fprintf(record, "%s\n", heading);
    return;
  }
  /* One sequence may be run alone. */
  for (expected_at = 0; expected_at < expected_count; expected_at++) {
    if (strcmp(expected[expected_at], heading) == 0) {
      expected_at++;
      return;
    }
  }
  report("(not in the recording)", heading);
}

void transcript_end(void) {
  result.sequences++;
  if (record == NULL && !differs) {
    const char* const want = expected_line();
    if (want != NULL) {
      report(want, "(the end of the sequence)");
    }
  }
}

struct transcript_result transcript_close(void) {
  for (size_t i = 0; i < expected_count; i++) {
    free(expected[i]);
  }
  free(expected);
  return result;
}
