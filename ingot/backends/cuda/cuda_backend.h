// The backend for NVIDIA GPUs.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "ingot/backends/cuda/driver/cuda_device.h"
#include "ingot/runtime/backend.h"

namespace ingot::cuda {

class ConvLibrary;
class KernelRace;
class LibraryKernel;
class ProductLibrary;

/// What a library was wanted for and does not do.
struct AbsentCall {
  std::string_view library;  ///< as it is written: cuDNN
  std::string_view piece;    ///< what it should have for a problem: a plan
  std::string trouble = {};  ///< why the library is not there; empty where it is
  std::string problem = {};
  std::string why = {};  ///< there is nothing for the problem
};

class CudaBackend final : public Backend {
 public:
  /// Runs on `device`; null: it plans and generates for `facts`, and nothing can run.
  CudaBackend(std::shared_ptr<CudaDevice> device, GpuFacts facts,
              const BackendOptions& options = {});
  ~CudaBackend() override;

  /// Gives every step this form, whatever its work.
  void force_form(StepForm form) noexcept { form_ = form; }
  /// Asks this library in place of the vendor's.
  void use_conv_library(std::shared_ptr<ConvLibrary> library);

  [[nodiscard]] std::string_view name() const noexcept override { return "cuda"; }
  [[nodiscard]] bool claims(const Node& composite) const override;
  [[nodiscard]] StepForm step_form(const Graph& graph) const override;
  [[nodiscard]] LayoutWish layouts(const Node& node, StepForm form) const override;
  [[nodiscard]] bool accepts(const Node& node, const Layout& layout) const override;
  [[nodiscard]] Support can_fuse(std::span<const Node* const> region_nodes, const Node& consumer,
                                 StepForm form) const override;
  [[nodiscard]] bool wants_space_to_depth(const Node& conv, StepForm form) const override;
  /// A step of one kernel has weights' conversions where it reads them.
  [[nodiscard]] bool keeps_weight_copies(StepForm form) const noexcept override {
    return form == StepForm::throughput;
  }
  [[nodiscard]] std::size_t alignment() const noexcept override { return 256; }

  [[nodiscard]] std::shared_ptr<Device> device() const override;
  [[nodiscard]] const KernelTable& kernels() const override { return table_; }
  /// Asks no library where a kernel of Ingot's own would do: a pass's question is not the choice.
  [[nodiscard]] Support supports(const Node& node) const override;
  [[nodiscard]] int threads() const noexcept override { return facts_.multiprocessors; }
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> facts() const override;
  [[nodiscard]] std::unique_ptr<Runner> make_runner(const RunnerRequest& request) const override;
  [[nodiscard]] bool reuses_memory(std::int64_t total_bytes) const noexcept override;
  /// What side lanes of a captured step do, two layers or so behind.
  [[nodiscard]] int lag() const noexcept override { return 12; }

  [[nodiscard]] const GpuFacts& gpu() const noexcept { return facts_; }
  /// Whether there is a device to run on, rather than one to plan for.
  [[nodiscard]] bool runs() const noexcept { return device_ != nullptr; }
  /// A vendor's convolutions; null, and `why`, where there are none.
  [[nodiscard]] std::shared_ptr<ConvLibrary> conv_library(std::string& why) const;
  /// A vendor's products of matrices; null for a plan without a GPU.
  [[nodiscard]] ProductLibrary* product_library() const noexcept { return product_library_.get(); }
  /// Work from which on a library is asked for the Node: less where it is timed against Ingot's own
  /// kernel, in a step that is no single kernel anyway.
  [[nodiscard]] double library_flops(const Node& node) const;
  /// Whether the library's kernel is to run its Node: always, unless tuning finds Ingot's own
  /// faster. `version` names the library.
  [[nodiscard]] Support library_wins(const LibraryKernel& library,
                                     const std::string& version) const;
  /// A library that was wanted for the Node cannot serve: one line for each problem, or for a
  /// missing library. Errors: unsupported, with INGOT_FALLBACK=error.
  void stands_in(const Node& node, const AbsentCall& absent) const;

 private:
  std::shared_ptr<CudaDevice> device_;
  GpuFacts facts_;
  std::optional<StepForm> form_;
  KernelTable table_;
  std::shared_ptr<const void> no_early_steps_;  ///< of a GPU that is shared
  std::shared_ptr<ConvLibrary> conv_library_;
  std::string no_conv_library_;  ///< why there is none
  std::shared_ptr<ProductLibrary> product_library_;
  std::unique_ptr<KernelRace> race_;  ///< null without tuning
  mutable std::mutex told_mutex_;
  mutable std::set<std::string> told_;  ///< keys of stands_in()
};

/// `OP "NAME": cuDNN must be installed, got TROUBLE`, or `... cuDNN must have a plan, got none for
/// PROBLEM (WHY)`.
Error absent_error(const Node& node, const AbsentCall& absent);

/// Whether `consumer` may join; see Target::can_fuse.
Support can_join(std::span<const Node* const> region, const Node& consumer, StepForm form);

std::unique_ptr<Runner> make_cuda_runner(const RunnerRequest& request,
                                         std::shared_ptr<CudaDevice> device);

}  // namespace ingot::cuda
