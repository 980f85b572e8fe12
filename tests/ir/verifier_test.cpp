#include "ingot/ir/verifier.h"

#include <gtest/gtest.h>

#include <utility>

#include "ingot/ir/bits.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "tests/support/expect_error.h"

namespace ingot {

/// Breaks what Graph's interface keeps whole.
struct GraphTestAccess {
  static std::vector<Value>& inputs(Node& node) { return node.inputs_; }
  static std::vector<AttrValue>& attrs(Node& node) { return node.attrs_; }
  static std::vector<Node::Output>& outputs(Node& node) { return node.outputs_; }
  static std::string& name(Node& node) { return node.name_; }
  static int& id(Node& node) { return node.id_; }
  static Graph*& graph(Node& node) { return node.graph_; }
  static std::vector<Fetch>& fetches(Graph& graph) { return graph.fetches_; }
  static auto& assigns(Graph& graph) { return graph.assign_by_variable_; }
};

namespace {

using Access = GraphTestAccess;
using testing_support::expect_error;

struct Net {
  Graph graph;
  Value x = graph.placeholder("x", {DType::f32, {4}});
  Value w = graph.variable("w", {DType::f32, {4}}, Initializer::constant(0));
  Value y = x * w;
  Value z = ops::sum(y, {0});

  Net() {
    graph.assign(w, y);
    graph.fetch("z", z);
  }
  void expect(std::string_view message) {
    expect_error(ErrorKind::internal, ErrorCode::internal,
                 internal_error(std::string(message)).what(), [&] { verify(graph, "test"); });
  }
};

std::unique_ptr<Graph> double_body() {
  auto body = std::make_unique<Graph>();
  const Value a = body->argument(0, {DType::f32, {4}});
  body->fetch("r", a + a);
  return body;
}

TEST(Verifier, AcceptsGraphsAndRegions) {
  Net net;
  net.graph.fetch("d", net.graph.add_region(fused_op(), {net.x}, double_body())->output());
  verify(net.graph, "test");
}

TEST(Verifier, Places) {
  {
    Net net;
    Access::id(*net.y.node()) = 7;
    net.expect("pass \"test\": mul \"mul_0\": id must be the position 2, got 7");
  }
  {
    Net net;
    Graph other;
    Access::graph(*net.y.node()) = &other;
    net.expect("pass \"test\": mul \"mul_0\": node must know its graph, got another");
    Access::graph(*net.y.node()) = &net.graph;
  }
  {
    Net net;
    Access::name(*net.y.node()) = std::string("x");
    net.expect("pass \"test\": mul \"x\": name must be unique, got it twice");
  }
}

TEST(Verifier, Operands) {
  {
    Net net;
    Access::inputs(*net.y.node())[1] = Value();
    net.expect("pass \"test\": mul \"mul_0\": operand 1 must be a value, got none");
  }
  {
    Net net;
    Net other;
    Access::inputs(*net.y.node())[1] = other.w;
    net.expect("pass \"test\": mul \"mul_0\": operand 1 must be of this graph, got another's");
  }
  {
    Net net;
    Access::inputs(*net.y.node())[0] = net.z;
    net.expect("pass \"test\": mul \"mul_0\": operand 0 must be made above, got \"sum_0\"");
  }
  {
    Net net;
    Access::inputs(*net.y.node())[0] = net.x.node()->output(1);
    net.expect("pass \"test\": mul \"mul_0\": operand 0 must be an output of \"x\", got index 1");
  }
}

TEST(Verifier, AttributesAndTypes) {
  {
    Net net;
    Access::attrs(*net.z.node()).pop_back();
    net.expect("pass \"test\": sum \"sum_0\": attributes must be 2, got 1");
  }
  {
    Net net;
    Access::attrs(*net.z.node())[0] = std::int64_t{0};
    net.expect("pass \"test\": sum \"sum_0\": attribute \"axes\" must be integers, got 0");
  }
  {
    Net net;
    Access::attrs(*net.z.node())[0] = std::vector<std::int64_t>{1};
    net.expect(
        "pass \"test\": sum \"sum_0\": operands must be accepted by inference, got sum \"sum_0\": "
        "axes must be distinct and within the rank, got axes [1] of f32[4]");
  }
  {
    Net net;
    Access::outputs(*net.y.node()).push_back({});
    net.expect("pass \"test\": mul \"mul_0\": outputs must be 1, got 2");
  }
  {
    Net net;
    Access::outputs(*net.z.node())[0].type.shape = {2};
    net.expect(
        "pass \"test\": sum \"sum_0\": output 0 must have the inferred type f32[], got f32[2]");
  }
}

TEST(Verifier, Layouts) {
  const std::string message =
      "pass \"test\": mul \"mul_0\": layout must fit the rank of f32[4], got another's";
  for (const Layout& layout :
       {Layout({1, 0}, {}), Layout({}, {{1, 8}}), Layout({}, {{0, 1}}), Layout({1}, {})}) {
    Net net;
    net.y.node()->set_layout(0, layout);
    net.expect(message);
  }
  Net net;
  net.y.node()->set_layout(0, Layout({}, {{0, 8}}));
  verify(net.graph, "test");
  net.y.node()->set_layout(0, in_bits(Layout()));
  net.expect("pass \"test\": mul \"mul_0\": layout of bits must be of bool with axes, got f32[4]");
  Net other;
  const Value none = other.graph.scalar(1, DType::boolean);
  none.node()->set_layout(0, in_bits(Layout()));
  other.expect("pass \"test\": constant \"" + none.node()->name() +
               "\": layout of bits must be of bool with axes, got bool[]");
  none.node()->set_layout(0, Layout());
  const Value test = ops::elementwise("gt", {other.x, other.y});
  test.node()->set_layout(0, in_bits(Layout({}, {{0, 8}})));
  verify(other.graph, "test");
}

TEST(Verifier, Assigns) {
  {
    Net net;
    Access::inputs(*net.graph.assign_of("w"))[0] = net.x;
    net.expect("pass \"test\": assign \"assign.w\": target must be a variable, got placeholder");
  }
  {
    Net net;
    Access::assigns(net.graph).clear();
    net.expect("pass \"test\": assign \"assign.w\": the graph must know the assign");
  }
  {
    Net net;
    auto known = std::exchange(Access::assigns(net.graph), {});
    net.graph.assign(net.w, net.y);
    Access::assigns(net.graph) = std::move(known);
    net.expect(
        "pass \"test\": assign \"assign.w_0\": a variable is assigned at most once, got a second "
        "assign");
  }
}

TEST(Verifier, Bodies) {
  {
    Net net;
    Node* region = net.graph.add_region(fused_op(), {net.x}, double_body());
    Access::attrs(*region->body()->find("arg0"))[0] = std::int64_t{1};
    net.expect(
        "pass \"test\": fused \"fused_0\": argument 1 of the body must be an operand, got f32[4]");
  }
  {
    Net net;
    Node* region = net.graph.add_region(fused_op(), {net.x}, double_body());
    Access::outputs(*region)[0].type.dtype = DType::f64;
    net.expect(
        "pass \"test\": fused \"fused_0\": output 0 must have the inferred type f32[4], got "
        "f64[4]");
  }
  {
    Net net;
    Node* region = net.graph.add_region(fused_op(), {net.x}, double_body());
    region->body()->variable("inner", {DType::f32, {}}, Initializer::constant(0));
    net.expect(
        "pass \"test\": variable \"inner\": a body must not have sources but arguments and "
        "constants, nor assigns");
  }
}

TEST(Verifier, Fetches) {
  {
    Net net;
    Net other;
    Access::fetches(net.graph)[0].value = other.z;
    net.expect("pass \"test\": fetch \"z\": value must be of this graph, got another's");
  }
  {
    Net net;
    Access::fetches(net.graph).push_back({"z", net.y});
    net.expect("pass \"test\": fetch \"z\": name must be unique, got it twice");
  }
}

}  // namespace
}  // namespace ingot
