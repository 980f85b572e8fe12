// What compile() makes of every model that Ingot brings along, on the real CPU backend. Counts are
// printed.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "ingot/base/trace.h"
#include "ingot/ingot.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/registry.h"
#include "ingot/train/training_graph.h"
#include "tests/engine/support/training.h"

namespace ingot {
namespace {

enum class Mode { train, eval, predict };

constexpr std::string_view kModeNames[] = {"train", "eval", "predict"};

using testing_support::default_batch;

Graph graph_of(const nn::ModelInfo& info, Mode mode) {
  const nn::ModelOptions& o = info.defaults;
  const auto model = info.make(o);
  const Shape image{o.channels, o.height, o.width};
  const std::int64_t batch = default_batch(info);
  switch (mode) {
    case Mode::train: return train::build_train_graph(*model, image, batch, {});
    case Mode::eval: return train::build_eval_graph(*model, image, batch);
    case Mode::predict: break;
  }
  return train::build_predict_graph(*model, image, batch);
}

/// `op "name"` of every kernel that runs a single elementwise Node, also those inside Regions that
/// run kernel by kernel.
std::vector<std::string> stand_alone(const ProgramStats& stats) {
  std::vector<std::string> nodes;
  for (const std::string& kernel : stats.kernel_names) {
    const OpDef* op = find_op(kernel.substr(0, kernel.find(' ')));
    if (op != nullptr && op->traits.elementwise) {
      nodes.push_back(kernel.substr(0, kernel.find("\": ") + 1));
    }
  }
  return nodes;
}

bool says_why(const std::vector<std::string>& lines, const std::string& node) {
  const std::string start = "fuse: " + node + " ";
  return std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
    const std::size_t colon = line.find(" stays alone: ");
    return line.starts_with(start) && colon != std::string::npos && colon + 14 < line.size();
  });
}

class Zoo : public testing::TestWithParam<nn::ModelInfo> {};

TEST_P(Zoo, FillsItsArenaAndSaysWhyAKernelIsAlone) {
  const nn::ModelInfo& info = GetParam();
  VariableStore store(make_backend("cpu"), 1);
  for (const Mode mode : {Mode::train, Mode::eval, Mode::predict}) {
    SCOPED_TRACE(kModeNames[static_cast<int>(mode)]);
    const Graph graph = graph_of(info, mode);
    const TraceCapture dispatch("dispatch");
    const Executable exe = compile(graph, store);
    const ProgramStats& stats = exe.stats();
    ASSERT_GT(stats.live_peak_bytes, 0);
    const double fill =
        static_cast<double>(stats.arena_bytes) / static_cast<double>(stats.live_peak_bytes);
    const std::vector<std::string> alone = stand_alone(stats);
    fmt::print(
        "{} {}, batch {}: {} kernels, {} reorders, {} elementwise alone, arena {:.2f} MiB, {:.3f} "
        "of the live peak\n",
        info.name, kModeNames[static_cast<int>(mode)], default_batch(info), stats.kernels,
        stats.reorders, alone.size(), static_cast<double>(stats.arena_bytes) / (1 << 20), fill);
    EXPECT_LE(fill, 1.10);
    // The recipe has one group of parameters: its update is one Node, one pass over the segments.
    const auto updates = std::ranges::count_if(exe.lowered().nodes(), [](const auto& node) {
      return node->op().name == optimizer_update_op().name;
    });
    EXPECT_EQ(updates, mode == Mode::train ? 1 : 0);
    EXPECT_EQ(stats.elementwise_kernels, static_cast<int>(alone.size()));
    for (const std::string& node : alone) {
      EXPECT_TRUE(says_why(dispatch.lines(), node)) << node;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Zoo, testing::ValuesIn(nn::models()), [](const auto& info) {
  std::string name(info.param.name);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(ResNet18Cifar, KeepsItsActivationsInOneLayout) {
  const nn::ModelInfo& info = nn::find_model("resnet18-cifar");
  VariableStore store(make_backend("cpu"), 1);
  const TraceCapture dispatch("dispatch");
  const Executable exe = compile(graph_of(info, Mode::train), store);
  fmt::print("resnet18-cifar training step: {} kernels, {} reorders\n", exe.stats().kernels,
             exe.stats().reorders);
  EXPECT_LE(exe.stats().reorders, 2);
  const std::vector<std::string> lines = dispatch.lines();
  const auto over_activations = [](const std::string& line) {
    return line.find("f32[32,") != std::string::npos && line.find(",1,1] ") == std::string::npos;
  };
  for (const std::string& node : stand_alone(exe.stats())) {
    for (const std::string& line : lines) {
      EXPECT_FALSE(line.starts_with("fuse: " + node + " ") && over_activations(line)) << line;
    }
  }
}

}  // namespace
}  // namespace ingot
