// What a benchmark takes of its device: planned before the first step, counted, and in use.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ingot/io/json.h"
#include "ingot/memory/device.h"
#include "ingot/runtime/program_stats.h"

namespace ingot::cli {

/// Bytes of the device that are in use by all programs.
std::int64_t used_bytes(const Device& device);

struct BenchMemory {
  /// Every byte that is going to be allocated, by what it is for.
  std::vector<MemoryOwner> planned = {};
  /// Of these, the batches that the benchmark feeds in turn: the caller's, in a program.
  std::int64_t batches = 0;
  std::int64_t allocated = 0;
  std::int64_t used_at_start = 0;  ///< with nothing but the context that a program needs
  std::int64_t used = 0;
  bool apart = false;  ///< the device has memory of its own, so that what is in use says something

  void measure(Device& device);
  void add_to(io::Json& result) const;
  /// Lines of the report, each with its end.
  [[nodiscard]] std::string text() const;
};

}  // namespace ingot::cli
