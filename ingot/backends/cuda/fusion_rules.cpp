// What joins one kernel.
#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "ingot/backends/cuda/contractions/contract_problem.h"
#include "ingot/backends/cuda/cuda_backend.h"
#include "ingot/backends/cuda/kernels/map_kernel.h"
#include "ingot/backends/cuda/kernels/move_chain.h"
#include "ingot/backends/cuda/kernels/pool_window.h"
#include "ingot/backends/cuda/libraries/library_conv.h"
#include "ingot/backends/cuda/libraries/library_epilogue.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/common.h"
#include "ingot/ops/node_kinds.h"
#include "ingot/ops/reduction.h"

namespace ingot::cuda {
namespace {

// Text that a compiler gets through quickly and whose values fit into registers.
constexpr std::size_t kMaxNodes = 48;
constexpr std::size_t kMaxOperands = 32;

const Shape& loop_shape(const Node& node) {
  return is_reduction(node) ? node.input_type(0).shape : node.output_type().shape;
}

bool broadcasts_to(const Shape& small, const Shape& large) {
  const std::array types{TensorType{DType::f32, small}, TensorType{DType::f32, large}};
  const auto both = broadcast_shapes(types);
  return both && both->numel() == large.numel();
}

Support check_sizes(std::span<const Node* const> region, const Node& consumer) {
  if (region.size() >= kMaxNodes) {
    return Support::no(fmt::format("a region of {} nodes is full", region.size()));
  }
  std::vector<const Node*> nodes(region.begin(), region.end());
  nodes.push_back(&consumer);
  std::vector<Value> operands;
  for (const Node* node : nodes) {
    for (const Value& input : node->inputs()) {
      if (std::ranges::find(nodes, input.node()) != nodes.end()) continue;
      if (std::ranges::find(operands, input) == operands.end()) operands.push_back(input);
    }
  }
  if (operands.size() > kMaxOperands) {
    return Support::no(fmt::format("{} operands are too many", operands.size()));
  }
  return Support::yes();
}

Support fits_epilogue(const Node& producer, const Node& node) {
  if (is_reduction(node)) return Support::no("an epilogue takes no reductions");
  if (node.output_type().shape != producer.output_type().shape) {
    return Support::no(fmt::format("an epilogue of {} takes no {}",
                                   producer.output_type().shape.to_string(),
                                   node.output_type().shape.to_string()));
  }
  return Support::yes();
}

Support check_reductions(std::span<const Node* const> region, const Node& consumer) {
  const Node* reduction = is_reduction(consumer) ? &consumer : nullptr;
  const Shape* widest = &loop_shape(consumer);
  for (const Node* node : region) {
    if (is_reduction(*node)) {
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
  if (reduction != nullptr && loop_shape(*reduction) != *widest) {
    return Support::no(fmt::format("{} is not the region's {}", loop_shape(*reduction).to_string(),
                                   widest->to_string()));
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
  return Support::yes();
}

/// Whether the Node converts a variable.
bool converts_variable(const Node& node) {
  return &node.op() == &cast_op() && &node.input(0).node()->op() == &variable_op();
}

Support joins_conversions(const Node& first, std::size_t count, const Node& consumer) {
  constexpr std::size_t kMost = 256;
  if (count >= kMost) return Support::no(fmt::format("a region of {} conversions is full", count));
  const bool same = first.input_type(0).dtype == consumer.input_type(0).dtype &&
                    first.output_type().dtype == consumer.output_type().dtype;
  return same ? Support::yes() : Support::no("the conversions differ in dtype");
}

bool makes_chain(std::span<const Node* const> region, const Node& consumer) {
  std::vector<const Node*> nodes(region.begin(), region.end());
  nodes.push_back(&consumer);
  return is_move_chain(nodes);
}

/// Whether a data gradient adds a tensor in less time than who reads the sum takes to read it: one
/// whose arithmetic leaves memory idle, and which stores its result in one piece.
bool adds_cheaply(const Node& gradient) {
  // What a GPU does while a byte comes from memory: by tensor cores on 16 bits and in tf32, and
  // without them.
  constexpr double kHalf = 220, kTf32 = 110, kFull = 15;
  const Conv2dShape shape = conv2d_shape(gradient);
  if (shape.window.stride != std::array<std::int64_t, 2>{1, 1}) return false;
  const double flops_of_byte = gradient.output_type().dtype != DType::f32 ? kHalf
                               : wants_tf32(gradient)                     ? kTf32
                                                                          : kFull;
  double bytes = static_cast<double>(gradient.output_type().bytes());
  for (const Value& input : gradient.inputs()) bytes += static_cast<double>(input.type().bytes());
  return shape.flops() >= flops_of_byte * bytes;
}

/// Whether the consumer joins what the library's convolution stores anyway.
Support library_does(std::span<const Node* const> region, const Node& producer,
                     const Node& consumer) {
  constexpr int kChannels = 1;
  const ConvKind kind = conv2d_operands(producer.op())->kind;
  const LibraryJoin joins = joins_library(region, producer, consumer, kChannels);
  const bool able = kind == ConvKind::forward
                        ? joins != LibraryJoin::none
                        : kind == ConvKind::input_grad && joins == LibraryJoin::addend;
  if (!able) return Support::no("its producer is a library's work");
  // Either way as many bytes are read: the sum's readers can add.
  if (kind == ConvKind::input_grad && !adds_cheaply(producer)) {
    return Support::no("its producer would take longer for it than who reads the sum");
  }
  return Support::yes();
}

bool is_producer(const Node& node) { return !is_pointwise(node) && !is_reduction(node); }

}  // namespace

Support can_join(std::span<const Node* const> region, const Node& consumer, StepForm form) {
  if (form == StepForm::throughput && converts_variable(consumer) &&
      std::ranges::all_of(region, [](const Node* node) { return converts_variable(*node); })) {
    return joins_conversions(*region.front(), region.size(), consumer);
  }
  if (form == StepForm::throughput && makes_chain(region, consumer)) {
    return check_sizes(region, consumer);
  }
  if (is_producer(consumer)) {
    return Support::no(fmt::format("{} begins a kernel", consumer.op().name));
  }
  const auto producer =
      std::ranges::find_if(region, [](const Node* node) { return is_producer(*node); });
  if (producer != region.end()) {
    const OpDef& op = (*producer)->op();
    const bool throughput = form == StepForm::throughput;
    if (throughput && wants_library(**producer)) {
      if (const Support does = library_does(region, **producer, consumer); !does) return does;
    }
    const bool apart = throughput && is_window(**producer);
    if (apart || (!is_contraction(**producer) && element_source(op) == nullptr)) {
      return Support::no(fmt::format("{} takes no epilogue", op.name));
    }
    for (const Node* node : region) {
      if (node == *producer) continue;
      if (const Support support = fits_epilogue(**producer, *node); !support) return support;
    }
    if (const Support support = fits_epilogue(**producer, consumer); !support) return support;
    return check_sizes(region, consumer);
  }
  if (const Support support = check_reductions(region, consumer); !support) return support;
  return check_sizes(region, consumer);
}

}  // namespace ingot::cuda
