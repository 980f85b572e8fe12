// Products of matrices as cuBLASLt gets them, what libraries do after a product or convolution, and
// what happens where a library cannot serve. What runs on a device is compared with the reference.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ingot/backends/cuda/contractions/mma_kernels.h"
#include "ingot/backends/cuda/cuda_backend.h"
#include "ingot/backends/cuda/driver/driver.h"
#include "ingot/backends/cuda/kernels/cuda_kernel.h"
#include "ingot/backends/cuda/libraries/conv_library.h"
#include "ingot/backends/cuda/libraries/kernel_race.h"
#include "ingot/backends/cuda/libraries/library_epilogue.h"
#include "ingot/backends/cuda/libraries/library_kernel.h"
#include "ingot/backends/cuda/libraries/lt_problem.h"
#include "ingot/base/error.h"
#include "ingot/base/philox.h"
#include "ingot/engine/compile.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/conv2d_shape.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"
#include "ingot/passes/pass_list.h"
#include "ingot/passes/pass_manager.h"

namespace ingot::cuda {
namespace {

/// relu(a b + bias + addend), or less of it.
struct Layer {
  DType dtype = DType::bf16;
  bool transpose_a = false, transpose_b = false;
  bool bias = false, relu = false;
  std::int64_t batch = 1;  ///< matrices, along axis 0 where there are several
  std::int64_t m = 48, n = 40, k = 64;
  bool tf32 = false;
  bool addend = false;

  [[nodiscard]] Graph graph() const {
    Graph graph;
    const auto shape = [this](std::int64_t rows, std::int64_t columns, bool transposed) {
      if (transposed) std::swap(rows, columns);
      return batch == 1 ? Shape{rows, columns} : Shape{batch, rows, columns};
    };
    const Value a = graph.placeholder("a", {DType::f32, shape(m, k, transpose_a)});
    const Value b = graph.placeholder("b", {DType::f32, shape(k, n, transpose_b)});
    const auto lowered = [&](const Value& v) {
      return dtype == DType::f32 ? v : ops::cast(v, dtype, {});
    };
    MatmulOptions options;
    options.transpose_a = transpose_a;
    options.transpose_b = transpose_b;
    if (tf32) options.math = "tf32";
    Value y = ops::matmul(lowered(a), lowered(b), options);
    if (bias) y = ops::add(y, lowered(graph.placeholder("bias", {DType::f32, {n}})), {});
    if (addend) y = ops::add(y, lowered(graph.placeholder("z", {DType::f32, y.shape()})), {});
    if (relu) y = ops::relu(y, {});
    graph.fetch("y", ops::cast(y, DType::f32, {}));
    return graph;
  }
};

std::unique_ptr<Graph> lowered(const Graph& graph, const Backend& backend) {
  PassContext context(backend);
  return run_passes(graph, pass_list(), {}, context);
}

/// The Node of the lowered Graph that multiplies.
const Node* product_of(const Graph& graph) {
  for (const auto& node : graph.nodes()) {
    if (contraction_of(*node) != nullptr) return node.get();
  }
  return nullptr;
}

std::string text_of(const Layer& layer) {
  CudaBackend backend(nullptr, GpuFacts{});
  backend.force_form(StepForm::throughput);
  const auto graph = lowered(layer.graph(), backend);
  const Node* const node = product_of(*graph);
  if (node == nullptr) return "none";
  const LtProblemResult result = lt_problem(*node);
  return result.support ? result.problem.text() : result.support.reason;
}

TEST(CudaProduct, RowsAreTheLibrarysColumns) {
  EXPECT_EQ(text_of({}), "product a=bf16[40x64]/40 b=bf16[64x48]/64 d=bf16[40x48]/40");
  EXPECT_EQ(text_of({.transpose_a = true}),
            "product a=bf16[40x64]/40 b=bf16[48x64]T/48 d=bf16[40x48]/40");
  EXPECT_EQ(text_of({.dtype = DType::f32, .transpose_b = true, .tf32 = true}),
            "product a=f32[64x40]T/64 b=f32[64x48]/64 d=f32[40x48]/40 tf32");
  EXPECT_EQ(text_of({.batch = 3}),
            "product a=bf16[40x64]/40+2560 b=bf16[64x48]/64+3072 d=bf16[40x48]/40+1920 batch=3");
}

TEST(CudaProduct, ABiasAndAReluBelongToIt) {
  const std::string bare = "product a=f32[40x64]/40 b=f32[64x48]/64 d=f32[40x48]/40";
  EXPECT_EQ(text_of({.dtype = DType::f32, .bias = true}), bare + " bias:f32");
  EXPECT_EQ(text_of({.dtype = DType::f32, .relu = true}), bare + " relu");
  EXPECT_EQ(text_of({.dtype = DType::f32, .bias = true, .relu = true}), bare + " bias:f32 relu");
}

TEST(CudaProduct, WhatElseFollowsDoesNot) {
  CudaBackend backend(nullptr, GpuFacts{});
  backend.force_form(StepForm::throughput);
  const auto reason = [&](const std::function<Value(Graph&, Value)>& after) {
    Graph graph;
    const Value a = graph.placeholder("a", {DType::f32, {48, 64}});
    const Value b = graph.placeholder("b", {DType::f32, {64, 48}});
    graph.fetch("y", after(graph, ops::matmul(a, b)));
    const auto low = lowered(graph, backend);
    const LtProblemResult result = lt_problem(*product_of(*low));
    return result.support ? result.problem.text() : result.support.reason;
  };
  const std::string refused = "the library has no such epilogue";
  EXPECT_EQ(reason([](Graph&, Value y) { return ops::elementwise("tanh", {y}, {}); }), refused);
  // Along the other axis, and a ReLU before the bias.
  EXPECT_EQ(reason([](Graph& graph, Value y) {
              return ops::add(y, graph.placeholder("bias", {DType::f32, {48, 1}}), {});
            }),
            refused);
  EXPECT_EQ(reason([](Graph& graph, Value y) {
              return ops::add(ops::relu(y, {}), graph.placeholder("bias", {DType::f32, {48}}), {});
            }),
            refused);
}

TEST(CudaProduct, ProblemsAreToldApartByTheirWorkAlone) {
  CudaBackend backend(nullptr, GpuFacts{});
  backend.force_form(StepForm::throughput);
  const auto text = [&](const Layer& layer) {
    const auto low = lowered(layer.graph(), backend);
    return problem_text(*product_of(*low));
  };
  const std::string one = text({.bias = true});
  EXPECT_EQ(one, text({.bias = true}));
  EXPECT_NE(one, text({.relu = true}));
  EXPECT_NE(one, text({.bias = true, .m = 49}));
  EXPECT_NE(one, text({.transpose_a = true, .bias = true}));
  EXPECT_NE(one, text({.dtype = DType::f16, .bias = true}));
}

/// Knows no plan at all.
class EmptyLibrary final : public ConvLibrary {
 public:
  [[nodiscard]] std::string version() const override { return "empty 1"; }
  std::shared_ptr<const ConvCall> find(const ConvProblem&, std::string& why) override {
    why = "the library knows no engine";
    return nullptr;
  }
};

class CudaFallback : public testing::Test {
 protected:
  void SetUp() override {
    if (const char* const was = std::getenv("INGOT_FALLBACK"); was != nullptr) before_ = was;
  }
  void TearDown() override {
    if (before_.empty()) {
      unsetenv("INGOT_FALLBACK");
    } else {
      setenv("INGOT_FALLBACK", before_.c_str(), 1);
    }
  }

