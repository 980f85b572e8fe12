// Conversions of weights that outlive the step.
//
// In lower precision each step begins by converting weights that the step before it has just
// written. The pass makes Regions `weight_copies` of those conversions, and lets the update of a
// weight give its conversion besides: what the copy will be in the next step. The Graph stays a
// function of the variables alone. That a copy lies in memory of its own, that the update writes it
// there, and that its Region runs only after something else has written a weight are facts of the
// Plan (engine/build_program.cpp), and VariableStore says when.
#pragma once

#include "ingot/ir/graph.h"

namespace ingot {

/// The variable of which a result of a `weight_copies` Node is a conversion.
const Node& copied_variable(const Value& copy);

/// What the result of a `weight_copies` Node will be in the next step, where the Node that makes
/// the variable's next value gives it in the same layout; else invalid.
Value copy_after_step(const Value& copy);

}  // namespace ingot
