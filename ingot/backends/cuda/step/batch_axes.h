// Which launches work on the items of a batch one by one.
#pragma once

#include <cstdint>
#include <vector>

#include "ingot/runtime/program.h"

namespace ingot::cuda {

/// What a launch has to do with the batch.
struct BatchUse {
  enum class Kind : std::uint8_t {
    none,
    kept,     ///< item b of every result depends on item b of the operands alone
    reduced,  ///< the results, or some of them, are sums over the items
  };
  Kind kind = Kind::none;
  std::vector<bool> item_inputs;  ///< operands whose axis 0 is the batch
};

struct BatchAxes {
  std::int64_t items = 0;      ///< 0: the Program has no batch
  std::vector<BatchUse> main;  ///< of each launch of Program::main
};

/// From the feeds' leading dimension and the ops' batch rules.
BatchAxes find_batch(const Program& program);

}  // namespace ingot::cuda