  /// Asks for the kernel of a convolution with work enough for a library.
  static std::string kernel_of(const CudaBackend& backend, Graph& graph) {
    const Value x = graph.placeholder("x", {DType::bf16, {64, 64, 28, 28}});
    const Value w = graph.placeholder("w", {DType::bf16, {128, 64, 3, 3}});
    Conv2dOptions options;
    options.padding = {1, 1, 1, 1};
    const Value y = graph.add(conv2d_op(), {x, w}, to_attrs(options), "conv")->output();
    const Layout innermost = Layout::parse("acdb");
    for (const Value& value : {x, w, y}) value.node()->set_layout(0, innermost);
    return std::string(backend.create_kernel(race_problem(*y.node()))->name());
  }

 private:
  std::string before_;
};

constexpr const char* kProblem =
    "conv forward x=bf16[64,64,28,28]/50176,1,1792,64 w=bf16[128,64,3,3]/576,1,192,64 "
    "y=bf16[64,128,28,28]/100352,1,3584,128 pad=1,1,1,1 stride=1,1 dilation=1,1";

TEST_F(CudaFallback, PrintsOneLineAndRunsOnIngotsOwn) {
  setenv("INGOT_FALLBACK", "warn", 1);
  CudaBackend backend(nullptr, GpuFacts{});
  backend.use_conv_library(std::make_shared<EmptyLibrary>());
  Graph graph;
  testing::internal::CaptureStderr();
  EXPECT_EQ(kernel_of(backend, graph), "mma");
  Graph again;
  EXPECT_EQ(kernel_of(backend, again), "mma");
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            std::string("ingot fallback: conv2d \"conv\": cuDNN must have a plan, got none for ") +
                kProblem + " (the library knows no engine)\n");
}

TEST_F(CudaFallback, IsAnErrorWhereThatIsAskedFor) {
  setenv("INGOT_FALLBACK", "error", 1);
  CudaBackend backend(nullptr, GpuFacts{});
  backend.use_conv_library(std::make_shared<EmptyLibrary>());
  Graph graph;
  try {
    kernel_of(backend, graph);
    ADD_FAILURE() << "a fallback in silence";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unsupported);
    EXPECT_STREQ(
        error.what(),
        (std::string("conv2d \"conv\": cuDNN must have a plan, got none for ") + kProblem +
         " (the library knows no engine)\n"
         "help: a slower kernel of Ingot's own stands in unless INGOT_FALLBACK is \"error\"\n"
         "help: `ingot doctor` says which libraries were found, and how to install them")
            .c_str());
  }
}

