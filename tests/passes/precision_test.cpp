#include "ingot/passes/precision.h"

#include <gtest/gtest.h>

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

TEST(Precision, IsNamed) {
  EXPECT_EQ(parse_precision("bf16"), Precision::bf16);
  EXPECT_EQ(precision_name(Precision::f16), "f16");
  expect_user_error(ErrorCode::invalid_argument,
                    "precision \"fp8\": must be f32, tf32, bf16 or f16, got another name",
                    [] { parse_precision("fp8"); });
}

}  // namespace
}  // namespace ingot
