// SPDX-License-Identifier: BSD-3-Clause
// I/O devices, the one channel that each thread has of each of them, and the walk over a
// device's channels.
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <utility>

#include "spdk/log.h"
#include "spdk/string.h"
#include "spdk/thread.h"
#include "thread_internal.hpp"

namespace spdk_lite {

struct io_device {
  void* address = nullptr;
  std::string name;
  spdk_io_channel_create_cb create = nullptr;
  spdk_io_channel_destroy_cb destroy = nullptr;
  std::uint32_t ctx_size = 0;

  // The rest is guarded by the mutex of the devices.
  /// Threads with a channel, by their id.
  std::map<std::uint64_t, spdk_thread*> threads;
  /// Channels, those being destroyed included.
  std::uint32_t channels = 0;
  std::uint32_t for_eachs = 0;
  /// An unregistration waits for for_each operations.
  bool unregister_pending = false;
  bool unregistered = false;
  spdk_io_device_unregister_cb unregister_done = nullptr;
  spdk_thread* unregister_thread = nullptr;
};

}  // namespace spdk_lite

using spdk_lite::current_thread;
using spdk_lite::die;
using spdk_lite::io_device;
using spdk_lite::thread_state;

/// Followed by the device's context.
struct spdk_io_channel {
  spdk_thread* thread;
  io_device* device;
  std::uint32_t references;
  /// Messages under way that will destroy the channel unless it was revived.
  std::uint32_t destroy_messages;
  std::uint8_t reserved[SPDK_IO_CHANNEL_STRUCT_SIZE - 24];
};
static_assert(sizeof(spdk_io_channel) == SPDK_IO_CHANNEL_STRUCT_SIZE);

/// A walk over a device's channels; travels from thread to thread as the argument of a message.
struct spdk_io_channel_iter {
  void* address = nullptr;
  io_device* device = nullptr;
  spdk_channel_msg fn = nullptr;
  spdk_channel_for_each_cpl completion = nullptr;
  void* ctx = nullptr;
  int status = 0;
  spdk_io_channel* channel = nullptr;
  spdk_thread* position = nullptr;
  spdk_thread* origin = nullptr;
};

namespace {

struct device_table {
  std::mutex mutex;
  std::map<void*, std::unique_ptr<io_device>> devices;
};

device_table& table() {
  static auto& instance = *new device_table;
  return instance;
}

/// Requires: the table is locked.
io_device* find_device(void* address) {
  const auto found = table().devices.find(address);
  return found != table().devices.end() ? found->second.get() : nullptr;
}

spdk_io_channel* find_channel(const spdk_thread& thread, io_device* device) {
  const auto found = thread.channels.find(device);
  return found != thread.channels.end() ? found->second : nullptr;
}

// ---- the end of a device ----

void finish_unregister(void* ctx) {
  const std::unique_ptr<io_device> device{static_cast<io_device*>(ctx)};
  --device->unregister_thread->pending_unregisters;
  device->unregister_done(device->address);
}

/// For a device that is in the table no more and has no channels.
void free_device(io_device* device) {
  if (device->unregister_done == nullptr) {
    delete device;
  } else {
    spdk_thread_send_msg(device->unregister_thread, finish_unregister, device);
  }
}

void continue_unregister(void* ctx) {
  auto* const device = static_cast<io_device*>(ctx);
  spdk_io_device_unregister(device->address, device->unregister_done);
}

// ---- channels ----

/// A channel in both maps, its context zeroed; NULL without memory. Requires: the table is locked.
spdk_io_channel* add_channel(spdk_thread& thread, io_device& device) {
  void* const memory = std::calloc(1, sizeof(spdk_io_channel) + device.ctx_size);
  if (memory == nullptr) {
    return nullptr;
  }
  auto* const channel = static_cast<spdk_io_channel*>(memory);
  channel->thread = &thread;
  channel->device = &device;
  channel->references = 1;
  thread.channels.emplace(&device, channel);
  device.threads.emplace(thread.id, &thread);
  ++device.channels;
  return channel;
}

/// Requires: the table is locked.
void remove_channel(spdk_io_channel& channel) {
  channel.thread->channels.erase(channel.device);
  channel.device->threads.erase(channel.thread->id);
}

/// Requires: the table is locked. Returns whether the device has ended with this channel.
bool drop_channel_reference(io_device& device) {
  return --device.channels == 0 && device.unregistered;
}

/// The device's function is called without the lock, as it may get or put other channels.
spdk_io_channel* create_channel(spdk_io_channel* channel) {
  io_device& device = *channel->device;
  const int rc = device.create(device.address, spdk_io_channel_get_ctx(channel));
  if (rc == 0) {
    return channel;
  }
  SPDK_ERRLOG("a channel of io_device %s cannot be created: %s (%d)\n", device.name.c_str(),
              spdk_strerror(-rc), rc);
  bool device_ended = false;
  {
    const std::lock_guard lock{table().mutex};
    remove_channel(*channel);
    device_ended = drop_channel_reference(device);
  }
  std::free(channel);
  if (device_ended) {
    free_device(&device);
  }
  return nullptr;
}

void destroy_channel(void* ctx) {
  auto* const channel = static_cast<spdk_io_channel*>(ctx);
  --channel->destroy_messages;
  if (channel->references > 0 || channel->destroy_messages > 0) {
    // Revived by a get after this message was sent.
    return;
  }
  io_device& device = *channel->device;
  {
    const std::lock_guard lock{table().mutex};
    remove_channel(*channel);
  }
  device.destroy(device.address, spdk_io_channel_get_ctx(channel));
  bool device_ended = false;
  {
    const std::lock_guard lock{table().mutex};
    device_ended = drop_channel_reference(device);
  }
  std::free(channel);
  if (device_ended) {
    free_device(&device);
  }
}

// ---- for_each ----

void complete_walk(void* ctx) {
  const std::unique_ptr<spdk_io_channel_iter> walk{static_cast<spdk_io_channel_iter*>(ctx)};
  --walk->origin->for_eachs;
  if (walk->completion != nullptr) {
    walk->completion(walk.get(), walk->status);
  }
}

void visit_channel(void* ctx) {
  auto* const walk = static_cast<spdk_io_channel_iter*>(ctx);
  {
    const std::lock_guard lock{table().mutex};
    walk->channel = find_channel(*walk->position, walk->device);
  }
  if (walk->channel != nullptr) {
    walk->fn(walk);
  } else {
    // The channel went away while the message was under way.
    spdk_for_each_channel_continue(walk, 0);
  }
}

/// The thread to begin with; NULL (and the status set) if there is none. Requires: the table is
/// locked.
spdk_thread* begin_walk(spdk_io_channel_iter& walk) {
  walk.device = find_device(walk.address);
  if (walk.device == nullptr || walk.device->unregister_pending) {
    SPDK_ERRLOG("the io_device at %p is unknown or being unregistered\n", walk.address);
    walk.status = -ENODEV;
    return nullptr;
  }
  if (walk.device->threads.empty()) {
    return nullptr;
  }
  ++walk.device->for_eachs;
  return walk.device->threads.begin()->second;
}

}  // namespace

