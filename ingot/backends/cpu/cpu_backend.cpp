#include "ingot/backends/cpu/cpu_backend.h"

#include <fmt/core.h>

#include <algorithm>
#include <thread>

#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/backends/cpu/cpu_layouts.h"
#include "ingot/backends/cpu/cpu_machine.h"
#include "ingot/backends/cpu/fusion_rules.h"
#include "ingot/backends/cpu/kernel_tuner.h"
#include "ingot/backends/cpu/pooled_kernel.h"
#include "ingot/ir/op_def.h"
#include "ingot/memory/host_device.h"
#include "ingot/ops/pool2d.h"

namespace ingot {

namespace {

std::unique_ptr<ThreadPool> make_pool(const BackendOptions& options) {
  limit_simd();
  return std::make_unique<ThreadPool>(
      options.threads > 0 ? options.threads : default_thread_count(), limit_library_threads);
}

std::shared_ptr<const KernelTuner> make_tuner(const BackendOptions& options) {
  if (options.tune == Tune::off) return nullptr;
  return std::make_shared<const KernelTuner>(
      options.tune, options.choices ? options.choices : std::make_shared<KernelChoices>());
}

}  // namespace

CpuBackend::CpuBackend(const BackendOptions& options)
    : CpuBackend(make_pool(options), make_tuner(options), false) {}

CpuBackend::CpuBackend(std::unique_ptr<ThreadPool> pool, std::shared_ptr<const KernelTuner> tuner,
                       bool is_serial)
    : pool_(std::move(pool)),
      tuner_(std::move(tuner)),
      device_(make_host_device()),
      caches_(read_cache_sizes()),
      vector_block_(std::clamp(simd_f32_lanes(), 8, 16)),
      is_serial_(is_serial) {
#define INGOT_CPU_KERNELS(family) register_##family##_kernels(kernels_);
#include "ingot/backends/cpu/cpu_kernels.inc"
#undef INGOT_CPU_KERNELS
}

const CpuBackend& CpuBackend::serial() const {
  std::call_once(serial_made_, [this] {
    serial_.reset(new CpuBackend(std::make_unique<ThreadPool>(1), tuner_, true));
  });
  return *serial_;
}

const KernelCandidate& CpuBackend::choose(const Node& node,
                                          std::span<const KernelCandidate* const> able) const {
  return tuner_->choose(node, able, *this);
}

bool CpuBackend::claims(const Node& composite) const { return supports(composite).ok; }

LayoutWish CpuBackend::layouts(const Node& node, StepForm) const {
  if (is_layout_agnostic(node)) return {};
  LayoutWish wish = conv_layout_wish(node, vector_block_);
  if (!wish.agnostic) return wish;
  // Everything else works on plain memory alone.
  wish.agnostic = false;
  wish.inputs.assign(node.inputs().size(), Layout{});
  wish.outputs.assign(node.outputs().size(), Layout{});
  return wish;
}

bool CpuBackend::accepts(const Node& node, const Layout& layout) const {
  return takes_layout(node, layout);
}

Support CpuBackend::can_fuse(std::span<const Node* const> region_nodes, const Node& consumer,
                             StepForm) const {
  if (region_nodes.size() == 1 && is_pool2d(consumer)) {
    return cpu::can_join_pool(*region_nodes[0]);
  }
  return can_join_region(region_nodes, consumer);
}

std::vector<std::pair<std::string, std::string>> CpuBackend::facts() const {
  const auto kib = [](std::int64_t bytes) { return fmt::format("{} KiB", bytes >> 10); };
  std::vector<std::pair<std::string, std::string>> facts{
      {"simd", simd_target_name()},
      {"instruction sets", simd_targets()},
      {"cores", std::to_string(std::thread::hardware_concurrency())},
      {"threads", std::to_string(threads())},
      {"caches",
       fmt::format("L1 {}, L2 {}, L3 {}", kib(caches_.l1), kib(caches_.l2), kib(caches_.l3))},
      {"highway", highway_version()}};
  const std::string onednn = onednn_version();
  facts.emplace_back(
      "onednn",
      onednn.empty() ? "not compiled in; install libdnnl-dev or onednn and build again" : onednn);
  return facts;
}

std::shared_ptr<Backend> make_cpu_backend(const BackendOptions& options) {
  return std::make_shared<CpuBackend>(options);
}

}  // namespace ingot
