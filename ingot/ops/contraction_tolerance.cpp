#include "ingot/ops/contraction_tolerance.h"

namespace ingot {

Tolerance contraction_tolerance(DType dtype, std::int64_t reduction_length) {
  // Twice the growth with the square root of the length that default_tolerance() allows for.
  return default_tolerance(dtype, 4 * reduction_length);
}

}  // namespace ingot
