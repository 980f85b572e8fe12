// Ops are told apart by what their records say.
#include "ingot/ops/node_kinds.h"

#include <gtest/gtest.h>

#include "ingot/ops/operators.h"

namespace ingot {
namespace {

TEST(NodeKinds, AnAdditionAndAReluAreToldByTheirExpressions) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {3}});
  const Value y = graph.placeholder("y", {DType::f32, {3}});
  EXPECT_TRUE(is_addition(*ops::add(x, y).node()));
  EXPECT_FALSE(is_addition(*ops::sub(x, y).node()));
  EXPECT_FALSE(is_addition(*ops::relu(x).node()));
  EXPECT_TRUE(is_relu(*ops::relu(x).node()));
  EXPECT_FALSE(is_relu(*ops::maximum(x, y).node()));
  EXPECT_FALSE(is_relu(*x.node()));
}

}  // namespace
}  // namespace ingot
