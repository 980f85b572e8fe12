#include "tests/bench/support/small_nets.h"

#include <algorithm>
#include <array>
#include <memory>
#include <span>

#include "ingot/autodiff/gradients.h"
#include "ingot/base/philox.h"
#include "ingot/ir/core_ops.h"
#include "ingot/nn/layers.h"
#include "ingot/nn/loss.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "ingot/optim/optimizer.h"

namespace ingot::small_nets {
namespace {

struct NamedActivation {
  const char* name;
  nn::Activation kind;
};
constexpr std::array kActivations{NamedActivation{"relu", nn::Activation::relu},
                                  NamedActivation{"leaky_relu", nn::Activation::leaky_relu},
                                  NamedActivation{"gelu", nn::Activation::gelu},
                                  NamedActivation{"silu", nn::Activation::silu},
                                  NamedActivation{"elu", nn::Activation::elu},
                                  NamedActivation{"softplus", nn::Activation::softplus},
                                  NamedActivation{"tanh", nn::Activation::tanh},
                                  NamedActivation{"sigmoid", nn::Activation::sigmoid}};

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : seed_(seed) {}
  std::uint64_t below(std::uint64_t bound) { return philox_below(seed_, 0, 0, next_++, bound); }
  std::int64_t pick(std::initializer_list<std::int64_t> values) {
    return values.begin()[below(values.size())];
  }

 private:
  std::uint64_t seed_;
  std::uint64_t next_ = 0;
};

void add_convolution(Net& net, Dice& dice, std::int64_t& channels, std::int64_t& side) {
  Layer conv{"conv", channels, dice.pick({4, 8, 12, 16, 24, 32, 48, 64}), dice.pick({1, 3, 5})};
  conv.stride = side >= 8 && dice.below(4) == 0 ? 2 : 1;
  conv.padding = side <= conv.kernel || dice.below(3) > 0 ? conv.kernel / 2 : 0;
  side = (side + 2 * conv.padding - conv.kernel) / conv.stride + 1;
  channels = conv.out;
  net.layers.push_back(conv);
  net.layers.push_back({kActivations[dice.below(kActivations.size())].name});
  if (side < 6 || dice.below(2) == 0) return;
  if (dice.below(2) == 0) {
    net.layers.push_back({"max_pool", 0, 0, 3, 2, 1});
    side = (side - 1) / 2 + 1;
  } else {
    net.layers.push_back({dice.below(2) == 0 ? "max_pool" : "avg_pool", 0, 0, 2, 2, 0});
    side /= 2;
  }
}

Value apply(nn::ForwardContext& context, const Layer& layer, const std::string& name, Value x) {
  const auto run = [&](const nn::Module& module) {
    return nn::run_child(context, name, module, x);
  };
  const nn::PoolConfig pool{.stride = layer.stride, .padding = layer.padding};
  if (layer.kind == "conv") {
    return run(nn::Conv2d(layer.in, layer.out, layer.kernel,
                          {.stride = layer.stride, .padding = layer.padding}));
  }
  if (layer.kind == "max_pool") return run(nn::MaxPool2d(layer.kernel, pool));
  if (layer.kind == "avg_pool") return run(nn::AvgPool2d(layer.kernel, pool));
  if (layer.kind == "global_pool") return run(nn::AdaptiveAvgPool2d(1));
  if (layer.kind == "flatten") return run(nn::Flatten());
  if (layer.kind == "linear") return run(nn::Linear(layer.in, layer.out));
  const auto* const found = std::ranges::find(kActivations, layer.kind, &NamedActivation::name);
  return run(nn::ActivationLayer(found->kind));
}

bool has_labels(const Net& net) { return net.loss == "labels" || net.loss == "smoothed"; }

Value loss_of(const Net& net, Graph& graph, Value logits, std::int64_t batch) {
  const TensorType type = has_labels(net) ? TensorType{DType::i32, {batch}} : logits.type();
  const Value target = graph.placeholder("target", type);
  if (net.loss == "squares") return nn::MSELoss{}(logits, target);
  return nn::CrossEntropyLoss{net.loss == "smoothed" ? kSmoothing : 0.0}(logits, target);
}

}  // namespace

