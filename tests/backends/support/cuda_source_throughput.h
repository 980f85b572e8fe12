// Graphs in the form of steps bound by throughput: which kernels they become, and what these give.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ingot/backends/cuda/cuda_backend.h"
#include "ingot/engine/executable.h"

namespace ingot::testing_support {

/// "kernel of op" of each launch before the commit, planned without a GPU.
std::vector<std::string> throughput_kernels(const Graph& graph);

/// Null without a GPU, real or emulated.
std::shared_ptr<cuda::CudaBackend> throughput_backend();

/// Runs the Graph there and on the reference; every element of every fetch must be the same, or
/// `relative` apart, one NaN like another.
void expect_reference_values(const std::shared_ptr<cuda::CudaBackend>& backend, const Graph& graph,
                             std::span<const Feed> feeds, double relative = 0);

/// Eighths of few different values, whose sums are exact.
std::vector<float> eighths(std::int64_t count, std::uint32_t stream);

}  // namespace ingot::testing_support
