#include "tests/backends/support/cuda_source_refusals.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "ingot/backends/cuda/cuda_backend.h"
#include "ingot/ir/op_def.h"
#include "ingot/ir/parser.h"
#include "ingot/ir/verifier.h"
#include "ingot/ops/registry.h"

namespace ingot::testing_support {
namespace {

/// The operands as sources: `placeholder() {...}`, or arguments that know their places.
std::string sources_text(const std::vector<std::string>& operands, bool arguments) {
  std::string text;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const std::string type = operands[i].substr(0, operands[i].find('@'));
    const std::size_t shape = type.find('[');
    text += fmt::format("%{} = {}() {{{}dtype={}, shape={}}} -> {}\n", i,
                        arguments ? "argument" : "placeholder",
                        arguments ? fmt::format("index={}, ", i) : std::string(),
                        type.substr(0, shape), type.substr(shape), operands[i]);
  }
  return text;
}

std::string region_text(const NodeText& text) {
  std::string operands;
  for (std::size_t i = 0; i < text.operands.size(); ++i) {
    operands += fmt::format("{}%{}", i == 0 ? "" : ", ", i);
  }
  std::string code = fmt::format("%region = fused({}) body {{\n{}{}\n", operands,
                                 sources_text(text.operands, true), text.nodes);
  for (const std::string& result : text.results) {
    code += fmt::format("fetch \"{0}\" = %{0}\n", result);
  }
  return code + "}\n";
}

}  // namespace

std::unique_ptr<Graph> graph_of(const NodeText& text) {
  const bool region = !text.results.empty();
  auto graph = parse_graph(fmt::format("graph {{\n{}{}}}\n", sources_text(text.operands, false),
                                       region ? region_text(text) : text.nodes),
                           all_ops());
  if (region) {
    // A Region's results lie as those of its body.
    Node& node = *graph->nodes().back();
    const std::vector<Fetch>& results = node.body()->fetches();
    for (std::size_t i = 0; i < results.size(); ++i) {
      node.set_layout(static_cast<int>(i), results[i].value.layout());
    }
  }
  verify(*graph, "test");
  return graph;
}

std::string refusal(std::string_view kernel, const Node& node, const Backend* asked) {
  const cuda::CudaBackend backend(nullptr, cuda::GpuFacts{});
  for (const KernelCandidate& candidate : backend.kernels().candidates(node.op().name)) {
    if (candidate.name != kernel) continue;
    return candidate.supports(node, asked == nullptr ? backend : *asked).reason;
  }
  return "not in the table";
}

void expect_refusals(std::string_view kernel, const std::vector<Refusal>& refusals) {
  for (const Refusal& expected : refusals) {
    const auto graph = graph_of(expected.text);
    EXPECT_EQ(refusal(kernel, *graph->nodes().back()), expected.reason)
        << kernel << ": " << expected.text.nodes;
  }
}

std::string join_refusal(const NodeText& text, StepForm form) {
  const auto graph = graph_of(text);
  std::vector<const Node*> nodes;
  for (const auto& node : graph->nodes()) {
    if (!node->op().traits.source) nodes.push_back(node.get());
  }
  const Node& consumer = *nodes.back();
  nodes.pop_back();
  return cuda::CudaBackend(nullptr, cuda::GpuFacts{}).can_fuse(nodes, consumer, form).reason;
}

}  // namespace ingot::testing_support