TEST(CudaFallbackText, SaysWhatIsMissing) {
  Graph graph;
  const Value x = graph.placeholder("x", {DType::f32, {2, 3}});
  const Value w = graph.placeholder("w", {DType::f32, {3, 4}});
  const Value y = graph.add(matmul_op(), {x, w}, {}, "product")->output();
  const auto text = [&](const AbsentCall& absent) {
    return absent_error(*y.node(), absent).message();
  };
  EXPECT_EQ(text({"cuDNN", "a plan", "no cuDNN 9 (nothing found)"}),
            "matmul \"product\": cuDNN must be installed, got no cuDNN 9 (nothing found)");
  EXPECT_EQ(text({"cuBLASLt", "an algorithm", "no cuBLASLt (nothing found)", "P", "W"}),
            "matmul \"product\": cuBLASLt must be installed, got no cuBLASLt (nothing found)");
  EXPECT_EQ(text({"cuBLASLt", "an algorithm", {}, "product a=f32", "it knows none"}),
            "matmul \"product\": cuBLASLt must have an algorithm, got none for product a=f32 (it "
            "knows none)");
}

/// A library whose work is so many fillings of memory.
class Fillings final : public LibraryCall {
 public:
  explicit Fillings(int count) : count_(count) {}
  void enqueue(CUstream stream, std::span<std::byte* const> memory) const override {
    for (int i = 0; i < count_; ++i) {
      check(driver().MemsetD8Async(device_pointer(memory.back()), 0, 64, stream), "filling");
    }
  }

 private:
  int count_;
};

TEST(CudaRace, TheFasterOneRunsAndIsRemembered) {
  std::shared_ptr<CudaDevice> device;
  try {
    device = std::make_shared<CudaDevice>(0);
  } catch (const Error& error) {
    GTEST_SKIP() << error.message();
  }
  CudaBackend planner(nullptr, GpuFacts{});
  planner.force_form(StepForm::throughput);
  const auto graph = lowered(Layer{}.graph(), planner);
  const Node& node = *product_of(*graph);
  const auto choices = std::make_shared<KernelChoices>();
  const KernelRace race(device, Tune::full, choices);
  // Far longer than a product takes there, so that no other load of the machine decides.
  const int many = device->facts().name == "emulated GPU" ? 3'000'000 : 30'000;
  const auto library = [&](int fillings) {
    return LibraryKernel(race_problem(node), "fillings", "plan",
                         std::make_shared<Fillings>(fillings), 0, LibraryWork{1, kVectorFlops});
  };
  EXPECT_EQ(library(1).name(), "fillings plan");
  int asked = 0;
  const auto wins = [&](int fillings, const std::string& version) {
    return race.library_wins(library(fillings), version, [&] {
      ++asked;
      return make_own_contraction(race_problem(node));
    });
  };
  // One filling wins within a few versions, whatever else the machine does.
  const auto version_that_wins = [&](const std::string& name) {
    for (int tries = 1; tries <= 9; ++tries) {
      const std::string version = fmt::format("{} {}", name, tries);
      if (wins(1, version)) return version;
    }
    return std::string();
  };
  const std::string quick = version_that_wins("quick library");
  ASSERT_NE(quick, "");
  const int asked_before = asked;
  EXPECT_FALSE(wins(many, "slow library 1"));
  EXPECT_EQ(asked, asked_before + 1);
  // Each is known by the library's version, so nothing is timed again.
  EXPECT_TRUE(wins(many, quick));
  EXPECT_FALSE(wins(1, "slow library 1"));
  EXPECT_EQ(asked, asked_before + 1);
  const CudaBackend tuned(device, device->facts(), {.tune = Tune::full, .choices = choices});
  EXPECT_EQ(tuned.library_wins(library(1), quick).reason, "");
  EXPECT_EQ(tuned.library_wins(library(1), "slow library 1").reason,
            "Ingot's own kernel is faster");
  const std::string newer = version_that_wins("newer library");
  ASSERT_NE(newer, "");
  EXPECT_EQ(choices->all().size(), static_cast<std::size_t>(asked));
  // What is kept is who runs it; which plan, the library's own choice says.
  for (const auto& [key, winner] : choices->all()) {
    const bool won = key.find(quick) != std::string::npos || key.find(newer) != std::string::npos;
    EXPECT_EQ(winner, won ? "fillings" : "mma") << key;
  }
}

