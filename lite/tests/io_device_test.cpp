// SPDX-License-Identifier: BSD-3-Clause
// I/O devices and channels.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "spdk_fixture.hpp"

namespace {

/// What the channels of a device hold.
struct channel_context {
  int device_number;
  std::uint8_t tail[92];
};

/// A device whose address is this object.
struct device {
  int number = 7;
  int created = 0;
  int destroyed = 0;
  int create_result = 0;
  int unregistered = 0;
  bool context_was_zero = true;
  spdk_thread* unregistered_on = nullptr;
  event_log log;
};

int create_channel(void* io_device, void* ctx) {
  auto& d = *static_cast<device*>(io_device);
  ++d.created;
  const auto* const bytes = static_cast<const std::uint8_t*>(ctx);
  d.context_was_zero = d.context_was_zero && std::all_of(bytes, bytes + sizeof(channel_context),
                                                         [](std::uint8_t b) { return b == 0; });
  static_cast<channel_context*>(ctx)->device_number = d.number;
  return d.create_result;
}

void destroy_channel(void* io_device, void* ctx) {
  auto& d = *static_cast<device*>(io_device);
  EXPECT_EQ(static_cast<channel_context*>(ctx)->device_number, d.number);
  ++d.destroyed;
}

void note_unregistered(void* io_device) {
  auto& d = *static_cast<device*>(io_device);
  ++d.unregistered;
  d.unregistered_on = spdk_get_thread();
}

void visit(spdk_io_channel_iter* i) {
  auto& d = *static_cast<device*>(spdk_io_channel_iter_get_io_device(i));
  spdk_io_channel* const channel = spdk_io_channel_iter_get_channel(i);
  EXPECT_EQ(spdk_io_channel_get_thread(channel), spdk_get_thread());
  d.log.push_back(spdk_thread_get_name(spdk_get_thread()));
  const auto* const stop_at = static_cast<const std::string*>(spdk_io_channel_iter_get_ctx(i));
  spdk_for_each_channel_continue(i, stop_at != nullptr && *stop_at == d.log.back() ? -5 : 0);
}

void visited(spdk_io_channel_iter* i, int status) {
  auto& d = *static_cast<device*>(spdk_io_channel_iter_get_io_device(i));
  d.log.push_back("end " + std::to_string(status) + " on " +
                  spdk_thread_get_name(spdk_get_thread()));
}

class io_device_test : public thread_library_test {
 protected:
  void SetUp() override {
    thread_library_test::SetUp();
    const on_thread scope{app};
    spdk_io_device_register(&dev, create_channel, destroy_channel, sizeof(channel_context), "dev");
  }

  void TearDown() override {
    if (registered) {
      unregister();
      poll_all();
    }
    thread_library_test::TearDown();
  }

  void unregister() {
    const on_thread scope{app};
    spdk_io_device_unregister(&dev, note_unregistered);
    registered = false;
  }

  spdk_io_channel* get(spdk_thread* thread) {
    const on_thread scope{thread};
    return spdk_get_io_channel(&dev);
  }

  void put(spdk_io_channel* channel) {
    const on_thread scope{spdk_io_channel_get_thread(channel)};
    spdk_put_io_channel(channel);
  }

