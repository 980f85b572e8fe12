#include "ingot/backends/cpu/fusion_rules.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "ingot/backends/cpu/epilogue.h"
#include "ingot/backends/cpu/fused_body.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/common.h"
#include "ingot/ops/reduction.h"

namespace ingot {
namespace {

// Bounds that keep every Region within MapProgram's limits, and its registers in the cache.
constexpr std::size_t kMaxInstrs = 64;
constexpr std::size_t kMaxOperands = 24;
constexpr std::size_t kMaxNodes = 40;

/// The shape that a Node runs over.
const Shape& loop_shape(const Node& node) {
  return is_fused_reduction(node) ? node.input_type(0).shape : node.output_type().shape;
}

bool broadcasts_to(const Shape& small, const Shape& large) {
  const std::array types{TensorType{DType::f32, small}, TensorType{DType::f32, large}};
  const auto both = broadcast_shapes(types);
  return both && both->numel() == large.numel();
}

std::size_t instrs_of(const Node& node) {
  if (is_single_update(node)) return node.attr<ScalarProgram>("rule").instrs().size();
  std::vector<std::string> names;
  for (const OperandSpec& spec : node.op().inputs) names.emplace_back(spec.name);
  if (node.op().expr.empty()) return 1;
  return ScalarProgram::parse(node.op().expr, names).instrs().size();
}

/// Operands from outside, at most: Values that no Node of the Region makes.
std::size_t count_operands(std::span<const Node* const> nodes) {
  std::vector<Value> operands;
  for (const Node* node : nodes) {
    for (const Value& input : node->inputs()) {
      const bool inside = std::find(nodes.begin(), nodes.end(), input.node()) != nodes.end();
      const bool seen = std::find(operands.begin(), operands.end(), input) != operands.end();
      if (!inside && !seen) operands.push_back(input);
    }
  }
  return operands.size();
}

Support check_sizes(std::span<const Node* const> region, const Node& consumer) {
  const auto takes = [](std::size_t most, std::string_view what, std::size_t given) {
    if (given <= most) return Support::yes();
    return Support::no(fmt::format("takes up to {} {}, got {}", most, what, given));
  };
  std::vector<const Node*> nodes(region.begin(), region.end());
  nodes.push_back(&consumer);
  if (Support fits = takes(kMaxNodes, "Nodes", nodes.size()); !fits) return fits;
  if (Support fits = takes(kMaxOperands, "operands", count_operands(nodes)); !fits) return fits;
  std::size_t instrs = 0;
  for (const Node* node : nodes) instrs += instrs_of(*node);
  return takes(kMaxInstrs, "scalar operations", instrs);
}

/// Elementwise Nodes of the shape of what a convolution or product makes.
Support can_join_epilogue(std::span<const Node* const> region, const Node& producer,
                          const Node& consumer) {
  const Shape& shape = producer.output_type().shape;
  std::vector<const Node*> followers{&consumer};
  for (const Node* node : region) {
    if (node != &producer) followers.push_back(node);
  }
  for (const Node* node : followers) {
    if (const Support support = fusable(*node); !support) return support;
    if (is_fused_reduction(*node)) return Support::no("an epilogue takes no reductions");
    if (node->output_type().shape != shape) {
      return Support::no(fmt::format("an epilogue of {} takes no {}", shape.to_string(),
                                     node->output_type().shape.to_string()));
    }
  }
  return check_sizes(region, consumer);
}

/// The update of one parameter, whose gradient the producer makes.
Support can_join_update(std::span<const Node* const> region, const Node& update) {
  const Node* producer = cpu::epilogue_producer(region);
  if (producer == nullptr) return Support::no("an update follows a convolution or product");
  if (update.output_type().shape != producer->output_type().shape) {
    return Support::no(fmt::format("an epilogue of {} takes no {}",
                                   producer->output_type().shape.to_string(),
                                   update.output_type().shape.to_string()));
  }
  return check_sizes(region, update);
}

/// Calls fn(node) for the Nodes of a Region's body, or for the Node itself.
template <class Fn>
void for_each_inner(const Node& node, const Fn& fn) {
  if (node.body() == nullptr) return fn(node);
  for (const auto& inner : node.body()->nodes()) fn(*inner);
}

}  // namespace

Support can_join_region(std::span<const Node* const> region, const Node& consumer) {
  if (is_single_update(consumer)) return can_join_update(region, consumer);
  if (region.size() == 1 && cpu::is_loss_gradient(consumer)) {
    return cpu::can_join_loss(*region[0], consumer);
  }
  if (const Support support = fusable(consumer); !support) return support;
  if (const Node* producer = cpu::epilogue_producer(region); producer != nullptr) {
    return can_join_epilogue(region, *producer, consumer);
  }
  const Node* reduction = is_fused_reduction(consumer) ? &consumer : nullptr;
  const Shape* widest = &loop_shape(consumer);
  for (const Node* node : region) {
    if (const Support support = fusable(*node); !support) return support;
    if (is_fused_reduction(*node)) {
      for (const Value& input : consumer.inputs()) {
        if (input.node() == node) {
          return Support::no(fmt::format("it reads the reduction {}", node->op().name));
        }
      }
      if (reduction != nullptr && (reduced_axes(*node) != reduced_axes(*reduction) ||
                                   loop_shape(*node) != loop_shape(*reduction))) {
        return Support::no("the reductions differ in shape or axes");
      }
      reduction = node;
    }
    if (loop_shape(*node).numel() > widest->numel()) widest = &loop_shape(*node);
  }
  if (reduction != nullptr && loop_shape(*reduction).numel() < widest->numel()) {
    return Support::no(fmt::format("it reduces {}, less than the region's {}",
                                   loop_shape(*reduction).to_string(), widest->to_string()));
  }
  for (const Node* node : region) {
    if (!broadcasts_to(loop_shape(*node), *widest)) {
      return Support::no(fmt::format("{} does not broadcast to {}", loop_shape(*node).to_string(),
                                     widest->to_string()));
    }
  }
  if (!broadcasts_to(loop_shape(consumer), *widest)) {
    return Support::no(fmt::format("{} does not broadcast to {}", loop_shape(consumer).to_string(),
                                   widest->to_string()));
  }
  return check_sizes(region, consumer);
}

bool is_fused_node(const Node& node) {
  if (&node.op() == &fused_op()) {
    return cpu::epilogue_producer(node) == nullptr && !cpu::is_loss_pair(node);
  }
  return fusable(node).ok;
}

bool fused_accepts(const Node& node, const Layout& layout) {
  bool ok = true;
  for_each_inner(node, [&](const Node& inner) {
    if (!is_fused_reduction(inner)) return;
    // Padding must not enter a reduction.
    const Shape& shape = inner.input_type(0).shape;
    for (const int axis : reduced_axes(inner)) ok &= shape[axis] % layout.block_of(axis) == 0;
  });
  return ok;
}

}  // namespace ingot
