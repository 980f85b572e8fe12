#include "ingot/nn/models/models.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "ingot/ir/core_ops.h"
#include "tests/support/expect_error.h"

namespace ingot::nn {
namespace {

/// Names, types and roles of the variables of a forward pass.
struct Built {
  Graph graph;
  Value logits;

  explicit Built(std::string_view name, bool training = true)
      : Built(name, find_model(name).defaults, training) {}
  Built(std::string_view name, const ModelOptions& options, bool training) {
    ForwardContext context(graph, training);
    const auto model = make_model(name, options);
    const Value x = graph.placeholder(
        "input", {DType::f32, {2, options.channels, options.height, options.width}});
    logits = run_child(context, "", *model, x);
  }

  [[nodiscard]] std::int64_t parameters() const {
    std::int64_t count = 0;
    for (const Node* node : graph.nodes_of(variable_op())) {
      if (role_of(*node) == VariableRole::parameter) count += node->output_type().numel();
    }
    return count;
  }
  [[nodiscard]] std::set<std::string> names() const {
    std::set<std::string> names;
    for (const Node* node : graph.nodes_of(variable_op())) {
      if (role_of(*node) != VariableRole::counter) names.insert(node->name());
    }
    return names;
  }
};

TEST(Models, ParameterCounts) {
  const std::pair<const char*, std::int64_t> expected[] = {
      {"seed-cnn", 3 * 8 * 9 + 8 + 8 * 2 + 2},
      {"mlp784", 109386},
      {"lenet", 20 * 25 + 20 + 50 * 20 * 25 + 50 + 50 * 5 * 5 * 500 + 500 + 5010},
      {"gometal-cnn", 896 + 9248 + 18496 + 36928 + 4096 * 128 + 128 + 1290},
      {"resnet18", 11689512},
      {"resnet18-cifar", 11173962},
      {"resnet50", 25557032}};
  EXPECT_EQ(std::size(expected), models().size());
  for (const auto& [name, count] : expected) {
    const Built built(name);
    EXPECT_EQ(built.parameters(), count) << name;
    EXPECT_EQ(built.logits.shape(), (Shape{2, find_model(name).defaults.classes})) << name;
  }
}

TEST(Models, NamesArePyTorchs) {
  EXPECT_EQ(Built("seed-cnn").names(),
            (std::set<std::string>{"conv1.weight", "conv1.bias", "fc.weight", "fc.bias"}));
  const std::set<std::string> names = Built("resnet18").names();
  EXPECT_EQ(names.size(), 122u);  // len(torchvision.models.resnet18().state_dict())
  for (const char* name :
       {"conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "layer1.1.bn2.bias",
        "layer2.0.downsample.0.weight", "layer2.0.downsample.1.num_batches_tracked",
        "layer4.1.bn2.running_var", "fc.bias"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
  EXPECT_FALSE(names.contains("layer1.0.downsample.0.weight"));
  EXPECT_EQ(Built("resnet50").names().size(), 320u);
  EXPECT_TRUE(Built("resnet50").names().contains("layer1.0.downsample.0.weight"));
  EXPECT_TRUE(Built("resnet50").names().contains("layer3.5.conv3.weight"));
}

TEST(Models, EvaluationHasTheSameVariables) {
  for (const ModelInfo& model : models()) {
    EXPECT_EQ(Built(model.name, true).names(), Built(model.name, false).names()) << model.name;
  }
}

TEST(Models, TakeTheShapeOfTheData) {
  for (const char* name : {"seed-cnn", "mlp784", "lenet", "gometal-cnn", "resnet18"}) {
    const Built built(name, {1, 20, 20, 7}, true);
    EXPECT_EQ(built.logits.shape(), (Shape{2, 7})) << name;
  }
}

TEST(Models, UnknownName) {
  testing_support::expect_user_error(
      ErrorCode::not_found,
      "model \"lenett\": must be a known model, got no such name\nhelp: did you mean \"lenet\"?",
      [] { find_model("lenett"); });
}

}  // namespace
}  // namespace ingot::nn
