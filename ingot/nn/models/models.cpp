#include "ingot/nn/models/models.h"

#include <fmt/core.h>

#include <array>

#include "ingot/base/error.h"
#include "ingot/nn/layers.h"
#include "ingot/nn/models/resnet.h"

namespace ingot::nn {
namespace {

std::unique_ptr<Module> seed_cnn(const ModelOptions& o) {
  auto model = std::make_unique<Sequential>(SourceLocation{});
  model->add("conv1", Conv2d(o.channels, 8, 3, {.padding = 1}))
      .add("relu", ReLU())
      .add("pool", AdaptiveAvgPool2d(1))
      .add("flatten", Flatten())
      .add("fc", Linear(8, o.classes));
  return model;
}

std::unique_ptr<Module> mlp784(const ModelOptions& o) {
  auto model = std::make_unique<Sequential>(SourceLocation{});
  model->add("flatten", Flatten())
      .add("0", Linear(o.channels * o.height * o.width, 128))
      .add("1", ReLU())
      .add("2", Linear(128, 64))
      .add("3", ReLU())
      .add("4", Linear(64, o.classes));
  return model;
}

// LeCun et al. 1998 with ReLU and max pooling, as it is used today.
std::unique_ptr<Module> lenet(const ModelOptions& o) {
  const auto after = [](std::int64_t size) { return (size / 2 - 4) / 2; };
  auto model = std::make_unique<Sequential>(SourceLocation{});
  model->add("conv1", Conv2d(o.channels, 20, 5, {.padding = 2}))
      .add("relu1", ReLU())
      .add("pool1", MaxPool2d(2))
      .add("conv2", Conv2d(20, 50, 5))
      .add("relu2", ReLU())
      .add("pool2", MaxPool2d(2))
      .add("flatten", Flatten())
      .add("fc1", Linear(50 * after(o.height) * after(o.width), 500))
      .add("relu3", ReLU())
      .add("fc2", Linear(500, o.classes));
  return model;
}

std::unique_ptr<Module> gometal_cnn(const ModelOptions& o) {
  const auto half = [](std::int64_t size) { return (size + 1) / 2; };
  const std::int64_t features = 64 * half(half(o.height)) * half(half(o.width));
  return std::make_unique<Sequential>(
      Conv2d(o.channels, 32, 3, {.padding = 1}), ReLU(),
      Conv2d(32, 32, 3, {.stride = 2, .padding = 1}), ReLU(), Conv2d(32, 64, 3, {.padding = 1}),
      ReLU(), Conv2d(64, 64, 3, {.stride = 2, .padding = 1}), ReLU(), Flatten(),
      Linear(features, 128), ReLU(), Dropout(0.5), Linear(128, o.classes));
}

constexpr std::array kModels{
    ModelInfo{"seed-cnn",
              "conv 3x3 to 8 channels, ReLU, global average pool, linear",
              {3, 32, 32, 2},
              seed_cnn},
    ModelInfo{"mlp784", "784-128-64-10 with ReLU", {1, 28, 28, 10}, mlp784},
    ModelInfo{"lenet",
              "two 5x5 convolutions with max pooling, two linear layers",
              {1, 28, 28, 10},
              lenet},
    ModelInfo{"gometal-cnn",
              "four 3x3 convolutions, dropout, two linear layers",
              {3, 32, 32, 10},
              gometal_cnn},
    ModelInfo{
        "resnet18", "ResNet-18 for 224x224 images", {3, 224, 224, 1000}, make_resnet18, 8, 32},
    ModelInfo{"resnet18-cifar",
              "ResNet-18 with a 3x3 stem for 32x32 images",
              {3, 32, 32, 10},
              make_resnet18_cifar,
              32,
              8},
    ModelInfo{
        "resnet50", "ResNet-50 for 224x224 images", {3, 224, 224, 1000}, make_resnet50, 8, 32},
};

}  // namespace

std::span<const ModelInfo> models() { return kModels; }

const ModelInfo& find_model(std::string_view name) {
  std::vector<std::string> names;
  for (const ModelInfo& model : kModels) {
    if (model.name == name) return model;
    names.emplace_back(model.name);
  }
  Error error =
      user_error(ErrorCode::not_found,
                 fmt::format("model \"{}\": must be a known model, got no such name", name));
  const std::string close = closest_names(name, names);
  std::string list;
  for (const std::string& known : names) list += (list.empty() ? "" : ", ") + known;
  error.help(close.empty() ? "models are " + list : "did you mean " + close + "?");
  throw error;
}

std::unique_ptr<Module> make_model(std::string_view name, const ModelOptions& options) {
  return find_model(name).make(options);
}

}  // namespace ingot::nn
