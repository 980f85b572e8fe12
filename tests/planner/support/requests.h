// Generated requests for memory plans.
#pragma once

#include <algorithm>
#include <random>
#include <string>

#include "ingot/planner/plan.h"

namespace ingot::testing_support {

/// Any sizes and lifetimes, one buffer in five sharing the memory of a live one.
inline PlanRequest random_request(unsigned seed, unsigned count) {
  std::mt19937 rng(seed);
  PlanRequest request;
  request.alignment = std::int64_t{1} << (rng() % 8);
  int time = 0;
  for (unsigned i = 0; i < count; ++i) {
    time += static_cast<int>(rng() % 2);
    const int length = static_cast<int>(rng() % 8 == 0 ? rng() % 64 : rng() % 6);
    BufferRequest buffer{static_cast<std::int64_t>(rng() % 5000), time, time + length, "b"};
    if (i > 0 && rng() % 5 == 0) {
      const unsigned other = i - 1 - rng() % std::min(i, 8u);
      if (request.buffers[other].last_use >= time && request.buffers[other].bytes > 0) {
        buffer.alias_of = static_cast<int>(other);
      }
    }
    request.buffers.push_back(std::move(buffer));
  }
  return request;
}

/// Activations kept from the forward to the backward half, gradients passed on, workspaces.
inline PlanRequest training_request(unsigned seed, int layers) {
  std::mt19937 rng(seed);
  PlanRequest request;
  const int end = 4 * layers;
  std::int64_t bytes = 1 << 20;
  std::vector<std::int64_t> sizes;
  for (int i = 0; i < layers; ++i) {
    if (rng() % (static_cast<unsigned>(layers) / 4 + 1) == 0 && bytes > 4096) bytes /= 2;
    sizes.push_back(rng() % 3 == 0 ? bytes / 2 : bytes);
  }
  for (int i = 0; i < layers; ++i) {
    const std::int64_t size = sizes[static_cast<std::size_t>(i)];
    const std::string name = "layer" + std::to_string(i);
    request.buffers.push_back({size, 2 * i, end - 2 * i, name + ".activation"});
    request.buffers.push_back({size, 2 * i, 2 * i + 2, name + ".output"});
    request.buffers.push_back({size, end - 2 * i, end - 2 * i + 2, name + ".gradient"});
    request.buffers.push_back({size / 3 + 100, end - 2 * i, end - 2 * i, name + ".workspace"});
  }
  return request;
}

}  // namespace ingot::testing_support
