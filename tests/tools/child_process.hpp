// SPDX-License-Identifier: BSD-3-Clause
// The spdk-io command as a child process of a test, in an empty folder of its own.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace spdk_io_tool {

struct ended {
  int status = -1;  // the exit code, or -signal if a signal ended it
  std::string out;  // stdout; a terminal's stderr as well
  std::string err;
};

// A folder that lives as long as the object, with all that is in it.
class scratch_folder {
 public:
  scratch_folder();
  ~scratch_folder();
  scratch_folder(const scratch_folder&) = delete;
  scratch_folder& operator=(const scratch_folder&) = delete;

  const std::string& path() const noexcept { return path_; }
  std::string operator/(const std::string& name) const { return path_ + '/' + name; }
  std::vector<std::string> files() const;  // names

 private:
  std::string path_;
};

// Started at once, in `folder`, with stdout and stderr in files (or both on a new terminal).
// Signals have their default actions.
class child_process {
 public:
  enum class on { files, terminal };
  child_process(const std::string& folder, const std::vector<std::string>& command,
                on where = on::files);
  ~child_process();
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;

  pid_t id() const noexcept { return id_; }
  bool running();
  void signal(int number);
  ended wait();

 private:
  scratch_folder outputs_;
  pid_t id_ = -1;
  int raw_status_ = 0;
  bool reaped_ = false;
  int terminal_ = -1;  // our end
};

}  // namespace spdk_io_tool
