// A data set that lies on the device: the step's first nodes fetch the batch themselves.
#pragma once

#include <cstdint>
#include <vector>

#include "ingot/base/shape.h"
#include "ingot/nn/module.h"

namespace ingot::nn {

/// Names of the variables that next_batch() reads. The caller writes them into the VariableStore
/// after compile(): the data once, the order (a permutation of the samples), the moves and the
/// batch index once an epoch. All have the role `dataset`: they are not part of a checkpoint.
inline constexpr const char* kResidentImages = "dataset.images";  ///< u8 or f32 [N,C,H,W]
inline constexpr const char* kResidentLabels = "dataset.labels";  ///< i32 [N]
inline constexpr const char* kResidentOrder = "dataset.order";    ///< i32 [N]
inline constexpr const char* kResidentBatch = "dataset.batch";    ///< i32 []
inline constexpr const char* kResidentMoves = "dataset.moves";    ///< i32 [N,3], with augmentation

struct ResidentSource {
  /// u8 (divided by 255) or f32, [N,C,H,W]
  TensorType images;
  /// Samples of this step.
  std::int64_t batch = 32;
  /// Samples of every batch before: batch b begins at sample b * stride of the order. A ragged last
  /// batch is another Graph with a smaller `batch` and the same `stride`. 0: `batch`.
  std::int64_t stride = 0;
  /// Of each channel, taken off and divided by. Empty: 0 and 1.
  std::vector<float> mean = {};
  std::vector<float> stddev = {};
  /// Whether each sample is moved and mirrored before it is normalised, by its row of
  /// kResidentMoves (see ops::crop_flip).
  bool moves = false;
};

struct ResidentBatch {
  Value images;  ///< f32 [batch,C,H,W]
  Value labels;  ///< i32 [batch]
};

/// The samples of batch kResidentBatch in the order, normalised as the host's loader does it, bit
/// for bit; the batch index then counts up by one. A batch beyond the data is a data error of the
/// step. Errors: images that are not u8 or f32 of rank 4; a batch that is not from 1 to the number
/// of samples; statistics that are not one a channel.
ResidentBatch next_batch(ForwardContext& context, const ResidentSource& source);

}  // namespace ingot::nn
