#include <gtest/gtest.h>

#include <functional>
#include <utility>

#include "ingot/base/trace.h"
#include "ingot/ir/bits.h"
#include "ingot/ir/verifier.h"
#include "ingot/passes/passes.h"
#include "tests/passes/support/fake_target.h"
#include "tests/passes/support/graphs.h"

namespace ingot {
namespace {

using testing_support::expect_equivalent;
using testing_support::FakeTarget;

const Shape kShape{2, 12, 3, 4};
const Layout kLayout = Layout::parse("acdB8b");

using Body = std::function<std::vector<Value>(const std::vector<Value>&)>;

/// A fused Region whose Values of kShape lie in kLayout.
Node* add_region(Graph& graph, std::string name, std::vector<Value> operands, const Body& write) {
  auto body = std::make_unique<Graph>();
  std::vector<Value> arguments;
  for (const Value& operand : operands) {
    arguments.push_back(body->argument(static_cast<int>(arguments.size()), operand.type()));
  }
  int count = 0;
  for (const Value& result : write(arguments)) body->fetch("r" + std::to_string(count++), result);
  for (const auto& node : body->nodes()) {
    if (node->output_type().shape == kShape) node->set_layout(0, kLayout);
  }
  return graph.add_region(fused_op(), std::move(operands), std::move(body), {}, std::move(name));
}

Value above(Value x, double limit) {
  return ops::elementwise("gt", {x, x.graph().scalar(limit, x.dtype())});
}

/// `g` where the test holds, its sums over channels.
std::vector<Value> masked_sums(Value test, Value g) {
  const Value masked = ops::select(test, g, g.graph().scalar(0));
  return {masked, ops::sum(masked, {0, 2, 3})};
}

/// relu(x + r), stored by "forward" as y, in bf16 if asked for.
struct Net {
  Graph graph;
  Value x = image("x"), r = image("r"), g = image("g");
  Value y;

  explicit Net(DType dtype = DType::bf16) {
    const auto write = [dtype](const std::vector<Value>& in) -> std::vector<Value> {
      return {ops::cast(ops::relu(in[0] + in[1]), dtype)};
    };
    y = add_region(graph, "forward", {x, r}, write)->output();
  }
  Value image(std::string name) {
    const Value value = graph.placeholder(std::move(name), {DType::f32, kShape});
    value.node()->set_layout(0, kLayout);
    return value;
  }
  /// A Region that reads y and g.
  Node* reader(std::string name, const Body& write) {
    Node* node = add_region(graph, std::move(name), {y, g}, write);
    for (int i = 0; i < static_cast<int>(node->outputs().size()); ++i) {
      graph.fetch(node->name() + std::to_string(i), node->output(i));
    }
    return node;
  }
  Node* mask_reader(std::string name, double limit = 0) {
    return reader(std::move(name), [limit](const std::vector<Value>& in) {
      return masked_sums(above(in[0], limit), in[1]);
    });
  }
};

struct Result {
  std::unique_ptr<Graph> graph;
  std::int64_t masks;
  std::int64_t readers;
};

Result store(const Graph& graph, FakeTarget target = {}) {
  PassContext context(target);
  context.form = StepForm::throughput;
  auto after = store_masks(graph, context);
  verify(*after, "store_masks");
  expect_equivalent(graph, *after);
  return {std::move(after), context.statistics["store_masks.masks"],
          context.statistics["store_masks.readers"]};
}

TEST(StoreMasks, BitsTakeThePlaceOfAValueThatIsOnlyCompared) {
  Net net;
  net.mask_reader("backward");
  net.graph.fetch("y", net.y);
  const Result result = store(net.graph);
  EXPECT_EQ(result.masks, 1);
  EXPECT_EQ(result.readers, 1);
  const Node& forward = *result.graph->find("forward");
  ASSERT_EQ(forward.outputs().size(), 2u);
  EXPECT_EQ(forward.output_type(0), net.y.type());
  EXPECT_EQ(forward.outputs()[0].layout, kLayout);
  EXPECT_EQ(forward.output_type(1), (TensorType{DType::boolean, kShape}));
  EXPECT_EQ(forward.outputs()[1].layout.to_string(4), "acdB8b_bits");
  const Node& backward = *result.graph->find("backward");
  ASSERT_EQ(backward.inputs().size(), 2u);
  for (const Value& input : backward.inputs()) EXPECT_NE(input.dtype(), DType::bf16);
}

TEST(StoreMasks, AValueThatNobodyReadsAnyMoreIsNotStored) {
  Net net;
  net.mask_reader("backward");
  const Result result = store(net.graph);
  EXPECT_EQ(result.masks, 1);
  const Node& forward = *result.graph->find("forward");
  ASSERT_EQ(forward.outputs().size(), 1u);
  EXPECT_TRUE(has_bits(forward.outputs()[0].layout));
}

TEST(StoreMasks, ElementwiseNodesMakeThem) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, kShape});
  const Value y = ops::tanh(x);
  const Body body = [](const std::vector<Value>& in) {
    return masked_sums(above(in[0], 0.25), in[1]);
  };
  graph.fetch("sum", add_region(graph, "reader", {y, x}, body)->output(1));
  const Result result = store(graph);
  EXPECT_EQ(result.masks, 1);
  EXPECT_EQ(testing_support::count_ops(*result.graph, "tanh"), 0);
}

