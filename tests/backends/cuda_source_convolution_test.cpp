// The vendor's convolutions against sums in double. Skips without a GPU or the library.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "ingot/backends/cuda/cuda_backend.h"
#include "ingot/backends/cuda/driver/driver.h"
#include "ingot/backends/cuda/libraries/conv_library.h"
#include "ingot/base/error.h"
#include "ingot/base/philox.h"
#include "ingot/memory/buffer.h"

namespace ingot::cuda {
namespace {

ConvTensor nhwc(DType dtype, std::array<std::int64_t, 4> dims) {
  const auto [n, c, h, w] = dims;
  return {dtype, dims, {h * w * c, 1, w * c, c}};
}

ConvProblem problem_of(ConvKind kind, DType dtype, std::int64_t kernel, std::int64_t stride) {
  constexpr std::int64_t kBatch = 4, kIn = 16, kOut = 24, kSize = 10;
  const std::int64_t pad = kernel / 2;
  const std::int64_t out = (kSize + 2 * pad - kernel) / stride + 1;
  ConvProblem problem;
  problem.kind = kind;
  problem.x = nhwc(dtype, {kBatch, kIn, kSize, kSize});
  problem.w = nhwc(dtype, {kOut, kIn, kernel, kernel});
  problem.y = nhwc(dtype, {kBatch, kOut, out, out});
  problem.before = problem.after = {pad, pad};
  problem.stride = {stride, stride};
  problem.dilation = {1, 1};
  return problem;
}

/// A tensor's elements on both sides.
class Elements {
 public:
  Elements(const std::shared_ptr<CudaDevice>& device, const ConvTensor& tensor,
           std::uint32_t stream)
      : device_(device),
        tensor_(tensor),
        values(static_cast<std::size_t>(tensor.bytes()) / dtype_size(tensor.dtype)),
        memory(Buffer::allocate(device, static_cast<std::size_t>(tensor.bytes()), "tensor")) {
    std::vector<std::byte> bytes(memory.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const float value = 2 * philox_uniform(9, stream, 0, i) - 1;
      put(bytes.data(), i, value);
      values[i] = get(bytes.data(), i);
    }
    device->copy_to_device(memory.data(), bytes.data(), bytes.size());
  }

  /// As they were at first.
  [[nodiscard]] std::vector<std::byte> bytes() const {
    std::vector<std::byte> bytes(memory.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      put(bytes.data(), i, static_cast<float>(values[i]));
    }
    return bytes;
  }
  [[nodiscard]] std::vector<double> on_device() const {
    std::vector<std::byte> bytes(memory.size());
    device_->copy_to_host(bytes.data(), memory.data(), bytes.size());
    std::vector<double> got(values.size());
    for (std::size_t i = 0; i < got.size(); ++i) got[i] = get(bytes.data(), i);
    return got;
  }
  [[nodiscard]] std::size_t at(std::int64_t a, std::int64_t b, std::int64_t c,
                               std::int64_t d) const {
    const auto& s = tensor_.strides;
    return static_cast<std::size_t>(a * s[0] + b * s[1] + c * s[2] + d * s[3]);
  }
  [[nodiscard]] std::byte* data() const { return static_cast<std::byte*>(memory.data()); }

 private:
  void put(std::byte* bytes, std::size_t i, float value) const {
    if (tensor_.dtype == DType::f32) std::memcpy(bytes + 4 * i, &value, 4);
    const Half half(value);
    if (tensor_.dtype == DType::f16) std::memcpy(bytes + 2 * i, &half, 2);
    const BFloat16 short_float(value);
    if (tensor_.dtype == DType::bf16) std::memcpy(bytes + 2 * i, &short_float, 2);
  }
  [[nodiscard]] double get(const std::byte* bytes, std::size_t i) const {
    if (tensor_.dtype == DType::f32) {
      float value = 0;
      std::memcpy(&value, bytes + 4 * i, 4);
      return value;
    }
    if (tensor_.dtype == DType::f16) {
      Half value;
      std::memcpy(&value, bytes + 2 * i, 2);
      return static_cast<float>(value);
    }
    BFloat16 value;
    std::memcpy(&value, bytes + 2 * i, 2);
    return static_cast<float>(value);
  }

