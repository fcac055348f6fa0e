// SPDX-License-Identifier: BSD-3-Clause
// Which devices there are: registration and removal, open descriptors and their events.
#include "bdev_internal.hpp"
#include "spdk/log.h"

#include <cassert>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <string_view>

namespace spdk_lite {
namespace {

using bdev_list = tail_queue<spdk_bdev, &spdk_bdev::link>;

struct registry {
  std::mutex mutex;  ///< taken before a device's
  std::map<std::string, spdk_bdev*, std::less<>> names;
  bdev_list bdevs;
};

registry& the_registry() {
  static auto& instance = *new registry;
  return instance;
}

std::string uuid_name(const spdk_bdev& bdev) {
  char text[SPDK_UUID_STRING_LEN];
  spdk_uuid_fmt_lower(text, sizeof(text), &bdev.uuid);
  return text;
}

void log_claimed(const spdk_bdev* bdev) {
  SPDK_ERRLOG("bdev %s already claimed: type exclusive_write by module %s\n", bdev->name.c_str(),
              bdev->claimed_by->name);
}

void ignore_event(spdk_bdev_event_type /*type*/, spdk_bdev* /*bdev*/, void* /*ctx*/) {}

// --- descriptors: the functions ending in _locked need registry and device to be locked ---

int check_hidden_metadata(const spdk_bdev* bdev) {
  if (bdev->md_len == 0) {
    return 0;  // nothing to hide
  }
  SPDK_ERRLOG("the metadata of bdev %s cannot be hidden%s\n", bdev->name.c_str(),
              bdev->md_interleave ? " by this stand-in for SPDK" : ": it is not in the blocks");
  return bdev->md_interleave ? -ENOTSUP : -EINVAL;
}

spdk_bdev_desc* open_locked(spdk_bdev* bdev, bool write, spdk_bdev_event_cb_t cb, void* arg) {
  if (bdev->state != spdk_bdev::phase::ready) {
    return nullptr;
  }
  auto* desc = new spdk_bdev_desc;
  desc->bdev = bdev;
  desc->thread = spdk_get_thread();
  desc->event_cb = cb;
  desc->event_arg = arg;
  desc->write = write;
  qos_start_locked(bdev);
  spdk_bdev_desc** end = &bdev->open_descs;
  while (*end != nullptr) {
    end = &(*end)->next;
  }
  *end = desc;
  return desc;
}

template <spdk_bdev_event_type Type>
void deliver_event(void* arg) {
  auto* desc = static_cast<spdk_bdev_desc*>(arg);
  bool closed = false;
  {
    const std::lock_guard lock(desc->mutex);
    closed = desc->closed;
    desc->references -= closed ? 0 : 1;
  }
  if (closed) {
    desc_release(desc);
  } else {
    desc->event_cb(Type, desc->bdev, desc->event_arg);
  }
}

/// By message, so that nothing of the user's runs inside this call or under a lock.
template <spdk_bdev_event_type Type>
void notify_locked(spdk_bdev* bdev) {
  for (spdk_bdev_desc* desc = bdev->open_descs; desc != nullptr; desc = desc->next) {
    desc_hold(desc);
    spdk_thread_send_msg(desc->thread, deliver_event<Type>, desc);
  }
}

struct alias : spdk_bdev_alias {
  explicit alias(const char* name, spdk_bdev* bdev) : text(name) {
    spdk_bdev_alias::alias = {text.data(), bdev};
  }
  std::string text;
};

bool add_name_locked(const std::string& name, spdk_bdev* bdev) {
  if (the_registry().names.emplace(name, bdev).second) {
    return true;
  }
  SPDK_ERRLOG("the bdev name %s is taken\n", name.c_str());
  return false;
}

void remove_alias_locked(spdk_bdev* bdev, spdk_bdev_alias* entry) {
  TAILQ_REMOVE(&bdev->aliases, entry, tailq);
  the_registry().names.erase(entry->alias.name);
  delete static_cast<alias*>(entry);
}

void remove_aliases_locked(spdk_bdev* bdev) {
  while (spdk_bdev_alias* entry = TAILQ_FIRST(&bdev->aliases)) {
    remove_alias_locked(bdev, entry);
  }
}

/// True if nothing keeps the device any more: its io_device is then to be unregistered.
bool take_out_locked(spdk_bdev* bdev) {
  if (bdev->open_descs != nullptr) {
    notify_locked<SPDK_BDEV_EVENT_REMOVE>(bdev);
    return false;
  }
  if (bdev->qos_change_in_progress) {
    return false;  // its end does it
  }
  registry& r = the_registry();
  remove_aliases_locked(bdev);
  r.names.erase(bdev->name);
  r.bdevs.remove(bdev);
  return bdev->reset_in_progress == nullptr;  // else the reset's end does it
}

bool close_locked(spdk_bdev* bdev, spdk_bdev_desc* desc) {
  spdk_bdev_desc** it = &bdev->open_descs;
  while (*it != desc) {
    it = &(*it)->next;
  }
  *it = desc->next;
  bool idle = false;
  {
    const std::lock_guard lock(desc->mutex);
    desc->closed = true;
    idle = desc->references == 0;
  }
  if (idle) {
    delete desc;
  }
  if (bdev->qos != nullptr && bdev->open_descs == nullptr) {
    qos_stop_locked(bdev);
  }
  return bdev->state == spdk_bdev::phase::removing && bdev->open_descs == nullptr &&
         take_out_locked(bdev);
}

void unregister_device(spdk_bdev* bdev) { spdk_io_device_unregister(&bdev->handle, bdev_destroy); }

// --- removal ---

void abort_on_channel(spdk_io_channel_iter* i) {
  abort_queued_ios(to_bdev_channel(spdk_io_channel_iter_get_channel(i)));
  spdk_for_each_channel_continue(i, 0);
}

void start_removal(spdk_io_channel_iter* i, int /*status*/) {
  bdev_continue_removal(spdk_io_channel_iter_get_ctx(i));
}

struct unregister_all {
  void (*done)(void*);
  void* arg;

