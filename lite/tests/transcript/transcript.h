/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A transcript: what a sequence of calls returned and caused, line by line. The same program
 * records it on SPDK and is held to the recording elsewhere. Calls are chosen by a generator of
 * our own with a seed for each sequence, so that all sequences are independent.
 */
#ifndef TRANSCRIPT_H
#define TRANSCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* One kind of sequences; each family runs in a process of its own. */
struct family {
  const char* name;
  unsigned sequences;
  void (*start)(void);                 /* before the first sequence */
  void (*sequence)(unsigned sequence); /* leaves nothing behind */
  void (*stop)(void);
  const char* older; /* why older releases cannot be asked, or NULL */
};

extern const struct family* const families[]; /* ends with NULL */

/* --- choosing: never twice in one expression, whose order of evaluation is open --- */

uint32_t pick(uint32_t n); /* 0 … n-1 */
bool chance(uint32_t percent);
void shuffle(unsigned* values, unsigned count);

/* --- lines --- */

/* What is noted between about_to_call() and said() happened inside the call. */
void about_to_call(void);
/* A call and what it returned. */
void said(const char* format, ...) __attribute__((format(printf, 1, 2)));
/* What a call caused, at once or in a later poll. */
void noted(const char* format, ...) __attribute__((format(printf, 1, 2)));

uint32_t checksum(const void* data, size_t size);

/* --- recording and checking --- */

struct transcript_result {
  unsigned sequences;
  unsigned long calls;
  unsigned differing;
};

/* Records to `record`, or compares with `expected`; the other is NULL. */
void transcript_open(FILE* record, FILE* expected);
void transcript_begin(const struct family* family, unsigned sequence);
void transcript_end(void);
struct transcript_result transcript_close(void);

#endif
