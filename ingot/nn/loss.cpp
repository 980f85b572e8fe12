#include "ingot/nn/loss.h"

#include "ingot/ops/ops.h"

namespace ingot::nn {

Value CrossEntropyLoss::operator()(Value logits, Value target, SourceLocation loc) const {
  const Value losses = is_float(target.dtype())
                           ? ops::cross_entropy_probs(logits, target, loc)
                           : ops::cross_entropy(logits, target, label_smoothing, loc);
  return ops::mean(losses, {}, false, loc);
}

Value MSELoss::operator()(Value x, Value target, SourceLocation loc) const {
  const Value difference = ops::sub(x, target, loc);
  return ops::mean(ops::mul(difference, difference, loc), {}, false, loc);
}

}  // namespace ingot::nn
