// The models that Ingot brings along.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/nn/module.h"

namespace ingot::nn {

/// What a model is built for.
struct ModelOptions {
  std::int64_t channels = 3;
  std::int64_t height = 32;
  std::int64_t width = 32;
  std::int64_t classes = 10;
};

struct ModelInfo {
  std::string_view name;
  std::string_view summary;
  ModelOptions defaults;  ///< the benchmark's shapes
  std::unique_ptr<Module> (*make)(const ModelOptions&);
  std::int64_t batch = 32;      ///< the benchmark's, on a CPU
  std::int64_t check_side = 0;  ///< images this small let the reference follow; 0: the defaults do
};

/// seed-cnn, mlp784, lenet, gometal-cnn, resnet18, resnet18-cifar, resnet50.
std::span<const ModelInfo> models();
/// Errors: unknown name, with candidates.
const ModelInfo& find_model(std::string_view name);
/// x[N,channels,height,width] -> logits [N,classes].
std::unique_ptr<Module> make_model(std::string_view name, const ModelOptions& options);

}  // namespace ingot::nn
