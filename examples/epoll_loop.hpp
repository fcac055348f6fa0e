// SPDX-License-Identifier: BSD-3-Clause
// A plain epoll loop as an executor: file descriptors of the application and of SPDK, and posted
// callables.
#pragma once
#include <sys/epoll.h>
#include <unistd.h>
#include <deque>
#include <functional>
#include <map>

class epoll_loop {
 public:
  struct one_shot {  // an executor's watch: f once, when the file is readable
    epoll_loop* loop;
    int fd;
    ~one_shot() { cancel(); }
    void start(std::function<void()> f) {
      loop->watch(fd, [l = loop, fd = fd, f = std::move(f)] { l->unwatch(fd), f(); });
    }
    void cancel() { loop->unwatch(fd); }
  };
  struct executor {  // all that spdk_io::poller_task() and run_until() ask for
    epoll_loop* loop;
    one_shot new_watch(int fd) { return {loop, fd}; }
    void post(std::function<void()> f) { loop->posted_.push_back(std::move(f)); }
    bool run_one() { return loop->run_one(); }
    const char* name() const { return "an epoll loop"; }
  };

  ~epoll_loop() { close(epoll_); }
  void watch(int fd, std::function<void()> on_readable) {
    epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
    watched_[fd] = std::move(on_readable);
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }
  void unwatch(int fd) {
    if (watched_.erase(fd) != 0) epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  }
  bool run_one() {
    epoll_event events[16];
    int ready = epoll_wait(epoll_, events, 16, posted_.empty() ? -1 : 0);
    for (int i = 0; i < ready; ++i) {
      auto found = watched_.find(events[i].data.fd);
      if (found == watched_.end()) continue;
      auto on_readable = found->second;  // it may end its watch
      on_readable();
    }
    for (auto left = posted_.size(); left > 0; --left) {
      auto f = std::move(posted_.front());
      posted_.pop_front();
      f();
    }
    return true;
  }
  int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  std::map<int, std::function<void()>> watched_;
  std::deque<std::function<void()>> posted_;
};
