// What cuDNN says is passed on. Its descriptors need no GPU; skips where the library is missing.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "ingot/backends/cuda/driver/library.h"
#include "ingot/backends/cuda/libraries/cublaslt_library.h"
#include "ingot/backends/cuda/libraries/cudnn.h"
#include "ingot/backends/cuda/step/step_runner.h"
#include "ingot/base/error.h"

namespace ingot::cuda {
namespace {

constexpr std::array<std::string_view, 1> kMissing{"libingot-no-such-library.so"};
/// A library, but not the one that is wanted.
constexpr std::array<std::string_view, 1> kOther{"libm.so.6"};

template <typename Fn>
Error error_of(Fn&& fn) {
  try {
    fn();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return internal_error("nothing was thrown");
}

TEST(Cudnn, ALibraryThatIsMissingIsNamed) {
  const LoadedCudnn missing = load_cudnn(kMissing);
  const std::string trouble = "no cuDNN 9 (" + Library(kMissing).detail() + ")";
  EXPECT_EQ(missing.trouble, trouble);
  EXPECT_NE(trouble.find("libingot-no-such-library.so"), std::string::npos) << trouble;
  const Error error = error_of([&] { (void)missing.require(); });
  EXPECT_STREQ(error.what(), ("cudnn: must be installed, got " + trouble +
                              "\nhelp: pip install nvidia-cudnn-cu13, or put its folder on "
                              "LD_LIBRARY_PATH")
                                 .c_str());
  EXPECT_EQ(error.kind(), ErrorKind::unsupported);
  EXPECT_EQ(error_of([] { (void)load_cudnn(kOther).require(); }).message(),
            "cudnn: must be installed, got a cuDNN without cudnnGetVersion");
}

TEST(Cudnn, FailuresCarryTheLibrarysWords) {
  CudnnFunctions fake;
  fake.GetErrorString = [](cudnnStatus_t) -> const char* { return "CUDNN_STATUS_BAD_PARAM"; };
  fake.GetLastErrorString = [](char* text, std::size_t size) {
    std::snprintf(text, size, "strides are odd \n");
  };
  const auto message = [&] {
    return error_of([&] { check(fake, CUDNN_STATUS_BAD_PARAM, "a plan"); }).message();
  };
  EXPECT_EQ(message(), "cudnn: a plan must succeed, got CUDNN_STATUS_BAD_PARAM (strides are odd)");
  fake.GetLastErrorString = [](char*, std::size_t) {};
  EXPECT_EQ(message(), "cudnn: a plan must succeed, got CUDNN_STATUS_BAD_PARAM (no more said)");
  EXPECT_NO_THROW(check(fake, CUDNN_STATUS_SUCCESS, "a plan"));
}

TEST(CublasLt, ALibraryThatIsMissingIsNamed) {
  const LoadedCublasLt missing = load_cublaslt(kMissing);
  const std::string trouble = "no cuBLASLt (" + Library(kMissing).detail() + ")";
  EXPECT_EQ(missing.trouble, trouble);
  const Error error = error_of([&] { (void)missing.require(); });
  EXPECT_STREQ(error.what(), ("cublasLt: must be installed, got " + trouble +
                              "\nhelp: pip install nvidia-cublas, or put its folder on "
                              "LD_LIBRARY_PATH")
                                 .c_str());
  EXPECT_EQ(error.kind(), ErrorKind::unsupported);
  EXPECT_EQ(error_of([] { (void)load_cublaslt(kOther).require(); }).message(),
            "cublasLt: must be installed, got a cuBLASLt without cublasLtGetVersion");
}

TEST(CublasLt, FailuresCarryTheLibrarysWords) {
  CublasLtFunctions fake;
  fake.GetStatusString = [](cublasStatus_t) -> const char* {
    return "CUBLAS_STATUS_NOT_SUPPORTED";
  };
  const Error error =
      error_of([&] { check(fake, CUBLAS_STATUS_NOT_SUPPORTED, "describing a matrix"); });
  EXPECT_EQ(error.message(),
            "cublasLt: describing a matrix must succeed, got CUBLAS_STATUS_NOT_SUPPORTED");
  EXPECT_EQ(error.kind(), ErrorKind::internal);
  EXPECT_NO_THROW(check(fake, CUBLAS_STATUS_SUCCESS, "describing a matrix"));
}

/// A device that has no memory at all.
class EmptyDevice final : public Device {
 public:
  [[nodiscard]] const std::string& name() const noexcept override { return name_; }
  [[nodiscard]] DeviceKind kind() const noexcept override { return DeviceKind::cuda; }
  [[nodiscard]] bool host_visible() const noexcept override { return false; }
  [[nodiscard]] std::size_t alignment() const noexcept override { return 256; }
  [[nodiscard]] MemoryInfo memory_info() const override { return {}; }
  void copy_to_device(void*, const void*, std::size_t) override {}
  void copy_to_host(void*, const void*, std::size_t) override {}
  void fill(void*, std::byte, std::size_t) override {}
  [[nodiscard]] std::shared_ptr<Stream> create_stream() override { return nullptr; }

 protected:
  void* do_allocate(std::size_t) noexcept override { return nullptr; }
  void do_free(void*, std::size_t) noexcept override {}
  void* do_allocate_staging(std::size_t) noexcept override { return nullptr; }
  void do_free_staging(void*, std::size_t) noexcept override {}

 private:
  std::string name_ = "empty";
};

TEST(CudaMemory, PinnedMemoryThatIsNotThereIsAnError) {
  const Error error = error_of(
      [] { const Pinned pinned(std::make_shared<EmptyDevice>(), 4096, "feed \"input\""); });
  EXPECT_EQ(error.message(), "feed \"input\": needs 4096 bytes of pinned memory, got none");
  EXPECT_EQ(error.kind(), ErrorKind::user);
  EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
}

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
