// SPDX-License-Identifier: BSD-3-Clause
// What SPDK exports but declares in a header that it does not install. Weak: where a release has
// them no more, they are null, and what they would name is not named.
#pragma once

#include <spdk/thread.h>

extern "C" {
[[gnu::weak]] const char* spdk_poller_get_name(spdk_poller* poller);
[[gnu::weak]] spdk_poller* spdk_thread_get_first_active_poller(spdk_thread* thread);
[[gnu::weak]] spdk_poller* spdk_thread_get_next_active_poller(spdk_poller* before);
[[gnu::weak]] spdk_poller* spdk_thread_get_first_timed_poller(spdk_thread* thread);
[[gnu::weak]] spdk_poller* spdk_thread_get_next_timed_poller(spdk_poller* before);
[[gnu::weak]] spdk_poller* spdk_thread_get_first_paused_poller(spdk_thread* thread);
[[gnu::weak]] spdk_poller* spdk_thread_get_next_paused_poller(spdk_poller* before);
[[gnu::weak]] const char* spdk_io_channel_get_io_device_name(spdk_io_channel* channel);
[[gnu::weak]] spdk_io_channel* spdk_thread_get_first_io_channel(spdk_thread* thread);
[[gnu::weak]] spdk_io_channel* spdk_thread_get_next_io_channel(spdk_io_channel* before);
}