Net make_net(std::uint64_t seed) {
  Dice dice(seed);
  Net net{seed,
          dice.pick({16, 32, 64}),
          dice.pick({1, 3}),
          dice.pick({12, 16, 20, 28, 32}),
          dice.pick({2, 5, 10}),
          {},
          {},
          {}};
  std::int64_t channels = net.channels;
  std::int64_t side = net.side;
  for (std::uint64_t left = 1 + dice.below(4); left > 0 && side >= 4; --left) {
    add_convolution(net, dice, channels, side);
  }
  if (dice.below(2) == 0) {
    net.layers.push_back({"global_pool"});
    side = 1;
  }
  net.layers.push_back({"flatten"});
  std::int64_t features = channels * side * side;
  for (std::uint64_t left = dice.below(3); left > 0; --left) {
    net.layers.push_back({"linear", features, dice.pick({16, 32, 64, 128})});
    features = net.layers.back().out;
    net.layers.push_back({kActivations[dice.below(kActivations.size())].name});
  }
  net.layers.push_back({"linear", features, net.classes});
  constexpr std::array kLosses{"labels", "smoothed", "probabilities", "squares"};
  net.loss = kLosses[dice.below(kLosses.size())];
  net.optimizer = dice.below(2) == 0 ? "sgd" : "adamw";
  return net;
}

io::Json to_json(const Net& net) {
  io::Json layers = io::Json::array();
  for (const Layer& layer : net.layers) {
    layers.push_back(io::Json::object({{"kind", layer.kind},
                                       {"in", layer.in},
                                       {"out", layer.out},
                                       {"kernel", layer.kernel},
                                       {"stride", layer.stride},
                                       {"padding", layer.padding}}));
  }
  return io::Json::object({{"seed", net.seed},
                           {"batch", net.batch},
                           {"channels", net.channels},
                           {"side", net.side},
                           {"classes", net.classes},
                           {"layers", std::move(layers)},
                           {"loss", net.loss},
                           {"smoothing", kSmoothing},
                           {"optimizer", net.optimizer},
                           {"learning_rate", kLearningRate}});
}

Graph train_graph(const Net& net, std::int64_t batch) {
  Graph graph;
  nn::ForwardContext context(graph, true);
  Value x = graph.placeholder("input", {DType::f32, {batch, net.channels, net.side, net.side}});
  for (std::size_t i = 0; i < net.layers.size(); ++i) {
    x = apply(context, net.layers[i], std::to_string(i), x);
  }
  const Value loss = loss_of(net, graph, x, batch);
  graph.fetch("loss", loss);
  std::vector<Value> parameters;
  for (Node* node : graph.nodes_of(variable_op())) {
    if (role_of(*node) == VariableRole::parameter) parameters.push_back(node->output());
  }
  const std::vector<Value> grads = gradients(loss, parameters);
  const Value step = context.step();
  const optim::Rule rule = net.optimizer == "sgd" ? optim::Rule(optim::SGD{.momentum = 0.9})
                                                  : optim::Rule(optim::AdamW{});
  optim::apply_update(graph, rule, parameters, grads, graph.scalar(kLearningRate), step);
  graph.assign(step, step + 1.0);
  return graph;
}

Batch::Batch(const Net& net, std::int64_t batch, std::uint32_t number) {
  const auto uniform = [&](std::uint32_t stream, std::size_t i) {
    return philox_uniform(net.seed, 4 * number + stream, 1, i);
  };
  images_.resize(static_cast<std::size_t>(batch * net.channels * net.side * net.side));
  for (std::size_t i = 0; i < images_.size(); ++i) images_[i] = 2 * uniform(1, i) - 1;
  const auto classes = static_cast<std::size_t>(net.classes);
  if (has_labels(net)) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(batch); ++i) {
      labels_.push_back(static_cast<std::int32_t>(
          philox_below(net.seed, 4 * number + 2, 1, i, static_cast<std::uint64_t>(classes))));
    }
    return;
  }
  targets_.resize(static_cast<std::size_t>(batch) * classes);
  for (std::size_t row = 0; row < targets_.size(); row += classes) {
    float total = 0;
    for (std::size_t i = row; i < row + classes; ++i) total += targets_[i] = uniform(3, i);
    for (std::size_t i = row; i < row + classes; ++i) targets_[i] /= total;
  }
}

std::vector<Feed> Batch::feeds() const {
  const auto feed = [](std::string_view name, const auto& data) {
    return Feed{name, data.data(), data.size() * sizeof(data.front()), {}};
  };
  return {feed("input", images_),
          labels_.empty() ? feed("target", targets_) : feed("target", labels_)};
}

}  // namespace ingot::small_nets
