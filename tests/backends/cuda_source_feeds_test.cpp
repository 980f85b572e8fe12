// Large feeds of a captured step, which its kernels read where they lie. Skips without a GPU, real
// or emulated.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "ingot/engine/compile.h"
#include "ingot/memory/buffer.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "tests/backends/support/cuda_source_throughput.h"

namespace ingot::cuda {
namespace {

using testing_support::eighths;

constexpr std::int64_t kLarge = 1 << 18;  // a megabyte of floats
constexpr std::int64_t kSmall = 1 << 10;

/// A captured step of the feeds "large" and "small", which gives `large * 2` and the sum of both.
class CudaFeeds : public testing::Test {
 protected:
  void SetUp() override {
    backend_ = testing_support::throughput_backend();
    if (backend_ == nullptr) GTEST_SKIP() << "there is no GPU";
    const Value large = graph_.placeholder("large", {DType::f32, {kLarge}});
    const Value small = graph_.placeholder("small", {DType::f32, {kSmall}});
    graph_.fetch("twice", large * 2.0);
    graph_.fetch("sum", ops::sum(large, {}) + ops::sum(small, {}));
  }

  /// Device memory of the numbers, moved by so many bytes.
  Buffer buffer_of(const std::vector<float>& data, std::size_t shift = 0) const {
    const std::size_t bytes = data.size() * sizeof(float);
    Buffer buffer = Buffer::allocate(backend_->device(), bytes + shift, "feed");
    backend_->device()->copy_to_device(static_cast<std::byte*>(buffer.data()) + shift, data.data(),
                                       bytes);
    return buffer;
  }
  static Feed on_device(const char* name, const Buffer& buffer, std::size_t shift = 0) {
    return {name, static_cast<std::byte*>(buffer.data()) + shift, buffer.size() - shift, {}, true};
  }
  static void expect_results(Executable& exe, const std::vector<float>& large,
                             const std::vector<float>& small) {
    const HostTensor twice = exe.fetched("twice");
    double sum = 0;
    for (const float value : small) sum += value;
    for (std::size_t i = 0; i < large.size(); ++i) {
      sum += large[i];
      ASSERT_EQ(twice.view().get(static_cast<std::int64_t>(i)), 2 * large[i]) << i;
    }
    EXPECT_EQ(exe.fetched("sum").view().get(0), sum);
  }
  /// What the runner takes for the feed, by the plan.
  static std::int64_t planned(const Executable& exe, const std::string& feed, bool on_device) {
    std::int64_t bytes = 0;
    for (const MemoryOwner& owner : exe.device_memory({.on_device = on_device})) {
      if (owner.name == "feed \"" + feed + "\"") bytes += owner.bytes;
    }
    return bytes;
  }

  std::shared_ptr<CudaBackend> backend_;
  Graph graph_;
};

TEST_F(CudaFeeds, MayLieElsewhereAtEachStep) {
  VariableStore store(backend_, 1);
  Executable exe = compile(graph_, store);
  const std::vector<float> small = eighths(kSmall, 9);
  const Buffer small_buffer = buffer_of(small);
  std::vector<Buffer> buffers;
  std::vector<std::vector<float>> data;
  for (std::uint32_t i = 0; i < 3; ++i) {
    data.push_back(eighths(kLarge, i));
    buffers.push_back(buffer_of(data.back()));
  }
  for (const std::size_t i : {0U, 1U, 2U, 0U, 0U}) {
    exe.run({on_device("large", buffers[i]), on_device("small", small_buffer)});
    expect_results(exe, data[i], small);
  }
  EXPECT_EQ(planned(exe, "large", true), 0);
  EXPECT_EQ(planned(exe, "small", true), kSmall * 4);
}

TEST_F(CudaFeeds, ThatStartAtNoWholeVectorAreCopied) {
  VariableStore store(backend_, 1);
  Executable exe = compile(graph_, store);
  const std::vector<float> small = eighths(kSmall, 9);
  const Buffer small_buffer = buffer_of(small);
  const std::vector<float> large = eighths(kLarge, 1);
  const std::vector<float> other = eighths(kLarge, 2);
  const Buffer whole = buffer_of(large);
  const Buffer moved = buffer_of(other, sizeof(float));
  for (int round = 0; round < 2; ++round) {
    exe.run({on_device("large", whole), on_device("small", small_buffer)});
    expect_results(exe, large, small);
    exe.run({on_device("large", moved, sizeof(float)), on_device("small", small_buffer)});
    expect_results(exe, other, small);
  }
}

TEST_F(CudaFeeds, FromTheHostAreReadWhereTheirCopiesArrive) {
  VariableStore store(backend_, 1);
  Executable exe = compile(graph_, store);
  const std::vector<float> small = eighths(kSmall, 9);
  std::vector<float> steps;
  constexpr int kSteps = 5;
  for (std::uint32_t i = 0; i < kSteps; ++i) {
    const std::vector<float> one = eighths(kLarge, i);
    steps.insert(steps.end(), one.begin(), one.end());
  }
  const std::vector<Feed> feeds{{"large", steps.data(), steps.size() * sizeof(float)},
                                {"small", small.data(), small.size() * sizeof(float)}};
  exe.run({{"large", steps.data(), kLarge * sizeof(float)}, feeds[1]});
  expect_results(exe, eighths(kLarge, 0), small);
  for (int step = 1; step < kSteps; ++step) {
    exe.run({{"large", steps.data() + step * kLarge, kLarge * sizeof(float)}, feeds[1]});
    expect_results(exe, eighths(kLarge, static_cast<std::uint32_t>(step)), small);
  }
  EXPECT_EQ(planned(exe, "large", false), 0);
}

}  // namespace
}  // namespace ingot::cuda
