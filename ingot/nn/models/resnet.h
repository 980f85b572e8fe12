// Residual networks (He et al. 2016) with torchvision's parameter names.
#pragma once

#include <memory>

#include "ingot/nn/models/models.h"

namespace ingot::nn {

std::unique_ptr<Module> make_resnet18(const ModelOptions& options);
/// 3x3 stride-1 stem, no max pooling.
std::unique_ptr<Module> make_resnet18_cifar(const ModelOptions& options);
std::unique_ptr<Module> make_resnet50(const ModelOptions& options);

}  // namespace ingot::nn
