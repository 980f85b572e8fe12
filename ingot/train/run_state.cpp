#include "ingot/train/run_state.h"

#include <fmt/core.h>

#include <utility>

#include "ingot/base/error.h"

namespace ingot::train {

using io::Json;

io::Checkpoint make_checkpoint(const VariableStore& store, const RunState& run,
                               const TrainerOptions& options,
                               const std::vector<std::string>& kernels, const Json& extra) {
  io::Checkpoint checkpoint;
  for (const Segment* segment : store.segments()) {
    if (segment->role == VariableRole::dataset) continue;
    const bool of_model =
        segment->role == VariableRole::parameter || segment->role == VariableRole::buffer;
    (of_model ? checkpoint.model : checkpoint.optimizer)
        .emplace_back(segment->name, store.read(segment->name));
  }
  Json choices = Json::array();
  for (const std::string& kernel : kernels) choices.push_back(kernel);
  // The random numbers of a step are a function of the seed and the step alone.
  checkpoint.state =
      Json::object({{"epoch", run.epoch},
                    {"step", run.step},
                    {"rng", Json::object({{"seed", options.seed}, {"step", run.step}})},
                    {"loader", Json::object({{"epoch", run.epoch}, {"batch", run.batch}})},
                    {"epoch_so_far", Json::object({{"loss", run.sums.loss},
                                                   {"correct", run.sums.correct},
                                                   {"samples", run.sums.samples}})},
                    {"options", options_to_json(options)},
                    {"device", options.device},
                    {"kernels", std::move(choices)},
                    {"extra", extra}});
  return checkpoint;
}

RunState run_state_from_json(const Json& state) {
  const Json& loader = state.at("loader");
  const Json& sums = state.at("epoch_so_far");
  return {loader.i64_at("epoch"),
          loader.i64_at("batch"),
          state.i64_at("step"),
          {sums.double_at("loss"), sums.i64_at("correct"), sums.i64_at("samples")}};
}

std::vector<std::string> kernels_from_json(const Json& state) {
  std::vector<std::string> kernels;
  for (const Json& kernel : state.array_at("kernels")) kernels.push_back(kernel.as_string());
  return kernels;
}

RestoredVariables::RestoredVariables(std::string name, io::Checkpoint checkpoint)
    : name_(std::move(name)), loaded_(true) {
  for (auto* tensors : {&checkpoint.model, &checkpoint.optimizer}) {
    for (auto& [variable, value] : *tensors) entries_[variable].value = std::move(value);
  }
}

void RestoredVariables::apply(VariableStore& store, bool all) {
  if (!loaded_) return;
  const auto refuse = [&](const std::string& rule) {
    return user_error(ErrorCode::invalid_data, fmt::format("checkpoint \"{}\": {}", name_, rule));
  };
  for (const Segment* segment : store.segments()) {
    if (segment->role == VariableRole::dataset) continue;
    const auto it = entries_.find(segment->name);
    if (it == entries_.end()) {
      throw refuse(fmt::format("must hold every variable of the model, got none called \"{}\"",
                               segment->name));
    }
    const TensorType& saved = it->second.value.type();
    if (saved != segment->type && !it->second.written) {
      throw refuse(fmt::format("variable \"{}\" must be {}, got {}", segment->name,
                               segment->type.to_string(), saved.to_string()));
    }
  }
  for (const auto& [variable, entry] : entries_) {
    if (all && !store.contains(variable)) {
      throw refuse(fmt::format("must hold the model's variables alone, got \"{}\"", variable));
    }
  }
  for (auto& [variable, entry] : entries_) {
    if (entry.written || !store.contains(variable)) continue;
    store.write(variable, entry.value);
    entry.written = true;
    entry.value = HostTensor(TensorType{entry.value.type().dtype, {0}});
  }
}

}  // namespace ingot::train
