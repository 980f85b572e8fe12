#include "apps/ingot/run_setup.h"

#include <filesystem>
#include <utility>

namespace ingot::cli {

using io::Json;

Json to_json(const RunDescription& run) {
  const nn::ModelOptions& m = run.model_options;
  return Json::object({{"model", run.model},
                       {"data", run.data.to_string()},
                       {"data_seed", run.data_seed},
                       {"channels", m.channels},
                       {"height", m.height},
                       {"width", m.width},
                       {"classes", m.classes}});
}

RunDescription description_from_json(const Json& json) {
  return {json.string_at("model"),
          data::parse_data_spec(json.string_at("data")),
          {json.i64_at("channels"), json.i64_at("height"), json.i64_at("width"),
           json.i64_at("classes")},
          json.u64_at("data_seed")};
}

data::DataSpec parse_data(const std::string& text) {
  data::DataSpec spec = data::parse_data_spec(text);
  if (!spec.path.empty()) spec.path = std::filesystem::absolute(spec.path).string();
  return spec;
}

nn::ModelOptions model_options_for(const data::Dataset& dataset) {
  const Shape image = dataset.image_shape();
  return {image[0], image[1], image[2], dataset.class_count};
}

std::shared_ptr<const nn::Module> make_shared_model(const RunDescription& run) {
  return nn::make_model(run.model, run.model_options);
}

LoadedRun load_run(const std::string& folder, const std::string& device, int threads,
                   std::int64_t batch, const std::string& precision) {
  train::SavedRun saved = train::read_saved_run(folder);
  LoadedRun run{description_from_json(saved.extra), nullptr};
  saved.options.device = device;
  saved.options.threads = threads;
  if (batch > 0) saved.options.batch_size = batch;
  if (!precision.empty()) saved.options.precision = parse_precision(precision);
  run.trainer = std::make_unique<train::Trainer>(make_shared_model(run.description), saved.options);
  run.trainer->load(folder);
  return run;
}

data::Dataset load_test_data(const RunDescription& run, const std::string& spec) {
  return data::load_data(spec.empty() ? run.data : parse_data(spec), run.data_seed).test;
}

}  // namespace ingot::cli
