// What a checkpoint holds of a run, and how it gets back into the variables.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ingot/io/checkpoint.h"
#include "ingot/runtime/variable_store.h"
#include "ingot/train/options.h"

namespace ingot::train {

/// Sums over the batches of one epoch so far.
struct EpochSums {
  double loss = 0;
  std::int64_t correct = 0;
  std::int64_t samples = 0;
  friend bool operator==(const EpochSums&, const EpochSums&) = default;
};

/// Where a run is. The loader's position is (epoch, batch).
struct RunState {
  std::int64_t epoch = 0;  ///< whole epochs done
  std::int64_t batch = 0;  ///< batches done in the epoch that is under way
  std::int64_t step = 0;
  EpochSums sums;
  friend bool operator==(const RunState&, const RunState&) = default;
};

io::Checkpoint make_checkpoint(const VariableStore& store, const RunState& run,
                               const TrainerOptions& options,
                               const std::vector<std::string>& kernels, const io::Json& extra);

/// Errors (invalid_data): members missing or of a wrong type.
RunState run_state_from_json(const io::Json& state);
std::vector<std::string> kernels_from_json(const io::Json& state);

/// A checkpoint's variables until the store has room for them: evaluation makes parameters and
/// buffers, only training makes the optimizer's.
class RestoredVariables {
 public:
  RestoredVariables() = default;
  RestoredVariables(std::string name, io::Checkpoint checkpoint);

  /// Writes those that the store has now. Errors (invalid_data): `checkpoint "p": ...` when the
  /// store has a variable that the checkpoint lacks or has in another type, or, with
  /// `all`, the other way round. Nothing is written then.
  void apply(VariableStore& store, bool all);

 private:
  struct Entry {
    HostTensor value;
    bool written = false;
  };
  std::string name_;
  bool loaded_ = false;
  std::map<std::string, Entry> entries_;
};

}  // namespace ingot::train
