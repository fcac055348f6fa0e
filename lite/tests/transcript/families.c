/* SPDX-License-Identifier: BSD-3-Clause */
#include "transcript.h"

extern const struct family family_threads;
extern const struct family family_io_device;
extern const struct family family_bdev;
extern const struct family family_pool;
extern const struct family family_env;
extern const struct family family_strings;
extern const struct family family_config;
extern const struct family family_malloc;
extern const struct family family_null;
extern const struct family family_aio;
extern const struct family family_uring;
extern const struct family family_malloc_ops;
extern const struct family family_null_ops;
extern const struct family family_aio_ops;
extern const struct family family_modules;

const struct family* const families[] = {
    &family_threads,  &family_io_device, &family_bdev,    &family_pool,
    &family_env,      &family_strings,   &family_config,  &family_malloc,
    &family_null,     &family_aio,       &family_uring,   &family_malloc_ops,
    &family_null_ops, &family_aio_ops,   &family_modules, NULL};
