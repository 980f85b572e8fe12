// What launches that run one after another need in memory: lifetimes, and who may overwrite whom.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ingot/base/function_ref.h"

namespace ingot {

/// A value that launches read and write.
struct LaunchValue {
  std::int64_t bytes = 0;
  int root = -1;         ///< the value whose memory this one shares; itself when it has its own
  bool scratch = false;  ///< lives in the arena
  int first = -1;        ///< position of its writer; of roots
  int last = -1;         ///< position of its last reader; of roots
};

struct LaunchUse {
  std::span<const int> inputs;
  std::span<const int> outputs;
  int position = 0;
};

int root_of(std::span<const LaunchValue> values, int value) noexcept;

/// Marks a use of a value's memory at a position.
void use_value(std::span<LaunchValue> values, int value, int position) noexcept;

/// Lets a launch overwrite an operand of equal size that nobody reads afterwards, where
/// `may_overwrite(launch, operand, result)`. Lifetimes must be known.
void share_memory(std::span<LaunchValue> values, std::span<const LaunchUse> launches,
                  FunctionRef<bool(std::size_t launch, int input, int output)> may_overwrite);

}  // namespace ingot
