/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Performs the sequences of calls of one family. Records what they do, or checks that they do
 * what was recorded:
 *
 *   transcript_driver FAMILY --record FILE
 *   transcript_driver FAMILY --check FILE [--sequence N]
 *   transcript_driver FAMILY --print FILE [--sequence N]     what happens here, to look at
 *   transcript_driver --list
 */
#include "transcript.h"

#include <spdk/stdinc.h>

#include <spdk/version.h>
#include <stdlib.h>
#include <string.h>

enum { exit_same = 0, exit_differs = 1, exit_misuse = 2, exit_skipped = 77 };

/* What the recordings were made on. */
enum { recorded_major = 26, recorded_minor = 5 };

static int misuse(const char* text) {
  fprintf(stderr,
          "transcript_driver: %s\n"
          "usage: transcript_driver FAMILY --record FILE\n"
          "       transcript_driver FAMILY --check FILE [--sequence N]\n"
          "       transcript_driver FAMILY --print FILE [--sequence N]\n"
          "       transcript_driver --list\n",
          text);
  return exit_misuse;
}

static const struct family* find_family(const char* name) {
  for (const struct family* const* f = families; *f != NULL; f++) {
    if (strcmp((*f)->name, name) == 0) {
      return *f;
    }
  }
  return NULL;
}

static void run(const struct family* family, unsigned from, unsigned to) {
  family->start();
  for (unsigned i = from; i < to; i++) {
    transcript_begin(family, i);
    family->sequence(i);
    transcript_end();
  }
  family->stop();
}

static bool older_release(void) {
  return SPDK_VERSION < SPDK_VERSION_NUM(recorded_major, recorded_minor, 0);
}

static int verdict(const struct transcript_result* result) {
  if (result->differing == 0) {
    return exit_same;
  }
  if (SPDK_VERSION_MAJOR != recorded_major || SPDK_VERSION_MINOR != recorded_minor) {
    printf("skipped: %s is not v%d.%02d, which was recorded; releases differ\n",
           SPDK_VERSION_STRING, recorded_major, recorded_minor);
    return exit_skipped;
  }
  return exit_differs;
}

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "--list") == 0) {
    for (const struct family* const* f = families; *f != NULL; f++) {
      printf("%s\n", (*f)->name);
    }
    return 0;
  }
  if (argc != 4 && argc != 6) {
    return misuse("wrong number of arguments");
  }
  const struct family* const family = find_family(argv[1]);
  if (family == NULL) {
    return misuse("no such family");
  }
  const bool printing = strcmp(argv[2], "--print") == 0;
  const bool recording = printing || strcmp(argv[2], "--record") == 0;
  if (!recording && strcmp(argv[2], "--check") != 0) {
    return misuse("neither --record nor --check nor --print");
  }
  if (recording && !printing && strstr(SPDK_VERSION_STRING, "not SPDK") != NULL) {
    return misuse("what SPDK does is recorded on SPDK");
  }
  if (family->older != NULL && older_release()) {
    printf("skipped: %s\n", family->older);
    return exit_skipped;
  }
  unsigned from = 0;
  unsigned to = family->sequences;
  if (argc == 6) {
    from = (unsigned)strtoul(argv[5], NULL, 10);
    to = from + 1;
  }
  FILE* const file = fopen(argv[3], recording ? "w" : "r");
  if (file == NULL) {
    return misuse(argv[3]);
  }
  if (recording) {
    fprintf(file, "# Recorded on %s by transcript_driver %s.\n", SPDK_VERSION_STRING, family->name);
  }
  transcript_open(recording ? file : NULL, recording ? NULL : file);
  run(family, from, to);
  const struct transcript_result result = transcript_close();
  printf("%s: %u sequences, %lu calls, %u sequences differ\n", family->name, result.sequences,
         result.calls, result.differing);
  if (fclose(file) != 0) {
    return misuse("the recording could not be written");
  }
  return recording ? 0 : verdict(&result);
}
