// What a ResNet's training step looks like in lower precision once the passes are done.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/nn/models/models.h"
#include "ingot/ops/op_list.h"
#include "ingot/passes/pass_list.h"
#include "ingot/passes/pass_manager.h"
#include "ingot/train/training_graph.h"
#include "tests/passes/support/fake_target.h"

namespace ingot::train {
namespace {

constexpr std::int64_t kBatch = 48;  // no layer has as many channels

std::unique_ptr<Graph> step(Precision precision) {
  const nn::ModelInfo& model = nn::find_model("resnet18-cifar");
  TrainingRecipe recipe;
  recipe.precision = precision;
  const Graph graph = build_train_graph(*model.make(model.defaults), {3, 32, 32}, kBatch, recipe);
  const testing_support::FakeTarget target;
  PassContext context(target);
  return run_passes(graph, pass_list(), {}, context);
}

bool is_activation(const TensorType& type) {
  return type.shape.rank() == 4 && type.shape[0] == kBatch && type.shape[2] > 1;
}

TEST(ResNetInLowPrecision, StoresNoActivationInF32) {
  for (const Precision precision : {Precision::bf16, Precision::f16}) {
    SCOPED_TRACE(precision_name(precision));
    const auto graph = step(precision);
    std::map<std::string, int> casts;  // of each weight
    for (const auto& node : graph->nodes()) {
      if (node->op().traits.source) continue;
      for (const Node::Output& output : node->outputs()) {
        EXPECT_FALSE(is_activation(output.type) && output.type.dtype == DType::f32)
            << node->op().name << " " << node->name() << " " << output.type.to_string();
      }
      if (&node->op() != &cast_op()) continue;
      // What is left as a kernel of its own: weights, the images, results of rank 2.
      EXPECT_FALSE(is_activation(node->output_type()) &&
                   node->input(0).node()->op().name != "placeholder")
          << node->name() << " " << node->output_type().to_string();
      ++casts[node->input(0).node()->name()];
    }
    for (const auto& [name, count] : casts) EXPECT_EQ(count, 1) << name;
  }
}

}  // namespace
}  // namespace ingot::train
