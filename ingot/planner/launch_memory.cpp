#include "ingot/planner/launch_memory.h"

#include <algorithm>

namespace ingot {

int root_of(std::span<const LaunchValue> values, int value) noexcept {
  while (values[static_cast<std::size_t>(value)].root != value) {
    value = values[static_cast<std::size_t>(value)].root;
  }
  return value;
}

void use_value(std::span<LaunchValue> values, int value, int position) noexcept {
  LaunchValue& root = values[static_cast<std::size_t>(root_of(values, value))];
  if (root.first < 0) root.first = position;
  root.last = std::max(root.last, position);
}

void share_memory(std::span<LaunchValue> values, std::span<const LaunchUse> launches,
                  FunctionRef<bool(std::size_t launch, int input, int output)> may_overwrite) {
  for (std::size_t k = 0; k < launches.size(); ++k) {
    const LaunchUse& launch = launches[k];
    for (std::size_t j = 0; j < launch.outputs.size(); ++j) {
      LaunchValue& out = values[static_cast<std::size_t>(launch.outputs[j])];
      if (!out.scratch || out.root != launch.outputs[j]) continue;
      for (std::size_t i = 0; i < launch.inputs.size(); ++i) {
        const int root = root_of(values, launch.inputs[i]);
        LaunchValue& in = values[static_cast<std::size_t>(root)];
        const auto uses = std::ranges::count_if(
            launch.inputs, [&](int value) { return root_of(values, value) == root; });
        const bool free = in.scratch && in.last == launch.position && in.first < launch.position &&
                          uses == 1 && in.bytes == out.bytes;
        if (!free || !may_overwrite(k, static_cast<int>(i), static_cast<int>(j))) continue;
        out.root = root;
        in.last = std::max(in.last, out.last);
        break;
      }
    }
  }
}

}  // namespace ingot
