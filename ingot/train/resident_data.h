// A training set that lies on the device, in the order of the loader.
#pragma once

#include <cstdint>
#include <vector>

#include "ingot/data/dataset.h"
#include "ingot/memory/device.h"
#include "ingot/nn/resident_source.h"
#include "ingot/runtime/variable_store.h"
#include "ingot/train/options.h"

namespace ingot::train {

/// Whether a data set is small enough to lie beside what a step needs: a quarter of the memory
/// that the device has free.
bool fits_on_device(const data::Dataset& dataset, const Device& device);

/// Gives a resident training step the batches that a shuffling Loader with the same options would
/// prepare, bit for bit.
class ResidentData {
 public:
  /// The data set must outlive it.
  ResidentData(const data::Dataset& dataset, const TrainerOptions& options);

  [[nodiscard]] std::int64_t batches_per_epoch() const noexcept;
  [[nodiscard]] std::int64_t size_of_batch(std::int64_t batch) const noexcept;
  /// Of batches of this size.
  [[nodiscard]] nn::ResidentSource source(std::int64_t batch_size) const;

  /// After compile(): writes the samples.
  void upload(VariableStore& store) const;
  /// Writes an epoch's order, its moves and where it continues. No step may be under way.
  void begin_epoch(VariableStore& store, std::int64_t epoch, std::int64_t first_batch);

 private:
  const data::Dataset& dataset_;
  std::int64_t batch_size_;
  std::uint64_t seed_;
  AugmentOptions augment_;
  data::Normalization normalization_;
  std::vector<std::int64_t> order_;
};

}  // namespace ingot::train