  static void next(void* arg, int /*rc*/) {
    auto* self = static_cast<unregister_all*>(arg);
    registry& r = the_registry();
    spdk_bdev* last = nullptr;
    spdk_bdev* last_claimed = nullptr;
    {
      const std::lock_guard lock(r.mutex);
      for (spdk_bdev* it = r.bdevs.front(); it != nullptr; it = bdev_list::next(it)) {
        if (it->state == spdk_bdev::phase::ready) {
          (it->claimed_by == nullptr ? last : last_claimed) = it;
        }
      }
    }
    // From the top: what is built on a device goes before it.
    if (last = last != nullptr ? last : last_claimed; last != nullptr) {
      spdk_bdev_unregister(last, next, self);
      return;
    }
    // By message: the device that just went may still be in use further up the stack.
    spdk_thread_send_msg(spdk_get_thread(), self->done, self->arg);
    delete self;
  }
};

// --- registration ---

void examine(spdk_bdev* bdev) {
  spdk_bdev_opts opts;
  spdk_bdev_get_opts(&opts, sizeof(opts));
  if (!opts.bdev_auto_examine || !bdev->supports(SPDK_BDEV_IO_TYPE_READ)) {
    return;
  }
  for (spdk_bdev_module* module : bdev_modules()) {
    if (module->examine != nullptr) {
      module->examine(bdev);
    }
  }
}

void end_of_examine(void* arg) { spdk_bdev_close(static_cast<spdk_bdev_desc*>(arg)); }

std::uint32_t max_write_blocks(const spdk_bdev& bdev, std::uint64_t bytes) {
  const std::uint64_t block = bdev.block_len + (bdev.md_interleave ? 0 : bdev.md_len);
  const std::uint64_t blocks = (bytes - (bdev.buf_align() - 1)) / block;
  return static_cast<std::uint32_t>(blocks - blocks % bdev.write_unit_size);
}

void fill_in_defaults(spdk_bdev& bdev) {
  for (int type = SPDK_BDEV_IO_TYPE_READ; type < SPDK_BDEV_NUM_IO_TYPES; ++type) {
    if (bdev.io_type_supported(static_cast<spdk_bdev_io_type>(type))) {
      bdev.io_types |= 1U << type;
    }
  }
  const auto or_else = [](auto& value, auto fallback) {
    value = value != 0 ? value : static_cast<std::remove_reference_t<decltype(value)>>(fallback);
  };
  or_else(bdev.write_unit_size, 1U);
  or_else(bdev.acwu, bdev.write_unit_size);
  or_else(bdev.phys_block_len, spdk_bdev_get_data_block_size(&bdev));
  const std::uint64_t large = buffer_pool_get_options().large_size;
  if (bdev.buf_align() > 1) {
    // What may have to be bounced must fit into one buffer.
    or_else(bdev.max_rw_size, UINT32_MAX);
    bdev.max_rw_size = std::min(bdev.max_rw_size, max_write_blocks(bdev, large));
  }
  if (!bdev.supports(SPDK_BDEV_IO_TYPE_COPY)) {
    bdev.max_copy = max_write_blocks(bdev, large);
  }
  if (!bdev.supports(SPDK_BDEV_IO_TYPE_WRITE_ZEROES)) {
    const std::uint32_t zeroes = max_write_blocks(bdev, zero_buffer_size);
    bdev.max_write_zeroes = zeroes;
    if (bdev.split_on_optimal_io_boundary && bdev.optimal_io_boundary != 0) {
      bdev.max_write_zeroes = std::min(bdev.optimal_io_boundary, zeroes);
    }
  }
}

int add_names(spdk_bdev* bdev) {
  registry& r = the_registry();
  const std::string uuid = uuid_name(*bdev);
  if (uuid != bdev->name) {
    if (const int rc = spdk_bdev_alias_add(bdev, uuid.c_str()); rc != 0) {
      return rc;
    }
  }
  const std::lock_guard lock(r.mutex);
  if (!add_name_locked(bdev->name, bdev)) {
    remove_aliases_locked(bdev);
    return -EEXIST;
  }
  r.bdevs.push_back(bdev);
  return 0;
}

/// Leaves are those that nothing is built on.
spdk_bdev* leaf_from(spdk_bdev* bdev) {
  while (bdev != nullptr && bdev->claimed_by != nullptr) {
    bdev = spdk_bdev_next(bdev);
  }
  return bdev;
}

template <class Next>
int for_each(spdk_bdev* first, Next next, void* ctx, spdk_for_each_bdev_fn fn) {
  registry& r = the_registry();
  std::unique_lock registry_lock(r.mutex);
  for (spdk_bdev* bdev = first; bdev != nullptr;) {
    spdk_bdev_desc* desc = nullptr;
    {
      const std::lock_guard lock(bdev->mutex);
      desc = open_locked(bdev, false, ignore_event, nullptr);
    }
    if (desc == nullptr) {
      bdev = next(bdev);
      continue;
    }
    registry_lock.unlock();
    const int rc = fn(ctx, bdev);
    registry_lock.lock();
    spdk_bdev* following = next(bdev);
    bool gone = false;
    {
      const std::lock_guard lock(bdev->mutex);
      gone = close_locked(bdev, desc);
    }
    if (gone) {
      unregister_device(bdev);
    }
    if (rc != 0) {
      return rc;
    }
    bdev = following;
  }
  return 0;
}

}  // namespace

int bdev_register(spdk_bdev* bdev) {
  assert(spdk_thread_is_app_thread(nullptr));
  if (bdev->name.empty()) {
    SPDK_ERRLOG("a bdev needs a name\n");
    return -EINVAL;
  }
  if (spdk_uuid_is_null(&bdev->uuid)) {
    spdk_uuid_generate(&bdev->uuid);
  }
  fill_in_defaults(*bdev);
  stat_reset(bdev->stat, SPDK_BDEV_RESET_STAT_ALL);
  bdev->stat.ticks_rate = spdk_get_ticks_hz();
  TAILQ_INIT(&bdev->aliases);
  bdev->handle.bdev = bdev;
  spdk_io_device_register(&bdev->handle, bdev_channel_create, bdev_channel_destroy,
                          sizeof(bdev_channel), ("bdev_" + bdev->name).c_str());
  if (const int rc = add_names(bdev); rc != 0) {
    spdk_io_device_unregister(&bdev->handle, nullptr);
    return rc;
  }
  // Held open until the next poll, so that it does not go while modules look at it.
  spdk_bdev_desc* desc = nullptr;
  {
    const std::lock_guard lock(bdev->mutex);
    desc = open_locked(bdev, false, ignore_event, nullptr);
  }
  examine(bdev);
  return spdk_bdev_wait_for_examine(end_of_examine, desc);
}

int bdev_claim(spdk_bdev_desc* desc, spdk_bdev_module* module) {
  const std::lock_guard registry_lock(the_registry().mutex);
  const std::lock_guard lock(desc->bdev->mutex);
  if (desc->bdev->claimed_by != nullptr) {
    log_claimed(desc->bdev);
    return -EPERM;
  }
  desc->write = true;
  desc->bdev->claimed_by = module;
  return 0;
}

void bdev_release(spdk_bdev* bdev) {
  const std::lock_guard registry_lock(the_registry().mutex);
  const std::lock_guard lock(bdev->mutex);
  assert(bdev->claimed_by != nullptr);
  bdev->claimed_by = nullptr;
}

void bdev_destruct_done(spdk_bdev* bdev) {
  if (bdev->unregister_cb != nullptr) {
    bdev->unregister_cb(bdev->unregister_arg, 0);
  }
}

void bdev_destroy(void* io_device) {
  if (!spdk_thread_is_app_thread(nullptr)) {
    spdk_thread_send_msg(spdk_thread_get_app_thread(), bdev_destroy, io_device);
    return;
  }
  spdk_bdev* bdev = static_cast<spdk_bdev::device_handle*>(io_device)->bdev;
  const spdk_bdev_unregister_cb cb = bdev->unregister_cb;
  void* arg = bdev->unregister_arg;
  qos_free(bdev);
  const bool later = bdev->destruct_takes_time();
  bdev->destruct();
  if (cb != nullptr && !later) {
    cb(arg, 0);
  }
}

void desc_hold(spdk_bdev_desc* desc) {
  const std::lock_guard lock(desc->mutex);
  ++desc->references;
}

void desc_release(spdk_bdev_desc* desc) {
  bool last = false;
  {
    const std::lock_guard lock(desc->mutex);
    last = --desc->references == 0 && desc->closed;
  }
  if (last) {
    delete desc;  // its close left this to us
  }
}

void bdev_continue_removal(void* arg) {
  auto* bdev = static_cast<spdk_bdev*>(arg);
  bool gone = false;
  {
    const std::lock_guard registry_lock(the_registry().mutex);
    const std::lock_guard lock(bdev->mutex);
    if (!bdev->locked_ranges.empty()) {
      return;  // the last unlocking continues
    }
    bdev->state = spdk_bdev::phase::removing;
    gone = take_out_locked(bdev);
  }
  if (gone) {
    unregister_device(bdev);
  }
}

void bdev_remove_if_unused(spdk_bdev* bdev) {
  bool gone = false;
  {
    const std::lock_guard registry_lock(the_registry().mutex);
    const std::lock_guard lock(bdev->mutex);
    gone = bdev->state == spdk_bdev::phase::removing && bdev->open_descs == nullptr &&
           take_out_locked(bdev);
  }
  if (gone) {
    unregister_device(bdev);
  }
}

void unregister_all_bdevs(void (*done)(void*), void* arg) {
  unregister_all::next(new unregister_all{done, arg}, 0);
}

}  // namespace spdk_lite

