// The backend for NVIDIA GPUs.
#pragma once

#include <memory>
#include <optional>

#include "ingot/backends/cuda/cuda_device.h"
#include "ingot/runtime/backend.h"

namespace ingot::cuda {

class ConvLibrary;

class CudaBackend final : public Backend {
 public:
  /// Runs on `device`; null: it plans and generates for `facts`, and nothing can run.
  CudaBackend(std::shared_ptr<CudaDevice> device, GpuFacts facts,
              const BackendOptions& options = {});

  /// Gives every step this form, whatever its work.
  void force_form(StepForm form) noexcept { form_ = form; }

  [[nodiscard]] std::string_view name() const noexcept override { return "cuda"; }
  [[nodiscard]] bool claims(const Node& composite) const override;
  [[nodiscard]] StepForm step_form(const Graph& graph) const override;
  [[nodiscard]] LayoutWish layouts(const Node& node, StepForm form) const override;
  [[nodiscard]] bool accepts(const Node& node, const Layout& layout) const override;
  [[nodiscard]] Support can_fuse(std::span<const Node* const> region_nodes, const Node& consumer,
                                 StepForm form) const override;
  [[nodiscard]] bool wants_space_to_depth(const Node& conv, StepForm form) const override;
  [[nodiscard]] std::size_t alignment() const noexcept override { return 256; }

  [[nodiscard]] std::shared_ptr<Device> device() const override;
  [[nodiscard]] const KernelTable& kernels() const override { return table_; }
  [[nodiscard]] int threads() const noexcept override { return facts_.multiprocessors; }
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> facts() const override;
  [[nodiscard]] std::unique_ptr<Runner> make_runner(const RunnerRequest& request) const override;
  [[nodiscard]] bool reuses_memory(std::int64_t total_bytes) const noexcept override;
  /// What side lanes of a captured step do, two layers or so behind.
  [[nodiscard]] int lag() const noexcept override { return 12; }

  [[nodiscard]] const GpuFacts& gpu() const noexcept { return facts_; }
  /// A vendor's convolutions; null, and `why`, where there are none.
  [[nodiscard]] std::shared_ptr<ConvLibrary> conv_library(std::string& why) const;

 private:
  std::shared_ptr<CudaDevice> device_;
  GpuFacts facts_;
  std::optional<StepForm> form_;
  KernelTable table_;
  std::shared_ptr<ConvLibrary> conv_library_;
  std::string no_conv_library_;  ///< why there is none
};

/// Whether `consumer` may join; see Target::can_fuse.
Support can_join(std::span<const Node* const> region, const Node& consumer, StepForm form);

std::unique_ptr<Runner> make_cuda_runner(const RunnerRequest& request,
                                         std::shared_ptr<CudaDevice> device);

}  // namespace ingot::cuda
