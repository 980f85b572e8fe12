#include "ingot/base/roundoff.h"

namespace ingot {

double unit_roundoff(DType dtype) noexcept {
  switch (dtype) {
    case DType::f64: return 0x1p-53;
    case DType::f32: return 0x1p-24;
    case DType::f16: return 0x1p-11;
    case DType::bf16: return 0x1p-8;
    default: return 0;
  }
}

}  // namespace ingot
