#include "ingot/backends/reference/reference_backend.h"

#include <gtest/gtest.h>

#include <vector>

#include "ingot/ops/ops.h"

namespace ingot {
namespace {

TEST(ReferenceBackend, SaysWhatItRefuses) {
  const auto backend = make_reference_backend({});
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {4}});
  const Value y = ops::relu(x);
  EXPECT_EQ(backend->supports(*y.node()).reason, "");
  EXPECT_EQ(backend->supports(*x.node()).reason, "reference: placeholder has no reference kernel");
  const std::vector<const Node*> region{y.node()};
  EXPECT_EQ(backend->can_fuse(region, *ops::exp(y).node(), StepForm::latency).reason,
            "the reference runs op by op");
}

}  // namespace
}  // namespace ingot
