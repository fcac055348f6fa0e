// SPDX-License-Identifier: BSD-3-Clause
// Groups of file descriptors on epoll. A nested group is a member of its parent through its own
// epoll descriptor.
#include "spdk/fd_group.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "spdk/log.h"
#include "spdk/string.h"

namespace {

struct member {
  int fd = -1;
  spdk_fd_type type = SPDK_FD_TYPE_DEFAULT;
  spdk_fd_fn fn = nullptr;
  void* arg = nullptr;
  /// The nested group that `fd` belongs to, if it is one.
  spdk_fd_group* child = nullptr;
  bool removed = false;
};

thread_local epoll_event* current_event = nullptr;

}  // namespace

struct spdk_fd_group {
  int epoll_fd = -1;
  spdk_fd_group* parent = nullptr;
  spdk_fd_group_wrapper_fn wrapper = nullptr;
  void* wrapper_arg = nullptr;
  std::vector<std::unique_ptr<member>> members;
  /// Removed while events are handed out, which may still point to them.
  std::vector<std::unique_ptr<member>> removed;
  int waits_in_progress = 0;
};

namespace {

auto find_member(spdk_fd_group& group, int fd) {
  return std::ranges::find(group.members, fd, [](const auto& m) { return m->fd; });
}

int add_member(spdk_fd_group& group, std::unique_ptr<member> m, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = m.get();
  if (epoll_ctl(group.epoll_fd, EPOLL_CTL_ADD, m->fd, &event) != 0) {
    const int error = errno;
    SPDK_ERRLOG("descriptor %d cannot be watched: %s\n", m->fd, spdk_strerror(error));
    return -error;
  }
  group.members.push_back(std::move(m));
  return 0;
}

/// 0, or -ENOENT.
int remove_member(spdk_fd_group& group, int fd) {
  const auto found = find_member(group, fd);
  if (found == group.members.end()) {
    return -ENOENT;
  }
  if (epoll_ctl(group.epoll_fd, EPOLL_CTL_DEL, fd, nullptr) != 0) {
    SPDK_ERRLOG("descriptor %d cannot be removed: %s\n", fd, spdk_strerror(errno));
  }
  std::unique_ptr<member> m = std::move(*found);
  group.members.erase(found);
  m->removed = true;
  if (group.waits_in_progress > 0) {
    group.removed.push_back(std::move(m));
  }
  return 0;
}

int wait_for_events(spdk_fd_group& group, int timeout);

void handle(spdk_fd_group& group, const member& m) {
  if (m.child != nullptr) {
    wait_for_events(*m.child, 0);
    return;
  }
  if (m.type == SPDK_FD_TYPE_EVENTFD) {
    std::uint64_t count = 0;
    if (read(m.fd, &count, sizeof count) < 0) {
      if (errno != EAGAIN && errno != EINTR) {
        SPDK_ERRLOG("descriptor %d cannot be read: %s\n", m.fd, spdk_strerror(errno));
      }
      return;
    }
  }
  if (group.wrapper != nullptr) {
    group.wrapper(group.wrapper_arg, m.fn, m.arg);
  } else {
    m.fn(m.arg);
  }
}

int wait_for_events(spdk_fd_group& group, int timeout) {
  std::vector<epoll_event> events(std::max<std::size_t>(group.members.size(), 1));
  const int count =
      epoll_wait(group.epoll_fd, events.data(), static_cast<int>(events.size()), timeout);
  if (count < 0) {
    const int error = errno;
    if (error != EINTR) {
      SPDK_ERRLOG("epoll_wait failed: %s\n", spdk_strerror(error));
    }
    return -error;
  }
  events.resize(static_cast<std::size_t>(count));
  ++group.waits_in_progress;
  for (epoll_event& event : events) {
    const auto& m = *static_cast<const member*>(event.data.ptr);
    if (m.removed) {
      continue;
    }
    current_event = &event;
    handle(group, m);
    current_event = nullptr;
  }
  if (--group.waits_in_progress == 0) {
    group.removed.clear();
  }
  return count;
}

}  // namespace

void spdk_fd_group_get_default_event_handler_opts(spdk_event_handler_opts* opts, size_t opts_size) {
  if (opts == nullptr || opts_size == 0) {
    SPDK_ERRLOG("options and their size are needed\n");
    return;
  }
  const spdk_event_handler_opts defaults{opts_size, EPOLLIN, SPDK_FD_TYPE_DEFAULT};
  std::memset(opts, 0, opts_size);
  std::memcpy(opts, &defaults, std::min(opts_size, sizeof defaults));
}

int spdk_fd_group_create(spdk_fd_group** fgrp) {
  if (fgrp == nullptr) {
    return -EINVAL;
  }
  const int fd = epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) {
    return -errno;
  }
  *fgrp = new spdk_fd_group;
  (*fgrp)->epoll_fd = fd;
  return 0;
}