namespace spdk_lite {

void report_registered_devices() {
  const std::lock_guard lock{table().mutex};
  for (const auto& entry : table().devices) {
    SPDK_ERRLOG("io_device %s was not unregistered\n", entry.second->name.c_str());
  }
}

std::string first_channel_name(const spdk_thread& thread) {
  return thread.channels.empty() ? std::string{} : thread.channels.begin()->first->name;
}

}  // namespace spdk_lite

void spdk_io_device_register(void* io_device_address, spdk_io_channel_create_cb create_cb,
                             spdk_io_channel_destroy_cb destroy_cb, uint32_t ctx_size,
                             const char* name) {
  if (io_device_address == nullptr || create_cb == nullptr || destroy_cb == nullptr) {
    die("spdk_io_device_register() needs an address and both functions");
  }
  if (current_thread == nullptr) {
    SPDK_ERRLOG("there is no current thread\n");
    return;
  }
  auto device = std::make_unique<io_device>();
  device->address = io_device_address;
  device->create = create_cb;
  device->destroy = destroy_cb;
  device->ctx_size = ctx_size;
  device->name = name != nullptr ? name : "(unnamed)";
  const std::lock_guard lock{table().mutex};
  const auto [place, added] = table().devices.try_emplace(io_device_address);
  if (!added) {
    SPDK_ERRLOG("there is an io_device %s at %p already, so that %s is not registered\n",
                place->second->name.c_str(), io_device_address, device->name.c_str());
    return;
  }
  place->second = std::move(device);
}

void spdk_io_device_unregister(void* io_device_address,
                               spdk_io_device_unregister_cb unregister_cb) {
  spdk_thread* const thread = current_thread;
  if (thread == nullptr) {
    SPDK_ERRLOG("there is no current thread\n");
    return;
  }
  io_device* ended = nullptr;
  {
    const std::lock_guard lock{table().mutex};
    io_device* const device = find_device(io_device_address);
    if (device == nullptr || (device->unregister_pending && device->for_eachs > 0)) {
      SPDK_ERRLOG("the io_device at %p is unknown or being unregistered\n", io_device_address);
      return;
    }
    device->unregister_done = unregister_cb;
    device->unregister_thread = thread;
    if (device->for_eachs > 0) {
      // The last for_each operation comes back here.
      device->unregister_pending = true;
      return;
    }
    device->unregistered = true;
    if (unregister_cb != nullptr) {
      ++thread->pending_unregisters;
    }
    // From here on the device belongs to its channels; the last one frees it.
    const auto entry = table().devices.find(io_device_address);
    io_device* const released = entry->second.release();
    table().devices.erase(entry);
    ended = released->channels == 0 ? released : nullptr;
  }
  if (ended != nullptr) {
    free_device(ended);
  }
}

