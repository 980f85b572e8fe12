// Losses.
#pragma once

#include "ingot/ir/graph.h"

namespace ingot::nn {

/// Mean over the batch of the cross-entropy of softmax(logits [N,C]) with labels i32[N] or target
/// probabilities f32[N,C] (label smoothing for labels only; Szegedy et al. 2016).
struct CrossEntropyLoss {
  double label_smoothing = 0.0;
  Value operator()(Value logits, Value target,
                   SourceLocation loc = SourceLocation::current()) const;
};

/// Mean of squared differences.
struct MSELoss {
  Value operator()(Value x, Value target, SourceLocation loc = SourceLocation::current()) const;
};

}  // namespace ingot::nn
