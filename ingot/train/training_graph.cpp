#include "ingot/train/training_graph.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "ingot/autodiff/gradients.h"
#include "ingot/base/error.h"
#include "ingot/nn/loss.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "ingot/optim/loss_scale.h"
#include "ingot/passes/guard_assigns.h"

namespace ingot::train {
namespace {

Value logits_of(nn::ForwardContext& context, const nn::Module& model, Value input) {
  const std::int64_t batch = input.shape()[0];
  const Value logits = nn::run_child(context, "", model, input);
  if (logits.dtype() != DType::f32 || logits.shape().rank() != 2 || logits.shape()[0] != batch) {
    throw user_error(ErrorCode::invalid_shape,
                     fmt::format("model: result must be logits f32[{},classes], got {}", batch,
                                 logits.type().to_string()));
  }
  return logits;
}

Value forward(nn::ForwardContext& context, const nn::Module& model, const Shape& image_shape,
              std::int64_t batch) {
  if (image_shape.rank() != 3) {
    throw user_error(ErrorCode::invalid_shape,
                     fmt::format("images: shape must be [C,H,W], got {}", image_shape.to_string()));
  }
  const Shape shape{batch, image_shape[0], image_shape[1], image_shape[2]};
  return logits_of(context, model, context.graph().placeholder("input", {DType::f32, shape}));
}

Value target_for(Graph& graph, Value logits) {
  return graph.placeholder("target", {DType::i32, {logits.shape()[0]}});
}

void add_loss(Graph& graph, Value logits, Value target, const nn::CrossEntropyLoss& loss) {
  graph.fetch("loss", loss(logits, target));
  const Value hits = ops::elementwise("eq", {ops::argmax(logits, -1), target});
  graph.fetch("correct", ops::sum(ops::cast(hits, DType::i32), {}));
}

Graph in_precision(Graph graph, Precision precision) {
  if (precision == Precision::f32) return graph;
  return std::move(*apply_precision(graph, precision));
}

Value fetched(const Graph& graph, std::string_view name) {
  const auto found = std::ranges::find(graph.fetches(), name, &Fetch::name);
  return found->value;
}

optim::Rule without_decay(optim::Rule rule) {
  std::visit([](auto& r) { r.weight_decay = 0.0; }, rule);
  return rule;
}

void add_update(Graph& graph, const TrainingRecipe& recipe, std::span<const Value> parameters,
                std::span<const Value> gradients, Value learning_rate, Value step,
                const optim::UpdateControl& control) {
  // One group each for what decays and what does not.
  std::vector<Value> group[2];
  std::vector<Value> group_gradients[2];
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const bool decays = recipe.decay_vectors || parameters[i].shape().rank() > 1;
    group[decays ? 0 : 1].push_back(parameters[i]);
    group_gradients[decays ? 0 : 1].push_back(gradients[i]);
  }
  optim::apply_update(graph, recipe.optimizer, group[0], group_gradients[0], learning_rate, step,
                      control);
  optim::apply_update(graph, without_decay(recipe.optimizer), group[1], group_gradients[1],
                      learning_rate, step, control);
}

/// Gradients before the casts that end them, where they have one.
std::vector<Value> as_computed(std::span<const Value> gradients) {
  std::vector<Value> result;
  for (const Value& g : gradients) result.push_back(optim::before_widening(g));
  return result;
}

/// The step whose forward pass, up to the loss, the Graph holds.
Graph add_training(Graph forward_pass, const TrainingRecipe& recipe) {
  Graph graph = in_precision(std::move(forward_pass), recipe.precision);
  const bool scaled = recipe.precision == Precision::f16;
  Value loss = fetched(graph, "loss");
  const std::vector<Value> parameters = nn::parameters(graph);
  const Value step = nn::ForwardContext(graph, true).step();
  Value updates = step;  // done before this one
  optim::UpdateControl control;
  if (scaled) {
    const Value scale = optim::loss_scale(graph, recipe.loss_scaling);
    updates = optim::update_count(graph);
    control.factor = 1.0 / scale;
    loss = loss * scale;
  }
  const std::vector<Value> grads = gradients(loss, parameters);
  if (scaled) control.apply = ops::all_finite(graph, as_computed(grads));
  if (recipe.clip_norm != 0) {
    control.factor = optim::clip_factor(graph, grads, recipe.clip_norm, control.factor);
  }
  const Value rate = optim::learning_rate(graph, recipe.schedule, step);
  graph.fetch("lr", rate);
  add_update(graph, recipe, parameters, grads, rate, updates, control);
  graph.assign(step, step + 1.0);
  if (!scaled) return graph;
  optim::update_loss_scale(graph, recipe.loss_scaling, control.apply);
  constexpr std::array kGuarded{VariableRole::buffer};
  return std::move(*guard_assigns(graph, control.apply, kGuarded));
}

}  // namespace

Graph build_train_graph(const nn::Module& model, const Shape& image_shape, std::int64_t batch,
                        const TrainingRecipe& recipe) {
  Graph graph;
  nn::ForwardContext context(graph, true);
  const Value logits = forward(context, model, image_shape, batch);
  add_loss(graph, logits, target_for(graph, logits), {recipe.label_smoothing});
  return add_training(std::move(graph), recipe);
}

Graph build_resident_train_graph(const nn::Module& model, const nn::ResidentSource& source,
                                 const TrainingRecipe& recipe) {
  Graph graph;
  nn::ForwardContext context(graph, true);
  const nn::ResidentBatch batch = nn::next_batch(context, source);
  add_loss(graph, logits_of(context, model, batch.images), batch.labels, {recipe.label_smoothing});
  return add_training(std::move(graph), recipe);
}

Graph build_eval_graph(const nn::Module& model, const Shape& image_shape, std::int64_t batch,
                       Precision precision) {
  Graph graph;
  nn::ForwardContext context(graph, false);
  const Value logits = forward(context, model, image_shape, batch);
  add_loss(graph, logits, target_for(graph, logits), {});
  return in_precision(std::move(graph), precision);
}

Graph build_predict_graph(const nn::Module& model, const Shape& image_shape, std::int64_t batch,
                          Precision precision) {
  Graph graph;
  nn::ForwardContext context(graph, false);
  const Value logits = forward(context, model, image_shape, batch);
  graph.fetch("logits", logits);
  graph.fetch("class", ops::argmax(logits, -1));
  return in_precision(std::move(graph), precision);
}

}  // namespace ingot::train
