#include "ingot/backends/cuda/cuda_backend.h"

#include <fmt/core.h>

#include <array>
#include <cstdlib>
#include <utility>

#include "ingot/backends/cuda/contractions/mma_kernels.h"
#include "ingot/backends/cuda/driver/driver.h"
#include "ingot/backends/cuda/driver/library.h"
#include "ingot/backends/cuda/driver/nvrtc.h"
#include "ingot/backends/cuda/kernels/cuda_kernel.h"
#include "ingot/backends/cuda/layout_rules.h"
#include "ingot/backends/cuda/libraries/conv_library.h"
#include "ingot/backends/cuda/libraries/kernel_race.h"
#include "ingot/backends/cuda/libraries/library_conv.h"
#include "ingot/backends/cuda/libraries/product_library.h"
#include "ingot/backends/cuda/step/early_turn.h"
#include "ingot/backends/cuda/step/step_form.h"
#include "ingot/base/error.h"
#include "ingot/base/fallback.h"
#include "ingot/base/trace.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"

namespace ingot::cuda {
namespace {

// Below this, every Value of a step has memory of its own, so that kernels of one step may overlap.
constexpr std::int64_t kApartBytes = 256 << 20;

std::string found(std::span<const std::string_view> names, std::string_view remedy) {
  const Library library(names);
  return library.loaded() ? library.detail()
                          : fmt::format("missing ({}); {}", library.detail(), remedy);
}

}  // namespace

CudaBackend::CudaBackend(std::shared_ptr<CudaDevice> device, GpuFacts facts,
                         const BackendOptions& options)
    : device_(std::move(device)), facts_(std::move(facts)) {
#define INGOT_CUDA_KERNELS(family) register_##family##_kernels(table_);
#include "ingot/backends/cuda/kernels/cuda_kernels.inc"
#undef INGOT_CUDA_KERNELS
  if (device_ == nullptr) {
    no_conv_library_ = "a plan without a GPU asks no library";
    return;
  }
  if (options.shares_gpu || facts_.is_shared) {
    no_early_steps_ = EarlyTurn::forbid(EarlyTurn::of(device_->context()));
  }
  const auto choices =
      options.choices != nullptr ? options.choices : std::make_shared<KernelChoices>();
  if (options.tune != Tune::off) {
    race_ = std::make_unique<KernelRace>(device_, options.tune, choices);
  }
#ifdef INGOT_HAVE_CUDNN
  product_library_ = std::make_shared<ProductLibrary>(device_, options.tune, choices);
  conv_library_ =
      make_cudnn_library(device_, options.tune, choices, product_library_, no_conv_library_);
#else
  no_conv_library_ = "a build without cuDNN";
#endif
}

CudaBackend::~CudaBackend() = default;

void CudaBackend::use_conv_library(std::shared_ptr<ConvLibrary> library) {
  conv_library_ = std::move(library);
  no_conv_library_.clear();
}

double CudaBackend::library_flops(const Node& node) const {
  // What a product that fills the device for a microsecond or two comes to.
  constexpr double kTimedFlops = 1e7;
  const bool timed = race_ != nullptr && step_form(node.graph()) == StepForm::throughput;
  return timed ? kTimedFlops : kLibraryFlops;
}

Support CudaBackend::library_wins(const LibraryKernel& library, const std::string& version) const {
  if (race_ == nullptr) return Support::yes();
  const bool wins = race_->library_wins(
      library, version, [&] { return make_own_contraction(race_problem(library.node())); });
  return wins ? Support::yes() : Support::no("Ingot's own kernel is faster");
}

Error absent_error(const Node& node, const AbsentCall& absent) {
  const std::string rule = absent.trouble.empty()
                               ? fmt::format("must have {}, got none for {} ({})", absent.piece,
                                             absent.problem, absent.why)
                               : fmt::format("must be installed, got {}", absent.trouble);
  Error error = unsupported_error(
      fmt::format("{} \"{}\": {} {}", node.op().name, node.name(), absent.library, rule));
  error.help("a slower kernel of Ingot's own stands in unless INGOT_FALLBACK is \"error\"");
  error.help("`ingot doctor` says which libraries were found, and how to install them");
  return error;
}

void CudaBackend::stands_in(const Node& node, const AbsentCall& absent) const {
  const std::string key = absent.trouble.empty() ? absent.problem : std::string(absent.library);
  const std::lock_guard lock(told_mutex_);
  if (!told_.contains(key)) report_fallback(absent_error(node, absent));
  told_.insert(key);
}

std::shared_ptr<ConvLibrary> CudaBackend::conv_library(std::string& why) const {
  why = no_conv_library_;
  return conv_library_;
}

Support CudaBackend::supports(const Node& node) const {
  return supports_own_contraction(node) ? Support::yes() : Backend::supports(node);
}

bool CudaBackend::claims(const Node& composite) const { return supports(composite).ok; }

StepForm CudaBackend::step_form(const Graph& graph) const {
  if (form_) return *form_;
  // One by one: a failure is to name its op.
  if (trace_enabled(Channel::launches)) return StepForm::throughput;
  return choose_form(graph, facts_);
}

LayoutWish CudaBackend::layouts(const Node& node, StepForm form) const {
  if (form == StepForm::throughput) return layout_wish(node);
  LayoutWish wish;
  wish.agnostic = false;
  wish.inputs.assign(node.inputs().size(), Layout{});
  wish.outputs.assign(node.outputs().size(), Layout{});
  return wish;
}

bool CudaBackend::accepts(const Node& node, const Layout& layout) const {
  return takes_layout(node, layout);
}

Support CudaBackend::can_fuse(std::span<const Node* const> region_nodes, const Node& consumer,
                              StepForm form) const {
  return can_join(region_nodes, consumer, form);
}

bool CudaBackend::wants_space_to_depth(const Node& conv, StepForm form) const {
  // Kernels of the captured form load whole groups of channels: fewer are padded to that many, for
  // every tap of the kernel.
  constexpr std::int64_t kGroup = 8;
  return form == StepForm::throughput && conv.input_type(0).shape[1] <= kGroup / 2;
}

std::shared_ptr<Device> CudaBackend::device() const {
  if (device_ == nullptr) {
    throw unsupported_error("device \"cuda\": must have a GPU to run on, got a plan for one");
  }
  return device_;
}

bool CudaBackend::reuses_memory(std::int64_t total_bytes) const noexcept {
  return total_bytes > kApartBytes;
}

std::unique_ptr<Runner> CudaBackend::make_runner(const RunnerRequest& request) const {
  return make_cuda_runner(request, device_);
}

std::vector<std::pair<std::string, std::string>> CudaBackend::facts() const {
  int version = 0;
  int count = 0;
  check(driver().DeviceGetCount(&count), "counting GPUs");
  const char* const chosen = std::getenv("CUDA_VISIBLE_DEVICES");
  check(driver().DriverGetVersion(&version), "asking for the driver's version");
  const MemoryInfo memory = device_->memory_info();
  constexpr std::array<std::string_view, 1> kCudnn{"libcudnn.so.9"};
  constexpr std::array<std::string_view, 1> kNccl{"libnccl.so.2"};
  constexpr std::array<std::string_view, 2> kCublasLt{"libcublasLt.so.13", "libcublasLt.so.12"};
  return {{"gpu", facts_.name},
          {"visible", fmt::format("{}, the first is used; CUDA_VISIBLE_DEVICES is {}", count,
                                  chosen == nullptr ? "unset" : chosen)},
          {"capability", fmt::format("{}.{}", facts_.arch / 10, facts_.arch % 10)},
          {"multiprocessors", std::to_string(facts_.multiprocessors)},
          {"memory", fmt::format("{:.1f} GiB, {:.1f} free",
                                 static_cast<double>(memory.total_bytes) / (1 << 30),
                                 static_cast<double>(memory.free_bytes) / (1 << 30))},
          {"driver", fmt::format("for CUDA {}.{}", version / 1000, version % 1000 / 10)},
          {"nvrtc",
           compiler_trouble().empty() ? compiler_description() : "missing: " + compiler_trouble()},
          {"cudnn", found(kCudnn, "pip install nvidia-cudnn-cu13")},
          {"cublasLt", found(kCublasLt, "pip install nvidia-cublas")},
          {"nccl", found(kNccl, "pip install nvidia-nccl-cu13; one GPU needs none")}};
}

}  // namespace ingot::cuda
