// Feeds that a GPU reads in place, wherever they lie.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "ingot/base/philox.h"
#include "ingot/engine/compile.h"
#include "ingot/memory/buffer.h"
#include "ingot/ops/ops.h"
#include "tests/support/gpu_test.h"

namespace ingot {
namespace {

/// Numbers of a feed, other ones for each `stream`.
std::vector<float> numbers(const TensorType& type, std::uint32_t stream) {
  std::vector<float> data(static_cast<std::size_t>(type.numel()));
  for (std::size_t i = 0; i < data.size(); ++i) {
    data[i] = 2 * static_cast<float>(philox_uniform(3, stream, 0, i)) - 1;
  }
  return data;
}

class GpuFeeds : public testing_support::GpuTest {
 protected:
  /// The fetch "y" of a graph with the feeds "a" and "b", both moved by so many bytes.
  HostTensor run(const Graph& graph, const std::array<std::vector<float>, 2>& data,
                 std::size_t shift) {
    VariableStore store(backend_);
    Executable exe = compile(graph, store);
    std::vector<Buffer> buffers;
    std::vector<Feed> feeds;
    for (std::size_t i = 0; i < data.size(); ++i) {
      const std::string_view name = i == 0 ? "a" : "b";
      const std::size_t bytes = data[i].size() * sizeof(float);
      buffers.push_back(Buffer::allocate(backend_->device(), bytes + shift, name));
      std::byte* const memory = static_cast<std::byte*>(buffers.back().data()) + shift;
      backend_->device()->copy_to_device(memory, data[i].data(), bytes);
      feeds.push_back({name, memory, bytes, {}, true});
    }
    exe.run(feeds);
    return exe.fetched("y");
  }

  /// The same wherever the feeds lie, and what the reference finds.
  void expect_right(const Graph& graph, const std::array<std::vector<float>, 2>& data) {
    VariableStore store(make_backend("reference"));
    Executable judge = compile(graph, store);
    judge.run({{"a", data[0].data(), data[0].size() * sizeof(float)},
               {"b", data[1].data(), data[1].size() * sizeof(float)}});
    const HostTensor want = judge.fetched("y");
    const HostTensor got = run(graph, data, 0);
    EXPECT_EQ(run(graph, data, sizeof(float)), got);
    for (std::int64_t i = 0; i < want.type().numel(); ++i) {
      ASSERT_NEAR(got.view().get(i), want.view().get(i), 1e-3) << i;
    }
  }
};

TEST_F(GpuFeeds, OfAWeightGradientMayLieAtAnyMultipleOfFourBytes) {
  // Items too large to be copied to shared memory: the kernels read the feeds themselves.
  const TensorType image{DType::f32, {2, 12, 32, 32}};
  const TensorType gradient{DType::f32, {2, 16, 32, 32}};
  Graph graph;
  const Value x = graph.placeholder("a", image);
  const Value g = graph.placeholder("b", gradient);
  graph.fetch("y", ops::conv2d_weight_grad(x, g, {16, 12, 3, 3}, {.padding = {1, 1, 1, 1}}));
  expect_right(graph, {numbers(image, 0), numbers(gradient, 1)});
}

TEST_F(GpuFeeds, OfAProductMayLieAtAnyMultipleOfFourBytes) {
  const TensorType rows{DType::f32, {32, 784}};
  const TensorType columns{DType::f32, {128, 784}};
  Graph graph;
  const Value x = graph.placeholder("a", rows);
  const Value w = graph.placeholder("b", columns);
  graph.fetch("y", ops::matmul(x, w, {.transpose_b = true}));
  expect_right(graph, {numbers(rows, 0), numbers(columns, 1)});
}

}  // namespace
}  // namespace ingot
