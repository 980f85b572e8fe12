// Compiled kernels are kept by their source's hash. With NVRTC or the emulated one
// (tests/emulator); skips without either.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "ingot/backends/cuda/cuda_backend.h"
#include "ingot/backends/cuda/driver/cuda_device.h"
#include "ingot/backends/cuda/driver/driver.h"
#include "ingot/backends/cuda/driver/nvrtc.h"
#include "ingot/base/error.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace ingot::cuda {
namespace {

namespace fs = std::filesystem;
using testing_support::error_of;

TEST(CudaDriver, APlanWithoutAGpuHasNoDevice) {
  const CudaBackend backend(nullptr, GpuFacts{});
  EXPECT_EQ(error_of([&] { (void)backend.device(); }),
            "device \"cuda\": must have a GPU to run on, got a plan for one");
}

TEST(CudaDriver, FailuresCarryItsWords) {
  try {
    (void)driver();
  } catch (const Error& error) {
    GTEST_SKIP() << error.message();
  }
  const char* name = nullptr;
  const char* text = nullptr;
  driver().GetErrorName(CUDA_ERROR_INVALID_VALUE, &name);
  driver().GetErrorString(CUDA_ERROR_INVALID_VALUE, &text);
  EXPECT_EQ(error_of([] { check(CUDA_ERROR_INVALID_VALUE, "a copy"); }),
            fmt::format("cuda: a copy must succeed, got {} ({})", name, text));
  EXPECT_NO_THROW(check(CUDA_SUCCESS, "a copy"));
  int count = 0;
  check(driver().DeviceGetCount(&count), "counting GPUs");
  EXPECT_EQ(
      error_of([&] { const CudaDevice device(count); }),
      fmt::format("device \"cuda:{}\": must be below the number of visible GPUs, got {} of them",
                  count, count));
}

constexpr int kArch = 90;

std::string source(int number) {
  return "extern \"C\" __global__ void k(int* p) { *p = " + std::to_string(number) + "; }\n";
}

class CubinCache : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string trouble = compiler_trouble(); !trouble.empty()) GTEST_SKIP() << trouble;
    if (const char* const was = std::getenv("XDG_CACHE_HOME"); was != nullptr) before_ = was;
    setenv("XDG_CACHE_HOME", folder_.path().c_str(), 1);
  }
  void TearDown() override {
    if (before_) {
      setenv("XDG_CACHE_HOME", before_->c_str(), 1);
    } else {
      unsetenv("XDG_CACHE_HOME");
    }
  }

  [[nodiscard]] std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder_.path() / "ingot" / "cuda")) {
      found.push_back(entry.path());
    }
    return found;
  }

  testing_support::TempDir folder_;
  std::optional<std::string> before_;
};

TEST(GpuFacts, WorkTakesWhatMemoryOrTheUnitsForItsOperandsTake) {
  GpuFacts gpu;
  gpu.multiprocessors = 100;
  gpu.cycles_per_second = 1e9;
  gpu.bytes_per_second = 1e12;
  EXPECT_DOUBLE_EQ(gpu.floor_seconds(256e9, kVectorFlops, 1e3), 0.01);
  EXPECT_DOUBLE_EQ(gpu.floor_seconds(256e9, kTf32Flops, 1e3), 0.00125);
  EXPECT_DOUBLE_EQ(gpu.floor_seconds(256e9, kHalfFlops, 1e3), 0.000625);
  EXPECT_DOUBLE_EQ(gpu.floor_seconds(256e9, kHalfFlops, 1e10), 0.01);
  EXPECT_EQ(contraction_flops_of_cycle(DType::f32, false), kVectorFlops);
  EXPECT_EQ(contraction_flops_of_cycle(DType::f32, true), kTf32Flops);
  EXPECT_EQ(contraction_flops_of_cycle(DType::bf16, false), kHalfFlops);
}

TEST_F(CubinCache, KeepsOneFileForEachSource) {
  const std::vector<char> one = compile_kernels(source(1), kArch).code;
  ASSERT_EQ(files().size(), 1u);
  EXPECT_EQ(compile_kernels(source(1), kArch).code, one);
  EXPECT_EQ(files().size(), 1u);
  EXPECT_NE(compile_kernels(source(2), kArch).code, one);
  EXPECT_EQ(files().size(), 2u);
}

TEST_F(CubinCache, IsReadWhereThereIsAFile) {
  const std::vector<char> one = compile_kernels(source(1), kArch).code;
  const fs::path first = files().front();
  EXPECT_FALSE(compile_kernels(source(2), kArch).cached);
  for (const fs::path& file : files()) {
    if (file != first) fs::copy_file(first, file, fs::copy_options::overwrite_existing);
  }
  const CompiledKernels read = compile_kernels(source(2), kArch);
  EXPECT_EQ(read.code, one);
  EXPECT_TRUE(read.cached);
}

TEST_F(CubinCache, WhatDoesNotCompileIsAnErrorWithTheCompilersWords) {
  const std::string start = "cuda: generated kernels must compile, got\n";
  const std::string text = error_of([] { compile_kernels("no kernel at all", kArch); });
  EXPECT_EQ(text.substr(0, start.size()), start);
  EXPECT_GT(text.size(), start.size());
}

TEST_F(CubinCache, AnEmptyFileIsWrittenAnew) {
  const std::vector<char> one = compile_kernels(source(1), kArch).code;
  const fs::path file = files().front();
  fs::resize_file(file, 0);
  EXPECT_EQ(compile_kernels(source(1), kArch).code, one);
  EXPECT_EQ(fs::file_size(file), one.size());
}

}  // namespace
}  // namespace ingot::cuda
