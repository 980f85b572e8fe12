// Known answers of the ops that move, choose or make elements.
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "ingot/base/philox.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/ops.h"
#include "tests/ops/values_of.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

using testing_support::constant;
using testing_support::Doubles;
using testing_support::run;
using testing_support::values;

TEST(Ops, SliceTakesEveryStep) {
  Graph graph;
  const Value x = constant(graph, {DType::i32, {2, 4}}, {1, 2, 3, 4, 5, 6, 7, 8});
  const Value y = ops::slice(x, {0, 1}, {2, 4}, {1, 2});
  EXPECT_EQ(y.shape(), (Shape{2, 2}));
  EXPECT_EQ(values(graph, y), (Doubles{2, 4, 6, 8}));
}

TEST(Ops, PadPutsValuesBetween) {
  Graph graph;
  const Value x = constant(graph, {DType::f32, {3}}, {1, 2, 3});
  EXPECT_EQ(values(graph, ops::pad(x, {{1}, {2}, {1}}, -1)),
            (Doubles{-1, 1, -1, 2, -1, 3, -1, -1}));
}

TEST(Ops, ConcatAlongTheLastAxis) {
  Graph graph;
  const Value a = constant(graph, {DType::i32, {2, 1}}, {1, 2});
  const Value b = constant(graph, {DType::i32, {2, 2}}, {3, 4, 5, 6});
  EXPECT_EQ(values(graph, ops::concat({a, b}, -1)), (Doubles{1, 3, 4, 2, 5, 6}));
  testing_support::expect_user_error(ErrorCode::invalid_shape,
                                     "concat: there must be an operand, got none",
                                     [] { ops::concat({}, 0); });
}

TEST(Ops, OptimizerNeedsAParameter) {
  testing_support::expect_user_error(ErrorCode::invalid_argument,
                                     "optimizer_update: must be given a parameter, got none",
                                     [] { ops::optimizer_update(ScalarProgram{}, {}, {}); });
}

TEST(Ops, GatherClampsAndLatches) {
  Graph graph;
  const Value x = constant(graph, {DType::f32, {3, 2}}, {1, 2, 3, 4, 5, 6});
  const Value y = ops::gather(x, constant(graph, {DType::i64, {3}}, {2, -1, 9}));
  const Evaluation result = run(graph, y);
  EXPECT_EQ(result.fetches.at("y").to_doubles(), (Doubles{5, 6, 1, 2, 5, 6}));
  EXPECT_EQ(result.error, (StepError{y.node()->id(), 4, -1, 1}));
}

TEST(Ops, GatherGradSumsEqualIndices) {
  Graph graph;
  const Value g = constant(graph, {DType::f32, {3, 2}}, {1, 2, 3, 4, 5, 6});
  const Value indices = constant(graph, {DType::i32, {3}}, {1, 0, 1});
  EXPECT_EQ(values(graph, ops::gather_grad(g, indices, 3)), (Doubles{3, 4, 6, 8, 0, 0}));
}

TEST(Ops, ArgmaxTakesTheFirstAndNan) {
  Graph graph;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Value x = constant(graph, {DType::f32, {3, 4}}, {1, 3, 3, 0, 5, nan, 9, nan, 2, 2, 2, 2});
  EXPECT_EQ(values(graph, ops::argmax(x)), (Doubles{1, 1, 0}));
}

TEST(Ops, ArgmaxAlongAnInnerAxis) {
  Graph graph;
  const Value x = constant(graph, {DType::f32, {2, 2, 2}}, {1, 4, 2, 3, 8, 5, 7, 6});
  EXPECT_EQ(values(graph, ops::argmax(x, 1)), (Doubles{1, 0, 0, 1}));
}

TEST(Ops, RandomNumbersArePhilox) {
  Graph graph;
  const Value seed = constant(graph, {DType::i64, {}}, {42});
  const Value step = constant(graph, {DType::i64, {}}, {7});
  const ops::RandomSource source{seed, step, 5};
  graph.fetch("uniform", ops::rng_uniform(source, {6}));
  graph.fetch("double", ops::rng_uniform(source, {6}, 0, 1, DType::f64));
  graph.fetch("normal", ops::rng_normal(source, {6}, 0, 1, DType::f64));
  graph.fetch("mask", ops::rng_bernoulli(source, {2, 3}, 0.5));
  const auto fetches = evaluate(graph, {}).fetches;
  EXPECT_EQ(fetches.at("mask").type(), (TensorType{DType::boolean, {2, 3}}));
  for (std::int64_t i = 0; i < 6; ++i) {
    const auto index = static_cast<std::uint64_t>(i);
    EXPECT_EQ(fetches.at("uniform").view().get(i),
              static_cast<double>(philox_uniform(42, 5, 7, index)));
    EXPECT_EQ(fetches.at("double").view().get(i), philox_uniform_f64(42, 5, 7, index));
    EXPECT_EQ(fetches.at("normal").view().get(i), philox_normal(42, 5, 7, index));
    EXPECT_EQ(fetches.at("mask").view().get_int(i), philox_bernoulli(42, 5, 7, index, 0.5) ? 1 : 0);
  }
}