spdk_io_channel* spdk_get_io_channel(void* io_device_address) {
  spdk_io_channel* channel = nullptr;
  {
    const std::lock_guard lock{table().mutex};
    io_device* const device = find_device(io_device_address);
    spdk_thread* const thread = current_thread;
    if (device == nullptr) {
      SPDK_ERRLOG("there is no io_device at %p\n", io_device_address);
      return nullptr;
    }
    if (thread == nullptr || thread->state == thread_state::exited) {
      SPDK_ERRLOG("there is no current thread, or it has exited\n");
      return nullptr;
    }
    channel = find_channel(*thread, device);
    if (channel != nullptr) {
      ++channel->references;
      return channel;
    }
    channel = add_channel(*thread, *device);
    if (channel == nullptr) {
      SPDK_ERRLOG("no memory for a channel\n");
      return nullptr;
    }
  }
  return create_channel(channel);
}

void spdk_put_io_channel(spdk_io_channel* ch) {
  if (current_thread != ch->thread) {
    spdk_lite::report_wrong_thread(__func__, ch->device->name.c_str(), *ch->thread);
    return;
  }
  if (ch->references == 0) {
    die("a channel of io_device %s was put more often than it was got", ch->device->name.c_str());
  }
  if (--ch->references == 0) {
    ++ch->destroy_messages;
    spdk_thread_send_msg(ch->thread, destroy_channel, ch);
  }
}

spdk_io_channel* spdk_io_channel_ref(spdk_io_channel* ch) {
  if (current_thread != ch->thread) {
    spdk_lite::report_wrong_thread(__func__, ch->device->name.c_str(), *ch->thread);
    return nullptr;
  }
  ++ch->references;
  return ch;
}

spdk_io_channel* spdk_io_channel_from_ctx(void* ctx) {
  return reinterpret_cast<spdk_io_channel*>(static_cast<std::uint8_t*>(ctx) -
                                            SPDK_IO_CHANNEL_STRUCT_SIZE);
}

spdk_thread* spdk_io_channel_get_thread(spdk_io_channel* ch) { return ch->thread; }
void* spdk_io_channel_get_io_device(spdk_io_channel* ch) { return ch->device->address; }

void spdk_for_each_channel(void* io_device_address, spdk_channel_msg fn, void* ctx,
                           spdk_channel_for_each_cpl cpl) {
  if (current_thread == nullptr) {
    die("spdk_for_each_channel() without a current thread");
  }
  auto* const walk = new spdk_io_channel_iter;
  walk->address = io_device_address;
  walk->fn = fn;
  walk->completion = cpl;
  walk->ctx = ctx;
  walk->origin = current_thread;
  ++walk->origin->for_eachs;
  // Sent under the lock, so that the channel's thread cannot lose the channel and exit before.
  const std::lock_guard lock{table().mutex};
  walk->position = begin_walk(*walk);
  if (walk->position != nullptr) {
    spdk_thread_send_msg(walk->position, visit_channel, walk);
  } else {
    spdk_thread_send_msg(walk->origin, complete_walk, walk);
  }
}

void spdk_for_each_channel_continue(spdk_io_channel_iter* i, int status) {
  if (current_thread != i->position) {
    die("spdk_for_each_channel_continue() on another thread than that of the channel");
  }
  i->status = status;
  const std::lock_guard lock{table().mutex};
  io_device& device = *i->device;
  const auto next = device.threads.upper_bound(i->position->id);
  if (status == 0 && next != device.threads.end()) {
    i->position = next->second;
    spdk_thread_send_msg(i->position, visit_channel, i);
    return;
  }
  i->channel = nullptr;
  --device.for_eachs;
  spdk_thread_send_msg(i->origin, complete_walk, i);
  if (device.unregister_pending && device.for_eachs == 0) {
    spdk_thread_send_msg(device.unregister_thread, continue_unregister, &device);
  }
}

void* spdk_io_channel_iter_get_io_device(spdk_io_channel_iter* i) { return i->address; }
spdk_io_channel* spdk_io_channel_iter_get_channel(spdk_io_channel_iter* i) { return i->channel; }
void* spdk_io_channel_iter_get_ctx(spdk_io_channel_iter* i) { return i->ctx; }

const char* spdk_io_channel_get_io_device_name(spdk_io_channel* channel) {
  return channel->device->name.c_str();
}

spdk_io_channel* spdk_thread_get_first_io_channel(spdk_thread* thread) {
  return thread->channels.empty() ? nullptr : thread->channels.begin()->second;
}

spdk_io_channel* spdk_thread_get_next_io_channel(spdk_io_channel* prev) {
  const auto& channels = prev->thread->channels;
  const auto after = channels.upper_bound(prev->device);
  return after == channels.end() ? nullptr : after->second;
}
