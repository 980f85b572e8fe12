#include "tests/backends/support/cuda_source_steps.h"

#include <utility>

#include "ingot/autodiff/gradients.h"
#include "ingot/ir/op_def.h"
#include "ingot/nn/loss.h"
#include "ingot/nn/models/models.h"
#include "ingot/nn/residual.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/operators.h"
#include "ingot/optim/optimizer.h"
#include "ingot/optim/schedule.h"
#include "ingot/passes/pass_list.h"
#include "ingot/passes/pass_manager.h"

namespace ingot::testing_support {

Graph low_precision_step(const nn::Module& model, const Shape& image, Precision precision,
                         bool fetch_gradients) {
  Graph forward;
  nn::ForwardContext context(forward, true);
  const Value logits = model.forward(context, forward.placeholder("input", {DType::f32, image}));
  const Value target = forward.placeholder("target", {DType::i32, {image[0]}});
  forward.fetch("loss", nn::CrossEntropyLoss{0.0}(logits, target));
  Graph graph = std::move(*apply_precision(forward, precision));
  const std::vector<Value> parameters = nn::parameters(graph);
  std::vector<Value> grads = gradients(graph.fetches().front().value, parameters);
  for (std::size_t i = 0; i < grads.size(); ++i) {
    if (&grads[i].node()->op() == &cast_op()) grads[i] = grads[i].node()->input(0);
    if (!fetch_gradients) continue;
    const Value wide = ops::cast(grads[i], DType::f32, {});
    graph.fetch("gradient" + std::to_string(i), ops::sum(wide * wide, {}, false, {}));
  }
  const Value step = nn::ForwardContext(graph, true).step();
  const Value rate = optim::learning_rate(graph, {}, step);
  optim::apply_update(graph, optim::SGD{.momentum = 0.9}, parameters, grads, rate, step);
  graph.assign(step, step + 1.0);
  return graph;
}

Graph low_precision_step(std::string_view name, std::int64_t batch) {
  const nn::ModelInfo& info = nn::find_model(name);
  const nn::ModelOptions& m = info.defaults;
  return low_precision_step(*info.make(m), {batch, m.channels, m.height, m.width}, Precision::bf16,
                            false);
}

Program lower(const Graph& graph, const Backend& backend,
              const std::vector<std::string>& disabled_passes) {
  PassContext context(backend);
  auto lowered = run_passes(graph, pass_list(), disabled_passes, context);
  return build_program(std::move(lowered), backend, context.form);
}

nn::Sequential small_net() {
  nn::Sequential net(SourceLocation{});
  net.add("conv1", nn::Conv2d(3, 16, 3, {.padding = 1, .bias = false}))
      .add("bn1", nn::BatchNorm2d(16))
      .add("relu", nn::ReLU())
      .add("maxpool", nn::MaxPool2d(3, {.stride = 2, .padding = 1}))
      .add("block1", nn::BasicBlock(16, 24, 2))
      .add("block2", nn::BasicBlock(24, 24, 1))
      .add("avgpool", nn::AdaptiveAvgPool2d(1))
      .add("flatten", nn::Flatten())
      .add("fc", nn::Linear(24, 10));
  return net;
}

}  // namespace ingot::testing_support