  device dev;
  bool registered = true;
};

TEST_F(io_device_test, one_channel_per_thread) {
  spdk_thread* const other = create("other");
  spdk_io_channel* const first = get(app);
  ASSERT_NE(first, nullptr);
  spdk_io_channel* const second = get(other);
  EXPECT_NE(first, second);
  EXPECT_EQ(get(app), first);
  EXPECT_EQ(dev.created, 2);
  EXPECT_TRUE(dev.context_was_zero);
  EXPECT_EQ(spdk_io_channel_get_thread(first), app);
  EXPECT_EQ(spdk_io_channel_get_io_device(first), &dev);
  void* const context = spdk_io_channel_get_ctx(first);
  EXPECT_EQ(static_cast<channel_context*>(context)->device_number, 7);
  EXPECT_EQ(spdk_io_channel_from_ctx(context), first);
  put(first);
  put(first);
  put(second);
  poll_all();
  EXPECT_EQ(dev.destroyed, 2);
}

TEST_F(io_device_test, last_put_destroys_by_message) {
  spdk_io_channel* const channel = get(app);
  get(app);
  put(channel);
  poll_all();
  EXPECT_EQ(dev.destroyed, 0);
  put(channel);
  EXPECT_EQ(dev.destroyed, 0);
  poll_all();
  EXPECT_EQ(dev.destroyed, 1);
}

TEST_F(io_device_test, get_between_put_and_destruction_revives_the_channel) {
  spdk_io_channel* const channel = get(app);
  put(channel);
  EXPECT_EQ(get(app), channel);
  poll_all();
  EXPECT_EQ(dev.created, 1);
  EXPECT_EQ(dev.destroyed, 0);
  // Put, revived and put again before the first message: destroyed once, by the second.
  put(channel);
  get(app);
  put(channel);
  spdk_thread_poll(app, 1, 0);
  EXPECT_EQ(dev.destroyed, 0);
  spdk_thread_poll(app, 1, 0);
  EXPECT_EQ(dev.destroyed, 1);
}

TEST_F(io_device_test, reference_counts_like_a_get) {
  spdk_io_channel* const channel = get(app);
  {
    const on_thread scope{app};
    EXPECT_EQ(spdk_io_channel_ref(channel), channel);
  }
  put(channel);
  poll_all();
  EXPECT_EQ(dev.destroyed, 0);
  put(channel);
  poll_all();
  EXPECT_EQ(dev.destroyed, 1);
}

TEST_F(io_device_test, failing_creation_gives_no_channel) {
  dev.create_result = -ENOMEM;
  EXPECT_EQ(get(app), nullptr);
  EXPECT_EQ(dev.created, 1);
  EXPECT_EQ(dev.destroyed, 0);
  dev.create_result = 0;
  spdk_io_channel* const channel = get(app);
  EXPECT_NE(channel, nullptr);
  put(channel);
  poll_all();
}

TEST_F(io_device_test, no_channel_of_an_unknown_device_or_without_a_thread) {
  int unknown = 0;
  {
    const on_thread scope{app};
    EXPECT_EQ(spdk_get_io_channel(&unknown), nullptr);
  }
  EXPECT_EQ(get(nullptr), nullptr);
  EXPECT_EQ(dev.created, 0);
}

TEST_F(io_device_test, no_channel_on_an_exited_thread) {
  spdk_thread* const other = create("other");
  {
    const on_thread scope{other};
    spdk_thread_exit(other);
  }
  spdk_thread_poll(other, 0, 0);
  EXPECT_EQ(get(other), nullptr);
}

TEST_F(io_device_test, put_on_the_wrong_thread_changes_nothing) {
  spdk_thread* const other = create("other");
  spdk_io_channel* const channel = get(app);
  {
    const on_thread scope{other};
    spdk_put_io_channel(channel);
    EXPECT_EQ(spdk_io_channel_ref(channel), nullptr);
  }
  poll_all();
  EXPECT_EQ(dev.destroyed, 0);
  put(channel);
  poll_all();
  EXPECT_EQ(dev.destroyed, 1);
}

TEST_F(io_device_test, second_registration_of_an_address_is_ignored) {
  {
    const on_thread scope{app};
    spdk_io_device_register(
        &dev, [](void*, void*) { return -1; }, [](void*, void*) {}, 0, "second");
  }
  spdk_io_channel* const channel = get(app);
  EXPECT_NE(channel, nullptr);
  EXPECT_EQ(dev.created, 1);
  put(channel);
  poll_all();
}

TEST_F(io_device_test, unregistration_is_reported_by_message) {
  unregister();
  EXPECT_EQ(dev.unregistered, 0);
  EXPECT_EQ(get(app), nullptr);
  poll_all();
  EXPECT_EQ(dev.unregistered, 1);
  EXPECT_EQ(dev.unregistered_on, app);
}

TEST_F(io_device_test, unregistration_waits_for_the_last_channel) {
  spdk_thread* const other = create("other");
  spdk_io_channel* const first = get(app);
  spdk_io_channel* const second = get(other);
  unregister();
  poll_all();
  EXPECT_EQ(dev.unregistered, 0);
  EXPECT_EQ(get(app), nullptr);
  put(first);
  poll_all();
  EXPECT_EQ(dev.unregistered, 0);
  put(second);
  spdk_thread_poll(other, 0, 0);
  EXPECT_EQ(dev.destroyed, 2);
  EXPECT_EQ(dev.unregistered, 0);
  spdk_thread_poll(app, 0, 0);
  EXPECT_EQ(dev.unregistered, 1);
  EXPECT_EQ(dev.unregistered_on, app);
}

TEST_F(io_device_test, address_can_be_registered_anew) {
  spdk_io_channel* const old_channel = get(app);
  unregister();
  {
    const on_thread scope{app};
    spdk_io_device_register(&dev, create_channel, destroy_channel, sizeof(channel_context), "new");
  }
  registered = true;
  spdk_io_channel* const new_channel = get(app);
  EXPECT_NE(new_channel, old_channel);
  put(old_channel);
  poll_all();
  EXPECT_EQ(dev.unregistered, 1);
  put(new_channel);
  poll_all();
  EXPECT_EQ(dev.destroyed, 2);
}

TEST_F(io_device_test, unregistration_without_callback) {
  const on_thread scope{app};
  spdk_io_device_unregister(&dev, nullptr);
  registered = false;
  EXPECT_EQ(spdk_get_io_channel(&dev), nullptr);
}

TEST_F(io_device_test, thread_exit_waits_for_channels_and_unregistrations) {
  spdk_thread* const other = create("other");
  spdk_io_channel* const channel = get(other);
  {
    const on_thread scope{other};
    spdk_io_device_unregister(&dev, note_unregistered);
    registered = false;
    spdk_thread_exit(other);
  }
  spdk_thread_poll(other, 0, 0);
  EXPECT_FALSE(spdk_thread_is_exited(other));
  put(channel);
  spdk_thread_poll(other, 0, 0);
  EXPECT_EQ(dev.destroyed, 1);
  EXPECT_EQ(dev.unregistered, 0);
  EXPECT_FALSE(spdk_thread_is_exited(other));
  spdk_thread_poll(other, 0, 0);
  EXPECT_EQ(dev.unregistered, 1);
  EXPECT_TRUE(spdk_thread_is_exited(other));
}

// ---- for_each_channel ----

class for_each_channel_test : public io_device_test {
 protected:
  void SetUp() override {
    io_device_test::SetUp();
    second = create("second");
    third = create("third");
    // Channels are made in another order than they are visited in.
    channels = {get(third), get(app), get(second)};
  }

