// A step allocates nothing: operator new, the pool and the device are counted over 1,000 steps.
#include <gtest/gtest.h>

#include "ingot/ingot.h"
#include "ingot/train/training_graph.h"
#include "tests/support/count_new.h"

namespace ingot {
namespace {

TEST(NoAllocation, InAThousandSteps) {
  const nn::ModelInfo& info = nn::find_model("seed-cnn");
  const Graph graph = train::build_train_graph(*info.make({3, 8, 8, 2}), Shape{3, 8, 8}, 4, {});
  const auto backend = make_backend("cpu");
  VariableStore store(backend, 1);
  Executable exe = compile(graph, store);
  std::vector<float> images(4 * 3 * 8 * 8);
  for (std::size_t i = 0; i < images.size(); ++i) {
    images[i] = static_cast<float>(i % 13) / 13.0f - 0.4f;
  }
  const std::vector<std::int32_t> labels{0, 1, 1, 0};
  const auto step = [&] {
    exe.step({{"input", images.data(), images.size() * sizeof(float), {}},
              {"target", labels.data(), labels.size() * sizeof(std::int32_t), {}}});
  };
  for (int i = 0; i < 10; ++i) step();
  const auto device_before = backend->device()->allocation_stats().counts();
  const std::uint64_t new_before = testing_support::count_new();
  for (int i = 0; i < 1000; ++i) step();
  EXPECT_EQ(testing_support::count_new() - new_before, 0u);
  EXPECT_EQ(backend->device()->allocation_stats().counts(), device_before);
  EXPECT_EQ(exe.steps_run(), 1010);
}

}  // namespace
}  // namespace ingot
