// That a device holds what was planned.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>

#include "ingot/engine/executable.h"
#include "ingot/runtime/variable_store.h"

namespace ingot::testing_support {

/// Bytes that the store and this one Executable take of their device, once it has run so fed.
inline std::int64_t planned_bytes(const VariableStore& store, const Executable& exe,
                                  const FeedPlace& feeds = {}) {
  return total_bytes(store.device_memory()) + total_bytes(exe.device_memory(feeds));
}

inline std::int64_t allocated_bytes(const VariableStore& store) {
  return store.backend()->device()->allocation_stats().device_bytes.load();
}

}  // namespace ingot::testing_support
