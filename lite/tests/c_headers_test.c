// SPDX-License-Identifier: BSD-3-Clause
// Every header compiles as C11, and the macros work in C.
#include "spdk/assert.h"
#include "spdk/bdev.h"
#include "spdk/bdev_module.h"
#include "spdk/bdev_zone.h"
#include "spdk/config.h"
#include "spdk/cpuset.h"
#include "spdk/dif.h"
#include "spdk/env.h"
#include "spdk/event.h"
#include "spdk/fd.h"
#include "spdk/fd_group.h"
#include "spdk/init.h"
#include "spdk/likely.h"
#include "spdk/log.h"
#include "spdk/nvme_spec.h"
#include "spdk/queue.h"
#include "spdk/rpc.h"
#include "spdk/stdinc.h"
#include "spdk/string.h"
#include "spdk/thread.h"
#include "spdk/util.h"
#include "spdk/uuid.h"
#include "spdk/version.h"

SPDK_LOG_REGISTER_COMPONENT(c_headers_test)

struct growing_options {
  size_t size;
  int old_field;
  int new_field;
};

/** A failed expectation names its line and ends the test. */
#define EXPECT(condition)                                     \
  do {                                                        \
    if (!(condition)) {                                       \
      fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
      return 1;                                               \
    }                                                         \
  } while (0)

static int check_option_macros(void) {
  struct growing_options options = {
      .size = offsetof(struct growing_options, new_field), .old_field = 1, .new_field = 2};
  EXPECT(SPDK_FIELD_VALID(&options, old_field));
  EXPECT(!SPDK_FIELD_VALID(&options, new_field));
  EXPECT(SPDK_GET_FIELD(&options, old_field, 9) == 1);
  EXPECT(SPDK_GET_FIELD(&options, new_field, 9) == 9);
  EXPECT(SPDK_GET_FIELD(&options, new_field, 9, sizeof(options)) == 2);
  EXPECT(SPDK_SIZEOF(&options, old_field) == offsetof(struct growing_options, new_field));
  return 0;
}

static int check_arithmetic(void) {
  EXPECT(SPDK_ALIGN_CEIL(5000u, 4096) == 8192u);
  EXPECT(SPDK_ALIGN_FLOOR(5000u, 4096) == 4096u);
  EXPECT(SPDK_CEIL_DIV(10, 3) == 4);
  EXPECT(spdk_align32pow2(5) == 8);
  EXPECT(spdk_align64pow2(64) == 64);
  EXPECT(spdk_u32_is_pow2(64) && !spdk_u32_is_pow2(0));
  EXPECT(SPDK_VERSION >= SPDK_VERSION_NUM(25, 5, 0));
  return 0;
}

static int check_flags(void) {
  SPDK_INFOLOG(c_headers_test, "%s is off\n", "this flag");
  EXPECT(!spdk_log_get_flag("c_headers_test"));
  EXPECT(spdk_log_set_flag("c_headers_*") == 0);
  EXPECT(spdk_log_get_flag("c_headers_test"));
  return 0;
}

int main(void) { return check_option_macros() || check_arithmetic() || check_flags(); }
