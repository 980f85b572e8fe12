// How exact sums of products have to be.
#pragma once

#include "ingot/ir/op_def.h"

namespace ingot {

/// The tolerance of contractions: sums of `reduction_length` products of random sign. Their partial
/// sums grow as well, and each addition rounds what has grown. Holds for kernels that add up
/// stretches of a few hundred terms, not for one accumulator over thousands.
Tolerance contraction_tolerance(DType dtype, std::int64_t reduction_length);

}  // namespace ingot