using namespace spdk_lite;

spdk_bdev* spdk_bdev_get_by_name(const char* bdev_name) {
  registry& r = the_registry();
  const std::lock_guard lock(r.mutex);
  const auto it = r.names.find(std::string_view(bdev_name));
  return it != r.names.end() ? it->second : nullptr;
}

spdk_bdev* spdk_bdev_first() { return the_registry().bdevs.front(); }

spdk_bdev* spdk_bdev_next(spdk_bdev* prev) { return bdev_list::next(prev); }

spdk_bdev* spdk_bdev_first_leaf() { return leaf_from(spdk_bdev_first()); }

spdk_bdev* spdk_bdev_next_leaf(spdk_bdev* prev) { return leaf_from(spdk_bdev_next(prev)); }

int spdk_for_each_bdev(void* ctx, spdk_for_each_bdev_fn fn) {
  return for_each(spdk_bdev_first(), spdk_bdev_next, ctx, fn);
}

int spdk_for_each_bdev_leaf(void* ctx, spdk_for_each_bdev_fn fn) {
  return for_each(spdk_bdev_first_leaf(), spdk_bdev_next_leaf, ctx, fn);
}

int spdk_for_each_bdev_by_name(void* ctx, spdk_for_each_bdev_fn fn, const char** names,
                               size_t count) {
  for (size_t i = 0; i < count; ++i) {
    spdk_bdev_desc* desc = nullptr;
    int rc = spdk_bdev_open_ext(names[i], false, ignore_event, nullptr, &desc);
    if (rc != 0) {
      return rc;
    }
    rc = fn(ctx, desc->bdev);
    spdk_bdev_close(desc);
    if (rc != 0) {
      return rc;
    }
  }
  return 0;
}

