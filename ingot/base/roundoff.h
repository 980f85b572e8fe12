// What floating-point numbers are rounded by.
#pragma once

#include "ingot/base/dtype.h"

namespace ingot {

/// The greatest relative error of rounding a number to the dtype (half a unit in the last place of
/// a power of two); 0 for what is no float.
double unit_roundoff(DType dtype) noexcept;

}  // namespace ingot