  std::shared_ptr<CudaDevice> device_;
  ConvTensor tensor_;

 public:
  std::vector<double> values;
  Buffer memory;
};

/// What the problem's result is, in double.
std::vector<double> reference(const ConvProblem& p, const Elements& x, const Elements& w,
                              const Elements& y, const Elements& bias, const Elements& addend) {
  const Elements& result = p.kind == ConvKind::forward ? y : p.kind == ConvKind::input_grad ? x : w;
  std::vector<double> sums(result.values.size(), 0);
  const auto [batch, out, oh, ow] = p.y.dims;
  for (std::int64_t n = 0; n < batch; ++n) {
    for (std::int64_t o = 0; o < out; ++o) {
      for (std::int64_t h = 0; h < oh; ++h) {
        for (std::int64_t v = 0; v < ow; ++v) {
          for (std::int64_t c = 0; c < p.x.dims[1]; ++c) {
            for (std::int64_t i = 0; i < p.w.dims[2]; ++i) {
              for (std::int64_t j = 0; j < p.w.dims[3]; ++j) {
                const std::int64_t xh = h * p.stride[0] + i - p.before[0];
                const std::int64_t xw = v * p.stride[1] + j - p.before[1];
                if (xh < 0 || xw < 0 || xh >= p.x.dims[2] || xw >= p.x.dims[3]) continue;
                const std::size_t at_x = x.at(n, c, xh, xw);
                const std::size_t at_w = w.at(o, c, i, j);
                const std::size_t at_y = y.at(n, o, h, v);
                switch (p.kind) {
                  case ConvKind::forward: sums[at_y] += x.values[at_x] * w.values[at_w]; break;
                  case ConvKind::input_grad: sums[at_x] += y.values[at_y] * w.values[at_w]; break;
                  case ConvKind::weight_grad: sums[at_w] += x.values[at_x] * y.values[at_y]; break;
                }
              }
            }
          }
        }
      }
    }
  }
  const auto channels = static_cast<std::size_t>(out);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    if (p.bias) sums[i] += bias.values[i % channels];
    if (p.addend) sums[i] += addend.values[i];
    if (p.relu) sums[i] = std::max(sums[i], 0.0);
  }
  return sums;
}

double distance(const std::vector<double>& got, const std::vector<double>& want) {
  double error = 0;
  double norm = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    error += (got[i] - want[i]) * (got[i] - want[i]);
    norm += want[i] * want[i];
  }
  return std::sqrt(error / norm);
}

class CudaConvolution : public testing::TestWithParam<Tune> {
 protected:
  void SetUp() override {
    try {
      device_ = std::make_shared<CudaDevice>(0);
    } catch (const Error& error) {
      GTEST_SKIP() << error.message();
    }
    if (device_->facts().name == "emulated GPU") GTEST_SKIP() << "libraries need a real GPU";
    backend_ = std::make_unique<CudaBackend>(device_, device_->facts(),
                                             BackendOptions{.tune = GetParam()});
    std::string why;
    library_ = backend_->conv_library(why);
    if (library_ == nullptr) GTEST_SKIP() << why;
  }