int spdk_bdev_alias_add(spdk_bdev* bdev, const char* name) {
  if (name == nullptr) {
    SPDK_ERRLOG("an alias needs a name\n");
    return -EINVAL;
  }
  auto* entry = new alias(name, bdev);
  const std::lock_guard lock(the_registry().mutex);
  if (!add_name_locked(name, bdev)) {
    delete entry;
    return -EEXIST;
  }
  TAILQ_INSERT_TAIL(&bdev->aliases, entry, tailq);
  return 0;
}

int spdk_bdev_alias_del(spdk_bdev* bdev, const char* name) {
  const std::lock_guard lock(the_registry().mutex);
  spdk_bdev_alias* entry = nullptr;
  TAILQ_FOREACH(entry, &bdev->aliases, tailq) {
    if (std::string_view(entry->alias.name) == name) {
      remove_alias_locked(bdev, entry);
      return 0;
    }
  }
  return -ENOENT;
}

void spdk_bdev_alias_del_all(spdk_bdev* bdev) {
  const std::lock_guard lock(the_registry().mutex);
  remove_aliases_locked(bdev);
}

const spdk_bdev_aliases_list* spdk_bdev_get_aliases(const spdk_bdev* bdev) {
  return &bdev->aliases;
}

void spdk_bdev_open_opts_init(spdk_bdev_open_opts* opts, size_t opts_size) {
  opts->size = sizeof(*opts);
  if (opts_size >= offsetof(spdk_bdev_open_opts, hide_metadata) + sizeof(opts->hide_metadata)) {
    opts->hide_metadata = false;
  }
}

