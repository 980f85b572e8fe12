// What train, eval and predict share: model, data and configuration of a run.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "ingot/data/data_spec.h"
#include "ingot/nn/models/models.h"
#include "ingot/train/trainer.h"

namespace ingot::cli {

/// What the command keeps in a checkpoint beside the Trainer's own state.
struct RunDescription {
  std::string model;
  data::DataSpec data;
  nn::ModelOptions model_options;
  std::uint64_t data_seed = 0;
};

io::Json to_json(const RunDescription& run);
/// Errors (invalid_data): members missing or of a wrong type.
RunDescription description_from_json(const io::Json& json);

/// A spec with an absolute path, so that a run can be continued from anywhere.
data::DataSpec parse_data(const std::string& text);

nn::ModelOptions model_options_for(const data::Dataset& dataset);
std::shared_ptr<const nn::Module> make_shared_model(const RunDescription& run);

/// A Trainer with the variables of the run in `folder`.
struct LoadedRun {
  RunDescription description;
  std::unique_ptr<train::Trainer> trainer;
};
/// `batch` 0 and `precision` empty: the run's.
LoadedRun load_run(const std::string& folder, const std::string& device, int threads,
                   std::int64_t batch, const std::string& precision = {});
/// The test half of `spec`, or of the run's data when it is empty.
data::Dataset load_test_data(const RunDescription& run, const std::string& spec);

}  // namespace ingot::cli