void spdk_fd_group_destroy(spdk_fd_group* fgrp) {
  if (fgrp == nullptr || !fgrp->members.empty()) {
    SPDK_ERRLOG("a group that has descriptors is not destroyed\n");
    return;
  }
  close(fgrp->epoll_fd);
  delete fgrp;
}

int spdk_fd_group_wait(spdk_fd_group* fgrp, int timeout) {
  if (fgrp->parent != nullptr) {
    SPDK_WARNLOG("a nested group has no events of its own: wait for the outermost one\n");
    return timeout < 0 ? -EINVAL : 0;
  }
  return wait_for_events(*fgrp, timeout);
}

int spdk_fd_group_get_fd(spdk_fd_group* fgrp) { return fgrp->epoll_fd; }

int spdk_fd_group_nest(spdk_fd_group* parent, spdk_fd_group* child) {
  if (parent == nullptr || child == nullptr || child->parent != nullptr ||
      parent->wrapper != nullptr) {
    return -EINVAL;
  }
  auto m = std::make_unique<member>();
  m->fd = child->epoll_fd;
  m->child = child;
  const int rc = add_member(*parent, std::move(m), EPOLLIN);
  if (rc == 0) {
    child->parent = parent;
  }
  return rc;
}

int spdk_fd_group_unnest(spdk_fd_group* parent, spdk_fd_group* child) {
  if (parent == nullptr || child == nullptr || child->parent != parent) {
    return -EINVAL;
  }
  child->parent = nullptr;
  return remove_member(*parent, child->epoll_fd);
}

int spdk_fd_group_add(spdk_fd_group* fgrp, int efd, spdk_fd_fn fn, void* arg, const char* name) {
  return spdk_fd_group_add_for_events(fgrp, efd, EPOLLIN, fn, arg, name);
}

int spdk_fd_group_add_for_events(spdk_fd_group* fgrp, int efd, uint32_t events, spdk_fd_fn fn,
                                 void* arg, const char* name) {
  spdk_event_handler_opts opts{sizeof opts, events, SPDK_FD_TYPE_DEFAULT};
  return spdk_fd_group_add_ext(fgrp, efd, fn, arg, name, &opts);
}

int spdk_fd_group_add_ext(spdk_fd_group* fgrp, int efd, spdk_fd_fn fn, void* arg, const char*,
                          spdk_event_handler_opts* opts) {
  if (fgrp == nullptr || efd < 0 || fn == nullptr) {
    return -EINVAL;
  }
  if (find_member(*fgrp, efd) != fgrp->members.end()) {
    return -EEXIST;
  }
  spdk_event_handler_opts known{sizeof known, EPOLLIN, SPDK_FD_TYPE_DEFAULT};
  if (opts != nullptr) {
    std::memcpy(&known, opts, std::min(opts->opts_size, sizeof known));
  }
  auto m = std::make_unique<member>();
  m->fd = efd;
  m->fn = fn;
  m->arg = arg;
  m->type = static_cast<spdk_fd_type>(known.fd_type);
  return add_member(*fgrp, std::move(m), known.events);
}

void spdk_fd_group_remove(spdk_fd_group* fgrp, int efd) {
  if (fgrp == nullptr || efd < 0 || remove_member(*fgrp, efd) != 0) {
    SPDK_ERRLOG("descriptor %d is not in the group\n", efd);
  }
}

int spdk_fd_group_event_modify(spdk_fd_group* fgrp, int efd, int event_types) {
  if (fgrp == nullptr || efd < 0) {
    return -EINVAL;
  }
  const auto found = find_member(*fgrp, efd);
  if (found == fgrp->members.end()) {
    return -EINVAL;
  }
  epoll_event event{};
  event.events = static_cast<std::uint32_t>(event_types);
  event.data.ptr = found->get();
  return epoll_ctl(fgrp->epoll_fd, EPOLL_CTL_MOD, efd, &event);
}

int spdk_fd_group_get_epoll_event(epoll_event* event) {
  if (current_event == nullptr) {
    return -EINVAL;
  }
  *event = *current_event;
  return 0;
}

int spdk_fd_group_set_wrapper(spdk_fd_group* fgrp, spdk_fd_group_wrapper_fn cb_fn, void* cb_ctx) {
  if (fgrp->wrapper != nullptr && cb_fn != nullptr) {
    return -EEXIST;
  }
  if (std::ranges::any_of(fgrp->members, [](const auto& m) { return m->child != nullptr; })) {
    return -EINVAL;
  }
  fgrp->wrapper = cb_fn;
  fgrp->wrapper_arg = cb_ctx;
  return 0;
}
