// SPDX-License-Identifier: BSD-3-Clause
// The system's <sys/queue.h> plus the traversals that survive removal of the current element,
// which glibc's copy lacks.
#pragma once

#include <sys/cdefs.h>
#include <sys/queue.h>

#ifndef SLIST_FOREACH_SAFE
#define SLIST_FOREACH_SAFE(var, head, field, next_var)                                       \
  for ((var) = SLIST_FIRST(head); (var) != NULL && ((next_var) = SLIST_NEXT(var, field), 1); \
       (var) = (next_var))
#endif

#ifndef LIST_FOREACH_SAFE
#define LIST_FOREACH_SAFE(var, head, field, next_var)                                      \
  for ((var) = LIST_FIRST(head); (var) != NULL && ((next_var) = LIST_NEXT(var, field), 1); \
       (var) = (next_var))
#endif

#ifndef STAILQ_FOREACH_SAFE
#define STAILQ_FOREACH_SAFE(var, head, field, next_var)                                        \
  for ((var) = STAILQ_FIRST(head); (var) != NULL && ((next_var) = STAILQ_NEXT(var, field), 1); \
       (var) = (next_var))
#endif

#ifndef TAILQ_FOREACH_SAFE
#define TAILQ_FOREACH_SAFE(var, head, field, next_var)                                       \
  for ((var) = TAILQ_FIRST(head); (var) != NULL && ((next_var) = TAILQ_NEXT(var, field), 1); \
       (var) = (next_var))
#endif

#ifndef TAILQ_FOREACH_REVERSE_SAFE
#define TAILQ_FOREACH_REVERSE_SAFE(var, head, headname, field, prev_var) \
  for ((var) = TAILQ_LAST(head, headname);                               \
       (var) != NULL && ((prev_var) = TAILQ_PREV(var, headname, field), 1); (var) = (prev_var))
#endif