TEST(StoreMasks, EqualComparisonsShareOne) {
  Net net;
  net.mask_reader("one");
  net.mask_reader("two");
  net.mask_reader("other", 0.5);
  const Result result = store(net.graph);
  EXPECT_EQ(result.masks, 2);
  EXPECT_EQ(result.readers, 3);
}

TEST(StoreMasks, ComparisonsMayHaveSeveralNodes) {
  Net net;
  // From bf16 to f32, and between two bounds.
  net.reader("backward", [](const std::vector<Value>& in) {
    const Value wide = ops::cast(in[0], DType::f32);
    const Value test = ops::elementwise(
        "logical_and", {above(wide, 0.25), above(wide.graph().scalar(1) - wide, 0)});
    return masked_sums(test, in[1]);
  });
  EXPECT_EQ(store(net.graph).masks, 1);
}

TEST(StoreMasks, ValuesReadOtherwiseStay) {
  {
    Net net;
    net.reader("backward", [](const std::vector<Value>& in) {
      return masked_sums(above(in[0], 0), in[1] * ops::cast(in[0], DType::f32));
    });
    EXPECT_EQ(store(net.graph).masks, 0);
  }
  {
    // The comparison is with another operand.
    Net net;
    net.reader("backward", [](const std::vector<Value>& in) {
      const Value wide = ops::cast(in[0], DType::f32);
      return masked_sums(ops::elementwise("gt", {wide, in[1]}), in[1]);
    });
    EXPECT_EQ(store(net.graph).masks, 0);
  }
  {
    // The comparison is a result.
    Net net;
    net.reader("backward", [](const std::vector<Value>& in) -> std::vector<Value> {
      return {above(in[0], 0), ops::sum(in[1], {0, 2, 3})};
    });
    EXPECT_EQ(store(net.graph).masks, 0);
  }
}

TEST(StoreMasks, OnlyWhereBytesAreSaved) {
  // A byte an element, read once, against bits written and read.
  for (const auto& [tests, masks] : {std::pair{3, 3}, {4, 0}}) {
    SCOPED_TRACE(tests);
    Net net(DType::u8);
    net.graph.fetch("y", net.y);
    net.reader("backward", [count = tests](const std::vector<Value>& in) {
      Value total = in[1];
      for (int i = 0; i < count; ++i) {
        total = ops::select(above(in[0], i), total, in[1].graph().scalar(i));
      }
      return std::vector<Value>{total};
    });
    EXPECT_EQ(store(net.graph).masks, masks);
  }
}

TEST(StoreMasks, StepsBoundByLatencyHaveNone) {
  Net net;
  net.mask_reader("backward");
  const FakeTarget target;
  PassContext context(target);
  expect_equivalent(net.graph, *store_masks(net.graph, context));
  EXPECT_EQ(context.statistics["store_masks.masks"], 0);
}

TEST(StoreMasks, TargetsHaveTheLastWord) {
  Net net;
  net.mask_reader("backward");
  FakeTarget no_bits;
  no_bits.plain_only = {"fused"};
  FakeTarget no_kernel;
  no_kernel.unsliced = {"fused"};
  for (const auto& [target, reason] :
       {std::pair{&no_bits, "no kernel for acdB8b_bits"}, {&no_kernel, "no kernel for slices"}}) {
    const TraceCapture capture("dispatch");
    EXPECT_EQ(store(net.graph, *target).masks, 0);
    EXPECT_EQ(capture.lines(),
              std::vector<std::string>{"store_masks: \"backward\" reads \"forward\" and only "
                                       "compares it: " +
                                       std::string(reason)});
  }
}

}  // namespace
}  // namespace ingot
