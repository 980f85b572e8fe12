// Tensor-core kernels against sums in double, on a GPU or the emulated one; skips without either.
#include <gtest/gtest.h>

#include "ingot/backends/cuda/driver/nvrtc.h"
#include "ingot/base/error.h"
#include "tests/backends/support/mma_work.h"

namespace ingot::cuda {
namespace {

class Mma : public testing::Test {
 protected:
  void SetUp() override {
    try {
      device_ = std::make_shared<CudaDevice>(0);
    } catch (const Error& error) {
      GTEST_SKIP() << error.message();
    }
    check(driver().StreamCreate(&stream_, CU_STREAM_DEFAULT), "making a stream");
  }
  void TearDown() override {
    if (stream_ != nullptr) driver().StreamDestroy(stream_);
  }

  /// Errors relative to the sum of the terms' magnitudes, in the first forms that are `wanted`.
  void check_cases(const std::vector<MmaCase>& cases, std::size_t forms, double bound,
                   const std::function<bool(const MmaChoice&)>& wanted) {
    for (const MmaCase& item : cases) {
      SCOPED_TRACE(item.name);
      MmaWork work(item);
      work.prepare(forms, wanted, [this](const std::string& text) {
        return compile_kernels(text, device_->facts().arch).code;
      });
      ASSERT_FALSE(work.choices.empty());
      LoadedMma loaded(work, device_, stream_);
      for (std::size_t k = 0; k < work.choices.size(); ++k) {
        EXPECT_LE(loaded.error(k), bound) << describe(work.choices[k]);
      }
    }
  }

  std::shared_ptr<CudaDevice> device_;
  CUstream stream_ = nullptr;
};

/// Borders, padded channels, strides, every kind of copy.
std::vector<MmaCase> small_cases(DType dtype) {
  std::vector<MmaCase> list;
  add_conv(list, "3-24@9", dtype, 2, 3, 9, 24, 3, 1, true);
  add_conv(list, "24-40/2@7", dtype, 2, 24, 7, 40, 3, 2);
  add_conv(list, "8-16/2@6 1x1", dtype, 2, 8, 6, 16, 1, 2);
  add_linear(list, "72-40", dtype, 20, 72, 40);
  add_linear(list, "36-10", dtype, 18, 36, 10);
  return list;
}

bool any(const MmaChoice&) { return true; }

TEST_F(Mma, Tf32) { check_cases(small_cases(DType::f32), 2, 6e-4, any); }
TEST_F(Mma, Bf16) { check_cases(small_cases(DType::bf16), 2, 5e-3, any); }

TEST_F(Mma, SumsSplitOverClusters) {
  check_cases(small_cases(DType::f32), 1, 6e-4,
              [](const MmaChoice& choice) { return choice.cluster > 1 || choice.form.bm == 32; });
}

TEST_F(Mma, SumsInPartsThatAnotherKernelAdds) {
  std::vector<MmaCase> list;
  for (const std::int64_t in : {3, 16}) {
    add_conv(list, fmt::format("{}-16@12", in), DType::f32, 4, in, 12, 16, 3, 1, true);
  }
  std::erase_if(list, [](const MmaCase& item) { return item.kind != MmaKind::weight_grad; });
  check_cases(list, 2, 6e-4, [](const MmaChoice& choice) { return choice.parts > 1; });
}

}  // namespace
}  // namespace ingot::cuda