  void TearDown() override {
    for (spdk_io_channel* const channel : channels) {
      put(channel);
    }
    poll_all();
    io_device_test::TearDown();
  }

  void start(spdk_thread* origin, std::string* stop_at = nullptr) {
    const on_thread scope{origin};
    spdk_for_each_channel(&dev, visit, stop_at, visited);
  }

  spdk_thread* second = nullptr;
  spdk_thread* third = nullptr;
  std::vector<spdk_io_channel*> channels;
};

TEST_F(for_each_channel_test, visits_by_thread_id_one_after_the_other) {
  start(second);
  EXPECT_TRUE(dev.log.empty());
  spdk_thread_poll(third, 0, 0);
  spdk_thread_poll(second, 0, 0);
  EXPECT_TRUE(dev.log.empty());
  spdk_thread_poll(app, 0, 0);
  EXPECT_EQ(dev.log, (event_log{"app"}));
  poll_all();
  EXPECT_EQ(dev.log, (event_log{"app", "second", "third", "end 0 on second"}));
}

TEST_F(for_each_channel_test, stops_at_a_status) {
  std::string stop_at = "second";
  start(app, &stop_at);
  poll_all();
  EXPECT_EQ(dev.log, (event_log{"app", "second", "end -5 on app"}));
}

TEST_F(for_each_channel_test, skips_a_channel_that_went_away) {
  start(app);
  // The message to the app thread is under way; its channel is destroyed before.
  put(channels[1]);
  channels.erase(channels.begin() + 1);
  start(app);
  poll_all();
  EXPECT_EQ(dev.destroyed, 1);
  // The first walk still found it, as its message was earlier in the queue.
  EXPECT_EQ(std::ranges::count(dev.log, "app"), 1);
  EXPECT_EQ(std::ranges::count(dev.log, "third"), 2);
  EXPECT_EQ(std::ranges::count(dev.log, "end 0 on app"), 2);
}

TEST_F(for_each_channel_test, without_channels_only_completes_by_message) {
  for (spdk_io_channel* const channel : channels) {
    put(channel);
  }
  channels.clear();
  poll_all();
  start(app);
  EXPECT_TRUE(dev.log.empty());
  poll_all();
  EXPECT_EQ(dev.log, (event_log{"end 0 on app"}));
}

TEST_F(for_each_channel_test, of_an_unknown_device_completes_with_enodev) {
  int status = 0;
  int unknown = 0;
  {
    const on_thread scope{app};
    spdk_for_each_channel(&unknown, visit, &status, [](spdk_io_channel_iter* i, int result) {
      *static_cast<int*>(spdk_io_channel_iter_get_ctx(i)) = result;
    });
  }
  EXPECT_EQ(status, 0);
  poll_all();
  EXPECT_EQ(status, -ENODEV);
}

TEST_F(for_each_channel_test, unregistration_waits_for_it_and_new_walks_are_refused) {
  start(second);
  unregister();
  // The device is still known meanwhile.
  spdk_io_channel* const more = get(app);
  EXPECT_NE(more, nullptr);
  put(more);
  start(app);
  poll_all();
  EXPECT_EQ(std::ranges::count(dev.log, "end -19 on app"), 1);
  EXPECT_EQ(std::ranges::count(dev.log, "end 0 on second"), 1);
  EXPECT_EQ(dev.unregistered, 0);
  EXPECT_EQ(get(app), nullptr);
  for (spdk_io_channel* const channel : channels) {
    put(channel);
  }
  channels.clear();
  poll_all();
  EXPECT_EQ(dev.unregistered, 1);
  EXPECT_EQ(dev.unregistered_on, app);
}

}  // namespace