/// On a device: tuned, every product takes part in the race.
class CudaDeviceProduct : public testing::TestWithParam<Tune> {
 protected:
  void SetUp() override {
    try {
      const auto device = std::make_shared<CudaDevice>(0);
      if (GetParam() != Tune::off && device->facts().name == "emulated GPU") {
        GTEST_SKIP() << "libraries need a real GPU";
      }
      backend_ = std::make_shared<CudaBackend>(
          device, device->facts(),
          BackendOptions{.tune = GetParam(), .choices = std::make_shared<KernelChoices>()});
    } catch (const Error& error) {
      GTEST_SKIP() << error.message();
    }
    backend_->force_form(StepForm::throughput);
  }

  static HostTensor run(const Graph& graph, std::shared_ptr<Backend> backend,
                        std::string& kernels) {
    VariableStore store(std::move(backend), 1);
    Executable exe = compile(graph, store);
    std::vector<std::vector<float>> data;
    std::vector<Feed> feeds;
    for (const Node* node : graph.nodes_of(placeholder_op())) {
      auto& values = data.emplace_back(static_cast<std::size_t>(node->output_type().numel()));
      for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = 2 * philox_uniform(3, static_cast<std::uint32_t>(data.size()), 0, i) - 1;
      }
      feeds.push_back({node->name(), values.data(), values.size() * sizeof(float)});
    }
    exe.run(feeds);
    exe.wait();
    kernels.clear();
    for (const std::string& name : exe.stats().kernel_names) kernels += name + "; ";
    return exe.fetched("y");
  }

  std::shared_ptr<CudaBackend> backend_;
};

TEST_P(CudaDeviceProduct, AgreesWithTheReference) {
  const std::vector<Layer> layers{
      {.m = 512, .n = 128, .k = 256},
      {.transpose_a = true, .bias = true, .m = 512, .n = 128, .k = 256},
      {.transpose_b = true, .bias = true, .relu = true, .m = 512, .n = 128, .k = 256},
      {.dtype = DType::f16,
       .transpose_a = true,
       .transpose_b = true,
       .relu = true,
       .m = 512,
       .n = 128,
       .k = 256},
      {.dtype = DType::f32,
       .transpose_b = true,
       .bias = true,
       .relu = true,
       .m = 512,
       .n = 128,
       .k = 256,
       .tf32 = true},
      {.dtype = DType::f32, .transpose_a = true, .m = 512, .n = 128, .k = 256},
      {.batch = 3, .m = 256, .n = 128, .k = 256},
      {.m = 512, .n = 128, .k = 256, .addend = true},
      {.dtype = DType::f16,
       .transpose_a = true,
       .bias = true,
       .relu = true,
       .m = 512,
       .n = 128,
       .k = 256,
       .addend = true},
      {.dtype = DType::f32, .batch = 3, .m = 256, .n = 128, .k = 256, .addend = true}};
  for (const Layer& layer : layers) {
    const Graph graph = layer.graph();
    std::string kernels;
    const HostTensor want = run(graph, make_backend("reference"), kernels);
    const HostTensor got = run(graph, backend_, kernels);
    SCOPED_TRACE(kernels);
    double error = 0;
    double norm = 0;
    for (std::int64_t i = 0; i < want.type().numel(); ++i) {
      error += std::pow(got.view().get(i) - want.view().get(i), 2);
      norm += std::pow(want.view().get(i), 2);
    }
    const double most = layer.dtype == DType::bf16 ? 5e-3 : 1e-3;
    EXPECT_LT(std::sqrt(error / norm), most);
  }
}

INSTANTIATE_TEST_SUITE_P(, CudaDeviceProduct, testing::Values(Tune::off, Tune::quick),
                         [](const auto& info) { return std::string(tune_name(info.param)); });

}  // namespace
}  // namespace ingot::cuda
