// Speed of every convolution kernel on the shapes of the benchmark's nets, on one core.
//
//   conv_bench [part of a shape's name [avx2]]
//   conv_bench --table [part of a shape's name]
//
// Prints GFLOP/s and the share of the measured multiply-add ceiling for the forward pass and both
// gradients, by each candidate that takes them, in the layouts that the backend wishes for and in
// plain ones. Times are the best of several repeats in processor time. With "avx2" our own kernels
// use no AVX-512 (set ONEDNN_MAX_CPU_ISA=AVX2 for oneDNN). "--table" prints the kernel of the
// backend's choice alone, beside oneDNN called directly, as a table for docs/benchmarks/.
//
// Flops are those of direct products, zeros of the padding included: kernels that skip them or that
// multiply less (Winograd) may pass the ceiling.
#include <fmt/core.h>
#include <hwy/targets.h>

#include <cstdio>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/fma_ceiling.h"
#include "bench/kernel_timer.h"
#include "bench/onednn_peer.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/ops.h"
#include "tests/backends/support/conv_cases.h"
#include "tests/backends/support/node_harness.h"

namespace ingot {
namespace {

struct Case {
  std::string name;
  Shape x, w;
  std::int64_t stride = 1;
  std::int64_t groups = 1;
};

void add_resnet18(std::vector<Case>& cases) {
  cases.push_back({"resnet18 3-64@32", {32, 3, 32, 32}, {64, 3, 3, 3}});
  std::int64_t size = 32;
  for (const std::int64_t channels : {64, 128, 256, 512}) {
    if (channels > 64) {
      const Shape x{32, channels / 2, size, size};
      const auto name = fmt::format("resnet18 {}-{}@{}/2", channels / 2, channels, size);
      cases.push_back({name, x, {channels, channels / 2, 3, 3}, 2});
      cases.push_back({name + " 1x1", x, {channels, channels / 2, 1, 1}, 2});
      size /= 2;
    }
    cases.push_back({fmt::format("resnet18 {}-{}@{}", channels, channels, size),
                     {32, channels, size, size},
                     {channels, channels, 3, 3}});
  }
}

void add_resnet50(std::vector<Case>& cases) {
  const auto add = [&](std::int64_t in, std::int64_t out, std::int64_t size, std::int64_t kernel,
                       std::int64_t stride = 1) {
    cases.push_back({fmt::format("resnet50 {}-{}@{}{} {}x{}", in, out, size, stride > 1 ? "/2" : "",
                                 kernel, kernel),
                     {8, in, size, size},
                     {out, in, kernel, kernel},
                     stride});
  };
  add(3, 64, 224, 7, 2);
  std::int64_t in = 64;
  std::int64_t size = 56;
  for (const std::int64_t width : {64, 128, 256, 512}) {
    const std::int64_t stride = width == 64 ? 1 : 2;
    add(in, width, size, 1);
    add(width, width, size, 3, stride);
    add(in, 4 * width, size, 1, stride);
    size /= stride;
    add(width, 4 * width, size, 1);
    in = 4 * width;
    add(in, width, size, 1);
    if (stride > 1) add(width, width, size, 3);
  }
}

// Groups of `width` channels; `out` per group.
void add_groups(std::vector<Case>& cases) {
  struct Groups {
    std::int64_t batch, channels, width, out, size, kernel, stride;
  };
  const auto add = [&](std::string_view kind, const Groups& g) {
    const std::string groups = g.width > 1 ? fmt::format(" of {}", g.width) : std::string();
    const std::string more = g.out != g.width ? fmt::format("x{}", g.out / g.width) : std::string();
    cases.push_back(
        {fmt::format("{} {}{}{}@{}{} {}x{}{}", kind, g.channels, more, groups, g.size,
                     g.stride > 1 ? "/2" : "", g.kernel, g.kernel, g.batch == 1 ? " b1" : ""),
         {g.batch, g.channels, g.size, g.size},
         {g.channels / g.width * g.out, g.width, g.kernel, g.kernel},
         g.stride,
         g.channels / g.width});
  };
  // Each channel by itself, as in MobileNet, EfficientNet and ConvNeXt.
  for (const Groups& g : std::initializer_list<Groups>{
           {8, 32, 1, 1, 112, 3, 1}, {8, 64, 1, 1, 112, 3, 2}, {8, 128, 1, 1, 56, 3, 1},
           {8, 144, 1, 1, 56, 3, 2}, {8, 256, 1, 1, 28, 3, 1}, {8, 512, 1, 1, 14, 3, 1},
           {8, 512, 1, 1, 14, 3, 2}, {8, 960, 1, 1, 7, 3, 1},  {8, 144, 1, 1, 56, 5, 2},
           {8, 240, 1, 1, 28, 5, 1}, {8, 672, 1, 1, 14, 5, 2}, {8, 960, 1, 1, 7, 5, 1},
           {8, 96, 1, 1, 56, 7, 1},  {8, 384, 1, 1, 14, 7, 1}, {8, 768, 1, 1, 7, 7, 1},
           {1, 32, 1, 1, 112, 3, 1}, {1, 64, 1, 1, 112, 3, 2}, {1, 512, 1, 1, 14, 3, 1},
           {1, 384, 1, 1, 14, 7, 1}, {8, 20, 1, 1, 28, 3, 1},  {8, 20, 1, 1, 28, 3, 2},
           {8, 100, 1, 1, 14, 5, 1}, {8, 20, 1, 1, 112, 3, 1}, {8, 100, 1, 1, 7, 3, 1},
           {8, 64, 1, 2, 56, 3, 1},  {8, 64, 1, 2, 28, 3, 2}}) {
    add("depthwise", g);
  }
  // As in ResNeXt, ShuffleNet and RegNet.
  for (const Groups& g : std::initializer_list<Groups>{{8, 128, 4, 4, 56, 3, 1},
                                                       {8, 256, 8, 8, 28, 3, 1},
                                                       {8, 512, 16, 16, 14, 3, 1},
                                                       {8, 240, 80, 80, 28, 1, 1},
                                                       {8, 240, 24, 24, 28, 3, 1}}) {
    add("groups", g);
  }
}

std::vector<Case> cases() {
  std::vector<Case> cases{{"seed 3-8@32", {32, 3, 32, 32}, {8, 3, 3, 3}},
                          {"lenet 1-6@28", {64, 1, 28, 28}, {6, 1, 5, 5}},
                          {"lenet 6-16@14", {64, 6, 14, 14}, {16, 6, 5, 5}},
                          {"gometal 3-32@32", {32, 3, 32, 32}, {32, 3, 3, 3}},
                          {"gometal 32-32@32/2", {32, 32, 32, 32}, {32, 32, 3, 3}, 2},
                          {"gometal 32-64@16", {32, 32, 16, 16}, {64, 32, 3, 3}},
                          {"gometal 64-64@16/2", {32, 64, 16, 16}, {64, 64, 3, 3}, 2}};
  add_resnet18(cases);
  add_resnet50(cases);
  add_groups(cases);
  return cases;
}

/// The three Nodes of a convolution, in the layouts that the backend wishes for or in plain ones.
ConvNodes nodes_of(const Case& test, const CpuBackend* layouts) {
  const std::int64_t pad = test.w[2] / 2;
  return make_conv_nodes({test.name,
                          test.x,
                          test.w,
                          {.stride = {test.stride, test.stride},
                           .padding = {pad, pad, pad, pad},
                           .groups = test.groups}},
                         DType::f32, layouts);
}

void measure(const Case& test, const CpuBackend& backend, double ceiling) {
  for (const bool wished : {true, false}) {
    const ConvNodes nodes = nodes_of(test, wished ? &backend : nullptr);
    for (const Node* node : nodes.all()) {
      const std::vector<HostTensor> operands = random_operands(*node);
      for (const KernelCandidate& candidate : backend.kernels().candidates(node->op().name)) {
        if (!candidate.supports(*node, backend)) continue;
        NodeHarness harness(*node, operands, backend, candidate.name);
        const double seconds = best_seconds([&] { harness.run(); });
        const double flops = node->op().cost(*node).flops;
        fmt::print("{:24} {:20} {:16} {:8} {:10.1f} us {:7.1f} GFLOP/s {:4.0f} %\n", test.name,
                   node->op().name, harness.kernel().name(), wished ? "wished" : "plain",
                   1e6 * seconds, 1e-9 * flops / seconds, 100 * flops / seconds / ceiling);
      }
    }
  }
}

struct Ceilings {
  double flops = fma_ceiling();
  double bytes = copy_ceiling();
};

/// A row: each of the three with its kernel's GFLOP/s, share of the ceiling, for groups also of
/// the speed of copying memory, and ratio to oneDNN.
void print_row(const Case& test, const CpuBackend& backend, const Ceilings& ceilings) {
  const ConvNodes nodes = nodes_of(test, &backend);
  fmt::print("| {} |", test.name);
  for (const Node* node : nodes.all()) {
    NodeHarness harness(*node, random_operands(*node), backend);
    const double seconds = best_seconds([&] { harness.run(); });
    const auto [flops, bytes] = node->op().cost(*node);
    const std::optional<double> peer = onednn_conv_seconds(*node);
    const std::string copying =
        test.groups > 1 ? fmt::format(" / {:.0f} %", 100 * bytes / seconds / ceilings.bytes)
                        : std::string();
    fmt::print(" {} {:.0f} ({:.0f} %{}, {}) |", harness.kernel().name(), 1e-9 * flops / seconds,
               100 * flops / seconds / ceilings.flops, copying,
               peer ? fmt::format("{:.2f}×", *peer / seconds) : std::string("–"));
  }
  fmt::print("\n");
  std::fflush(stdout);
}

void print_table(const std::string& filter) {
  const CpuBackend backend({.threads = 1});
  const Ceilings ceilings;
  fmt::print("Ceilings of one core: {:.1f} GFLOP/s, {:.1f} GB/s copied (read and written).\n\n",
             1e-9 * ceilings.flops, 1e-9 * ceilings.bytes);
  fmt::print("| shape | forward | data gradient | weight gradient |\n|---|---|---|---|\n");
  for (const Case& test : cases()) {
    if (test.name.find(filter) != std::string::npos) print_row(test, backend, ceilings);
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
  if (argc > 1 && argv[1] == std::string("--table")) {
    ingot::print_table(argc > 2 ? argv[2] : "");
    return 0;
  }
  if (argc > 2 && argv[2] == std::string("avx2")) hwy::DisableTargets(HWY_AVX3 | HWY_AVX3_DL);
  ingot::run(argc > 1 ? argv[1] : "");
  return 0;
}
