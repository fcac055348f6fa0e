// SPDX-License-Identifier: BSD-3-Clause
// The malloc family replaced by one that counts, on the measuring OS thread and while it measures.
// For the one source file of a test.
#pragma once

#include <malloc.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SPDK_IO_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define SPDK_IO_TEST_SANITIZED 1
#endif
#endif

namespace {

constinit thread_local bool measuring = false;
constinit thread_local std::uint64_t allocations = 0;
constinit thread_local std::uint64_t frees = 0;
constinit thread_local std::uint64_t allocated = 0;  // bytes asked for
// What was allocated less what was freed, each as large as malloc made it; also below zero.
[[maybe_unused]] constinit thread_local std::int64_t held = 0;

}  // namespace

#ifndef SPDK_IO_TEST_SANITIZED
static void* noted(void* memory, std::size_t size) noexcept {
  if (measuring) {
    ++allocations;
    allocated += size;
    held += static_cast<std::int64_t>(malloc_usable_size(memory));
  }
  return memory;
}
static void note_end(void* memory) noexcept {
  if (measuring) held -= static_cast<std::int64_t>(malloc_usable_size(memory));
}

// operator new and strdup and the like end here as well.
extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier): glibc's names
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* old, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void __libc_free(void* memory);
// NOLINTEND(bugprone-reserved-identifier)

void* malloc(std::size_t size) { return noted(__libc_malloc(size), size); }
void* calloc(std::size_t count, std::size_t size) {
  return noted(__libc_calloc(count, size), count * size);
}
void* realloc(void* old, std::size_t size) {
  note_end(old);
  return noted(__libc_realloc(old, size), size);
}
void* memalign(std::size_t alignment, std::size_t size) {
  return noted(__libc_memalign(alignment, size), size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  return noted(__libc_memalign(alignment, size), size);
}
int posix_memalign(void** out, std::size_t alignment, std::size_t size) {
  *out = noted(__libc_memalign(alignment, size), size);
  return *out ? 0 : ENOMEM;
}
void free(void* memory) {
  if (measuring && memory) ++frees;
  note_end(memory);
  __libc_free(memory);
}
}
#endif
