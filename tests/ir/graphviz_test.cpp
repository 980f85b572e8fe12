#include "ingot/ir/graphviz.h"

#include <gtest/gtest.h>

#include "ingot/ir/core_ops.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"

namespace ingot {
namespace {

TEST(Graphviz, DrawsNodesEdgesRegionsAndFetches) {
  auto body = std::make_unique<Graph>();
  const Value a = body->argument(0, {DType::f32, {4}});
  body->fetch("p", a + a);
  body->fetch("q", a);
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {4}});
  Node* region = graph.add_region(fused_op(), {x}, std::move(body));
  region->set_layout(1, Layout({}, {{0, 8}}));
  graph.fetch("say \"q\"", region->output(1));
  graph.fetch("r", ops::relu(region->output(1)));
  EXPECT_EQ(to_dot(graph),
            "digraph ingot {\n"
            "  node [shape=box, style=filled, fillcolor=white];\n"
            "  n0 [label=\"placeholder\\nx\\nf32[4]\", fillcolor=lightblue];\n"
            "  subgraph cluster_n1 {\n"
            "    label=\"fused_0\";\n"
            "    n1_n0 [label=\"argument\\narg0\\nf32[4]\", fillcolor=lightblue];\n"
            "    n1_n1 [label=\"add\\nadd_0\\nf32[4]\", fillcolor=white];\n"
            "    n1_n0 -> n1_n1;\n"
            "    n1_n0 -> n1_n1;\n"
            "    n1_f0 [label=\"p\", shape=ellipse];\n"
            "    n1_n1 -> n1_f0;\n"
            "    n1_f1 [label=\"q\", shape=ellipse];\n"
            "    n1_n0 -> n1_f1;\n"
            "  }\n"
            "  n1 [label=\"fused\\nfused_0\\nf32[4]\\nf32[4] A8a\", fillcolor=white];\n"
            "  n0 -> n1;\n"
            "  n2 [label=\"relu\\nrelu_0\\nf32[4]\", fillcolor=white];\n"
            "  n1 -> n2 [label=\"1\"];\n"
            "  f0 [label=\"say \\\"q\\\"\", shape=ellipse];\n"
            "  n1 -> f0;\n"
            "  f1 [label=\"r\", shape=ellipse];\n"
            "  n2 -> f1;\n"
            "}\n");
}

}  // namespace
}  // namespace ingot