// Where the batch goes, op by op: axis of each operand in, kind and axis out.
struct BatchRow {
  std::string name;
  Value value;
  std::vector<int> axes;
  BatchKind kind;
  int axis;
};

TEST(Ops, BatchRules) {
  Graph graph;
  const auto f32 = [&](Shape shape) { return graph.full({DType::f32, shape}, 0); };
  const auto i32 = [&](Shape shape) { return graph.full({DType::i32, shape}, 0); };
  const auto kept = BatchKind::kept;
  const auto mixed = BatchKind::mixed;
  const auto reduced = BatchKind::reduced;
  const BatchRow rows[] = {
      {"linear", ops::matmul(f32({4, 3}), f32({3, 2})), {0, -1}, kept, 0},
      {"linear transposed", ops::matmul(f32({3, 4}), f32({3, 2}), true), {1, -1}, kept, 0},
      {"weight gradient", ops::matmul(f32({4, 3}), f32({4, 2}), true), {0, 0}, reduced, -1},
      {"columns", ops::matmul(f32({4, 3}), f32({3, 2})), {-1, 1}, kept, 1},
      {"outer", ops::matmul(f32({4, 3}), f32({3, 4})), {0, 1}, mixed, -1},
      {"batched", ops::matmul(f32({4, 2, 3}), f32({4, 3, 2})), {0, 0}, kept, 0},
      {"half batched", ops::matmul(f32({4, 2, 3}), f32({4, 3, 2})), {0, -1}, mixed, -1},
      {"transpose", ops::transpose(f32({4, 2, 3}), {1, 2, 0}), {0}, kept, 2},
      {"slice", ops::slice(f32({4, 3}), {0, 1}, {4, 2}), {0}, kept, 0},
      {"slice of the batch", ops::slice(f32({4, 3}), {1, 0}, {4, 3}), {0}, mixed, -1},
      {"pad", ops::pad(f32({4, 3}), {{0, 1}, {0, 1}}), {0}, kept, 0},
      {"pad of the batch", ops::pad(f32({4, 3}), {{1, 0}, {0, 0}}), {0}, mixed, -1},
      {"concat", ops::concat({f32({4, 1}), f32({4, 2})}, 1), {0, 0}, kept, 0},
      {"concat of batches", ops::concat({f32({4, 1}), f32({4, 1})}, 0), {0, 0}, mixed, -1},
      {"embedding", ops::gather(f32({9, 3}), i32({4, 5})), {-1, 0}, kept, 0},
      {"gather per item", ops::gather(f32({4, 9}), i32({2, 2}), 1), {0, -1}, kept, 0},
      {"embedding's gradient", ops::gather_grad(f32({4, 3}), i32({4}), 9), {0, 0}, reduced, -1},
      {"one_hot", ops::one_hot(i32({4}), 3), {0}, kept, 0},
      {"argmax", ops::argmax(f32({3, 4})), {0}, kept, 0},
      {"argmax behind", ops::argmax(f32({3, 4}), 0), {1}, kept, 0},
      {"argmax of the batch", ops::argmax(f32({3, 4}), 0), {0}, mixed, -1},
      {"sum", ops::sum(f32({4, 3}), {0}), {0}, reduced, -1},
      {"max", ops::reduce_max(f32({4, 3}), {0}), {0}, mixed, -1},
      {"mean", ops::mean(f32({4, 3}), {0}), {0}, mixed, -1},
      {"mean per item", ops::mean(f32({4, 3, 2}), {1, 2}), {0}, kept, 0},
      {"softmax", ops::softmax(f32({4, 3})), {0}, kept, 0},
      {"softmax of the batch", ops::softmax(f32({4, 3}), 0), {0}, mixed, -1},
      {"cross_entropy", ops::cross_entropy(f32({4, 3}), i32({4})), {0, 0}, kept, 0},
  };
  for (const BatchRow& row : rows) {
    SCOPED_TRACE(row.name);
    const Node& node = *row.value.node();
    const auto results = node.op().batch(node, row.axes);
    ASSERT_EQ(results.size(), 1u);
    EXPECT_EQ(results[0].kind, row.kind);
    EXPECT_EQ(row.kind == kept ? results[0].axis : -1, row.axis);
  }
}

}  // namespace
}  // namespace ingot
