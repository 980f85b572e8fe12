// Choosing among the kernels of a convolution or product by timing them.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <string>
#include <vector>

#include "ingot/backends/cpu/cpu_backend.h"
#include "ingot/backends/cpu/kernel_tuner.h"
#include "ingot/base/trace.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/ops.h"
#include "tests/backends/support/conv_cases.h"

namespace ingot {
namespace {

constexpr const char* kOneKernel = "without oneDNN one kernel alone takes this convolution";

/// A convolution that several kernels run.
struct Problem {
  explicit Problem(const CpuBackend& backend)
      : nodes(make_conv_nodes(conv_cases()[1], DType::f32, &backend)), node(*nodes.forward) {
    for (const KernelCandidate& candidate : backend.kernels().candidates(node.op().name)) {
      if (candidate.supports(node, backend)) able.emplace_back(candidate.name);
    }
  }
  ConvNodes nodes;
  const Node& node;
  std::vector<std::string> able;
};

std::vector<std::string> dispatch_of(const CpuBackend& backend, const Node& node) {
  const TraceCapture capture("dispatch");
  (void)backend.create_kernel({node, {0, 1}, {2}});
  return capture.lines();
}

bool any_matches(const std::vector<std::string>& lines, const std::string& pattern) {
  return std::ranges::any_of(
      lines, [&](const std::string& line) { return std::regex_match(line, std::regex(pattern)); });
}

TEST(KernelTuner, TimesEveryKernelOnceAndRemembers) {
  const auto choices = std::make_shared<KernelChoices>();
  const CpuBackend backend({.threads = 2, .tune = Tune::quick, .choices = choices});
  const Problem problem(backend);
  if (problem.able.size() < 2) GTEST_SKIP() << kOneKernel;
  std::string times;
  for (const std::string& name : problem.able) {
    times += (times.empty() ? "" : ", ") + name + " [0-9]+\\.[0-9] us";
  }
  const std::string line = "conv2d \"" + problem.node.name() + "\": ";
  const auto first = dispatch_of(backend, problem.node);
  EXPECT_TRUE(any_matches(first, line + "tuned: [a-z]+ of " + times))
      << testing::PrintToString(first);
  const KernelChoices::Map all = choices->all();
  ASSERT_EQ(all.size(), 1u);
  const std::string kernel = all.begin()->second;
  EXPECT_TRUE(std::ranges::count(problem.able, kernel));
  const auto again = dispatch_of(backend, problem.node);
  EXPECT_TRUE(any_matches(again, line + "chosen before: " + kernel))
      << testing::PrintToString(again);
  EXPECT_EQ(choices->changes(), 1);
}

TEST(KernelTuner, TakesWhateverWasChosen) {
  const CpuBackend plain({.threads = 1});
  const Problem problem(plain);
  const KernelTuner tuner(Tune::full, std::make_shared<KernelChoices>());
  for (const std::string& name : problem.able) {
    const auto choices = std::make_shared<KernelChoices>();
    const CpuBackend backend({.threads = 1, .tune = Tune::full, .choices = choices});
    choices->set(tuner.problem(problem.node, backend), name);
    const auto kernel = backend.create_kernel({problem.node, {0, 1}, {2}});
    EXPECT_TRUE(kernel->name().starts_with(name)) << kernel->name();
    // The serial backend's choices are its own.
    EXPECT_NE(tuner.problem(problem.node, backend.serial()), choices->all().begin()->first);
    EXPECT_EQ(choices->changes(), 1) << "nothing was timed";
  }
}

TEST(KernelTuner, AKernelThatIsNotThereIsNotTaken) {
  const auto choices = std::make_shared<KernelChoices>();
  const CpuBackend backend({.threads = 1, .tune = Tune::quick, .choices = choices});
  const Problem problem(backend);
  if (problem.able.size() < 2) GTEST_SKIP() << kOneKernel;
  const KernelTuner tuner(Tune::quick, choices);
  const std::string key = tuner.problem(problem.node, backend);
  choices->set(key, "gone");
  EXPECT_TRUE(any_matches(dispatch_of(backend, problem.node), ".*: tuned: .*"));
  EXPECT_NE(choices->find(key), "gone");
}

TEST(KernelTuner, AProblemIsWhatAChoiceDependsOn) {
  const auto choices = std::make_shared<KernelChoices>();
  const CpuBackend one({.threads = 1});
  const CpuBackend two({.threads = 2});
  const Problem problem(one);
  const KernelTuner quick(Tune::quick, choices);
  const KernelTuner full(Tune::full, choices);
  const std::string key = quick.problem(problem.node, one);
  EXPECT_TRUE(
      std::regex_match(key, std::regex("conv2d \\{stride=\\[1,1\\], .*groups=1.*\\} "
                                       "\\(f32\\[5,64,8,8\\]@\\w+, f32\\[64,64,3,3\\]@\\w+\\) -> "
                                       "f32\\[5,64,8,8\\]@\\w+; 1 thread\\(s\\); \\w+; "
                                       "ingot [0-9.]+, highway [0-9.]+, onednn [0-9a-z.]+; quick")))
      << key;
  EXPECT_NE(key, full.problem(problem.node, one));
  EXPECT_NE(key, quick.problem(problem.node, two));
  EXPECT_NE(key, quick.problem(problem.node, one.serial()));
  EXPECT_NE(key, quick.problem(*problem.nodes.input_grad, one));
}

TEST(KernelTuner, IsOffUnlessAskedFor) {
  const auto choices = std::make_shared<KernelChoices>();
  const CpuBackend backend({.threads = 1, .choices = choices});
  const Problem problem(backend);
  const auto lines = dispatch_of(backend, problem.node);
  EXPECT_FALSE(any_matches(lines, ".*tuned.*"));
  EXPECT_EQ(choices->changes(), 0);
}

TEST(KernelTuner, HasAChoiceForProducts) {
  Graph graph;
  const Node& node = *ops::matmul(graph.placeholder("a", {DType::f32, {40, 30}}),
                                  graph.placeholder("b", {DType::f32, {50, 30}}), false, true)
                          .node();
  const auto choices = std::make_shared<KernelChoices>();
  const CpuBackend backend({.threads = 1, .tune = Tune::quick, .choices = choices});
  EXPECT_TRUE(any_matches(dispatch_of(backend, node),
                          ".*: tuned: [a-z]+ of direct [0-9.]+ us, panels [0-9.]+ us"));
  const KernelTuner tuner(Tune::quick, choices);
  for (const std::string name : {"panels", "direct"}) {
    choices->set(tuner.problem(node, backend), name);
    EXPECT_EQ(backend.create_kernel({node, {0, 1}, {2}})->name(), name);
  }
}

}  // namespace
}  // namespace ingot
