/* SPDX-License-Identifier: BSD-3-Clause */
#include "transcript.h"

extern const struct family family_threads;
extern const struct family family_io_device;

const struct family* const families[] = {&family_threads, &family_io_device, NULL};
