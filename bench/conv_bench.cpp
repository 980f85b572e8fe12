// Speed of every convolution kernel on the shapes of the benchmark's nets, on one core.
//
//   conv_bench [part of a shape's name [avx2]]
//
// Prints GFLOP/s and the share of the measured multiply-add ceiling for the forward pass and both
// gradients, by each candidate that takes them, in the layouts that the backend wishes for and in
// plain ones. Times are the best of several repeats in processor time. With "avx2" our own kernels
// use no AVX-512 (set ONEDNN_MAX_CPU_ISA=AVX2 for oneDNN).
#include <fmt/core.h>
#include <hwy/targets.h>

#include <algorithm>
#include <string>
#include <vector>

#include "bench/fma_ceiling.h"
#include "bench/kernel_timer.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/ops.h"

namespace ingot {
namespace {

struct Case {
  std::string name;
  Shape x, w;
  std::int64_t stride = 1;
};

std::vector<Case> cases() {
  std::vector<Case> cases{{"seed 3-8@32", {32, 3, 32, 32}, {8, 3, 3, 3}},
                          {"gometal 3-32@32", {32, 3, 32, 32}, {32, 3, 3, 3}},
                          {"gometal 32-32@32/2", {32, 32, 32, 32}, {32, 32, 3, 3}, 2},
                          {"gometal 32-64@16", {32, 32, 16, 16}, {64, 32, 3, 3}},
                          {"gometal 64-64@16/2", {32, 64, 16, 16}, {64, 64, 3, 3}, 2},
                          {"resnet18 3-64@32", {32, 3, 32, 32}, {64, 3, 3, 3}},
                          {"lenet 1-6@28", {64, 1, 28, 28}, {6, 1, 5, 5}},
                          {"lenet 6-16@14", {64, 6, 14, 14}, {16, 6, 5, 5}}};
  std::int64_t size = 32;
  for (const std::int64_t channels : {64, 128, 256, 512}) {
    if (channels > 64) {
      cases.push_back({fmt::format("resnet18 {}-{}@{}/2", channels / 2, channels, size),
                       {32, channels / 2, size, size},
                       {channels, channels / 2, 3, 3},
                       2});
      cases.push_back({fmt::format("resnet18 {}-{}@{}/2 1x1", channels / 2, channels, size),
                       {32, channels / 2, size, size},
                       {channels, channels / 2, 1, 1},
                       2});
      size /= 2;
    }
    cases.push_back({fmt::format("resnet18 {}-{}@{}", channels, channels, size),
                     {32, channels, size, size},
                     {channels, channels, 3, 3}});
  }
  return cases;
}

void measure(const Case& test, const CpuBackend& backend, double ceiling) {
  const std::int64_t pad = test.w[2] / 2;
  const Conv2dOptions options{.stride = {test.stride, test.stride},
                              .padding = {pad, pad, pad, pad}};
  for (const bool wished : {true, false}) {
    Graph graph;
    const auto input = [&](const Shape& shape) {
      return graph.placeholder(fmt::format("x{}", graph.size()), {DType::f32, shape});
    };
    const Value y = ops::conv2d(input(test.x), input(test.w), options);
    const Value input_grad =
        ops::conv2d_input_grad(input(y.shape()), input(test.w), test.x, options);
    const Value weight_grad =
        ops::conv2d_weight_grad(input(test.x), input(y.shape()), test.w, options);
    for (const Value& result : {y, input_grad, weight_grad}) {
      Node& node = *result.node();
      if (wished) {
        const LayoutWish wish = backend.layouts(node);
        for (std::size_t i = 0; i < wish.inputs.size(); ++i) {
          node.input(i).node()->set_layout(0, wish.inputs[i]);
        }
        node.set_layout(0, wish.outputs[0]);
      }
      for (const KernelCandidate& candidate : backend.kernels().candidates(node.op().name)) {
        if (!candidate.supports(node, backend)) continue;
        NodeHarness harness(node, random_operands(node), backend, candidate.name);
        const double seconds = best_seconds(harness);
        const double flops = node.op().cost(node).flops;
        fmt::print("{:24} {:20} {:16} {:8} {:10.1f} us {:7.1f} GFLOP/s {:4.0f} %\n", test.name,
                   node.op().name, harness.kernel().name(), wished ? "wished" : "plain",
                   1e6 * seconds, 1e-9 * flops / seconds, 100 * flops / seconds / ceiling);
      }
    }
  }
}

void run(const std::string& filter) {
  const CpuBackend backend({.threads = 1});
  const double ceiling = fma_ceiling();
  fmt::print("multiply-add ceiling of one core: {:.1f} GFLOP/s\n", 1e-9 * ceiling);
  for (const Case& test : cases()) {
    if (test.name.find(filter) != std::string::npos) measure(test, backend, ceiling);
  }
}

}  // namespace
}  // namespace ingot

int main(int argc, char** argv) {
  if (argc > 2 && argv[2] == std::string("avx2")) hwy::DisableTargets(HWY_AVX3 | HWY_AVX3_DL);
  ingot::run(argc > 1 ? argv[1] : "");
  return 0;
}
