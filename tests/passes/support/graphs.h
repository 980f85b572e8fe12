// Evaluating Graphs before and after passes, and Graphs to do it with.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ingot/ir/core_ops.h"
#include "ingot/ir/evaluate.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"

namespace ingot::testing_support {

inline HostTensor random_tensor(const TensorType& type, std::mt19937& rng) {
  HostTensor tensor(type);
  for (std::int64_t i = 0; i < type.numel(); ++i) {
    const double unit = static_cast<double>(rng() % 4001) / 2000.0 - 1.0;
    tensor.view().set(i, is_float(type.dtype) ? unit : std::floor(2.0 + 2.0 * unit));
  }
  return tensor;
}

inline HostTensors random_values(const Graph& graph, const OpDef& op, unsigned seed) {
  std::mt19937 rng(seed);
  HostTensors values;
  for (const Node* node : graph.nodes_of(op)) {
    values[node->name()] = random_tensor(node->output_type(), rng);
  }
  return values;
}

inline Evaluation evaluate_random(const Graph& graph, unsigned seed) {
  return evaluate(graph, random_values(graph, placeholder_op(), seed),
                  random_values(graph, variable_op(), seed + 1));
}

inline void expect_same_tensors(const HostTensors& want, const HostTensors& got, double tolerance) {
  ASSERT_EQ(want.size(), got.size());
  for (const auto& [name, tensor] : want) {
    ASSERT_TRUE(got.contains(name)) << name;
    const HostTensor& other = got.at(name);
    ASSERT_EQ(tensor.type(), other.type()) << name;
    for (std::int64_t i = 0; i < tensor.view().numel(); ++i) {
      const double a = tensor.view().get(i);
      const double b = other.view().get(i);
      if (std::isnan(a) && std::isnan(b)) continue;
      ASSERT_TRUE(a == b || std::abs(a - b) <= tolerance * (1 + std::abs(a)))
          << name << "[" << i << "]: " << a << " became " << b;
    }
  }
}

/// Both Graphs give the same fetches and assignments for the same inputs.
inline void expect_equivalent(const Graph& before, const Graph& after, double tolerance = 0) {
  for (unsigned seed = 1; seed <= 2; ++seed) {
    const Evaluation want = evaluate_random(before, seed);
    const Evaluation got = evaluate_random(after, seed);
    expect_same_tensors(want.fetches, got.fetches, tolerance);
    expect_same_tensors(want.assigned, got.assigned, tolerance);
  }
}

inline int count_ops(const Graph& graph, std::string_view op) {
  int count = 0;
  for (const auto& node : graph.nodes()) count += node->op().name == op ? 1 : 0;
  return count;
}

/// Elementwise ops, reductions, products and movements, chosen at random, with fetches of some and
/// an assigned variable.
inline std::unique_ptr<Graph> random_graph(unsigned seed, int size) {
  std::mt19937 rng(seed);
  auto graph = std::make_unique<Graph>();
  const std::vector<Shape> shapes{{4, 8, 3, 3}, {1, 8, 1, 1}, {}, {4, 8}, {8, 4}, {8}};
  std::vector<Value> values;
  const auto pick = [&](std::size_t n) { return static_cast<std::size_t>(rng() % n); };
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const std::string name{'x', static_cast<char>('0' + i)};
    values.push_back(graph->placeholder(name, {DType::f32, shapes[i]}));
  }
  const Value state = graph->variable("state", {DType::f32, {4, 8}}, Initializer::constant(0));
  values.push_back(state);
  for (const double c : {0.0, 1.0, -1.0, 2.0, 0.25}) values.push_back(graph->scalar(c));
  const char* const unary[] = {"neg", "abs", "relu", "tanh", "sigmoid"};
  const char* const binary[] = {"add", "sub", "mul", "max", "min"};
  for (int i = 0; i < size; ++i) {
    const Value x = values[values.size() - 1 - pick(std::min<std::size_t>(values.size(), 12))];
    const Value y = values[pick(values.size())];
    const auto broadcast = [&] {
      const Shape& a = x.shape();
      return a == y.shape() || a.rank() == 0 || y.shape().rank() == 0 ||
             (a.rank() == 4 && y.shape().rank() == 4);
    };
    switch (rng() % 9) {
      case 0:
      case 1: values.push_back(ops::elementwise(unary[pick(5)], {x})); break;
      case 2:
      case 3:
      case 4:
        if (broadcast()) values.push_back(ops::elementwise(binary[pick(5)], {x, y}));
        break;
      case 5:
        if (x.shape().rank() == 4)
          values.push_back(ops::sum(x, {0, 2, 3}, rng() % 2 == 0));
        else if (x.shape().rank() == 2)
          values.push_back(ops::sum(x, {1}) * graph->scalar(0.1));
        break;
      case 6:
        if (x.shape() == Shape{8})
          values.push_back(ops::reshape(x, {1, 8, 1, 1}));
        else if (x.shape().rank() == 2)
          values.push_back(ops::transpose(x, {1, 0}));
        break;
      case 7:
        if (x.shape() == Shape{1, 8, 1, 1})
          values.push_back(ops::broadcast_to(x, {4, 8, 3, 3}));
        else if (x.shape() == Shape{4, 8} && y.shape() == Shape{8, 4}) {
          values.push_back(ops::matmul(x, y) * graph->scalar(0.1));
        }
        break;
      default: {
        const Value condition = ops::elementwise("gt", {x, graph->scalar(0.25)});
        values.push_back(ops::select(condition, x, graph->scalar(rng() % 2 == 0 ? 0.0 : 1.0)));
      }
    }
    // Bounded, so that differences stay small.
    if (rng() % 3 == 0) values.back() = ops::tanh(values.back());
  }
  for (int i = 0; i < 4; ++i) {
    graph->fetch(std::string{'y', static_cast<char>('0' + i)},
                 values[values.size() - 1 - static_cast<std::size_t>(3 * i)]);
  }
  Value next = state;
  for (const Value& value : values) {
    if (value.shape() == Shape{4, 8}) next = value;
  }
  graph->assign(state, ops::tanh(next + state));
  return graph;
}

}  // namespace ingot::testing_support
