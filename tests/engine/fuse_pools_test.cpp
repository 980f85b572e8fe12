// Pools in the loops of what makes their operands, against the reference and against pools apart.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "ingot/base/trace.h"
#include "ingot/engine/compile.h"
#include "ingot/ir/core_ops.h"
#include "ingot/nn/models/models.h"
#include "ingot/ops/operators.h"
#include "ingot/ops/ops.h"
#include "ingot/ops/pool2d.h"
#include "ingot/train/training_graph.h"

namespace ingot {
namespace {

/// What makes the images, what pools them and what else reads them.
struct PoolCase {
  /// "conv", "conv bias relu", "residual"; "chain", behind the input, or "branch", one behind a
  /// convolution that is read by others, too.
  std::string maker;
  Shape x{4, 3, 9, 11};
  std::int64_t channels = 6;
  MaxPool2dOptions window{{2, 2}};
  bool is_max = true;
  bool counts_padding = true;
  bool keeps_images = false;  ///< a convolution reads them, too

  [[nodiscard]] std::string text() const {
    const auto list = [](const auto& values) {
      std::string line;
      for (const auto v : values) line += std::to_string(v) + " ";
      return line;
    };
    return maker + (is_max ? " max " : " avg ") + "x " + x.to_string() + " channels " +
           std::to_string(channels) + " kernel " + list(window.kernel) + "stride " +
           list(window.stride.value_or(window.kernel)) + "padding " + list(window.padding) +
           "dilation " + list(window.dilation) + (keeps_images ? "kept" : "");
  }