int spdk_bdev_open_ext(const char* bdev_name, bool write, spdk_bdev_event_cb_t event_cb,
                       void* event_ctx, spdk_bdev_desc** desc) {
  return spdk_bdev_open_ext_v2(bdev_name, write, event_cb, event_ctx, nullptr, desc);
}

int spdk_bdev_open_ext_v2(const char* bdev_name, bool write, spdk_bdev_event_cb_t event_cb,
                          void* event_ctx, spdk_bdev_open_opts* opts, spdk_bdev_desc** desc) {
  if (event_cb == nullptr) {
    SPDK_ERRLOG("opening a bdev takes an event callback\n");
    return -EINVAL;
  }
  if (spdk_get_thread() == nullptr) {
    SPDK_ERRLOG("Cannot open a bdev on an OS thread without an SPDK thread: SPDK aborts here\n");
    std::abort();
  }
  registry& r = the_registry();
  const std::lock_guard registry_lock(r.mutex);
  const auto it = r.names.find(std::string_view(bdev_name));
  if (it == r.names.end()) {
    SPDK_NOTICELOG("no bdev is named %s now\n", bdev_name);
    return -ENODEV;
  }
  const bool hide =
      opts != nullptr &&
      opts->size >= offsetof(spdk_bdev_open_opts, hide_metadata) + sizeof(opts->hide_metadata) &&
      opts->hide_metadata;
  if (const int rc = hide ? check_hidden_metadata(it->second) : 0; rc != 0) {
    return rc;
  }
  const std::lock_guard lock(it->second->mutex);
  *desc = nullptr;
  if (write && it->second->state == spdk_bdev::phase::ready && it->second->claimed_by != nullptr) {
    log_claimed(it->second);
    return -EPERM;
  }
  *desc = open_locked(it->second, write, event_cb, event_ctx);
  if (*desc == nullptr) {
    return -ENODEV;
  }
  (*desc)->hide_metadata = hide;
  return 0;
}

