#include <gtest/gtest.h>

#include <limits>

#include "ingot/engine/compile.h"
#include "ingot/ops/ops.h"

namespace ingot {
namespace {

/// Whether the operands are finite when one element of one of them is `value`.
bool finite_with(Executable& exe, std::size_t operand, std::int64_t element, double value) {
  HostTensor a({DType::f32, {3, 7000}});
  HostTensor b({DType::f16, {9}});
  HostTensor c({DType::bf16, {5, 7}});
  HostTensor* const all[] = {&a, &b, &c};
  for (HostTensor* tensor : all) {
    for (std::int64_t i = 0; i < tensor->type().numel(); ++i) tensor->view().set(i, 1e4);
  }
  all[operand]->view().set(element, value);
  std::vector<Feed> feeds;
  const char* names[] = {"a", "b", "c"};
  for (int i = 0; i < 3; ++i)
    feeds.push_back({names[i], all[i]->bytes().data(), all[i]->bytes().size()});
  exe.run(feeds);
  return exe.fetched("y").view().get_int(0) != 0;
}

TEST(AllFinite, FindsOneBadElementAnywhere) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Graph graph;
  graph.fetch("y", ops::all_finite(graph, {graph.placeholder("a", {DType::f32, {3, 7000}}),
                                           graph.placeholder("b", {DType::f16, {9}}),
                                           graph.placeholder("c", {DType::bf16, {5, 7}})}));
  for (const char* device : {"reference", "cpu"}) {
    SCOPED_TRACE(device);
    VariableStore store(make_backend(device));
    Executable exe = compile(graph, store);
    EXPECT_TRUE(finite_with(exe, 0, 0, 3e38));
    EXPECT_TRUE(finite_with(exe, 1, 8, 65504));
    EXPECT_FALSE(finite_with(exe, 1, 8, 65536));  // not in f16
    EXPECT_FALSE(finite_with(exe, 0, 0, kInfinity));
    EXPECT_FALSE(finite_with(exe, 0, 20999, -kInfinity));
    EXPECT_FALSE(finite_with(exe, 0, 8192, std::numeric_limits<double>::quiet_NaN()));
    EXPECT_FALSE(finite_with(exe, 2, 34, kInfinity));
  }
}

TEST(AllFinite, HoldsForNothing) {
  Graph graph;
  graph.fetch("y", ops::all_finite(graph, {}));
  VariableStore store(make_backend("cpu"));
  Executable exe = compile(graph, store);
  exe.run({});
  EXPECT_EQ(exe.fetched("y").view().get_int(0), 1);
}

}  // namespace
}  // namespace ingot