  [[nodiscard]] Graph graph() const {
    Graph graph;
    const Value x = graph.placeholder("x", {DType::f32, this->x});
    const auto variable = [&](const std::string& name, const Shape& shape) {
      return graph.variable(name, {DType::f32, shape}, Initializer::normal(0, 0.5));
    };
    const auto chain = [&](const Value& value) {
      const Shape per_channel{1, value.shape()[1], 1, 1};
      return ops::relu(value * variable("scale", per_channel) + variable("shift", per_channel));
    };
    const auto other = [&](const std::string& name, const Value& value) {
      const std::int64_t c = value.shape()[1];
      graph.fetch(name, ops::conv2d(value, variable(name + ".w", {c, c, 1, 1}), {}));
    };
    Value images = x;
    if (maker == "chain") {
      images = chain(x);
    } else if (maker == "branch") {
      images =
          ops::conv2d(x, variable("w", {channels, this->x[1], 3, 3}), {.padding = {1, 1, 1, 1}});
      other("beside", images);
      images = chain(images);
    } else {
      images =
          ops::conv2d(x, variable("w", {channels, this->x[1], 3, 3}), {.padding = {1, 1, 1, 1}});
      if (maker != "conv") images = images + variable("bias", {1, channels, 1, 1});
      if (maker == "residual") images = images + graph.placeholder("r", images.type());
      if (maker != "conv") images = ops::relu(images);
    }
    graph.fetch("y", is_max ? ops::max_pool2d(images, window)
                            : ops::avg_pool2d(images, {.kernel = window.kernel,
                                                       .stride = window.stride,
                                                       .padding = window.padding,
                                                       .count_include_pad = counts_padding}));
    if (keeps_images) other("behind", images);
    return graph;
  }
};

struct Outcome {
  std::vector<HostTensor> fetched;
  int joined = 0;  ///< pools within Regions
  int alone = 0;
};

void count_pools(const Graph& graph, bool inside, Outcome& outcome) {
  for (const auto& node : graph.nodes()) {
    if (is_pool2d(*node)) (inside ? outcome.joined : outcome.alone) += 1;
    if (node->body() != nullptr) {
      count_pools(*node->body(), &node->op() == &fused_op(), outcome);
    }
  }
}

Outcome run(const PoolCase& item, std::string_view device, int threads,
            std::vector<std::string> disabled = {}) {
  const Graph graph = item.graph();
  VariableStore store(make_backend(device, {.threads = threads}), 3);
  Executable exe = compile(graph, store, {.disabled_passes = std::move(disabled)});
  std::mt19937 rng(11);
  std::vector<std::vector<float>> buffers;
  std::vector<Feed> feeds;
  for (const Node* node : graph.nodes_of(placeholder_op())) {
    std::vector<float>& buffer = buffers.emplace_back();
    for (std::int64_t i = 0; i < node->output_type().numel(); ++i) {
      buffer.push_back(static_cast<float>(rng() % 4001) / 1000.0f - 2.0f);
    }
    feeds.push_back({node->name(), buffer.data(), buffer.size() * sizeof(float)});
  }
  exe.run(feeds);
  Outcome outcome;
  for (const Fetch& fetch : graph.fetches()) outcome.fetched.push_back(exe.fetched(fetch.name));
  count_pools(exe.lowered(), false, outcome);
  return outcome;
}

void expect_close(const std::vector<HostTensor>& got, const std::vector<HostTensor>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t t = 0; t < want.size(); ++t) {
    for (std::int64_t i = 0; i < want[t].type().numel(); ++i) {
      ASSERT_NEAR(got[t].view().get(i), want[t].view().get(i), 2e-4) << t << "[" << i << "]";
    }
  }
}

void expect_joined(const PoolCase& item) {
  SCOPED_TRACE(item.text());
  const Outcome joined = run(item, "cpu", 1);
  EXPECT_EQ(joined.joined, 1);
  EXPECT_EQ(joined.alone, 0);
  const Outcome apart = run(item, "cpu", 1, {"fuse_pools"});
  EXPECT_EQ(apart.joined, 0);
  EXPECT_EQ(apart.alone, 1);
  EXPECT_EQ(joined.fetched, apart.fetched) << "not what the pool apart makes, bit by bit";
  EXPECT_EQ(joined.fetched, run(item, "cpu", 2).fetched) << "1 and 2 threads differ";
  expect_close(joined.fetched, run(item, "reference", 1).fetched);
}

/// Windows of every kind that fit images of 9 x 11 or more.
PoolCase random_case(std::mt19937& rng) {
  const auto pick = [&](std::int64_t n) { return static_cast<std::int64_t>(rng()) % n; };
  const std::vector<std::string> makers{"conv", "conv bias relu", "residual", "chain", "branch"};
  // Plain layouts, and channels in blocks of 8 and 16; batches of fewer and more than 8 images.
  const std::vector<std::int64_t> widths{3, 6, 8, 16, 24, 32};
  PoolCase item{
      .maker = makers[static_cast<std::size_t>(pick(5))],
      .x = {1 + pick(10), widths[static_cast<std::size_t>(pick(6))], 9 + pick(12), 11 + pick(12)},
      .channels = widths[static_cast<std::size_t>(pick(6))],
      .is_max = pick(2) == 0,
      .counts_padding = pick(2) == 0,
      .keeps_images = pick(2) == 0};
  item.window.kernel = {1 + pick(4), 1 + pick(4)};
  item.window.stride = {1 + pick(3), 1 + pick(3)};
  for (std::size_t side = 0; side < 4; ++side) {
    item.window.padding[side] = pick(std::max<std::int64_t>(item.window.kernel[side / 2], 1));
  }
  if (item.is_max) item.window.dilation = {1 + pick(2), 1 + pick(2)};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    // With dilation, a window in the padding alone would be refused.
    if (item.window.dilation[axis] == 1) continue;
    item.window.padding[2 * axis] = item.window.padding[2 * axis + 1] = 0;
  }
  return item;
}

TEST(FusePools, EveryMakerInEveryLayoutKeptOrNot) {
  for (const std::string maker : {"conv", "conv bias relu", "residual", "chain", "branch"}) {
    for (const std::int64_t channels : {5, 8, 16, 32}) {
      for (const std::int64_t batch : {1, 4, 9}) {
        for (const bool keeps : {false, true}) {
          expect_joined({.maker = maker,
                         .x = {batch, channels == 5 ? 3 : channels, 12, 10},
                         .channels = channels,
                         .window = {{3, 3}, std::array<std::int64_t, 2>{2, 2}, {1, 1, 1, 1}},
                         .is_max = batch != 4,
                         .counts_padding = keeps,
                         .keeps_images = keeps});
        }
      }
    }
  }
}

TEST(FusePools, RandomWindows) {
  std::mt19937 rng(5);
  for (int i = 0; i < 60; ++i) expect_joined(random_case(rng));
}

