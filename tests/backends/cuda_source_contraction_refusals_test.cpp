// What the kernels for products and convolutions say of a Node that they refuse.
#include <gtest/gtest.h>

#include "ingot/backends/cuda/contractions/mma_form.h"
#include "tests/backends/support/cuda_source_refusals.h"

namespace ingot::cuda {
namespace {

using testing_support::expect_refusals;

const std::string kNoContraction = "it is no product or convolution";
const std::string kNoReductions = "an epilogue takes no reductions";
const std::string kNoStrides = "an operand's layout has no strides";
const std::string kNoCopies = "an operand has no copies of 4 bytes";
const std::string kNoWeightCopies = "weights have no copies of 4 bytes";

const std::string kProduct = "%y = matmul(%0, %1) ";
const std::string kConv = "%y = conv2d(%0, %1) ";
/// Gradients of a convolution of [2,16,5,5] by [16,16,3,3].
const std::string kInputGrad = "%y = conv2d_input_grad(%0, %1) {input_shape=[2,16,5,5]} ";
const std::string kWeightGrad = "%y = conv2d_weight_grad(%0, %1) {weight_shape=[16,16,3,3]} ";

TEST(CudaContractionRefusals, OfTiles) {
  const std::vector<std::string> matrices{"f32[4,8]", "f32[8,5]"};
  const std::vector<std::string> images{"f32[2,4,5,5]", "f32[6,4,3,3]"};
  expect_refusals(
      "tiles",
      {{"", {matrices, kProduct}},
       {"", {images, kConv + "%z = relu(%y)", {"z"}}},
       {kNoContraction, {matrices, "%y = relu(%0)", {"y"}}},
       {"its layouts are not plain", {{"f32[4,8]@ba", "f32[8,5]"}, kProduct}},
       {"its results differ in layout",
        {images, kConv + "%z = relu(%y) -> f32[2,6,3,3]@acdb", {"y", "z"}}},
       {kNoStrides, {{"f32[2,4,5,5]@aBcd4b", "f32[6,4,3,3]"}, kConv}},
       {"an epilogue takes no padding",
        {images, kConv + "-> f32[2,6,3,3]@acdB4b %z = relu(%y) -> f32[2,6,3,3]@acdB4b", {"z"}}},
       {kNoReductions, {matrices, kProduct + "%s = sum(%y) {axes=[0]}", {"s"}}},
       {"its f64 terms would be summed in f32", {{"f64[4,8]", "f64[8,5]"}, kProduct}},
       {"an epilogue of [4,5] takes no [3,4,5]",
        {matrices, kProduct + "%z = broadcast_to(%y) {shape=[3,4,5]}", {"z"}}},
       {"kernels count up to 2147483647, got 2147483648 rows, 5 columns and 1 terms",
        {{"f32[2147483648,1]", "f32[1,5]"}, kProduct}}});
}

TEST(CudaContractionRefusals, OfTensorCoresForAnyOfThem) {
  const std::vector<std::string> matrices{"bf16[4,8]", "bf16[8,6]"};
  const std::string epilogue = "an epilogue has the producer's shape and layout";
  expect_refusals(
      "mma", {{"", {matrices, kProduct}},
              {"", {{"f32[4,8]", "f32[8,5]"}, "%y = matmul(%0, %1) {math=\"tf32\"}"}},
              {kNoContraction, {matrices, "%y = relu(%0)", {"y"}}},
              {"tensor cores take no f64", {{"f64[4,8]", "f64[8,5]"}, kProduct}},
              {"f32 in full precision was asked for", {{"f32[4,8]", "f32[8,5]"}, kProduct}},
              {kNoReductions, {matrices, kProduct + "%s = sum(%y) {axes=[0]}", {"s"}}},
              {epilogue, {matrices, kProduct + "%z = broadcast_to(%y) {shape=[3,4,6]}", {"z"}}},
              {epilogue, {matrices, kProduct + "%z = relu(%y) -> bf16[4,6]@ba", {"z"}}},
              {kNoStrides, {{"bf16[4,8]@Ab4a", "bf16[8,6]"}, kProduct}},
              {"kernels count up to 1073741823, got 1073741824 rows, 8 columns and 8 terms",
               {{"bf16[1073741824,8]", "bf16[8,8]"}, kProduct}}});
}

TEST(CudaContractionRefusals, OfTensorCoresForProducts) {
  expect_refusals(
      "mma",
      {{"a layout has no strides", {{"bf16[4,8]", "bf16[8,6]"}, kProduct + "-> bf16[4,6]@Ab4a"}},
       {"a batch of matrices is not plain", {{"bf16[3,4,8]@acb", "bf16[3,8,6]"}, kProduct}},
       {"the result is padded", {{"bf16[4,8]", "bf16[8,6]"}, kProduct + "-> bf16[4,6]@aB8b"}},
       {kNoCopies, {{"bf16[4,7]", "bf16[7,6]"}, kProduct}},
       {kNoCopies, {{"bf16[4,8]", "bf16[8,5]"}, kProduct}}});
}

TEST(CudaContractionRefusals, OfTensorCoresForConvolutions) {
  const std::string image = "bf16[2,16,5,5]";
  const std::string weight = "bf16[16,16,3,3]";
  const std::string result = "bf16[2,16,3,3]";
  const auto last = [](const std::string& type) { return type + "@acdb"; };
  const std::string weight_grad = kWeightGrad + "-> " + last(weight);
  expect_refusals("mma",
                  {{"", {{last(image), last(weight)}, kConv + "-> " + last(result)}},
                   {"", {{last(result), last(weight)}, kInputGrad + "-> " + last(image)}},
                   {"", {{last(image), last(result)}, weight_grad}},
                   {"a layout has no strides",
                    {{last(image), last(weight)}, kConv + "-> " + result + "@aBcd16b"}},
                   {"a group's channels are no multiple of 16 bytes",
                    {{last(image), "bf16[16,4,3,3]@acdb"}, "%y = conv2d(%0, %1) {groups=4}"}},
                   {kNoCopies, {{image, last(weight)}, kConv}},
                   {kNoWeightCopies, {{last(image), weight}, kConv}},
                   {kNoCopies, {{result, last(weight)}, kInputGrad}},
                   {kNoWeightCopies, {{last(result), weight}, kInputGrad}},
                   {kNoCopies, {{last(image), result}, weight_grad}},
                   {kNoCopies, {{image, last(result)}, weight_grad}},
                   {"it has a stride and a dilation",
                    {{last(result), last(weight)},
                     "%y = conv2d_input_grad(%0, %1) {input_shape=[2,16,9,9], stride=[2,2], "
                     "dilation=[2,2]}"}}});
}

/// No problem is refused because no form of tile takes its operands.
TEST(CudaContractionRefusals, TensorCoresHaveAFormForAnyCopies) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const bool k_lines : {false, true}) {
      for (const int bytes : {4, 8, 16}) {
        MmaProblem problem;
        problem.m = problem.n = problem.k = 1;
        problem.mean_terms = 1;
        problem.dtype = dtype;
        for (MmaOperand* operand : {&problem.a, &problem.b}) {
          operand->copy_bytes = bytes;
          operand->k_lines = k_lines;
        }
        for (const bool mixed : {false, true}) {
          if (mixed) problem.b.k_lines = !k_lines;
          EXPECT_FALSE(mma_choices(problem, 132).empty())
              << dtype_name(dtype) << (k_lines ? " lines along m by " : " lines along k by ")
              << bytes;
        }
      }
    }
  }
}

}  // namespace
}  // namespace ingot::cuda
