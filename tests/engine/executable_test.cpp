#include "ingot/engine/executable.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "ingot/engine/compile.h"
#include "ingot/ops/operators.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

TensorType f32(Shape shape) { return {DType::f32, shape}; }

/// First line of the Error that `call` throws.
template <typename Call>
std::string message_of(Call&& call) {
  const std::string text = testing_support::error_of(call);
  return text.substr(0, text.find('\n'));
}

Feed feed(std::string_view name, const std::vector<float>& data) {
  return {name, data.data(), data.size() * sizeof(float)};
}

/// mean((x * w)^2) with w <- w - 0.5 * x * (x * w), and a counter.
struct Fixture {
  Graph graph;
  std::shared_ptr<Backend> backend = make_backend("reference");
  VariableStore store{backend, 7};

  Fixture() {
    const Value x = graph.placeholder("x", f32({2}));
    const Value w = graph.variable("w", f32({2}), Initializer::constant(3.0));
    const Value count = graph.variable("count", {DType::i64, {}}, Initializer::constant(0.0),
                                       VariableRole::counter);
    const Value y = x * w;
    graph.fetch("loss", ops::sum(y * y, {}));
    graph.fetch("w_before", w);
    graph.fetch("y", y);
    graph.assign(w, w - 0.5 * (x * y));
    graph.assign(count, count + 1.0);
  }
};

TEST(Executable, StepChangesVariablesAtItsEnd) {
  Fixture f;
  Executable exe = compile(f.graph, f.store);
  const std::vector<float> x{1.0f, 2.0f};
  exe.step({feed("x", x)});
  EXPECT_EQ(exe.fetched("loss").view().get(0), 9.0 + 36.0);
  EXPECT_EQ(exe.fetched("w_before").to_doubles(), (std::vector<double>{3, 3}));
  EXPECT_EQ(f.store.read("w").to_doubles(), (std::vector<double>{1.5, -3.0}));
  EXPECT_EQ(f.store.read("count").view().get_int(0), 1);
  exe.step({feed("x", x)});
  EXPECT_EQ(exe.fetched("w_before").to_doubles(), (std::vector<double>{1.5, -3.0}));
  EXPECT_EQ(exe.losses().pop()->values[0], 45.0);
  EXPECT_EQ(exe.losses().pop()->values[0], 1.5 * 1.5 + 36.0);
  EXPECT_FALSE(exe.losses().pop().has_value());
}

TEST(Executable, StackedFeedsEqualSingleSteps) {
  Fixture one;
  Fixture many;
  Executable a = compile(one.graph, one.store);
  Executable b = compile(many.graph, many.store);
  const std::vector<float> x{1.0f, 0.5f, 0.25f, 1.5f, -1.0f, 0.75f};
  for (int k = 0; k < 3; ++k) a.step({{"x", x.data() + 2 * k, 2 * sizeof(float)}});
  b.run_steps(3, {feed("x", x)});
  EXPECT_EQ(one.store.read("w"), many.store.read("w"));
  EXPECT_EQ(many.store.read("count").view().get_int(0), 3);
}

TEST(Executable, FeedsAreCheckedBeforeAnythingRuns) {
  Fixture f;
  Executable exe = compile(f.graph, f.store);
  const std::vector<float> x{1.0f, 2.0f};
  EXPECT_EQ(message_of([&] { exe.step({}); }), "feed \"x\": must be given (f32[2]), got none");
  EXPECT_EQ(message_of([&] { exe.step({feed("z", x)}); }),
            "feed \"z\": must be a placeholder of the graph, got no such name");
  EXPECT_EQ(message_of([&] { exe.step({{"x", x.data(), 7}}); }),
            "feed \"x\": f32[2] needs 8 bytes, got a buffer of 7");
  EXPECT_EQ(message_of([&] { exe.step({{"x", nullptr, 8}}); }),
            "feed \"x\": f32[2] needs memory, got a null pointer");
  EXPECT_EQ(message_of([&] { exe.step({{"x", x.data(), 8, TensorType{DType::i32, {2}}}}); }),
            "feed \"x\": must be f32[2], got i32[2]");
  EXPECT_EQ(message_of([&] { exe.step({feed("x", x), feed("x", x)}); }),
            "feed \"x\": must be given once, got it twice");
  EXPECT_EQ(message_of([&] { exe.run_steps(0, {feed("x", x)}); }),
            "run_steps: number of steps must be at least 1, got 0");
  EXPECT_EQ(exe.steps_run(), 0);
  EXPECT_EQ(message_of([&] { static_cast<void>(exe.fetched("loss")); }),
            "fetch \"loss\": needs a run first, got none");
  exe.step({{"x", x.data(), 1 << 20, f32({2})}});
  EXPECT_EQ(message_of([&] { static_cast<void>(exe.fetched("los")); }),
            "fetch \"los\": must be fetched by the graph, got no such name");
}

