// The backend of the CPU: Ingot's own SIMD kernels and, where it is compiled in, oneDNN.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "ingot/base/thread_pool.h"
#include "ingot/runtime/backend.h"

namespace ingot {

class KernelTuner;

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const BackendOptions& options);

  [[nodiscard]] std::string_view name() const noexcept override { return "cpu"; }
  [[nodiscard]] bool claims(const Node& composite) const override;
  [[nodiscard]] LayoutWish layouts(const Node& node, StepForm form) const override;
  [[nodiscard]] bool accepts(const Node& node, const Layout& layout) const override;
  [[nodiscard]] Support can_fuse(std::span<const Node* const> region_nodes, const Node& consumer,
                                 StepForm form) const override;
  [[nodiscard]] CacheSizes caches() const noexcept override { return caches_; }
  [[nodiscard]] bool slices_batches() const noexcept override { return true; }

  [[nodiscard]] std::shared_ptr<Device> device() const override { return device_; }
  [[nodiscard]] const KernelTable& kernels() const override { return kernels_; }
  [[nodiscard]] int threads() const noexcept override { return pool_->size(); }
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> facts() const override;

  /// Shared by all kernels of this backend; kernels keep a reference to it.
  [[nodiscard]] ThreadPool& pool() const noexcept { return *pool_; }
  /// The same backend with a pool of one thread: its kernels may run in any thread of `pool()`,
  /// each in one at a time.
  [[nodiscard]] const CpuBackend& serial() const;
  /// Whether this is another backend's serial(): its kernels work on one slice of a batch, and have
  /// no use for parts of the work.
  [[nodiscard]] bool is_serial() const noexcept { return is_serial_; }
  /// Channels per block of the blocked layouts: the f32 lanes of a vector, 8 or 16.
  [[nodiscard]] int vector_block() const noexcept { return vector_block_; }

 private:
  CpuBackend(std::unique_ptr<ThreadPool> pool, std::shared_ptr<const KernelTuner> tuner,
             bool is_serial);

  [[nodiscard]] bool chooses() const noexcept override { return tuner_ != nullptr; }
  [[nodiscard]] const KernelCandidate& choose(
      const Node& node, std::span<const KernelCandidate* const> able) const override;

  std::unique_ptr<ThreadPool> pool_;
  std::shared_ptr<const KernelTuner> tuner_;  ///< null: kernels are not timed
  mutable std::once_flag serial_made_;
  mutable std::unique_ptr<const CpuBackend> serial_;
  std::shared_ptr<Device> device_;
  KernelTable kernels_;
  CacheSizes caches_;
  int vector_block_;
  bool is_serial_;
};

/// Errors: a malformed INGOT_THREADS or INGOT_SIMD (user), and those of limit_simd().
std::shared_ptr<Backend> make_cpu_backend(const BackendOptions& options);

}  // namespace ingot
