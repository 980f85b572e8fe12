#include "tests/engine/support/training.h"

#include <algorithm>
#include <span>

#include "ingot/base/philox.h"
#include "ingot/engine/compile.h"
#include "ingot/train/training_graph.h"

namespace ingot::testing_support {
namespace {

nn::ModelOptions options_of(const TrainingSpec& spec) {
  nn::ModelOptions options = nn::find_model(spec.model).defaults;
  if (spec.size != 0) options.height = options.width = spec.size;
  return options;
}

std::int64_t batch_of(const TrainingSpec& spec) {
  return spec.batch != 0 ? spec.batch : default_batch(nn::find_model(spec.model));
}

Executable compile_training(const TrainingSpec& spec, VariableStore& store) {
  const nn::ModelOptions o = options_of(spec);
  const auto model = nn::make_model(spec.model, o);
  train::TrainingRecipe recipe;
  recipe.schedule.base = 0.01;
  return compile(
      train::build_train_graph(*model, {o.channels, o.height, o.width}, batch_of(spec), recipe),
      store);
}

}  // namespace

std::int64_t default_batch(const nn::ModelInfo& info) { return info.defaults.height > 32 ? 8 : 32; }

Training::Training(const TrainingSpec& spec)
    : store_(std::make_unique<VariableStore>(
          make_backend(spec.device,
                       {.threads = spec.threads, .tune = spec.tune, .shares_gpu = spec.shares_gpu}),
          1)),
      executable_(compile_training(spec, *store_)),
      pool_(store_->backend()->device()) {
  const nn::ModelOptions o = options_of(spec);
  const std::int64_t batch = batch_of(spec);
  for (std::uint32_t b = 0; b < kBatches; ++b) {
    auto& x =
        images_.emplace_back(static_cast<std::size_t>(batch * o.channels * o.height * o.width));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = 2 * philox_uniform(11, 2 * b, 0, i) - 1;
    auto& y = labels_.emplace_back(static_cast<std::size_t>(batch));
    for (std::size_t i = 0; i < y.size(); ++i) {
      y[i] = static_cast<std::int32_t>(
          philox_below(11, 2 * b + 1, 0, i, static_cast<std::uint64_t>(o.classes)));
    }
    if (!spec.feeds_on_device) continue;
    const auto place = [&](const TensorType& type, const auto& values, std::string_view name) {
      Tensor tensor = Tensor::allocate(pool_, type, name);
      tensor.copy_from_host(std::as_bytes(std::span(values)));
      return tensor;
    };
    on_device_.push_back({place({DType::f32, {batch, o.channels, o.height, o.width}}, x, "images"),
                          place({DType::i32, {batch}}, y, "labels")});
  }
}

void Training::step() {
  const std::vector<float>& x = images_[next_];
  const std::vector<std::int32_t>& y = labels_[next_];
  const std::size_t now = next_;
  next_ = (next_ + 1) % kBatches;
  if (!on_device_.empty()) {
    const auto& [images, labels] = on_device_[now];
    return executable_.step({feed_of("input", images), feed_of("target", labels)});
  }
  executable_.step({{"input", x.data(), x.size() * sizeof(float)},
                    {"target", y.data(), y.size() * sizeof(std::int32_t)}});
}

std::vector<HostTensor> Training::variables() const {
  std::vector<HostTensor> values;
  for (const Segment* segment : store_->segments()) values.push_back(store_->read(segment->name));
  return values;
}

}  // namespace ingot::testing_support