TEST(Executable, NotFiniteNamesTheFirstNodeAndLeavesVariables) {
  Graph graph;
  VariableStore store(make_backend("reference"));
  const Value x = graph.placeholder("x", f32({3}));
  const Value w = graph.variable("w", f32({3}), Initializer::constant(1.0));
  Value y;
  {
    const auto scope = graph.module("head");
    y = ops::log(x);
  }
  graph.fetch("loss", ops::sum(y * w, {}));
  graph.assign(w, w + y);
  Executable exe = compile(graph, store);
  const std::vector<float> good{1.0f, 2.0f, 3.0f};
  const std::vector<float> bad{1.0f, -2.0f, 3.0f};
  exe.step({feed("x", good)});
  const HostTensor before = store.read("w");
  try {
    exe.step({feed("x", bad)});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::numerics);
    EXPECT_EQ(error.message(),
              "log \"log_0\": result must be finite, got nan at element 1 of f32[3]");
    EXPECT_NE(std::string(error.what()).find("note: in step 1; no variable was changed"),
              std::string::npos);
    EXPECT_NE(std::string(error.what()).find("(module head)"), std::string::npos);
  }
  EXPECT_EQ(store.read("w"), before);
  const std::vector<float> nan{1.0f, std::numeric_limits<float>::quiet_NaN(), 3.0f};
  EXPECT_EQ(message_of([&] { exe.step({feed("x", nan)}); }),
            "placeholder \"x\": value must be finite, got nan at element 1 of f32[3]");
  exe.step({feed("x", good)});
}

TEST(Executable, CallerOwnsBoundVariables) {
  Fixture f;
  std::vector<float> mine(256, 2.0f);
  f.store.bind_external("w", mine.data(), mine.size() * sizeof(float));
  Executable exe = compile(f.graph, f.store);
  const std::vector<float> x{1.0f, 2.0f};
  exe.step({feed("x", x)});
  EXPECT_EQ(mine[0], 1.0f);
  EXPECT_EQ(mine[1], -2.0f);
  EXPECT_EQ(mine[2], 2.0f);
  EXPECT_EQ(message_of([&] { f.store.bind_external("w", mine.data(), 8); }),
            "variable \"w\": must be bound before it is first compiled, got a variable that is in "
            "the store already");
  Fixture small;
  small.store.bind_external("w", mine.data(), 4);
  EXPECT_EQ(message_of([&] { compile(small.graph, small.store); }),
            "variable \"w\": f32[2] needs 8 bytes, got a buffer of 4");
}

// Assigns read what the variables were at the start of the step, whatever their order.
TEST(Executable, AssignsSwap) {
  Graph graph;
  VariableStore store(make_backend("reference"));
  const Value a = graph.variable("a", f32({2}), Initializer::constant(1.0));
  const Value b = graph.variable("b", f32({2}), Initializer::constant(2.0));
  graph.assign(a, b);
  graph.assign(b, a);
  Executable exe = compile(graph, store);
  exe.step({});
  EXPECT_EQ(store.read("a").to_doubles(), (std::vector<double>{2, 2}));
  EXPECT_EQ(store.read("b").to_doubles(), (std::vector<double>{1, 1}));
}

TEST(Executable, PredicateKeepsTheOldValue) {
  Graph graph;
  VariableStore store(make_backend("reference"));
  const Value x = graph.placeholder("x", f32({}));
  const Value a = graph.variable("a", f32({}), Initializer::constant(1.0));
  graph.assign(a, a + x, ops::elementwise("gt", {x, graph.scalar(0.0)}));
  Executable exe = compile(graph, store);
  exe.step({feed("x", {5.0f})});
  exe.step({feed("x", {-5.0f})});
  EXPECT_EQ(store.read("a").view().get(0), 6.0);
}

TEST(Executable, ScratchArenaIsShared) {
  Fixture f;
  Executable first = compile(f.graph, f.store);
  Graph big;
  const Value x = big.placeholder("x", f32({1000}));
  big.fetch("y", ops::exp(ops::exp(x)));
  Executable second = compile(big, f.store);
  const std::vector<float> x2{1.0f, 2.0f};
  const std::vector<float> x1000(1000, 0.0f);
  first.step({feed("x", x2)});
  second.run({feed("x", x1000)});
  first.step({feed("x", x2)});
  EXPECT_EQ(f.store.scratch_bytes(), second.stats().arena_bytes);
  EXPECT_EQ(f.store.read("count").view().get_int(0), 2);
}

TEST(MakeBackend, UnknownDevice) {
  EXPECT_EQ(
      message_of([&] { make_backend("referense"); }),
      "device \"referense\": must be one of \"cpu\", \"cuda\", \"reference\", got no such device");
}

}  // namespace
}  // namespace ingot