void spdk_bdev_close(spdk_bdev_desc* desc) {
  assert(desc->thread == spdk_get_thread());
  spdk_bdev* bdev = desc->bdev;
  spdk_poller_unregister(&desc->timeout_poller);
  bool gone = false;
  {
    const std::lock_guard registry_lock(the_registry().mutex);
    const std::lock_guard lock(bdev->mutex);
    gone = close_locked(bdev, desc);
  }
  if (gone) {
    unregister_device(bdev);
  }
}

spdk_bdev* spdk_bdev_desc_get_bdev(spdk_bdev_desc* desc) { return desc->bdev; }

spdk_io_channel* spdk_bdev_get_io_channel(spdk_bdev_desc* desc) {
  return spdk_get_io_channel(&desc->bdev->handle);
}

void spdk_bdev_unregister(spdk_bdev* bdev, spdk_bdev_unregister_cb cb_fn, void* cb_arg) {
  assert(spdk_thread_is_app_thread(nullptr));
  bool busy = false;
  {
    const std::lock_guard registry_lock(the_registry().mutex);
    const std::lock_guard lock(bdev->mutex);
    busy = bdev->state != spdk_bdev::phase::ready;
    if (!busy) {
      bdev->state = spdk_bdev::phase::unregistering;
      bdev->unregister_cb = cb_fn;
      bdev->unregister_arg = cb_arg;
      qos_stop_unused_locked(bdev);
    }
  }
  if (!busy) {
    spdk_bdev_set_qd_sampling_period(bdev, 0);
    spdk_for_each_channel(&bdev->handle, abort_on_channel, bdev, start_removal);
  } else if (cb_fn != nullptr) {
    cb_fn(cb_arg, -EBUSY);
  }
}

int spdk_bdev_unregister_by_name(const char* bdev_name, spdk_bdev_module* module,
                                 spdk_bdev_unregister_cb cb_fn, void* cb_arg) {
  spdk_bdev_desc* desc = nullptr;
  if (const int rc = spdk_bdev_open_ext(bdev_name, false, ignore_event, nullptr, &desc); rc != 0) {
    SPDK_ERRLOG("no bdev %s to unregister\n", bdev_name);
    return rc;
  }
  int rc = 0;
  if (desc->bdev->module == module) {
    spdk_bdev_unregister(desc->bdev, cb_fn, cb_arg);
  } else {
    SPDK_ERRLOG("bdev %s belongs to another module\n", bdev_name);
    rc = -ENODEV;
  }
  spdk_bdev_close(desc);
  return rc;
}

int spdk_bdev_notify_blockcnt_change(spdk_bdev* bdev, uint64_t size) {
  const std::lock_guard lock(bdev->mutex);
  if (size == bdev->num_blocks) {
    return 0;
  }
  if (bdev->open_descs != nullptr && size < bdev->num_blocks) {
    return -EBUSY;
  }
  bdev->num_blocks = size;
  notify_locked<SPDK_BDEV_EVENT_RESIZE>(bdev);
  return 0;
}
