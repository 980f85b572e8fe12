// The case it all began with: a small CNN over external buffers, and everything that can go wrong
// there, with its exact text.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "ingot/ingot.h"
#include "ingot/memory/tensor.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

using testing_support::error_of;

constexpr std::int64_t kBatch = 32;

TensorType f32(Shape shape) { return {DType::f32, shape}; }

template <typename Call>
std::string first_line(Call&& call) {
  const std::string text = error_of(call);
  return text.substr(0, text.find('\n'));
}

Value small_cnn(Value x, Value w1, Value b1, Value w2, Value b2) {
  Value y = ops::conv2d(x, w1, {.padding = {1, 1, 1, 1}});
  y = ops::relu(y + ops::reshape(b1, {1, 8, 1, 1}));
  y = ops::reshape(ops::mean(y, {2, 3}), {kBatch, 8});
  return ops::matmul(y, w2) + b2;
}

struct Buffers {
  std::vector<float> input = std::vector<float>((1 << 20) / 4);
  std::array<std::vector<float>, 4> weights;
  std::vector<std::int32_t> labels = std::vector<std::int32_t>(kBatch);

  Buffers() {
    std::uint32_t seed = 1;
    const auto fill = [&seed](std::vector<float>& data, std::size_t n) {
      for (std::size_t i = 0; i < n; ++i) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = static_cast<float>(seed >> 8) / 16777216.0f - 0.5f;
      }
    };
    fill(input, 98304);
    constexpr std::array<std::size_t, 4> kCounts{216, 8, 16, 2};
    for (std::size_t i = 0; i < 4; ++i) {
      weights[i].resize(1024 / 4);
      fill(weights[i], kCounts[i]);
    }
    for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int32_t>(i % 2);
  }
  [[nodiscard]] Feed weight(std::size_t i) const {
    constexpr std::array<std::string_view, 4> kNames{"w1", "b1", "w2", "b2"};
    return {kNames[i], weights[i].data(), 1024, {}};
  }
  [[nodiscard]] std::vector<Feed> all() const {
    return {{"input", input.data(), 1 << 20, {}}, weight(0), weight(1), weight(2), weight(3)};
  }
};

Graph forward_graph() {
  Graph graph;
  const Value x = graph.placeholder("input", f32({kBatch, 3, 32, 32}));
  const Value w1 = graph.placeholder("w1", f32({8, 3, 3, 3}));
  const Value b1 = graph.placeholder("b1", f32({8}));
  const Value w2 = graph.placeholder("w2", f32({8, 2}));
  graph.fetch("logits", small_cnn(x, w1, b1, w2, graph.placeholder("b2", f32({2}))));
  return graph;
}

TEST(ExternalBuffers, LogitsEqualTheReference) {
  const Graph graph = forward_graph();
  const Buffers buffers;
  std::array<HostTensor, 2> logits;
  for (std::size_t i = 0; i < 2; ++i) {
    VariableStore store(make_backend(i == 0 ? "cpu" : "reference"));
    Executable exe = compile(graph, store);
    exe.run(buffers.all());
    logits[i] = exe.fetched("logits");
  }
  ASSERT_EQ(logits[0].type(), f32({kBatch, 2}));
  double largest = 0;
  for (std::int64_t i = 0; i < 64; ++i) {
    EXPECT_NEAR(logits[0].view().get(i), logits[1].view().get(i), 1e-5);
    largest = std::max(largest, std::abs(logits[1].view().get(i)));
  }
  EXPECT_GT(largest, 0.01);
}

TEST(ExternalBuffers, FeedsThatDoNotFit) {
  const Graph graph = forward_graph();
  const Buffers b;
  VariableStore store(make_backend("cpu"));
  Executable exe = compile(graph, store);
  const auto with = [&](std::size_t index, const Feed& feed) {
    std::vector<Feed> feeds = b.all();
    feeds[index] = feed;
    return first_line([&] { exe.run(feeds); });
  };
  EXPECT_EQ(with(0, {"input", b.input.data(), 1024, {}}),
            "feed \"input\": f32[32,3,32,32] needs 393216 bytes, got a buffer of 1024");
  EXPECT_EQ(
      with(0, {"input", b.input.data(), 1 << 20, TensorType{DType::i32, {kBatch, 3, 32, 32}}}),
      "feed \"input\": must be f32[32,3,32,32], got i32[32,3,32,32]");
  EXPECT_EQ(with(1, {"w3", b.weights[0].data(), 1024, {}}),
            "feed \"w3\": must be a placeholder of the graph, got no such name");
  std::vector<Feed> four = b.all();
  four.erase(four.begin() + 1);
  EXPECT_EQ(first_line([&] { exe.run(four); }),
            "feed \"w1\": must be given (f32[8,3,3,3]), got none");
  exe.run(b.all());
}

