// Times cuDNN's plans for the convolutions of a net on the GPU at hand, and checks them against one
// another: conv_plans_bench NET BATCH PRECISION SECONDS PLANS [additions]. At most PLANS of cuDNN's
// a problem. With `additions`, results and data gradients without and with a tensor that is added,
// in both of the ways that cuDNN has.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/backends/cuda/libraries/conv_timer.h"
#include "ingot/backends/cuda/libraries/cublaslt.h"
#include "ingot/backends/cuda/libraries/cudnn_conv.h"

namespace {

using namespace ingot;
using namespace ingot::cuda;
using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// A convolution and how often the net has it.
struct Layer {
  int count;
  std::int64_t in, out, size, kernel, stride;
  std::int64_t pad = -1;  ///< on all sides; -1: what keeps the size
};

const std::vector<Layer> kResnet50{
    {3, 64, 64, 56, 3, 1},    {3, 128, 128, 28, 3, 1},   {5, 256, 256, 14, 3, 1},
    {2, 512, 512, 7, 3, 1},   {3, 64, 256, 56, 1, 1},    {2, 256, 64, 56, 1, 1},
    {4, 128, 512, 28, 1, 1},  {3, 512, 128, 28, 1, 1},   {6, 256, 1024, 14, 1, 1},
    {5, 1024, 256, 14, 1, 1}, {3, 512, 2048, 7, 1, 1},   {2, 2048, 512, 7, 1, 1},
    {1, 8, 64, 224, 7, 2},    {1, 64, 64, 56, 1, 1},     {1, 256, 128, 56, 1, 1},
    {1, 128, 128, 56, 3, 2},  {1, 256, 512, 56, 1, 2},   {1, 512, 256, 28, 1, 1},
    {1, 256, 256, 28, 3, 2},  {1, 512, 1024, 28, 1, 2},  {1, 1024, 512, 14, 1, 1},
    {1, 512, 512, 14, 3, 2},  {1, 1024, 2048, 14, 1, 2}, {1, 4, 64, 224, 7, 2}};
const std::vector<Layer> kResnet18Cifar{
    {4, 64, 64, 32, 3, 1},  {3, 128, 128, 16, 3, 1}, {3, 256, 256, 8, 3, 1},
    {3, 512, 512, 4, 3, 1}, {1, 8, 64, 32, 3, 1},    {1, 64, 128, 32, 3, 2},
    {1, 64, 128, 32, 1, 2}, {1, 128, 256, 16, 3, 2}, {1, 128, 256, 16, 1, 2},
    {1, 256, 512, 8, 3, 2}, {1, 256, 512, 8, 1, 2}};
const std::vector<Layer> kGometal{
    {1, 8, 32, 32, 3, 1}, {1, 32, 32, 32, 3, 2}, {1, 32, 64, 16, 3, 1}, {1, 64, 64, 16, 3, 2}};

// First layers as they may be cut: 7x7 of stride 2 as 4x4 on pixels of 2x2, padded or not.
const std::vector<Layer> kStems{{1, 16, 64, 112, 4, 1},
                                {1, 16, 64, 115, 4, 1, 0},
                                {1, 32, 64, 112, 4, 1},
                                {1, 16, 64, 224, 7, 2},
                                {1, 16, 64, 32, 3, 1}};

ConvTensor nhwc(DType dtype, std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w) {
  return {dtype, {n, c, h, w}, {h * w * c, 1, w * c, c}};
}

ConvProblem problem_of(const Layer& layer, std::int64_t batch, ConvKind kind, DType dtype) {
  ConvProblem problem;
  const std::int64_t before = layer.pad < 0 ? layer.kernel / 2 : layer.pad;
  const std::int64_t after = layer.pad < 0 ? (layer.kernel - 1) / 2 : layer.pad;
  const std::int64_t out = (layer.size + before + after - layer.kernel) / layer.stride + 1;
  problem.kind = kind;
  problem.x = nhwc(dtype, batch, layer.in, layer.size, layer.size);
  problem.w = nhwc(dtype, layer.out, layer.in, layer.kernel, layer.kernel);
  problem.y = nhwc(dtype, batch, layer.out, out, out);
  problem.before = {before, before};
  problem.after = {after, after};
  problem.stride = {layer.stride, layer.stride};
  problem.dilation = {1, 1};
  problem.tf32 = true;
  return problem;
}

float element(DType dtype, const std::byte* data, std::size_t i) {
  if (dtype == DType::f32) {
    float value = 0;
    std::memcpy(&value, data + 4 * i, 4);
    return value;
  }
  if (dtype == DType::f16) {
    Half value;
    std::memcpy(&value, data + 2 * i, 2);
    return static_cast<float>(value);
  }
  BFloat16 value;
  std::memcpy(&value, data + 2 * i, 2);
  return static_cast<float>(value);
}

double difference(DType dtype, const std::vector<std::byte>& a, const std::vector<std::byte>& b) {
  double error = 0;
  double norm = 0;
  for (std::size_t i = 0; i < a.size() / dtype_size(dtype); ++i) {
    const double x = element(dtype, a.data(), i);
    const double y = element(dtype, b.data(), i);
    error += (x - y) * (x - y);
    norm += x * x;
  }
  return std::sqrt(error / norm);
}

/// One problem's plans so far.
struct Contest {
  ConvProblem problem;
  ConvTimer timer;
  std::vector<std::byte> first = {};  ///< the first plan's result, or its beginning
  double first_ms = 0;
  double best_ms = 1e9;
  std::string best = {};

