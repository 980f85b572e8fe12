// What cuDNN says is passed on. Its descriptors need no GPU; skips where the library is missing.
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <utility>

#include "ingot/backends/cuda/cudnn.h"
#include "ingot/base/error.h"

namespace ingot::cuda {
namespace {

TEST(Cudnn, RefusalsCarryTheLibrarysWords) {
  if (!cudnn_trouble().empty()) GTEST_SKIP() << cudnn_trouble();
  CudnnDescriptor tensor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  try {
    tensor.finalize("describing a tensor");
    ADD_FAILURE() << "a tensor without dimensions";
  } catch (const Error& error) {
    const std::string start =
        "cudnn: describing a tensor must succeed, got CUDNN_STATUS_BAD_PARAM (";
    EXPECT_EQ(error.message().substr(0, start.size()), start) << error.message();
    EXPECT_EQ(error.message().back(), ')');
    EXPECT_EQ(error.kind(), ErrorKind::internal);
  }
}

TEST(Cudnn, DescriptorsAreMadeAndMoved) {
  if (!cudnn_trouble().empty()) GTEST_SKIP() << cudnn_trouble();
  EXPECT_GE(cudnn_version(), 90000U);
  CudnnDescriptor tensor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  const std::array<std::int64_t, 4> dims{2, 8, 5, 7};
  const std::array<std::int64_t, 4> strides{280, 1, 56, 8};
  tensor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_DATA_BFLOAT16);
  tensor.set(CUDNN_ATTR_TENSOR_DIMENSIONS, dims);
  tensor.set(CUDNN_ATTR_TENSOR_STRIDES, strides);
  tensor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, std::int64_t{1});
  tensor.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, std::int64_t{16});
  EXPECT_NO_THROW(tensor.finalize("describing a tensor"));
  const CudnnDescriptor moved = std::move(tensor);
  EXPECT_NE(moved.raw(), nullptr);
}

}  // namespace
}  // namespace ingot::cuda
