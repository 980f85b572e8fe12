// Counts the operator new calls of a test binary. It replaces the global operators, so exactly one
// source of each binary includes it. Sanitizers have operators of their own, and keep them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "ingot/base/vendor_call.h"
#include "tests/support/sanitized.h"

namespace ingot::testing_support {

inline std::atomic<std::uint64_t> new_calls{0};

/// Calls of operator new so far, in every thread, vendor libraries' own apart; always 0 under a
/// sanitizer.
inline std::uint64_t count_new() noexcept { return new_calls.load(); }

}  // namespace ingot::testing_support

#if !INGOT_SANITIZED

// The array and nothrow forms of the standard library call these.
void* operator new(std::size_t bytes) {
  if (!ingot::VendorCall::active()) ingot::testing_support::new_calls.fetch_add(1);
  if (void* data = std::malloc(bytes == 0 ? 1 : bytes)) return data;
  throw std::bad_alloc();
}

void* operator new(std::size_t bytes, std::align_val_t alignment) {
  if (!ingot::VendorCall::active()) ingot::testing_support::new_calls.fetch_add(1);
  const auto step = static_cast<std::size_t>(alignment);
  if (void* data = std::aligned_alloc(step, (bytes + step) / step * step)) return data;
  throw std::bad_alloc();
}

// Not inlined, lest gcc see free() next to a call of operator new and take it for a mismatch.
[[gnu::noinline]] void operator delete(void* data) noexcept { std::free(data); }
[[gnu::noinline]] void operator delete(void* data, std::size_t) noexcept { std::free(data); }
[[gnu::noinline]] void operator delete(void* data, std::align_val_t) noexcept { std::free(data); }
[[gnu::noinline]] void operator delete(void* data, std::size_t, std::align_val_t) noexcept {
  std::free(data);
}

#endif
