// Names, shapes and initial distributions of the models' variables against torch and torchvision.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "ingot/ir/core_ops.h"
#include "ingot/nn/models/models.h"
#include "ingot/runtime/variable_store.h"
#include "tests/support/source_dir.h"

namespace ingot {
namespace {

struct Moments {
  double mean = 0;
  double deviation = 0;
  double greatest = 0;
};

/// A line of models.txt.
struct Expected {
  std::string shape;
  Moments start;
};

std::map<std::string, Expected> expected(const std::string& model) {
  std::map<std::string, Expected> found;
  std::ifstream file(testing_support::source_dir() / "tests/goldens/models.txt");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string of, name;
    Expected e;
    words >> of >> name >> e.shape >> e.start.mean >> e.start.deviation >> e.start.greatest;
    if (of == model) found[name] = e;
  }
  return found;
}

std::string text_of(const Shape& shape) {
  std::string text;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    text += (axis == 0 ? "" : ",") + std::to_string(shape[axis]);
  }
  return text.empty() ? "-" : text;
}

Moments moments_of(const HostTensor& tensor) {
  const std::vector<double> values = tensor.to_doubles();
  Moments m;
  for (const double v : values) {
    m.mean += v / static_cast<double>(values.size());
    m.greatest = std::max(m.greatest, std::abs(v));
  }
  double squares = 0;
  for (const double v : values) squares += (v - m.mean) * (v - m.mean);
  m.deviation = std::sqrt(squares / static_cast<double>(values.size()));
  return m;
}

/// Drawing the largest tensors takes seconds under a sanitizer and shows nothing new.
constexpr std::int64_t kMostNumbers = 1 << 18;

class ModelGolden : public testing::TestWithParam<const char*> {};

TEST_P(ModelGolden, VariablesStartAsPyTorchs) {
  const std::map<std::string, Expected> wanted = expected(GetParam());
  ASSERT_FALSE(wanted.empty());
  const nn::ModelOptions options = nn::find_model(GetParam()).defaults;
  Graph graph;
  nn::ForwardContext context(graph, true);
  const Shape shape{2, options.channels, options.height, options.width};
  nn::run_child(context, "", *nn::make_model(GetParam(), options),
                graph.placeholder("input", {DType::f32, shape}));
  std::size_t found = 0;
  for (const Node* node : graph.nodes_of(variable_op())) {
    if (role_of(*node) == VariableRole::counter) continue;
    const auto it = wanted.find(node->name());
    ASSERT_NE(it, wanted.end()) << node->name();
    ++found;
    SCOPED_TRACE(node->name());
    const Expected& e = it->second;
    EXPECT_EQ(text_of(node->output_type().shape), e.shape);
    if (node->output_type().numel() > kMostNumbers) continue;
    const HostTensor value =
        initial_value(node->output_type(), initializer_of(*node), node->name(), 1);
    const Moments m = moments_of(value);
    if (e.start.deviation == 0) {  // a constant
      EXPECT_EQ(m.mean, e.start.mean);
      EXPECT_EQ(m.deviation, 0);
      continue;
    }
    // Two samples of one distribution: five standard errors of their difference apart at most.
    const auto count = static_cast<double>(value.type().numel());
    const double error = 5 * std::sqrt(2 / count);
    EXPECT_NEAR(m.mean, e.start.mean, error * e.start.deviation);
    EXPECT_NEAR(m.deviation, e.start.deviation, error * e.start.deviation);
    // A uniform one ends at sqrt(3) deviations, a normal one goes on.
    if (count < 256) continue;
    const double reach = m.greatest / m.deviation;
    EXPECT_EQ(reach < 1.9, e.start.greatest / e.start.deviation < 1.9) << reach;
  }
  EXPECT_EQ(found, wanted.size());
}

INSTANTIATE_TEST_SUITE_P(, ModelGolden, testing::Values("lenet", "resnet18", "resnet50"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace ingot
