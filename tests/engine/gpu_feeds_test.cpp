// Feeds that a GPU reads in place, wherever they lie.
#include <gtest/gtest.h>

#include <cstddef>
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

using GpuFeeds = testing_support::GpuTest;

TEST_F(GpuFeeds, MayLieAtAnyMultipleOfFourBytes) {
  // Items too large to be copied to shared memory: the kernels read the feeds themselves.
  const TensorType image{DType::f32, {2, 12, 32, 32}};
  const TensorType gradient{DType::f32, {2, 16, 32, 32}};
  Graph graph;
  const Value x = graph.placeholder("x", image);
  const Value g = graph.placeholder("g", gradient);
  const Conv2dOptions options{.padding = {1, 1, 1, 1}};
  graph.fetch("dw", ops::conv2d_weight_grad(x, g, {16, 12, 3, 3}, options));
  std::vector<float> pixels(static_cast<std::size_t>(image.numel()));
  std::vector<float> gradients(static_cast<std::size_t>(gradient.numel()));
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    pixels[i] = 2 * static_cast<float>(philox_uniform(3, 0, 0, i)) - 1;
  }
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    gradients[i] = 2 * static_cast<float>(philox_uniform(3, 1, 0, i)) - 1;
  }
  VariableStore there(make_backend("reference"));
  Executable judge = compile(graph, there);
  judge.run(
      {{"x", pixels.data(), pixels.size() * 4}, {"g", gradients.data(), gradients.size() * 4}});
  const HostTensor want = judge.fetched("dw");

  VariableStore here(backend_);
  Executable exe = compile(graph, here);
  std::vector<HostTensor> found;
  for (const std::size_t shift : {0, 4}) {
    std::vector<Buffer> buffers;
    const auto place = [&](std::string_view name, const std::vector<float>& data) {
      const std::size_t bytes = data.size() * 4;
      buffers.push_back(Buffer::allocate(backend_->device(), bytes + shift, name));
      std::byte* const memory = static_cast<std::byte*>(buffers.back().data()) + shift;
      backend_->device()->copy_to_device(memory, data.data(), bytes);
      return Feed{name, memory, bytes, {}, true};
    };
    const Feed first = place("x", pixels);
    exe.run({first, place("g", gradients)});
    found.push_back(exe.fetched("dw"));
  }
  EXPECT_EQ(found[0], found[1]);
  for (std::int64_t i = 0; i < want.type().numel(); ++i) {
    ASSERT_NEAR(found[0].view().get(i), want.view().get(i), 1e-3) << i;
  }
}

}  // namespace
}  // namespace ingot
