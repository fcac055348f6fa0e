// SPDX-License-Identifier: BSD-3-Clause
// The lock files of cores: advisory locks that the kernel drops with the process, and the owner's
// process id as content.
#include "core_locks.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>

#include "spdk/env.h"
#include "spdk/log.h"
#include "spdk/string.h"

namespace {

/// Descriptors of the locked files by core.
std::map<std::uint32_t, int> locked;

std::string file_of(std::uint32_t core) {
  std::array<char, 48> name{};
  std::snprintf(name.data(), name.size(), "/var/tmp/spdk_cpu_lock_%03u", core);
  return name.data();
}

/// The process that has written its id into the file, or 0.
int owner_of(int fd) {
  int pid = 0;
  return pread(fd, &pid, sizeof pid, 0) == sizeof pid ? pid : 0;
}

bool lock_core(std::uint32_t core) {
  const std::string name = file_of(core);
  const int fd = open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (fd < 0) {
    SPDK_ERRLOG("%s cannot be opened: %s\n", name.c_str(), spdk_strerror(errno));
    return false;
  }
  struct flock whole{};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (fcntl(fd, F_SETLK, &whole) != 0) {
    SPDK_ERRLOG(
        "core %u is in use, probably by process %d, which has locked %s: choose other cores "
        "(reactor_mask, -m), or do without the lock (disable_cpumask_locks, "
        "--disable-cpumask-locks)\n",
        core, owner_of(fd), name.c_str());
    close(fd);
    return false;
  }
  const int pid = getpid();
  if (pwrite(fd, &pid, sizeof pid, 0) != sizeof pid) {
    SPDK_ERRLOG("%s cannot be written: %s\n", name.c_str(), spdk_strerror(errno));
    close(fd);
    return false;
  }
  locked[core] = fd;
  return true;
}

}  // namespace

namespace spdk_lite {

bool lock_cores() {
  std::uint32_t core = 0;
  SPDK_ENV_FOREACH_CORE(core) {
    if (!locked.contains(core) && !lock_core(core)) {
      unlock_cores();
      return false;
    }
  }
  return true;
}

void unlock_cores() {
  for (const auto& [core, fd] : locked) {
    close(fd);
    unlink(file_of(core).c_str());
  }
  locked.clear();
}

}  // namespace spdk_lite
