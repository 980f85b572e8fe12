#include <gtest/gtest.h>

#include <limits>

#include "ingot/ir/bits.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/evaluate.h"
#include "ingot/ir/op_def.h"
#include "ingot/ir/parser.h"
#include "ingot/ir/printer.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "ingot/ops/registry.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

using testing_support::expect_user_error;

std::vector<TensorType> first_type(const InferContext& ctx) { return {ctx.input(0)}; }

const OpDef& odd_op() {
  static const OpDef def{
      .name = "test.odd",
      .summary = "one attribute of every kind",
      .inputs = {{"x", "any"}},
      .outputs = {{"y", "same"}},
      .attrs = {{"flag", AttrKind::boolean, "", AttrValue(true)},
                {"count", AttrKind::integer, "", AttrValue(std::int64_t{-7})},
                {"rate", AttrKind::real, "", AttrValue(0.1)},
                {"text", AttrKind::string, "", AttrValue(std::string("a \"b\"\\\nc"))},
                {"axes", AttrKind::integers, "", AttrValue(std::vector<std::int64_t>{1, -1})},
                {"dtype", AttrKind::dtype, "", AttrValue(DType::bf16)},
                {"rule", AttrKind::scalar_program, "", AttrValue(ScalarProgram(1))}},
      .infer = first_type};
  return def;
}

std::vector<const OpDef*> ops() {
  std::vector<const OpDef*> list(all_ops().begin(), all_ops().end());
  list.push_back(&odd_op());
  return list;
}

std::unique_ptr<Graph> parse(std::string_view text) { return parse_graph(text, ops()); }

void expect_round_trip(const Graph& graph) {
  const std::string text = print_graph(graph);
  const auto copy = parse(text);
  EXPECT_EQ(print_graph(*copy), text);
  ASSERT_EQ(copy->size(), graph.size());
  for (std::size_t i = 0; i < graph.size(); ++i) {
    const Node& a = *graph.nodes()[i];
    const Node& b = *copy->nodes()[i];
    EXPECT_EQ(a.name(), b.name());
    EXPECT_EQ(&a.op(), &b.op());
    EXPECT_EQ(a.origin().location.to_string(), b.origin().location.to_string());
    EXPECT_EQ(a.origin().module_path, b.origin().module_path);
    for (std::size_t k = 0; k < a.attrs().size(); ++k) EXPECT_EQ(a.attrs()[k], b.attrs()[k]);
  }
}

TEST(Printer, Text) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {2, 3}}, {"dir/train.cpp", "main", 12});
  Value y;
  {
    const auto scope = graph.module("layer1");
    y = ops::elementwise("relu", {x}, {});
  }
  y.node()->set_layout(0, Layout({1, 0}, {}));
  const Value w = graph.variable("the weight", {DType::f32, {}}, Initializer::normal(0, 0.5),
                                 VariableRole::parameter, {});
  const Value total = ops::sum(y, {}, false, {});
  graph.assign(w, total, graph.scalar(1, DType::boolean, {}), {});
  graph.fetch("y", y);
  EXPECT_EQ(
      print_graph(graph),
      "graph {\n"
      "  %x = placeholder() {dtype=f32, shape=[2,3]} -> f32[2,3] at \"dir/train.cpp\":12 \"main\"\n"
      "  %relu_0 = relu(%x) -> f32[2,3]@ba module \"layer1\"\n"
      "  %\"the weight\" = variable() {dtype=f32, shape=[], role=0, init=2, init_a=0.0, "
      "init_b=0.5} -> f32[]\n"
      "  %sum_0 = sum(%relu_0) {axes=[], keep_dims=false} -> f32[]\n"
      "  %constant_0 = constant() {value=dense<bool[]: 1>} -> bool[]\n"
      "  %\"assign.the weight\" = assign(%\"the weight\", %sum_0, %constant_0)\n"
      "  fetch \"y\" = %relu_0\n"
      "}\n");
  expect_round_trip(graph);
  EXPECT_NE(parse(print_graph(graph))->assign_of("the weight"), nullptr);
}

TEST(Printer, EveryKindOfAttributeRoundTrips) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f64, {3}});
  const double inf = std::numeric_limits<double>::infinity();
  const std::vector<std::string> names{"a", "b"};
  const auto rule =
      ScalarProgram::parse("m = 2 * a - cast_f16(b); m / 1e-30, select(m < 3, a, -m)", names);
  graph.add(odd_op(), {x});
  graph.add(odd_op(), {x},
            {{"flag", false},
             {"rate", -inf},
             {"axes", std::vector<std::int64_t>{}},
             {"rule", rule},
             {"text", ""}});
  graph.constant(HostTensor({DType::f32, {2, 2}}, std::vector<double>{0.1, -inf, 3, 1e-45}));
  graph.constant(HostTensor({DType::i64, {2}}, std::vector<double>{-5, 1e15}));
  graph.constant(HostTensor({DType::u8, {0, 3}}));
  graph.full({DType::bf16, {4, 4}}, 1.5);
  graph.scalar(-0.0);
  expect_round_trip(graph);
}

