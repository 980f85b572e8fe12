// What the CUDA backend says of a Node that does not join a Region.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "tests/backends/support/cuda_source_refusals.h"

namespace ingot {
namespace {

using testing_support::join_refusal;
using testing_support::NodeText;

struct Joined {
  std::string reason;  ///< empty: it joins
  NodeText text;
};

void expect_reasons(StepForm form, const std::vector<Joined>& list) {
  for (const Joined& joined : list) {
    EXPECT_EQ(join_refusal(joined.text, form), joined.reason) << joined.text.nodes;
  }
}

const std::string kProduct = "%y = matmul(%0, %1) ";
const std::vector<std::string> kMatrices{"f32[4,8]", "f32[8,5]"};

TEST(CudaFusionRefusals, OfReductions) {
  const std::vector<std::string> operands{"f32[2,3,4]", "f32[4]", "f32[5]"};
  const std::string sum = "%y = exp(%0) %s = sum(%y) {axes=[1]} ";
  expect_reasons(
      StepForm::throughput,
      {{"", {operands, sum}},
       {"it reads the reduction sum", {operands, sum + "%z = exp(%s)"}},
       {"the reductions differ in shape or axes", {operands, sum + "%t = sum(%y) {axes=[0]}"}},
       {"[4] is not the region's [2,3,4]",
        {operands, "%y = exp(%0) %z = exp(%1) %s = sum(%z) {axes=[0]}"}},
       {"[5] does not broadcast to [2,3,4]", {operands, "%y = exp(%0) %z = exp(%2)"}},
       {"[5] does not broadcast to [2,3,4]", {operands, "%z = exp(%2) %y = exp(%0)"}}});
}

TEST(CudaFusionRefusals, OfEpilogues) {
  const std::vector<Joined> always{
      {"", {kMatrices, kProduct + "%z = relu(%y)"}},
      {"matmul begins a kernel", {kMatrices, "%z = relu(%0) %y = matmul(%z, %1)"}},
      {"an epilogue takes no reductions", {kMatrices, kProduct + "%s = sum(%y) {axes=[0]}"}},
      {"an epilogue of [4,5] takes no [3,4,5]",
       {kMatrices, kProduct + "%z = broadcast_to(%y) {shape=[3,4,5]}"}},
      {"softmax takes no epilogue", {kMatrices, "%y = softmax(%0) %z = relu(%y)"}}};
  expect_reasons(StepForm::latency, always);
  expect_reasons(StepForm::throughput, always);
  const NodeText pooled{{"f32[2,8,4,4]"}, "%y = max_pool2d(%0) {kernel=[2,2]} %z = relu(%y)"};
  expect_reasons(StepForm::latency, {{"", pooled}});
  expect_reasons(StepForm::throughput, {{"max_pool2d takes no epilogue", pooled}});
}

TEST(CudaFusionRefusals, OfALibrarysWork) {
  const std::vector<std::string> operands{"bf16[64,64,28,28]", "bf16[128,64,3,3]"};
  const std::string conv = "%y = conv2d(%0, %1) ";
  expect_reasons(StepForm::throughput,
                 {{"", {operands, conv + "%z = relu(%y)"}},
                  {"its producer is a library's work", {operands, conv + "%z = tanh(%y)"}}});
  expect_reasons(StepForm::latency, {{"", {operands, conv + "%z = tanh(%y)"}}});
}

/// `count` times one op upon another, the first on an operand.
std::string tower(int count) {
  std::string nodes = "%y0 = exp(%0) ";
  for (int i = 1; i < count; ++i) nodes += fmt::format("%y{} = exp(%y{}) ", i, i - 1);
  return nodes;
}

TEST(CudaFusionRefusals, OfWhatIsTooMuch) {
  expect_reasons(StepForm::latency, {{"", {{"f32[4]"}, tower(48)}},
                                     {"a region of 48 nodes is full", {{"f32[4]"}, tower(49)}}});
  const auto total = [](int operands) {
    std::string nodes = "%y1 = add(%0, %1) ";
    for (int i = 2; i < operands; ++i) nodes += fmt::format("%y{} = add(%y{}, %{}) ", i, i - 1, i);
    return NodeText{std::vector<std::string>(static_cast<std::size_t>(operands), "f32[4]"), nodes};
  };
  expect_reasons(StepForm::latency, {{"", total(32)}, {"33 operands are too many", total(33)}});
}

/// Conversions of variables, one of each.
std::string conversions(const std::vector<std::string>& dtypes) {
  std::string nodes;
  for (std::size_t i = 0; i < dtypes.size(); ++i) {
    nodes += fmt::format(
        "%w{0} = variable() {{dtype=f32, shape=[{1}], role=0, init=0, init_a=0.0, init_b=0.0}} "
        "%c{0} = cast(%w{0}) {{dtype={2}}} ",
        i, i + 2, dtypes[i]);
  }
  return nodes;
}

TEST(CudaFusionRefusals, OfConversions) {
  expect_reasons(StepForm::throughput,
                 {{"", {{}, conversions({"bf16", "bf16"})}},
                  {"the conversions differ in dtype", {{}, conversions({"bf16", "f16"})}},
                  {"", {{}, conversions(std::vector<std::string>(256, "bf16"))}},
                  {"a region of 256 conversions is full",
                   {{}, conversions(std::vector<std::string>(257, "bf16"))}}});
  expect_reasons(StepForm::latency,
                 {{"[2] does not broadcast to [3]", {{}, conversions({"bf16", "bf16"})}}});
}

}  // namespace
}  // namespace ingot
