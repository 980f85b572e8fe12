#include "tests/backends/support/conv_cases.h"

namespace ingot {

std::vector<ConvCase> conv_cases() {
  return {
      {"seed", {4, 3, 32, 32}, {8, 3, 3, 3}, {.padding = {1, 1, 1, 1}}},
      {"64 channels", {5, 64, 8, 8}, {64, 64, 3, 3}, {.padding = {1, 1, 1, 1}}},
      {"batch 1", {1, 32, 9, 7}, {48, 32, 3, 3}, {.padding = {1, 1, 1, 1}}},
      {"batch 1, wide", {1, 64, 14, 14}, {128, 64, 3, 3}, {.padding = {1, 1, 1, 1}}},
      {"batch 2, 1x1", {2, 128, 14, 14}, {256, 128, 1, 1}, {}},
      {"batch 9", {9, 16, 6, 6}, {32, 16, 3, 3}, {.padding = {1, 1, 1, 1}}},
      {"stride 2", {3, 32, 16, 16}, {64, 32, 3, 3}, {.stride = {2, 2}, .padding = {1, 1, 1, 1}}},
      {"1x1", {2, 64, 7, 7}, {32, 64, 1, 1}, {}},
      {"1x1 stride 2", {3, 64, 8, 8}, {128, 64, 1, 1}, {.stride = {2, 2}}},
      {"stem", {2, 3, 17, 19}, {16, 3, 7, 7}, {.stride = {2, 2}, .padding = {3, 3, 3, 3}}},
      {"8 channels", {3, 8, 11, 10}, {8, 8, 3, 3}, {.padding = {1, 1, 1, 1}}},
      {"3x3, uneven", {9, 32, 11, 13}, {64, 32, 3, 3}, {.padding = {0, 2, 1, 2}}},
      {"3x3, no padding", {2, 64, 12, 9}, {48, 64, 3, 3}, {}},
      {"3x3, one image", {1, 32, 27, 21}, {32, 32, 3, 3}, {.padding = {1, 1, 1, 1}}},
      {"8 to 16", {2, 8, 6, 6}, {16, 8, 3, 3}, {}},
      {"odd channels", {2, 5, 9, 11}, {7, 5, 3, 3}, {.padding = {1, 1, 1, 1}}},
      {"asymmetric", {2, 16, 8, 9}, {16, 16, 3, 2}, {.stride = {1, 2}, .padding = {0, 2, 1, 0}}},
      {"dilated", {2, 16, 13, 12}, {16, 16, 3, 3}, {.padding = {2, 2, 3, 3}, .dilation = {2, 3}}},
      {"dilated, strided",
       {2, 4, 15, 14},
       {6, 4, 3, 3},
       {.stride = {2, 3}, .padding = {1, 0, 2, 1}, .dilation = {2, 2}}},
      {"groups", {2, 32, 7, 7}, {64, 16, 3, 3}, {.padding = {1, 1, 1, 1}, .groups = 2}},
      {"odd groups", {2, 6, 5, 5}, {9, 2, 3, 3}, {.padding = {1, 1, 1, 1}, .groups = 3}},
      {"depthwise", {2, 32, 8, 8}, {32, 1, 3, 3}, {.padding = {1, 1, 1, 1}, .groups = 32}},
      {"depthwise, stride 2",
       {2, 16, 9, 9},
       {16, 1, 3, 3},
       {.stride = {2, 2}, .padding = {1, 1, 1, 1}, .groups = 16}},
      {"depthwise, long rows",
       {2, 16, 5, 56},
       {16, 1, 3, 3},
       {.padding = {1, 1, 1, 1}, .groups = 16}},
      {"depthwise, long rows, stride 2",
       {2, 32, 5, 101},
       {32, 1, 3, 3},
       {.stride = {2, 2}, .padding = {1, 1, 1, 1}, .groups = 32}},
      {"depthwise, 5x5", {35, 16, 6, 11}, {16, 1, 5, 5}, {.padding = {2, 2, 2, 2}, .groups = 16}},
      {"depthwise, wide and dilated",
       {2, 32, 9, 16},
       {32, 1, 2, 7},
       {.stride = {1, 2}, .padding = {1, 0, 9, 5}, .dilation = {3, 2}, .groups = 32}},
      {"depthwise, wider than the image",
       {3, 8, 3, 2},
       {8, 1, 3, 3},
       {.padding = {1, 1, 2, 1}, .groups = 8}},
      {"depthwise, 7x7", {2, 16, 9, 27}, {16, 1, 7, 7}, {.padding = {3, 3, 3, 3}, .groups = 16}},
      {"depthwise, 5x5, stride 2",
       {2, 32, 9, 37},
       {32, 1, 5, 5},
       {.stride = {2, 2}, .padding = {2, 2, 2, 2}, .groups = 32}},
      {"depthwise, dilated by the stride",
       {2, 16, 9, 22},
       {16, 1, 3, 3},
       {.stride = {2, 2}, .padding = {2, 2, 2, 2}, .dilation = {2, 2}, .groups = 16}},
      {"groups of one, twice the channels",
       {2, 16, 6, 21},
       {32, 1, 3, 3},
       {.padding = {1, 1, 1, 1}, .groups = 16}},
      {"groups of one, odd channels",
       {2, 5, 11, 70},
       {5, 1, 3, 3},
       {.padding = {1, 1, 1, 1}, .groups = 5}},
      {"groups of one, odd channels, stride 2",
       {2, 5, 11, 35},
       {5, 1, 5, 5},
       {.stride = {2, 2}, .padding = {2, 2, 2, 2}, .groups = 5}},
      {"rest unread", {2, 16, 9, 10}, {16, 16, 2, 2}, {.stride = {3, 4}}},
      {"whole input", {3, 16, 4, 4}, {32, 16, 4, 4}, {}},
  };
}

ConvNodes make_conv_nodes(const ConvCase& conv, DType dtype, const Target* target) {
  ConvNodes nodes{.graph = std::make_unique<Graph>()};
  Graph& graph = *nodes.graph;
  // Each Node has placeholders of its own, so that each may have its own layouts.
  const auto input = [&](const std::string& name, const Shape& shape) {
    return graph.placeholder(name, {dtype, shape});
  };
  const Value y = ops::conv2d(input("x", conv.x), input("w", conv.w), conv.options);
  nodes.forward = y.node();
  nodes.input_grad = ops::conv2d_input_grad(input("input_grad.g", y.shape()),
                                            input("input_grad.w", conv.w), conv.x, conv.options)
                         .node();
  nodes.weight_grad =
      ops::conv2d_weight_grad(input("weight_grad.x", conv.x), input("weight_grad.g", y.shape()),
                              conv.w, conv.options)
          .node();
  if (target == nullptr) return nodes;
  for (Node* node : nodes.all()) {
    const LayoutWish wish = target->layouts(*node, StepForm::latency);
    for (std::size_t i = 0; i < wish.inputs.size(); ++i) {
      node->input(i).node()->set_layout(0, wish.inputs[i]);
    }
    node->set_layout(0, wish.outputs[0]);
  }
  return nodes;
}

ConvNodes make_blocked_conv_nodes(const ConvCase& conv, std::int64_t block) {
  ConvNodes nodes = make_conv_nodes(conv);
  const Layout activations = Layout::channels_blocked(block);
  const Layout weights({}, {{1, block}, {0, block}});
  for (Node* node : nodes.all()) {
    const bool makes_weights = node == nodes.weight_grad;
    node->input(0).node()->set_layout(0, activations);
    node->input(1).node()->set_layout(0, makes_weights ? activations : weights);
    node->set_layout(0, makes_weights ? weights : activations);
  }
  return nodes;
}

}  // namespace ingot
