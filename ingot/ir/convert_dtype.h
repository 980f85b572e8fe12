// A Graph in another floating-point type.
#pragma once

#include <memory>

#include "ingot/ir/graph.h"

namespace ingot {

/// A copy in which every floating-point type (of sources, constants and attributes) is `dtype`,
/// with the same names. In f64 it serves finite differences.
std::unique_ptr<Graph> with_float_dtype(const Graph& graph, DType dtype);

}  // namespace ingot
