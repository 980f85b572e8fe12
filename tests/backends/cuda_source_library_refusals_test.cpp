// Which products and convolutions vendors' libraries are not asked for, and why.
#include <gtest/gtest.h>

#include <functional>

#include "ingot/backends/cuda/libraries/library_conv.h"
#include "ingot/backends/cuda/libraries/lt_problem.h"
#include "tests/backends/support/cuda_source_refusals.h"

namespace ingot::cuda {
namespace {

using testing_support::graph_of;
using testing_support::Refusal;

void expect_reasons(const std::function<Support(const Node&)>& ask,
                    const std::vector<Refusal>& refusals) {
  for (const Refusal& expected : refusals) {
    const auto graph = graph_of(expected.text);
    EXPECT_EQ(ask(*graph->nodes().back()).reason, expected.reason) << expected.text.nodes;
  }
}

const std::string kNoConvolution = "it is no convolution";
const std::string kNoEpilogue = "the library has no such epilogue";
const std::string kConverted = "its result is converted";
const std::string kInside = "an operand is made inside";
const std::string kNotPlain = "a matrix is not plain";

const std::string kProduct = "%y = matmul(%0, %1) ";
const std::vector<std::string> kMatrices{"bf16[4,8]", "bf16[8,6]"};
const std::string kConv = "%y = conv2d(%0, %1) ";
const std::vector<std::string> kImages{"bf16[2,4,5,5]", "bf16[6,4,3,3]"};
const std::string kResult = "bf16[2,6,3,3]";

/// The operands and one more.
std::vector<std::string> with(std::vector<std::string> operands, const std::string& more) {
  operands.push_back(more);
  return operands;
}

TEST(CudaLibraryRefusals, OfWork) {
  const auto ask = [](const Node& node) { return wants_library(node); };
  expect_reasons(ask, {{"", {{"bf16[64,64,28,28]", "bf16[128,64,3,3]"}, kConv}},
                       {kNoConvolution, {kMatrices, kProduct}},
                       {kNoConvolution, {kMatrices, "%y = relu(%0)"}},
                       {"the library takes no f64", {{"f64[2,4,5,5]", "f64[6,4,3,3]"}, kConv}},
                       {"it is empty", {{"bf16[0,4,5,5]", "bf16[6,4,3,3]"}, kConv}},
                       {"0.00 Gflop are too few for a library", {kImages, kConv}}});
}

TEST(CudaLibraryRefusals, OfConvolutions) {
  const auto ask = [](const Node& node) { return conv_problem(node).support; };
  const std::string sum = kConv + "%z = add(%y, %2) ";
  expect_reasons(
      ask,
      {{"", {kImages, kConv}},
       {"", {with(kImages, kResult), sum, {"z"}}},
       {kNoConvolution, {kMatrices, kProduct}},
       {kNoEpilogue, {kImages, kConv + "%z = tanh(%y)", {"z"}}},
       {kNoEpilogue, {kImages, kConv + "%z = relu(%y)", {"y", "z"}}},
       {kConverted, {kImages, kConv + "%z = cast(%y) {dtype=f32}", {"z"}}},
       {kConverted, {kImages, kConv + "%z = relu(%y) -> " + kResult + "@acdb", {"z"}}},
       {"the library adds no f16",
        {with(kImages, "f16[1,6,1,1]"),
         kConv + "%b = cast(%2) {dtype=bf16} %z = add(%y, %b)",
         {"z"}}},
       {"what is added lies otherwise", {with(kImages, kResult + "@acdb"), sum, {"z"}}},
       {kInside,
        {{"f32[2,4,5,5]", "bf16[6,4,3,3]"},
         "%x = cast(%0) {dtype=bf16} %y = conv2d(%x, %1)",
         {"y"}}},
       {"it is empty", {{"bf16[0,4,5,5]", "bf16[6,4,3,3]"}, kConv}},
       {"strides do not tell the layout aBcd4b", {{"bf16[2,4,5,5]@aBcd4b", kImages[1]}, kConv}},
       {"channels of the result are padded", {kImages, kConv + "-> " + kResult + "@acdB8b"}},
       {"the input has 8 channels in memory, the weight 4",
        {{"bf16[2,4,5,5]@acdB8b", kImages[1]}, kConv}}});
}

TEST(CudaLibraryRefusals, OfProducts) {
  const auto ask = [](const Node& node) { return lt_problem(node).support; };
  const std::string sum = kProduct + "%z = add(%y, %2) ";
  expect_reasons(
      ask,
      {{"", {kMatrices, kProduct}},
       {"", {with(kMatrices, "bf16[4,6]"), sum, {"z"}}},
       {"it is no product", {kImages, kConv}},
       {kNoEpilogue, {kMatrices, kProduct + "%z = tanh(%y)", {"z"}}},
       {"it is empty", {{"bf16[0,8]", "bf16[8,6]"}, kProduct}},
       {"the library takes no f64", {{"f64[4,8]", "f64[8,6]"}, kProduct}},
       {kConverted, {kMatrices, kProduct + "%z = cast(%y) {dtype=f32}", {"z"}}},
       {kNotPlain, {{"bf16[4,8]@ba", "bf16[8,6]"}, kProduct}},
       {kNotPlain, {with(kMatrices, "bf16[4,6]@ba"), sum, {"z"}}},
       {"it has no terms", {{"bf16[4,0]", "bf16[0,6]"}, kProduct}},
       {"the library adds a matrix alone",
        {with(kMatrices, "bf16[4,6]"), sum + "%r = relu(%z)", {"r"}}},
       {"the library adds no f16",
        {with(kMatrices, "f16[6]"),
         kProduct + "%b = cast(%2) {dtype=bf16} %z = add(%y, %b)",
         {"z"}}},
       {kInside,
        {{"f32[4,8]", "bf16[8,6]"}, "%x = cast(%0) {dtype=bf16} %y = matmul(%x, %1)", {"y"}}}});
}

}  // namespace
}  // namespace ingot::cuda
