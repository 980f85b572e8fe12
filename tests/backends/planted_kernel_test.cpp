#include "ingot/runtime/planted_kernel.h"

#include <gtest/gtest.h>

#include <memory>

#include "ingot/base/planted_bug.h"
#include "tests/backends/support/conv_cases.h"

namespace ingot {
namespace {

class NoKernel final : public Kernel {
 public:
  explicit NoKernel(bool runs_itself) : runs_itself_(runs_itself) {}
  [[nodiscard]] bool runs_itself() const noexcept override { return runs_itself_; }
  void run(const KernelContext&) noexcept override {}
  [[nodiscard]] std::string_view name() const noexcept override { return "none"; }

 private:
  bool runs_itself_;
};

bool is_wrapped(const Node& node, bool runs_itself) {
  auto kernel = std::make_unique<NoKernel>(runs_itself);
  const Kernel* const own = kernel.get();
  return with_planted_bugs(std::move(kernel), {node, {0, 1}, {2}}).get() != own;
}

TEST(PlantedKernel, StandsBeforeConvolutionsThatRunThemselves) {
  const ConvNodes nodes = make_conv_nodes(conv_cases()[0]);
  const Value relu = ops::relu(nodes.forward->output());
  EXPECT_EQ(is_wrapped(*nodes.forward, true), kPlantedBugsAvailable);
  EXPECT_EQ(is_wrapped(*nodes.input_grad, true), kPlantedBugsAvailable);
  EXPECT_FALSE(is_wrapped(*nodes.forward, false));
  EXPECT_FALSE(is_wrapped(*nodes.weight_grad, true));
  EXPECT_FALSE(is_wrapped(*relu.node(), true));
}

TEST(PlantedKernel, StandsBeforeProductsOfMatrices) {
  Graph graph;
  const Value a = graph.placeholder("a", {DType::f32, {4, 4}});
  const Value b = graph.placeholder("b", {DType::f32, {4, 4}});
  EXPECT_EQ(is_wrapped(*ops::matmul(a, b).node(), true), kPlantedBugsAvailable);
  EXPECT_FALSE(is_wrapped(*ops::add(a, b).node(), true));
}

}  // namespace
}  // namespace ingot
