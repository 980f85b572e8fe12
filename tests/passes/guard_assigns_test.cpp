#include "ingot/passes/guard_assigns.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>

#include "ingot/engine/compile.h"
#include "ingot/ops/operators.h"

namespace ingot {
namespace {

/// Assigns a buffer before it is known what decides, another with a predicate of its own, and a
/// counter.
std::unique_ptr<Graph> counting() {
  auto graph = std::make_unique<Graph>();
  const auto variable = [&](const char* name, VariableRole role) {
    return graph->variable(name, {DType::f32, {}}, Initializer::constant(0), role);
  };
  const Value mean = variable("mean", VariableRole::buffer);
  graph->assign(mean, mean + 1.0);
  const Value x = graph->placeholder("x", {DType::f32, {}});
  graph->fetch("good", ops::all_finite(*graph, {x}));
  const Value never = ops::elementwise("lt", {x, x});
  const Value own = variable("own", VariableRole::buffer);
  graph->assign(own, own + 1.0, never);
  const Value steps = variable("steps", VariableRole::counter);
  graph->assign(steps, steps + 1.0);
  return graph;
}

TEST(GuardAssigns, KeepsTheOldValueWhereThePredicateIsFalse) {
  const auto graph = counting();
  constexpr std::array kRoles{VariableRole::buffer};
  const auto guarded = guard_assigns(*graph, graph->fetches()[0].value, kRoles);
  EXPECT_EQ(guarded->size(), graph->size());
  for (const char* device : {"reference", "cpu"}) {
    VariableStore store(make_backend(device));
    Executable exe = compile(*guarded, store);
    const auto run = [&](float x) { exe.run({{"x", &x, sizeof(x)}}); };
    run(1.0f);
    run(std::numeric_limits<float>::infinity());
    run(std::numeric_limits<float>::quiet_NaN());
    run(2.0f);
    EXPECT_EQ(store.read("mean").view().get(0), 2) << device;
    EXPECT_EQ(store.read("own").view().get(0), 0) << device;
    EXPECT_EQ(store.read("steps").view().get(0), 4) << device;
  }
}

}  // namespace
}  // namespace ingot
