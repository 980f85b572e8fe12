// The pipeline inside compile(): every pass is timed and can be left out by name.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "ingot/base/trace.h"
#include "ingot/ingot.h"
#include "ingot/passes/pass_list.h"
#include "ingot/train/training_graph.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

Graph training_graph() {
  const auto model = nn::make_model("lenet", {1, 12, 12, 3});
  return train::build_train_graph(*model, {1, 12, 12}, 4, {});
}

TEST(Compile, TracesTheTimeOfEveryPass) {
  VariableStore store(make_backend("cpu"));
  const TraceCapture capture("passes");
  const Executable exe = compile(training_graph(), store);
  const std::vector<std::string> lines = capture.lines();
  const auto passes = pass_list();
  ASSERT_EQ(lines.size(), passes.size());
  for (std::size_t i = 0; i < passes.size(); ++i) {
    EXPECT_TRUE(lines[i].starts_with(std::string(passes[i].name) + ": ")) << lines[i];
    EXPECT_NE(lines[i].find(" ms, "), std::string::npos) << lines[i];
  }
}

TEST(Compile, TrainsAlikeWithAnyPassLeftOut) {
  const Graph graph = training_graph();
  std::vector<float> images(4 * 144);
  for (std::size_t i = 0; i < images.size(); ++i) images[i] = static_cast<float>(i % 17) / 17.0f;
  const std::vector<std::int32_t> labels{0, 2, 1, 1};
  const auto loss_after = [&](std::vector<std::string> disabled) {
    VariableStore store(make_backend("cpu"), 5);
    Executable exe = compile(graph, store, {.disabled_passes = std::move(disabled)});
    for (int i = 0; i < 3; ++i) {
      exe.step({{"input", images.data(), images.size() * sizeof(float)},
                {"target", labels.data(), labels.size() * sizeof(std::int32_t)}});
    }
    return exe.fetched("loss").view().get(0);
  };
  const double want = loss_after({});
  EXPECT_TRUE(std::isfinite(want) && want > 0);
  int left_out = 0;
  for (const Pass& pass : pass_list()) {
    if (pass.required) continue;
    EXPECT_NEAR(loss_after({std::string(pass.name)}), want, 1e-4) << "without " << pass.name;
    ++left_out;
  }
  EXPECT_GE(left_out, 4);
}

TEST(Compile, RefusesToLeaveOutWhatIsNoPass) {
  VariableStore store(make_backend("cpu"));
  testing_support::expect_user_error(
      ErrorCode::invalid_argument,
      "disabled_passes \"fusee\": must be the name of a pass, got no such pass\n"
      "help: did you mean \"fuse\"?",
      [&] { compile(training_graph(), store, {.disabled_passes = {"fusee"}}); });
}

}  // namespace
}  // namespace ingot
