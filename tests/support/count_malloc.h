// Counts what the C library's allocator is asked for, inside calls of vendor libraries and outside
// them. It replaces malloc and its kin for the whole process, so exactly one source of a test
// binary includes it. With other C libraries than glibc, and under sanitizers, which have an
// allocator of their own, nothing is counted.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "ingot/base/vendor_call.h"
#include "tests/support/count_new.h"

#if defined(__GLIBC__) && !INGOT_SANITIZED
#define INGOT_COUNTS_MALLOC 1
#else
#define INGOT_COUNTS_MALLOC 0
#endif

namespace ingot::testing_support {

struct MallocCounts {
  std::uint64_t own = 0;           ///< allocations outside vendor calls
  std::uint64_t vendor = 0;        ///< inside them
  std::uint64_t vendor_frees = 0;  ///< blocks given back inside them
};

namespace detail {
inline std::atomic<std::uint64_t> own_allocations{0};
inline std::atomic<std::uint64_t> vendor_allocations{0};
inline std::atomic<std::uint64_t> vendor_releases{0};

inline void* counted(void* data) noexcept {
  (VendorCall::active() ? vendor_allocations : own_allocations).fetch_add(1);
  return data;
}
}  // namespace detail

inline MallocCounts count_malloc() noexcept {
  return {detail::own_allocations.load(), detail::vendor_allocations.load(),
          detail::vendor_releases.load()};
}

}  // namespace ingot::testing_support

#if INGOT_COUNTS_MALLOC

extern "C" {
// glibc's own entry points behind the names that are replaced here.
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* data, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);
void __libc_free(void* data);

void* malloc(std::size_t bytes) noexcept {
  return ingot::testing_support::detail::counted(__libc_malloc(bytes));
}
void* calloc(std::size_t count, std::size_t bytes) noexcept {
  return ingot::testing_support::detail::counted(__libc_calloc(count, bytes));
}
void* realloc(void* data, std::size_t bytes) noexcept {
  // A block that moves is one more and one fewer.
  if (data != nullptr && ingot::VendorCall::active()) {
    ingot::testing_support::detail::vendor_releases.fetch_add(1);
  }
  return ingot::testing_support::detail::counted(__libc_realloc(data, bytes));
}
void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
  return ingot::testing_support::detail::counted(__libc_memalign(alignment, bytes));
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  return ingot::testing_support::detail::counted(__libc_memalign(alignment, bytes));
}
int posix_memalign(void** data, std::size_t alignment, std::size_t bytes) noexcept {
  void* const block = ingot::testing_support::detail::counted(__libc_memalign(alignment, bytes));
  if (block == nullptr) return ENOMEM;
  *data = block;
  return 0;
}
void free(void* data) noexcept {
  if (data != nullptr && ingot::VendorCall::active()) {
    ingot::testing_support::detail::vendor_releases.fetch_add(1);
  }
  __libc_free(data);
}
}

#endif
