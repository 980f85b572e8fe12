// How far may rounding carry a step? Its Graph with every op's rounding at random in it.
#pragma once

#include <memory>

#include "ingot/ir/graph.h"

namespace ingot::train {

/// The Graph, its composites inlined, whose every op errs as a right kernel may: a float result is
/// multiplied by 1 + u, u uniform in its dtype's unit roundoff, and before that each f32 or f64
/// operand of a sum of n terms by 1 + v, v uniform in sqrt(n) roundoffs (the sum's own rounding in
/// any order, as backward error; Higham, Accuracy and Stability of Numerical Algorithms, section
/// 3.1 and, for independent errors, 2.8), in tf32 math in 2^-11, which it rounds operands by.
/// Errors differ from step to step; they are a function of the store's step and of the elements.
/// `times` makes all of them so many times larger.
std::unique_ptr<Graph> with_rounding_noise(const Graph& graph, double times = 1);

}  // namespace ingot::train
