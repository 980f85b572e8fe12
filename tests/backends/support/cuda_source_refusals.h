// Why the CUDA backend's kernels refuse Nodes, and why Nodes do not join; planned without a GPU.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/ir/graph.h"
#include "ingot/runtime/backend.h"

namespace ingot::testing_support {

/// Nodes as graph text has them (see ir/printer.h).
struct NodeText {
  std::vector<std::string> operands;      ///< "bf16[2,8]@ba"; they are %0, %1, ...
  std::string nodes;                      ///< "%y = matmul(%0, %1) %z = relu(%y)"
  std::vector<std::string> results = {};  ///< of a Region of the Nodes: "z"; empty: it is none
};

/// A verified Graph that ends in the last of the Nodes, or in the Region.
std::unique_ptr<Graph> graph_of(const NodeText& text);

/// Empty where the kernel takes the Node. `asked`: the backend that its table is asked for, where
/// that is not its own.
std::string refusal(std::string_view kernel, const Node& node, const Backend* asked = nullptr);

struct Refusal {
  std::string reason;  ///< empty: the kernel takes it
  NodeText text;
};
/// Asks the kernel about the last Node of each.
void expect_refusals(std::string_view kernel, const std::vector<Refusal>& refusals);

/// Why the last Node does not join a Region of those before it; empty: it does.
std::string join_refusal(const NodeText& text, StepForm form);

}  // namespace ingot::testing_support
