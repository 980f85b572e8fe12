#include "ingot/passes/pass_manager.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "ingot/base/trace.h"
#include "ingot/passes/pass_list.h"
#include "tests/passes/support/fake_target.h"
#include "tests/passes/support/graphs.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

using testing_support::expect_equivalent;
using testing_support::expect_user_error;
using testing_support::FakeTarget;
using testing_support::random_graph;

std::unique_ptr<Graph> run(const Graph& graph, const Target& target,
                           const std::vector<std::string>& disabled = {}) {
  PassContext context(target);
  return run_passes(graph, pass_list(), disabled, context);
}

TEST(PassManager, RefusesUnknownNames) {
  const FakeTarget target;
  const Graph graph;
  expect_user_error(ErrorCode::invalid_argument,
                    "disabled_passes \"simplfy\": must be the name of a pass, got no such pass\n"
                    "help: did you mean \"simplify\"?",
                    [&] { run(graph, target, {"simplfy"}); });
}

TEST(PassManager, RefusesToLeaveOutWhatIsRequired) {
  const FakeTarget target;
  const Graph graph;
  expect_user_error(
      ErrorCode::invalid_argument,
      "disabled_passes \"layouts\": must be a pass that can be left out, got a required one",
      [&] { run(graph, target, {"layouts"}); });
}

TEST(PassManager, TracesTimesAndWhatIsOff) {
  const FakeTarget target;
  const auto graph = random_graph(1, 20);
  const TraceCapture capture("passes");
  run(*graph, target, {"fuse"});
  const std::vector<std::string> lines = capture.lines();
  ASSERT_EQ(lines.size(), pass_list().size() - 2);
  EXPECT_TRUE(lines[0].starts_with("simplify: "));
  EXPECT_NE(lines[0].find(" nodes, verified in "), std::string::npos) << lines[0];
  EXPECT_EQ(std::ranges::count(lines, "fuse: off"), 1);
}

TEST(PassManager, TimesTheEnginesSteps) {
  const auto graph = random_graph(1, 20);
  const TraceCapture capture("passes");
  bool called = false;
  run_step("plan_memory", *graph, [&] { called = true; });
  EXPECT_TRUE(called);
  ASSERT_EQ(capture.lines().size(), 1u);
  EXPECT_TRUE(capture.lines()[0].starts_with("plan_memory: ")) << capture.lines()[0];
}

TEST(Pipeline, KeepsTheMeaningOfRandomGraphs) {
  const FakeTarget target;
  for (unsigned seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    const auto graph = random_graph(seed, 10 + static_cast<int>(seed));
    const auto after = run(*graph, target);
    expect_equivalent(*graph, *after, 1e-5);
    if (HasFatalFailure()) return;
  }
}

TEST(Pipeline, KeepsTheMeaningWithAnyPassLeftOut) {
  const FakeTarget target;
  for (unsigned seed = 0; seed < 10; ++seed) {
    const auto graph = random_graph(1000 + seed, 60);
    for (const Pass& pass : pass_list()) {
      if (pass.required) continue;
      SCOPED_TRACE(pass.name);
      expect_equivalent(*graph, *run(*graph, target, {std::string(pass.name)}), 1e-5);
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace ingot
