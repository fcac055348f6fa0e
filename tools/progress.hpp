// SPDX-License-Identifier: BSD-3-Clause
// The line at the bottom of the terminal that shows how far the job is.
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <string>

namespace spdk_io_tool {

class io_pass;

// Redraws itself a few times a second on stderr, where both that and stdout are a terminal;
// does nothing elsewhere. Thread: the loop's.
class progress {
 public:
  explicit progress(asio::io_context& ctx);
  ~progress() { clear(); }
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;

  // What is shown from now on. Requires: the pass outlives that, until clear() or the next.
  void show(const char* title, const io_pass& pass);
  void clear();

 private:
  void wait();
  void draw() const;

  asio::steady_timer timer_;
  bool terminal_;
  bool utf8_;
  const char* title_ = "";
  const io_pass* pass_ = nullptr;
};

// The text of that line, without escape codes, in at most `columns` columns. For tests.
std::string progress_line(const char* title, const io_pass& pass, std::size_t columns, bool utf8);

}  // namespace spdk_io_tool