  void enter(const ConvCall& call, const std::string& tag, double build_ms) {
    constexpr std::size_t kCompared = 1 << 18;
    try {
      const double ms = 1e3 * timer.seconds(call, 3);
      const std::vector<std::byte> result = timer.result(kCompared);
      timer.seconds(call, 1);
      // What is added in place is another tensor the next time.
      const bool same = call.in_place() || result == timer.result(kCompared);
      if (first.empty()) {
        first = result;
        first_ms = ms;
      }
      fmt::print("  {} {:7.4f} ms {:5.0f} TF/s ws {:5.1f} MB build {:4.0f} ms diff {:.1e} {} {}\n",
                 tag, ms, problem.flops() / ms * 1e-9,
                 static_cast<double>(call.workspace_bytes()) * 1e-6, build_ms,
                 difference(problem.x.dtype, first, result), same ? "same" : "VARIES", call.name());
      if (ms < best_ms) {
        best_ms = ms;
        best = call.name();
      }
    } catch (const std::exception& error) {
      fmt::print("  {} {}: FAILED {}\n", tag, call.name(), error.what());
    }
  }
};

class Bench {
 public:
  Bench(std::shared_ptr<CudaDevice> device, double budget, std::size_t most)
      : device_(std::move(device)), budget_(budget), most_(most) {}

  /// Alone, with what is added where the result will lie, and by fused engines.
  void run_additions(const Layer& layer, ConvProblem problem) {
    run(layer, problem);
    problem.addend = true;
    run(layer, problem, Addition::in_place);
    run(layer, problem, Addition::fused);
  }

  [[nodiscard]] bool over() const { return since(start_) > budget_; }

  void run(const Layer& layer, const ConvProblem& problem, Addition addition = Addition::fused) {
    fmt::print("\n{} x{}{}\n", problem.text(), layer.count,
               addition == Addition::in_place ? " in place" : "");
    const ConvGraph graph(handle_, problem, addition);
    Contest contest{problem, ConvTimer(device_, problem)};
    std::vector<std::string> refused;
    std::vector<std::string> seen;
    const std::pair<const char*, cudnnBackendHeurMode_t> modes[] = {
        {"A", CUDNN_HEUR_MODE_A}, {"B", CUDNN_HEUR_MODE_B}, {"F", CUDNN_HEUR_MODE_FALLBACK}};
    for (const auto& [mode, value] : modes) {
      if (value == CUDNN_HEUR_MODE_FALLBACK && !contest.first.empty()) break;
      for (ConvGraph::Config& config : graph.configs(value, refused)) {
        if (std::ranges::find(seen, config.name) != seen.end()) continue;
        seen.push_back(config.name);
        if (over() || seen.size() > most_) continue;
        const std::string tag = fmt::format("{}{}", mode, config.compiles ? "*" : " ");
        const Clock::time_point before = Clock::now();
        std::string why;
        const std::string name = config.name;
        const std::unique_ptr<CudnnPlan> plan = graph.plan(std::move(config), why);
        const double build_ms = 1e3 * since(before);
        if (plan == nullptr) {
          fmt::print("  {} {}: {} ({:.0f} ms)\n", tag, name, why, build_ms);
          continue;
        }
        contest.enter(*plan, tag, build_ms);
      }
    }
    if (is_product(problem) && !over() && !(problem.addend && addition == Addition::fused)) {
      for (auto& call : lt_calls(lt_, lt_problem(problem), 4)) {
        contest.enter(*as_convolution(std::move(call), problem.kind), "Lt", 0);
      }
    }
    fmt::print("  refused {}; first {:.4f} best {:.4f} {}\n", refused.size(), contest.first_ms,
               contest.best_ms, contest.best);
    if (contest.first.empty()) return;
    first_sum_ += contest.first_ms * layer.count;
    best_sum_ += contest.best_ms * layer.count;
  }