/// Rows that many bands make, and of which windows skip some.
TEST(FusePools, ManyBandsOfRows) {
  for (const bool keeps : {false, true}) {
    expect_joined({.maker = "chain",
                   .x = {2, 16, 70, 60},
                   .window = {{3, 3}, std::array<std::int64_t, 2>{2, 2}, {1, 1, 1, 1}},
                   .keeps_images = keeps});
    expect_joined({.maker = "branch",
                   .x = {2, 3, 70, 60},
                   .channels = 32,
                   .window = {{3, 3}, std::array<std::int64_t, 2>{2, 2}, {1, 1, 1, 1}},
                   .keeps_images = keeps});
    expect_joined({.maker = "branch",
                   .x = {1, 3, 70, 60},
                   .channels = 16,
                   .window = {{2, 2}, std::array<std::int64_t, 2>{7, 2}},
                   .is_max = false,
                   .keeps_images = keeps});
    expect_joined({.maker = "chain",
                   .x = {2, 16, 70, 60},
                   .window = {{1, 2}, std::array<std::int64_t, 2>{9, 1}},
                   .keeps_images = keeps});
    expect_joined({.maker = "chain",
                   .x = {1, 3, 200, 150},
                   .window = {{5, 2}, std::array<std::int64_t, 2>{1, 3}},
                   .is_max = false,
                   .keeps_images = keeps});
  }
}

TEST(FusePools, ImagesThatThePoolAloneReadsAreNeverWhole) {
  const PoolCase item{.maker = "conv bias relu", .x = {16, 3, 32, 32}, .channels = 16};
  const auto bytes = [&](std::vector<std::string> disabled) {
    VariableStore store(make_backend("cpu", {.threads = 1}), 3);
    const Executable exe = compile(item.graph(), store, {.disabled_passes = std::move(disabled)});
    return exe.stats().arena_bytes;
  };
  const std::int64_t images = 16 * 16 * 32 * 32 * 4;
  EXPECT_GT(bytes({"fuse_pools", "batch_slices"}), images);
  EXPECT_LT(bytes({"batch_slices"}), images);
}

std::vector<std::string> dispatch_lines(const Graph& graph) {
  const TraceCapture capture("dispatch");
  VariableStore store(make_backend("cpu", {.threads = 1}), 3);
  compile(graph, store, {});
  return capture.lines();
}

bool has_line(const std::vector<std::string>& lines, std::string_view text) {
  return std::ranges::any_of(
      lines, [&](const std::string& line) { return line.find(text) != std::string::npos; });
}

TEST(FusePools, SaysWhyAPoolStaysAlone) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {2, 3, 8, 8}});
  graph.fetch("first", ops::max_pool2d(x, {.kernel = {2, 2}}));
  const Value y = ops::relu(x);
  graph.fetch("one", ops::max_pool2d(y, {.kernel = {2, 2}}));
  graph.fetch("two", ops::avg_pool2d(y, {.kernel = {2, 2}}));
  const std::vector<std::string> lines = dispatch_lines(graph);
  EXPECT_TRUE(has_line(lines,
                       "fuse_pools: max_pool2d \"max_pool2d_0\" does not join placeholder \"x\": "
                       "placeholder makes no images in parts"));
  EXPECT_TRUE(has_line(lines,
                       "fuse_pools: avg_pool2d \"avg_pool2d_0\" does not join relu \"relu_0\": "
                       "another pool has joined what makes its operand"));
}

Outcome pools_of(const Graph& graph) {
  VariableStore store(make_backend("cpu", {.threads = 2}), 3);
  const Executable exe = compile(graph, store, {});
  Outcome outcome;
  count_pools(exe.lowered(), false, outcome);
  for (const std::string& kernel : exe.stats().kernel_names) {
    EXPECT_FALSE(kernel.starts_with("max_pool2d ") || kernel.starts_with("avg_pool2d ")) << kernel;
    EXPECT_EQ(kernel.find(", then "), std::string::npos) << kernel << " pools whole batches";
  }
  return outcome;
}

TEST(FusePools, SmallNetsAndResNetsStemHaveNoPoolsApart) {
  const auto lenet = nn::make_model("lenet", {1, 28, 28, 10});
  const Shape digits{1, 28, 28};
  for (const std::int64_t batch : {1, 4, 8, 32}) {
    EXPECT_EQ(pools_of(train::build_train_graph(*lenet, digits, batch, {})).joined, 2);
    EXPECT_EQ(pools_of(train::build_predict_graph(*lenet, digits, batch)).joined, 2);
  }
  const auto resnet = nn::make_model("resnet50", {3, 64, 64, 10});
  EXPECT_EQ(pools_of(train::build_train_graph(*resnet, {3, 64, 64}, 2, {})).joined, 1);
}

}  // namespace
}  // namespace ingot
