#include "ingot/nn/module.h"

#include "ingot/ir/core_ops.h"

namespace ingot::nn {

Value ForwardContext::parameter(std::string_view name, const Shape& shape,
                                const Initializer& init) {
  return graph_.variable(graph_.scoped_name(name), {DType::f32, shape}, init,
                         VariableRole::parameter, {});
}

Value ForwardContext::buffer(std::string_view name, const TensorType& type,
                             const Initializer& init) {
  return graph_.variable(graph_.scoped_name(name), type, init, VariableRole::buffer, {});
}

Value ForwardContext::seed() {
  return graph_.variable("rng.seed", {DType::i64, {}}, Initializer::constant(0),
                         VariableRole::counter, {});
}

Value ForwardContext::step() {
  return graph_.variable("step", {DType::i64, {}}, Initializer::constant(0), VariableRole::counter,
                         {});
}

std::int64_t ForwardContext::stream() const {
  std::uint32_t hash = 0x811c9dc5u;  // FNV-1a
  for (const char c : graph_.module_path()) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x01000193u;
  }
  return static_cast<std::int64_t>(hash);
}

Value run_child(ForwardContext& context, std::string_view name, const Module& module, Value x) {
  const auto scope = context.graph().module(name, module.location());
  return module.forward(context, x);
}

std::vector<Value> parameters(const Graph& graph) {
  std::vector<Value> found;
  for (Node* node : graph.nodes_of(variable_op())) {
    if (role_of(*node) == VariableRole::parameter) found.push_back(node->output());
  }
  return found;
}

Value Sequential::forward(ForwardContext& context, Value x) const {
  for (const auto& [name, module] : children_) x = run_child(context, name, *module, x);
  return x;
}

}  // namespace ingot::nn
