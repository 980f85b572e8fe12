// Why vendors' libraries do not run a Node, as the kernels that ask them say.
#include <gtest/gtest.h>

#include "tests/backends/support/cuda_source_refusals.h"

namespace ingot {
namespace {

using testing_support::expect_refusals;
using testing_support::graph_of;
using testing_support::NodeText;
using testing_support::refusal;

/// More than a Gflop each.
const NodeText kConv{{"bf16[64,64,28,28]@acdb", "bf16[128,64,3,3]@acdb"},
                     "%y = conv2d(%0, %1) -> bf16[64,128,26,26]@acdb"};
const NodeText kProduct{{"bf16[1024,1024]", "bf16[1024,1024]"}, "%y = matmul(%0, %1)"};

TEST(CudaLibraryKernelRefusals, OfAnotherBackendsNodes) {
  const auto reference = make_backend("reference");
  EXPECT_EQ(refusal("cudnn", *graph_of(kConv)->nodes().back(), reference.get()),
            "the backend is another");
  EXPECT_EQ(refusal("cublasLt", *graph_of(kProduct)->nodes().back(), reference.get()),
            "the backend is another");
}

TEST(CudaLibraryKernelRefusals, OfPlans) {
  const std::string none = "a plan without a GPU asks no library";
  expect_refusals("cudnn", {{none, kConv},
                            {"it is no convolution", kProduct},
                            {"0.00 Gflop are too few for a library",
                             {{"f32[2,4,5,5]", "f32[6,4,3,3]"}, "%y = conv2d(%0, %1)"}},
                            {"channels are not innermost",
                             {{"bf16[64,64,28,28]", "bf16[128,64,3,3]"}, "%y = conv2d(%0, %1)"}}});
  expect_refusals("cublasLt", {{none, kProduct},
                               {"it is no product", kConv},
                               {"0.00 Gflop are too few for a library",
                                {{"f32[4,8]", "f32[8,5]"}, "%y = matmul(%0, %1)"}}});
}

}  // namespace
}  // namespace ingot
