#include "ingot/passes/precision.h"

#include <gtest/gtest.h>

#include "ingot/autodiff/gradients.h"
#include "ingot/ir/op_def.h"
#include "ingot/ir/parser.h"
#include "ingot/ir/printer.h"
#include "ingot/ops/registry.h"
#include "tests/passes/support/graphs.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

using testing_support::count_ops;
using testing_support::expect_equivalent;
using testing_support::expect_user_error;

std::unique_ptr<Graph> small_net() {
  auto graph = std::make_unique<Graph>();
  const Value x = graph->placeholder("x", {DType::f32, {4, 8}});
  const Value labels = graph->placeholder("labels", {DType::i32, {4}});
  const Value w = graph->variable("w", {DType::f32, {8, 5}}, Initializer::constant(0.1));
  const Value b = graph->variable("b", {DType::f32, {5}}, Initializer::constant(0));
  const Value logits = ops::relu(ops::matmul(x, w) + b);
  const Value loss = ops::mean(ops::cross_entropy(logits, labels), {});
  graph->fetch("logits", logits);
  graph->fetch("loss", loss + ops::sum(w * w, {}));
  graph->assign(b, b * graph->scalar(0.5));
  return graph;
}

TEST(Precision, OfF32IsTheSameGraph) {
  const auto graph = small_net();
  const auto after = apply_precision(*graph, Precision::f32);
  EXPECT_EQ(after->size(), graph->size());
  expect_equivalent(*graph, *after);
}

TEST(Precision, CastsAroundContractionsAndKeepsMastersAndLosses) {
  const auto graph = small_net();
  for (const Precision precision : {Precision::bf16, Precision::f16}) {
    const auto after = apply_precision(*graph, precision);
    const DType low = compute_dtype(precision);
    for (const auto& node : after->nodes()) {
      const std::string_view op = node->op().name;
      if (op == "matmul" || op == "relu") {
        EXPECT_EQ(node->output_type().dtype, low) << op;
      }
      if (op == "variable" || op == "cross_entropy" || op == "mean" || op == "sum") {
        EXPECT_EQ(node->output_type().dtype, DType::f32) << op;
      }
    }
    // x, w, b, and the fetched logits.
    EXPECT_EQ(count_ops(*after, "cast"), 4);
    EXPECT_EQ(after->fetches()[0].value.dtype(), DType::f32);
    expect_equivalent(*graph, *after, precision == Precision::bf16 ? 0.05 : 0.005);
  }
}

TEST(Precision, Tf32MarksContractionsAndTheirGradientsAlone) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {2, 3, 6, 6}});
  const Value k = graph.variable("k", {DType::f32, {4, 3, 3, 3}}, Initializer::constant(0.1));
  const Value w = graph.variable("w", {DType::f32, {64, 5}}, Initializer::constant(0.1));
  const Value hidden = ops::relu(ops::conv2d(x, k));
  graph.fetch("loss", ops::mean(ops::matmul(ops::reshape(hidden, {2, 64}), w), {}));
  const auto after = apply_precision(graph, Precision::tf32);
  EXPECT_EQ(after->size(), graph.size());
  const auto wrt = std::vector{after->find("k")->output(), after->find("w")->output()};
  const auto grads = gradients(after->fetches()[0].value, wrt);
  after->fetch("dk", grads[0]);
  after->fetch("dw", grads[1]);
  const auto read_back = parse_graph(print_graph(*after), all_ops());
  for (const Graph* now : {after.get(), read_back.get()}) {
    int contractions = 0;
    for (const auto& node : now->nodes()) {
      EXPECT_EQ(node->op().traits.contraction, node->op().attr_index("math") >= 0);
      EXPECT_TRUE(node->outputs().empty() || !is_float(node->output_type().dtype) ||
                  node->output_type().dtype == DType::f32);
      if (!node->op().traits.contraction) continue;
      ++contractions;
      EXPECT_EQ(node->attr<std::string>("math"), "tf32") << node->name();
      // Operands rounded to 11 bits.
      EXPECT_GE(node_tolerance(*node, DType::f32, 1).relative, 0x1p-11);
    }
    EXPECT_EQ(contractions, 6);  // two, and the gradients of both operands of each
  }
}

TEST(Precision, IsNamed) {
  EXPECT_EQ(parse_precision("bf16"), Precision::bf16);
  EXPECT_EQ(precision_name(Precision::f16), "f16");
  EXPECT_EQ(parse_precision("fp16"), Precision::f16);
  EXPECT_EQ(parse_precision("tf32"), Precision::tf32);
  EXPECT_EQ(compute_dtype(Precision::tf32), DType::f32);
  expect_user_error(ErrorCode::invalid_argument,
                    "precision \"fp8\": must be f32, tf32, bf16 or f16, got another name",
                    [] { parse_precision("fp8"); });
}

}  // namespace
}  // namespace ingot
