// Training steps in low precision, and what the CUDA backend's passes make of them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ingot/engine/executable_impl.h"
#include "ingot/nn/layers.h"
#include "ingot/passes/precision.h"

namespace ingot::testing_support {

/// A step of SGD; fetches the loss and, if asked for, each gradient's sum of squares.
Graph low_precision_step(const nn::Module& model, const Shape& image, Precision precision,
                         bool fetch_gradients);
/// Of a model of the zoo, in bf16.
Graph low_precision_step(std::string_view name, std::int64_t batch);

Program lower(const Graph& graph, const Backend& backend,
              const std::vector<std::string>& disabled_passes = {});

/// Convolutions of several strides, pooling, a block with and one without a projection.
nn::Sequential small_net();

}  // namespace ingot::testing_support
