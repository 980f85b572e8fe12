#include "ingot/nn/models/resnet.h"

#include <array>
#include <string>

#include "ingot/nn/residual.h"

namespace ingot::nn {
namespace {

template <typename Block>
std::unique_ptr<Module> resnet(const ModelOptions& options, const std::array<int, 4>& depths,
                               bool small_images) {
  auto model = std::make_unique<Sequential>(SourceLocation{});
  const Conv2dConfig stem{.stride = small_images ? 1 : 2,
                          .padding = small_images ? 1 : 3,
                          .bias = false,
                          .init = ConvInit::kaiming_normal_fan_out};
  model->add("conv1", Conv2d(options.channels, 64, small_images ? 3 : 7, stem))
      .add("bn1", BatchNorm2d(64))
      .add("relu", ReLU());
  if (!small_images) model->add("maxpool", MaxPool2d(3, {.stride = 2, .padding = 1}));
  std::int64_t in = 64;
  for (int stage = 0; stage < 4; ++stage) {
    const std::int64_t channels = std::int64_t{64} << stage;
    Sequential layer(SourceLocation::current());
    for (int block = 0; block < depths[static_cast<std::size_t>(stage)]; ++block) {
      layer.add(Block(in, channels, stage > 0 && block == 0 ? 2 : 1));
      in = channels * Block::kExpansion;
    }
    model->add("layer" + std::to_string(stage + 1), std::move(layer));
  }
  model->add("avgpool", AdaptiveAvgPool2d(1))
      .add("flatten", Flatten())
      .add("fc", Linear(in, options.classes));
  return model;
}

}  // namespace

std::unique_ptr<Module> make_resnet18(const ModelOptions& options) {
  return resnet<BasicBlock>(options, {2, 2, 2, 2}, false);
}

std::unique_ptr<Module> make_resnet18_cifar(const ModelOptions& options) {
  return resnet<BasicBlock>(options, {2, 2, 2, 2}, true);
}

std::unique_ptr<Module> make_resnet50(const ModelOptions& options) {
  return resnet<Bottleneck>(options, {3, 4, 6, 3}, false);
}

}  // namespace ingot::nn
