// What the bodies and gradients of the softmax family share.
#pragma once

#include <cstdint>

#include "ingot/ops/common.h"

namespace ingot {

/// x as its accumulation dtype (f32 for f16 and bf16).
Value widen(Value x);

/// The pieces of softmax over one axis, all in x's dtype.
struct SoftmaxParts {
  Value shifted;  ///< x - max x, so that no exponential overflows
  Value exps;     ///< e^shifted
  Value total;    ///< sum of exps, the axis kept with size 1
};
SoftmaxParts softmax_parts(Value x, std::int64_t axis);

/// Gradient of y = softmax(x) for y's gradient g: y (g - sum of g y).
Value softmax_gradient(Value y, Value g, std::int64_t axis);

/// Inference and batch rule of softmax and log_softmax: one floating-point operand [..], attribute
/// `axis`; constraints C1 (axis), C2 (dtype) and C3 (size). Under mixed precision they stay f32.
OpDef softmax_record(OpDef op);

/// v[N] as [N,1].
Value as_column(Value v);
/// Fills in what the losses over rows of logits and their gradients have alike: composite, operands
/// and results with the batch at axis 0, cost, reduction length.
OpDef loss_record(OpDef op);

}  // namespace ingot
