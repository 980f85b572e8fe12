// The update rules against PyTorch, over five steps.
#include <gtest/gtest.h>

#include "ingot/ir/convert_dtype.h"
#include "ingot/ir/core_ops.h"
#include "ingot/optim/optimizer.h"
#include "tests/goldens/support/goldens.h"

namespace ingot {
namespace {

using testing_support::expect_close;
using testing_support::for_each_golden;
using testing_support::Golden;

void check(const Golden& golden, const optim::Rule& rule) {
  const HostTensor start = golden.tensor("start");
  const std::vector<double> grads = golden.reals("grads");
  const std::vector<double> values = golden.reals("values");
  const std::size_t size = static_cast<std::size_t>(start.type().numel());
  const TensorType type{DType::f32, start.type().shape};
  Graph graph;
  const Value p = graph.variable("p", type, Initializer::constant(0));
  const Value g = graph.placeholder("g", type);
  const Value rate = graph.placeholder("rate", {DType::f32, {}});
  const Value step = graph.placeholder("step", {DType::i64, {}});
  const Value parameters[] = {p};
  const Value gradients[] = {g};
  optim::apply_update(graph, rule, parameters, gradients, rate, step);
  const auto doubles = with_float_dtype(graph, DType::f64);

  HostTensors variables;
  for (const auto& node : doubles->nodes()) {
    if (&node->op() == &variable_op()) variables.emplace(node->name(), node->output_type());
  }
  variables.at("p") = start;
  const double learning_rate = golden.reals("options")[0];
  for (std::size_t i = 0; i < grads.size() / size; ++i) {
    const auto row = [&](const std::vector<double>& all) {
      return HostTensor(start.type(), std::span(all).subspan(i * size, size));
    };
    const double at = static_cast<double>(i);
    const Evaluation result = evaluate(*doubles,
                                       {{"g", row(grads)},
                                        {"rate", HostTensor({DType::f64, {}}, {&learning_rate, 1})},
                                        {"step", HostTensor({DType::i64, {}}, {&at, 1})}},
                                       variables);
    for (const auto& [name, value] : result.assigned) variables.at(name) = value;
    // Computed in double, but the rules' constants were rounded to f32 when the Graph was built.
    expect_close(variables.at("p"), row(values), "p", 1e-8);
  }
}

TEST(Goldens, SGD) {
  for_each_golden("optimizers.safetensors", "sgd", [](const Golden& golden) {
    const std::vector<double> o = golden.reals("options");
    check(golden, optim::SGD{o[1], o[2], o[3], o[4] != 0});
  });
}

TEST(Goldens, AdamW) {
  for_each_golden("optimizers.safetensors", "adamw", [](const Golden& golden) {
    const std::vector<double> o = golden.reals("options");
    check(golden, optim::AdamW{o[1], o[2], o[3], o[4]});
  });
}

}  // namespace
}  // namespace ingot