TEST(Printer, LayoutsOfBitsRoundTrip) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {2, 3}});
  const Value test = ops::elementwise("gt", {x, graph.scalar(0)});
  test.node()->set_layout(0, in_bits(Layout({1, 0}, {})));
  graph.fetch("test", test);
  expect_round_trip(graph);
  EXPECT_NE(print_graph(graph).find("-> bool[2,3]@ba_bits"), std::string::npos);
}

TEST(Printer, RegionsNestAndRoundTrip) {
  auto inner = std::make_unique<Graph>();
  const Value a = inner->argument(0, {DType::f32, {2}});
  inner->fetch("r", a * a);
  auto outer = std::make_unique<Graph>();
  const Value b = outer->argument(1, {DType::f32, {2}});
  Node* nested = outer->add_region(fused_op(), {b}, std::move(inner), {}, "square");
  outer->fetch("p", nested->output());
  outer->fetch("q", b);
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {2}});
  Node* region =
      graph.add_region(fused_op(), {x, graph.full({DType::f32, {2}}, 3)}, std::move(outer));
  region->set_layout(1, Layout({}, {{0, 8}}));
  graph.fetch("square", region->output(0));
  graph.fetch("same", region->output(1));
  expect_round_trip(graph);
  const auto copy = parse(print_graph(graph));
  EXPECT_EQ(copy->find("fused_0")->output(1).layout(), Layout({}, {{0, 8}}));
  const HostTensor in({DType::f32, {2}});
  EXPECT_EQ(evaluate(*copy, {{"x", in}}).fetches.at("square").to_doubles(),
            (std::vector<double>{9, 9}));
  EXPECT_NE(print_graph(graph).find("fetch \"same\" = %fused_0:1"), std::string::npos);
}

TEST(Parser, WrittenByHand) {
  const auto graph = parse(
      "# a comment\n"
      "graph {\n"
      "  %x = placeholder() {dtype=f32, shape=[4]}  # types are inferred\n"
      "  %half = constant() {value=dense<f32[4]: 0.5>}\n"
      "  %y = mul(%x, %half)\n"
      "  %z = sum(%y) {axes=[0]} -> f32[]\n"
      "  fetch \"z\" = %z:0\n"
      "}\n");
  const HostTensor in({DType::f32, {4}}, std::vector<double>{1, 2, 3, 4});
  EXPECT_EQ(evaluate(*graph, {{"x", in}}).fetches.at("z").to_doubles(), std::vector<double>{5});
}

