// SPDX-License-Identifier: BSD-3-Clause
// The files behind file devices.
#include "device_files.hpp"

#include <spdk/bdev.h>
#include <spdk/uuid.h>

#include <filesystem>
#include <map>
#include <mutex>
#include <system_error>

namespace spdk_io::inline SPDK_IO_ABI::detail {
namespace {

struct file_names {
  std::mutex mutex;
  std::map<std::string, std::string> by_uuid;
};

file_names& files() {
  static auto* f = new file_names;
  return *f;
}

}  // namespace

void remember_file(const std::string& uuid, const std::string& file) {
  std::error_code failed;
  auto absolute = std::filesystem::absolute(file, failed);
  if (failed) return;
  std::lock_guard lock(files().mutex);
  files().by_uuid[uuid] = absolute.string();
}

void forget_file(const std::string& uuid) {
  std::lock_guard lock(files().mutex);
  files().by_uuid.erase(uuid);
}

std::string file_of(const std::string& uuid) {
  std::lock_guard lock(files().mutex);
  auto found = files().by_uuid.find(uuid);
  return found == files().by_uuid.end() ? std::string() : found->second;
}

std::string uuid_of(const spdk_bdev* device) {
  char text[SPDK_UUID_STRING_LEN] = {};
  spdk_uuid_fmt_lower(text, sizeof(text), spdk_bdev_get_uuid(device));
  return text;
}

}  // namespace spdk_io::inline SPDK_IO_ABI::detail