TEST(ExternalBuffers, GraphsThatCannotRun) {
  Graph graph;
  const Value x = graph.placeholder("x", f32({kBatch, 3, 32, 32}));
  const Value w = graph.placeholder("w", f32({8, 3, 3, 3}));
  const Value b = graph.placeholder("b", f32({8}));
  EXPECT_EQ(first_line([&] { graph.placeholder("input", f32({-1, 3, 32, 32})); }),
            "placeholder \"input\": every dimension must be known and not negative, got "
            "f32[-1,3,32,32]");
  EXPECT_EQ(first_line([&] { ops::conv2d(x, w) + b; }),
            "add \"add_0\": shapes must broadcast, got f32[32,8,30,30], f32[8]");
  const std::string bias = error_of([&] { ops::conv2d(x, w) + b; });
  EXPECT_NE(bias.find("help: reshape a per-channel operand to [1,C,1,1] to match [N,C,H,W]"),
            std::string::npos);
  EXPECT_NE(bias.find("note: made at external_buffers_test.cpp:"), std::string::npos);
}

// What the first engine let through until its framework aborted.
TEST(ExternalBuffers, ConvolutionsThatCannotRun) {
  Graph graph;
  const Value x = graph.placeholder("input", f32({kBatch, 3, 32, 32}));
  const Value w = graph.placeholder("w1", f32({8, 3, 3, 3}));
  const auto conv = [&](const Value& input, const TensorType& weight, std::int64_t groups) {
    Graph other;
    const Value a = other.placeholder("input", input.type());
    return error_of([&] {
      ops::conv2d(a, other.placeholder("w1", weight), {.padding = {1, 1, 1, 1}, .groups = groups});
    });
  };
  const auto first = [](const std::string& text) { return text.substr(0, text.find('\n')); };
  const std::string no_groups = conv(x, w.type(), 0);
  EXPECT_EQ(first(no_groups),
            "conv2d \"conv2d_0\": groups must be at least 1, got groups 0, input [32,3,32,32], "
            "weight [8,3,3,3]");
  EXPECT_NE(no_groups.find("\nhelp: "), std::string::npos);
  EXPECT_EQ(first(conv(x, w.type(), 2)),
            "conv2d \"conv2d_0\": groups must divide the input and the output channels, got groups "
            "2, input [32,3,32,32], weight [8,3,3,3]");
  EXPECT_EQ(
      first(conv(x, f32({8, 4, 3, 3}), 1)),
      "conv2d \"conv2d_0\": weight must have C/groups channels at axis 1, got groups 1, input "
      "[32,3,32,32], weight [8,4,3,3]");
  EXPECT_EQ(first(conv(x, f32({8, 27}), 1)),
            "conv2d \"conv2d_0\": weight must have rank 4 [O, C/groups, kH, kW], got input "
            "[32,3,32,32], weight [8,27]");
  EXPECT_EQ(first(conv(x, {DType::f16, {8, 3, 3, 3}}, 1)),
            "conv2d \"conv2d_0\": operands must have one dtype, got f32[32,3,32,32], "
            "f16[8,3,3,3]");
  // HWIO weights are kernels of 3x8 to 3 channels, until their result meets the bias.
  Graph hwio;
  const auto in = [&](std::string_view name, Shape shape) {
    return hwio.placeholder(std::string(name), f32(shape));
  };
  EXPECT_EQ(first(error_of([&] {
              small_cnn(in("input", {kBatch, 3, 32, 32}), in("w1", {3, 3, 3, 8}), in("b1", {8}),
                        in("w2", {8, 2}), in("b2", {2}));
            })),
            "add \"add_0\": shapes must broadcast, got f32[32,3,32,27], f32[1,8,1,1]");
  const std::string rank3 = conv(graph.placeholder("image", f32({3, 32, 32})), w.type(), 1);
  EXPECT_EQ(first(rank3),
            "conv2d \"conv2d_0\": input must have rank 4 [N, C, H, W], got input [3,32,32], weight "
            "[8,3,3,3]");
  EXPECT_NE(rank3.find("help: add a batch dimension: reshape [C, H, W] to [1, C, H, W]"),
            std::string::npos);
}

// A Tensor around the caller's pointer feeds a placeholder; the caller gets the memory back once.
TEST(ExternalBuffers, WrappedPointersAreFedAndGivenBack) {
  Graph graph;
  graph.fetch("sum", ops::sum(graph.placeholder("x", f32({2, 3})), {}));
  VariableStore store(make_backend("cpu"));
  Executable exe = compile(graph, store);
  BufferPool pool(store.backend()->device());
  std::vector<float> memory(256, 0.5f);
  int released = 0;
  {
    const Tensor x = Tensor::wrap(pool, memory.data(), 1024, f32({2, 3}), "x",
                                  [&released](void*) noexcept { ++released; });
    exe.run({feed_of("x", x)});
    EXPECT_EQ(exe.fetched("sum").view().get(0), 3.0);
    const Tensor flat = Tensor::wrap(pool, memory.data(), 1024, f32({6}), "flat");
    EXPECT_EQ(first_line([&] { exe.run({feed_of("x", flat)}); }),
              "feed \"x\": must be f32[2,3], got f32[6]");
    EXPECT_EQ(released, 0);
  }
  EXPECT_EQ(released, 1);
}