  void report() const {
    fmt::print("\nsum of first plans {:.3f} ms, of best {:.3f} ms; took {:.1f} s\n", first_sum_,
               best_sum_, since(start_));
  }

 private:
  std::shared_ptr<CudaDevice> device_;
  std::shared_ptr<SharedHandle> handle_ = std::make_shared<SharedHandle>();
  std::shared_ptr<LtHandle> lt_ = make_lt_handle();
  double budget_;
  std::size_t most_;
  Clock::time_point start_ = Clock::now();
  double first_sum_ = 0, best_sum_ = 0;
};

/// What the library knows of the device; with it plans can be looked at where there is none.
void print_device(const CudnnHandle& handle) {
  try {
    CudnnDescriptor device(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    cudnnHandle_t raw = handle.get();
    device.set(CUDNN_ATTR_DEVICEPROP_HANDLE, CUDNN_TYPE_HANDLE, 1, static_cast<const void*>(&raw));
    device.finalize("describing the device");
    std::vector<char> text(1 << 16, 0);
    device.get(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
               static_cast<std::int64_t>(text.size()), text.data());
    fmt::print("device: {}\n", text.data());
  } catch (const std::exception& error) {
    fmt::print("device: {}\n", error.what());
  }
}

int run(const std::string& net, std::int64_t batch, const std::string& precision, double budget,
        std::size_t most, bool additions) {
  auto device = std::make_shared<CudaDevice>(0);
  fmt::print("{} cudnn {}\n", device->facts().name, cudnn_version());
  const DType dtype = precision == "f32"   ? DType::f32
                      : precision == "f16" ? DType::f16
                                           : DType::bf16;
  const std::vector<Layer>& layers = net == "resnet50"  ? kResnet50
                                     : net == "gometal" ? kGometal
                                     : net == "stems"   ? kStems
                                                        : kResnet18Cifar;
  if (net == "gometal") print_device(CudnnHandle());
  Bench bench(device, budget, most);
  for (const Layer& layer : layers) {
    for (const ConvKind kind : {ConvKind::forward, ConvKind::input_grad, ConvKind::weight_grad}) {
      if (kind == ConvKind::input_grad && layer.in <= 16) continue;
      if (bench.over() || (additions && kind == ConvKind::weight_grad)) continue;
      try {
        const ConvProblem problem = problem_of(layer, batch, kind, dtype);
        if (additions) {
          bench.run_additions(layer, problem);
        } else {
          bench.run(layer, problem);
        }
      } catch (const std::exception& error) {
        fmt::print("  FAILED {}\n", error.what());
      }
    }
  }
  bench.report();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const bool additions = argc == 7 && std::string_view(argv[6]) == "additions";
  if (argc != 6 && !additions) {
    fmt::print(stderr, "usage: conv_plans_bench NET BATCH PRECISION SECONDS PLANS [additions]\n");
    return 2;
  }
  try {
    return run(argv[1], std::atoll(argv[2]), argv[3], std::atof(argv[4]),
               static_cast<std::size_t>(std::atoll(argv[5])), additions);
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}
