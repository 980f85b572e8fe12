#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/conformance/support/checks.h"

namespace ingot::conformance {
namespace {

bool can_leave_its_range(const CaseInput& input) {
  return (input.type.dtype == DType::i32 || input.type.dtype == DType::i64) &&
         input.type.numel() > 0;
}

/// Calls fn(operand, element, value, evaluation) for values just and far outside an operand's
/// range.
template <typename Fn>
void for_each_bad_value(const Case& item, Fn&& fn) {
  const auto graph = item.graph();
  for (std::size_t i = 0; i < item.item().inputs.size(); ++i) {
    const CaseInput& input = item.item().inputs[i];
    if (!can_leave_its_range(input)) continue;
    const auto low = static_cast<std::int64_t>(input.low);
    const auto high = static_cast<std::int64_t>(input.high);
    for (const std::int64_t value :
         {low - 1, high + 1, std::int64_t{-1} << 31, (std::int64_t{1} << 31) - 1}) {
      HostTensors feeds = item.feeds(*graph);
      const std::int64_t element = input.type.numel() / 2;
      feeds.at(input_name(i)).view().set_int(element, value);
      fn(i, element, value, evaluate(*graph, feeds), *graph);
    }
  }
}

}  // namespace

std::vector<int> rules_broken_by_data(const Case& item) {
  std::vector<int> rules;
  for_each_bad_value(
      item, [&](std::size_t, std::int64_t, std::int64_t, const Evaluation& result, const Graph&) {
        if (result.error.node >= 0) rules.push_back(result.error.rule);
      });
  return rules;
}

void check_data(const Case& item) {
  for_each_bad_value(item, [&](std::size_t operand, std::int64_t element, std::int64_t value,
                               const Evaluation& result, const Graph& graph) {
    SCOPED_TRACE("operand " + std::to_string(operand) + " = " + std::to_string(value));
    if (result.error.node >= 0) {
      EXPECT_EQ(result.error.node, op_node(graph).id());
      EXPECT_LT(static_cast<std::size_t>(result.error.rule), item.op().constraints.size());
      EXPECT_EQ(result.error.value, value);
      EXPECT_EQ(result.error.index, element);
    }
    // Clamped or not, what comes out is a number.
    for (const auto& [name, output] : result.fetches) {
      const std::vector<double> values = output.to_doubles();
      EXPECT_TRUE(std::all_of(values.begin(), values.end(), [](double x) {
        return std::isfinite(x);
      })) << name;
    }
  });
}

void check_zero(const Case& item) {
  const auto graph = item.graph();
  const Node& node = op_node(*graph);
  if (node.inputs().empty() || node.op().batch == nullptr) return;
  // The operands that share the first one's leading dimension are the batch.
  const Shape& first = node.input_type(0).shape;
  if (first.rank() == 0) return;
  std::vector<int> axes;
  std::vector<TensorType> types;
  for (const Value& input : node.inputs()) {
    const bool batched = input.shape().rank() > 0 && input.shape()[0] == first[0];
    axes.push_back(batched ? 0 : -1);
    types.push_back(input.type());
    if (batched) types.back().shape[0] = 0;
  }
  std::unique_ptr<Graph> empty;
  try {
    empty = item.graph_of(types);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::user) << error.what();
    return;
  }
  const std::vector<BatchResult> rule = node.op().batch(node, axes);
  const Evaluation result = evaluate(*empty, item.feeds(*empty));
  ASSERT_EQ(rule.size(), node.outputs().size());
  for (std::size_t i = 0; i < rule.size(); ++i) {
    const HostTensor& output = result.fetches.at(output_name(i));
    if (rule[i].kind == BatchKind::kept) {
      EXPECT_EQ(output.type().numel(), 0);
    }
    if (rule[i].kind != BatchKind::reduced) continue;
    const std::vector<double> values = output.to_doubles();
    EXPECT_TRUE(std::all_of(values.begin(), values.end(), [](double x) { return x == 0; }))
        << "a sum over no items must be zero";
  }
}

}  // namespace ingot::conformance