struct Training {
  Graph graph;
  VariableStore store{make_backend("cpu")};
  Buffers buffers;

  Training() {
    const std::array<Value, 4> p{
        graph.variable("w1", f32({8, 3, 3, 3}), {}), graph.variable("b1", f32({8}), {}),
        graph.variable("w2", f32({8, 2}), {}), graph.variable("b2", f32({2}), {})};
    const Value x = graph.placeholder("input", f32({kBatch, 3, 32, 32}));
    const Value y = graph.placeholder("labels", {DType::i32, {kBatch}});
    const Value loss = nn::CrossEntropyLoss{}(small_cnn(x, p[0], p[1], p[2], p[3]), y);
    graph.fetch("loss", loss);
    const Value step = nn::ForwardContext(graph, true).step();
    optim::apply_update(graph, optim::SGD{.momentum = 0.9}, p, gradients(loss, p),
                        graph.scalar(0.1), step);
    for (std::size_t i = 0; i < 4; ++i) {
      store.bind_external(std::string(buffers.weight(i).name), buffers.weights[i].data(), 1024);
    }
  }
  void step(Executable& exe) {
    exe.step({{"input", buffers.input.data(), 1 << 20, {}},
              {"labels", buffers.labels.data(), buffers.labels.size() * 4, {}}});
  }
};

TEST(ExternalBuffers, TrainsWhileTheCallerOwnsTheWeights) {
  Training t;
  Executable exe = compile(t.graph, t.store);
  const std::vector<float> before = t.buffers.weights[0];
  double first = 0;
  for (int i = 0; i < 100; ++i) {
    t.step(exe);
    if (i == 0) first = exe.losses().newest()->values[0];
  }
  EXPECT_LT(exe.losses().newest()->values[0], first);
  EXPECT_NE(t.buffers.weights[0], before);
  // What lies behind the 864 bytes of the weights is the caller's.
  for (std::size_t i = 216; i < 256; ++i) EXPECT_EQ(t.buffers.weights[0][i], before[i]);
}

TEST(ExternalBuffers, ALabelOutOfRangeChangesNothing) {
  Training t;
  Executable exe = compile(t.graph, t.store);
  t.step(exe);
  const std::array<std::vector<float>, 4> before = t.buffers.weights;
  t.buffers.labels[3] = 7;
  const std::string text = first_line([&] { t.step(exe); });
  EXPECT_EQ(text,
            "cross_entropy \"cross_entropy_0\": labels must be at least 0 and below the number of "
            "classes, got 7 at element 3");
  EXPECT_EQ(t.buffers.weights, before);
  t.buffers.labels[3] = 1;
  t.step(exe);
  EXPECT_NE(t.buffers.weights, before);
}

TEST(ExternalBuffers, ANaNNamesTheFirstNodeThatMetIt) {
  Training t;
  Executable exe = compile(t.graph, t.store);
  t.step(exe);
  const std::array<std::vector<float>, 4> before = t.buffers.weights;
  t.buffers.input[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(first_line([&] { t.step(exe); }),
            "placeholder \"input\": value must be finite, got nan at element 5 of f32[32,3,32,32]");
  EXPECT_EQ(t.buffers.weights, before);
}

TEST(ExternalBuffers, ALossThatIsNoNumberNamesTheOpThatMadeIt) {
  Graph graph;
  const Value x = graph.placeholder("x", f32({4}));
  const Value w = graph.variable("w", f32({4}), Initializer::constant(1.0));
  const Value loss = ops::mean(ops::log(x) * w, {});
  graph.fetch("loss", loss);
  const Value step = nn::ForwardContext(graph, true).step();
  const std::vector<Value> p{w};
  optim::apply_update(graph, optim::SGD{}, p, gradients(loss, p), graph.scalar(0.1), step);
  VariableStore store(make_backend("cpu"));
  Executable exe = compile(graph, store);
  const std::vector<float> bad{1.0f, 2.0f, -3.0f, 4.0f};
  const std::string text = first_line([&] { exe.step({{"x", bad.data(), 16}}); });
  EXPECT_TRUE(text.starts_with("log \"log_0\": result must be finite, got ")) << text;
  EXPECT_TRUE(text.ends_with("nan at element 2 of f32[4]")) << text;
  EXPECT_EQ(store.read("w").to_doubles(), (std::vector<double>{1, 1, 1, 1}));
}

}  // namespace
}  // namespace ingot
