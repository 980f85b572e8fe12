// Convolutions of every kind, as Nodes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ingot/ir/graph.h"
#include "ingot/ir/target.h"
#include "ingot/ops/ops.h"

namespace ingot {

struct ConvCase {
  std::string name;
  Shape x;
  Shape w;
  Conv2dOptions options = {};
};

/// Odd sizes, strides, dilation, groups, depthwise, 1x1, asymmetric padding, batch 1.
std::vector<ConvCase> conv_cases();

/// A Graph with conv2d, conv2d_input_grad and conv2d_weight_grad of one case, operands and results
/// in the layouts that the target wishes for (plain without a target).
struct ConvNodes {
  std::unique_ptr<Graph> graph;
  Node* forward = nullptr;
  Node* input_grad = nullptr;
  Node* weight_grad = nullptr;

  [[nodiscard]] std::vector<Node*> all() const { return {forward, input_grad, weight_grad}; }
};
ConvNodes make_conv_nodes(const ConvCase& conv, DType dtype = DType::f32,
                          const Target* target = nullptr);
/// In f32, activations in blocks of `block` channels, weights in blocks of both.
ConvNodes make_blocked_conv_nodes(const ConvCase& conv, std::int64_t block);

}  // namespace ingot