  /// Twice, from what random memory holds.
  void check(const ConvProblem& problem, double most) {
    SCOPED_TRACE(problem.text());
    std::string why;
    const std::shared_ptr<const ConvCall> call = library_->find(problem, why);
    ASSERT_NE(call, nullptr) << why;
    SCOPED_TRACE(call->name());
    const Elements x(device_, problem.x, 1);
    const Elements w(device_, problem.w, 2);
    const Elements y(device_, problem.y, 3);
    const std::int64_t channels = problem.y.dims[1];
    const Elements bias(device_, nhwc(problem.bias_dtype, {1, channels, 1, 1}), 4);
    const Elements addend(device_, problem.result(), 5);
    const Buffer workspace = Buffer::allocate(
        device_, static_cast<std::size_t>(std::max<std::int64_t>(call->workspace_bytes(), 1)),
        "workspace");
    const Elements& result = problem.kind == ConvKind::forward      ? y
                             : problem.kind == ConvKind::input_grad ? x
                                                                    : w;
    std::vector<double> got[2];
    for (std::vector<double>& one : got) {
      call->enqueue(nullptr,
                    {x.data(), w.data(), y.data(), problem.bias ? bias.data() : nullptr,
                     problem.addend ? addend.data() : nullptr},
                    static_cast<std::byte*>(workspace.data()));
      one = result.on_device();
    }
    EXPECT_LT(distance(got[0], reference(problem, x, w, y, bias, addend)), most);
    EXPECT_EQ(got[0], got[1]) << "it is not deterministic";
    if (!problem.addend || !call->in_place()) return;
    // Where the result will lie, and after a move: the same.
    device_->copy_to_device(result.data(), addend.bytes().data(), result.memory.size());
    call->enqueue(nullptr, {x.data(), w.data(), y.data(), nullptr, result.data()},
                  static_cast<std::byte*>(workspace.data()));
    EXPECT_EQ(result.on_device(), got[0]);
  }

  std::shared_ptr<CudaDevice> device_;
  std::unique_ptr<CudaBackend> backend_;
  std::shared_ptr<ConvLibrary> library_;
};

TEST_P(CudaConvolution, IsRightInEveryDirectionAndType) {
  for (const auto& [kernel, stride] : {std::pair{3, 1}, {3, 2}, {1, 1}, {1, 2}}) {
    for (const ConvKind kind : {ConvKind::forward, ConvKind::input_grad, ConvKind::weight_grad}) {
      check(problem_of(kind, DType::f32, kernel, stride), 2e-6);
      check(problem_of(kind, DType::f16, kernel, stride), 1e-3);
      check(problem_of(kind, DType::bf16, kernel, stride), 5e-3);
      ConvProblem rounded = problem_of(kind, DType::f32, kernel, stride);
      rounded.tf32 = true;
      check(rounded, 2e-3);
    }
  }
}

TEST_P(CudaConvolution, AddsABiasAndCutsAtZero) {
  for (const auto& [kernel, stride] : {std::pair{3, 1}, {3, 2}, {1, 1}}) {
    for (const auto& [dtype, most] : {std::pair{DType::f16, 1e-3}, {DType::bf16, 5e-3}}) {
      for (const auto& [bias, relu] : {std::pair{true, true}, {true, false}, {false, true}}) {
        ConvProblem problem = problem_of(ConvKind::forward, dtype, kernel, stride);
        problem.bias = bias;
        problem.bias_dtype = dtype;
        problem.relu = relu;
        check(problem, most);
      }
    }
    ConvProblem rounded = problem_of(ConvKind::forward, DType::f32, kernel, stride);
    rounded.tf32 = rounded.bias = rounded.relu = true;
    check(rounded, 2e-3);
  }
}

TEST_P(CudaConvolution, AddsATensorLikeItsResult) {
  for (const auto& [kernel, stride] : {std::pair{3, 1}, {3, 2}, {1, 1}, {1, 2}}) {
    for (const auto& [dtype, most] : {std::pair{DType::f16, 1e-3}, {DType::bf16, 5e-3}}) {
      ConvProblem problem = problem_of(ConvKind::input_grad, dtype, kernel, stride);
      problem.addend = true;
      check(problem, most);
      for (const auto& [bias, relu] : {std::pair{false, false}, {true, true}, {true, false}}) {
        problem = problem_of(ConvKind::forward, dtype, kernel, stride);
        problem.addend = true;
        problem.bias = bias;
        problem.bias_dtype = dtype;
        problem.relu = relu;
        check(problem, most);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, CudaConvolution, testing::Values(Tune::off, Tune::quick),
                         [](const auto& info) { return std::string(tune_name(info.param)); });

}  // namespace
}  // namespace ingot::cuda
