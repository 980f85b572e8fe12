#include "ingot/runtime/planted_kernel.h"

#include <gtest/gtest.h>

#include <memory>

#include "ingot/base/planted_bug.h"
#include "tests/backends/support/conv_cases.h"
#include "tests/memory/fake_device.h"

namespace ingot {
namespace {

class NoKernel final : public Kernel {
 public:
  void run(const KernelContext&) noexcept override {}
  [[nodiscard]] std::string_view name() const noexcept override { return "none"; }
};

bool is_wrapped(const Node& node, bool host_visible) {
  const FakeDevice device(1 << 20, host_visible);
  auto kernel = std::make_unique<NoKernel>();
  const Kernel* const own = kernel.get();
  return with_planted_bugs(std::move(kernel), {node, {0, 1}, {2}}, device).get() != own;
}

TEST(PlantedKernel, StandsBeforeConvolutionsOfTheHostAlone) {
  const ConvNodes nodes = make_conv_nodes(conv_cases()[0]);
  const Value relu = ops::relu(nodes.forward->output());
  EXPECT_EQ(is_wrapped(*nodes.forward, true), kPlantedBugsAvailable);
  EXPECT_EQ(is_wrapped(*nodes.input_grad, true), kPlantedBugsAvailable);
  EXPECT_FALSE(is_wrapped(*nodes.forward, false));
  EXPECT_FALSE(is_wrapped(*nodes.weight_grad, true));
  EXPECT_FALSE(is_wrapped(*relu.node(), true));
}

}  // namespace
}  // namespace ingot