TEST(Parser, Errors) {
  const std::string x = "%x = placeholder() {dtype=f32, shape=[2]}\n";
  const std::vector<std::pair<std::string, std::string>> bad{
      {"", "graph text 1:1: must have 'graph' here, got the end"},
      {"graph\n  [", "graph text 2:3: must have '{' here, got \"[\""},
      {"graph {", "graph text 1:8: must have '%' here, got the end"},
      {"graph {} more", "graph text 1:10: must end after the graph, got \"more\""},
      {"graph {\n  relu(%x)", "graph text 2:3: must have '%' here, got \"relu\""},
      {"graph {\n%y = relx()",
       "graph text 2:6: op must exist, got \"relx\"\n"
       "help: did you mean \"relu\", \"elu\", \"gelu\"?"},
      {"graph {\n%y = relu(%x)", "graph text 2:11: value must be made above, got \"x\""},
      {"graph {" + x + "%y = relu(%x1)",
       "graph text 2:11: value must be made above, got \"x1\"\nhelp: did you mean \"x\"?"},
      {"graph {" + x + "%y = relu(%x:1)", "graph text 2:11: \"x\" has 1 output(s), got index 1"},
      {"graph {" + x + x, "graph text 2:1: name must be new, got \"x\" again"},
      {"graph {%x = placeholder() {dtpe=f32}",
       "graph text 1:28: attribute must be one that placeholder has, got \"dtpe\"\n"
       "help: did you mean \"dtype\"?"},
      {"graph {%x = placeholder() {dtype=f32, dtype=f32}",
       "graph text 1:39: attribute must be given once, got \"dtype\" twice"},
      {"graph {%x = placeholder() {dtype=f31}",
       "graph text 1:34: must have an element type such as f32 here, got \"f31\""},
      {"graph {%x = placeholder() {dtype=f32}\n}",
       "placeholder \"x\": attribute \"shape\" is required, got none\n"
       "note: graph text 1:8"},
      {"graph {%x = placeholder() {dtype=f32, shape=[-1]}}",
       "placeholder \"x\": every dimension must be known and not negative, got f32[-1]\n"
       "help: give the size; only reshape infers a -1\n"
       "note: graph text 1:8"},
      {"graph {%x = placeholder() {dtype=f32, shape=[2} -> f32",
       "graph text 1:47: must have ']' here, got \"}\""},
      {"graph {%x = placeholder() {dtype=f32, shape=[2]} -> f32[3]}",
       "graph text 1:53: type must be the inferred f32[2], got f32[3]"},
      {"graph {%x = placeholder() {dtype=f32, shape=[2]} -> f32[-3]}",
       "graph text 1:56: shape must have at most 8 dimensions and none negative, got [-3]"},
      {"graph {%x = placeholder() {dtype=f32, shape=[2]} -> f32[2], f32[2]}",
       "graph text 1:53: \"x\" has 1 output(s), got 2 type(s)"},
      {"graph {%x = placeholder() {dtype=f32, shape=[2]} -> f32[2]@aBcd16b}",
       "graph text 1:60: layout must name the 1 axes of the shape, got \"aBcd16b\""},
      {"graph {%x = placeholder() {dtype=f32, shape=[2]} -> f32[2]@zz}",
       "graph text 1:60: layout \"zz\": not a tag such as \"plain\" or \"aBcd16b\""},
      {"graph {%x = placeholder() {dtype=f32, shape=[2]} at \"a.cpp\":0 \"f\"}",
       "graph text 1:61: line must be positive, got 0"},
      {"graph {%x = placeholder() {dtype=f32, shape=[2]} at a.cpp",
       "graph text 1:53: must have a quoted string here, got \"a.cpp\""},
      {"graph {%\"x", "graph text 1:9: string must end with '\"', got the end"},
      {"graph {%\"\\x\"", "graph text 1:10: escapes must be \\\", \\\\ or \\n, got another"},
      {"graph {" + x + "fetch \"a\" = %x fetch \"a\" = %x}",
       "fetch \"a\": name must be unique in the graph, got it twice\nnote: graph text 2:22"},
      {"graph {%c = constant() {value=dense<f32[3]: 1,2>}",
       "graph text 1:37: f32[3] must have 3 elements or one for all, got 2"},
      {"graph {%c = constant() {value=dense<f32[999999999]: 1>}",
       "graph text 1:37: a tensor in text must have at most 268435456 bytes, got f32[999999999]"},
      {"graph {%c = constant() {value=dense<f32[1]: x>}",
       "graph text 1:45: must have a number here, got \"x\""},
      {"graph {%c = constant() {value=dense<i32[1]: 1.5>}",
       "graph text 1:45: must have a 64-bit integer here, got \"1.5\""},
      {"graph {" + x + "%y = test.odd(%x) {flag=1}",
       "graph text 2:25: must have true or false here, got \"1\""},
      {"graph {" + x + "%y = test.odd(%x) {rule=expr(1)\"x0 +\"}",
       "graph text 2:32: scalar expression \"x0 +\": an operand expected, at position 4"},
      {"graph {" + x + "%y = test.odd(%x) {rule=expr(-1)\"x0\"}",
       "graph text 2:30: expression must have 0 to 4096 operands, got -1"},
      {"graph {" + x + "%y = add(%x)}",
       "add \"y\": takes 2 operand(s), got 1\nnote: graph text 2:1"},
      {"graph {" + x + "%y = assign(%x, %x)}",
       "assign \"x\": target must be a variable, got placeholder\nnote: graph text 2:1"},
      {"graph {" + x +
           "%y = fused(%x) body { %arg0 = argument() {index=1, dtype=f32, shape=[2]} }}",
       "fused \"y\": argument 1 of the body must be one of the operands, got f32[2]\n"
       "note: graph text 2:1"},
      {"graph {" + x +
           "%y = fused(%x) body { %arg0 = argument() {index=0, dtype=f32, shape=[3]} }}",
       "fused \"y\": argument 0 of the body must be f32[2], got f32[3]\nnote: graph text 2:1"},
      {"graph {" + x + "%y = relu(%x) body {",
       "graph text 2:15: op must be a region's to have a body, got \"relu\""},
      {"graph {" + x + "%y = fused(%x) body { " + x + "}}",
       "fused \"y\": body must have no sources but arguments and constants, nor assigns, got "
       "placeholder \"x\"\nnote: graph text 2:1"},
      {"graph {%a=fused() body{%a=fused() body{%a=fused() body{%a=fused() body{%a=fused() body{"
       "%a=fused() body{%a=fused() body{%a=fused() body{%a=fused() body{",
       "graph text 1:151: bodies may nest 8 deep, got \"{\""},
  };
  for (const auto& [text, message] : bad) {
    SCOPED_TRACE(text);
    EXPECT_EQ(testing_support::error_of([&] { parse(text); }), message);
  }
  expect_user_error(ErrorCode::invalid_graph, "graph text 1:1: must have 'graph' here, got \"x\"",
                    [] { parse("x"); });
}

TEST(Parser, Attributes) {
  EXPECT_EQ(parse_attr("[1, 2]", AttrKind::integers), AttrValue(std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(parse_attr("0.5", AttrKind::real), AttrValue(0.5));
  expect_user_error(ErrorCode::invalid_graph, "graph text 1:3: must end after the value, got \"y\"",
                    [] { parse_attr("1 y", AttrKind::integer); });
}

}  // namespace
}  // namespace ingot
