// A CNN that lives in the caller's memory: input, weights and biases come from buffers larger than
// needed; then the same net trains, and the caller still owns its weights.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <vector>

#include "ingot/ingot.h"

using namespace ingot;

namespace {

constexpr std::int64_t kBatch = 32;

/// Conv 3->8, bias, ReLU, mean over H and W, linear 8->2.
Value small_cnn(Value x, Value w1, Value b1, Value w2, Value b2) {
  Value y = ops::conv2d(x, w1, {.padding = {1, 1, 1, 1}});
  y = ops::relu(y + ops::reshape(b1, {1, 8, 1, 1}));
  y = ops::reshape(ops::mean(y, {2, 3}), {kBatch, 8});
  return ops::matmul(y, w2) + b2;
}

/// A buffer from somebody's pool: its size has little to do with what it holds.
struct Block {
  std::vector<float> data;
  explicit Block(std::size_t bytes) : data(bytes / sizeof(float)) {}
  [[nodiscard]] Feed as(std::string_view name) const {
    return {name, data.data(), data.size() * sizeof(float), {}};
  }
  void fill(unsigned seed, std::size_t count, float scale) {
    for (std::size_t i = 0; i < count; ++i) {
      seed = seed * 1664525u + 1013904223u;
      data[i] = scale * (static_cast<float>(seed >> 8) / 8388608.0f - 1.0f);
    }
  }
};

TensorType f32(const Shape& shape) { return {DType::f32, shape}; }

int run() {
  Block input(1 << 20), w1(1024), b1(1024), w2(1024), b2(1024);
  input.fill(1, 32 * 3 * 32 * 32, 1.0f);
  w1.fill(2, 216, 0.2f);
  w2.fill(3, 16, 0.4f);
  std::vector<std::int32_t> labels(kBatch);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    // Something to learn: which half of the channel-0 pixels is brighter.
    float sum = 0;
    for (std::size_t p = 0; p < 1024; ++p) sum += input.data[i * 3072 + p];
    labels[i] = sum > 0 ? 1 : 0;
  }

  // 1. Everything is fed.
  Graph forward;
  forward.fetch(
      "logits",
      small_cnn(forward.placeholder("input", f32({kBatch, 3, 32, 32})),
                forward.placeholder("w1", f32({8, 3, 3, 3})), forward.placeholder("b1", f32({8})),
                forward.placeholder("w2", f32({8, 2})), forward.placeholder("b2", f32({2}))));
  HostTensor logits[2];
  for (int i = 0; i < 2; ++i) {
    VariableStore store(make_backend(i == 0 ? "cpu" : "reference"));
    Executable exe = compile(forward, store);
    exe.run({input.as("input"), w1.as("w1"), b1.as("b1"), w2.as("w2"), b2.as("b2")});
    logits[i] = exe.fetched("logits");
  }
  double worst = 0;
  for (std::int64_t i = 0; i < logits[0].type().numel(); ++i) {
    worst = std::max(worst, std::fabs(logits[0].view().get(i) - logits[1].view().get(i)));
  }
  std::printf("logits: largest difference from the reference %.2g\n", worst);

  // 2. The caller owns the weights; training updates them in place.
  Graph train;
  const Value parameters[] = {
      train.variable("w1", f32({8, 3, 3, 3}), {}), train.variable("b1", f32({8}), {}),
      train.variable("w2", f32({8, 2}), {}), train.variable("b2", f32({2}), {})};
  const Value y = small_cnn(train.placeholder("input", f32({kBatch, 3, 32, 32})), parameters[0],
                            parameters[1], parameters[2], parameters[3]);
  const Value loss = nn::CrossEntropyLoss{}(y, train.placeholder("labels", {DType::i32, {kBatch}}));
  train.fetch("loss", loss);
  const Value step = nn::ForwardContext(train, true).step();
  optim::apply_update(train, optim::SGD{.momentum = 0.9}, parameters, gradients(loss, parameters),
                      train.scalar(0.5), step);
  VariableStore store(make_backend("cpu"));
  for (auto [name, block] : {std::pair{"w1", &w1}, {"b1", &b1}, {"w2", &w2}, {"b2", &b2}}) {
    store.bind_external(name, block->data.data(), block->data.size() * sizeof(float));
  }
  Executable exe = compile(train, store);
  const float before = w1.data[0];
  double first = 0;
  for (int i = 0; i < 200; ++i) {
    exe.step({input.as("input"), {"labels", labels.data(), labels.size() * 4, {}}});
    if (i == 0) first = exe.losses().newest()->values[0];
  }
  const double last = exe.losses().newest()->values[0];
  std::printf("loss: %.4f -> %.4f in 200 steps; w1[0]: %.4f -> %.4f in the caller's memory\n",
              first, last, static_cast<double>(before), static_cast<double>(w1.data[0]));
  return worst < 1e-4 && last < first && w1.data[0] != before ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

int main() {
  try {
    return run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return EXIT_FAILURE;
  }
}
