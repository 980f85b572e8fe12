// What the runners of both forms of a step share: memory, modules, results.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ingot/backends/cuda/driver/cuda_device.h"
#include "ingot/backends/cuda/driver/memory_trace.h"
#include "ingot/backends/cuda/step/step_source.h"
#include "ingot/memory/buffer.h"
#include "ingot/runtime/program.h"
#include "ingot/runtime/runner.h"

namespace ingot::cuda {

/// Handles that are given back with their owner.
struct StepHandles {
  CUstream stream = nullptr;
  std::vector<CUmodule> modules;

  StepHandles() = default;
  ~StepHandles();
  StepHandles(const StepHandles&) = delete;
  StepHandles& operator=(const StepHandles&) = delete;
};

/// Host memory that the device reads and writes.
class Pinned {
 public:
  Pinned(std::shared_ptr<Device> device, std::size_t bytes, std::string_view what);
  ~Pinned() { device_->free_staging(data_, bytes_); }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  [[nodiscard]] void* data() const noexcept { return data_; }

 private:
  std::shared_ptr<Device> device_;
  std::size_t bytes_;
  void* data_;
};

/// A Runner that has loaded its source's kernels; a form says how they are launched.
class StepRunner : public Runner {
 public:
  StepRunner(const RunnerRequest& request, std::shared_ptr<CudaDevice> device, StepSource source);

  void refresh() override;
  std::optional<StepFailure> wait(ScalarSink sink) override;
  void rebind(std::span<std::byte* const> addresses) override;
  [[nodiscard]] const std::byte* address(int slot) const override;
  [[nodiscard]] std::vector<MemoryOwner> memory(int steps,
                                                std::span<const FeedMemory> feeds) const override;
  [[nodiscard]] int nodes() const noexcept override {
    return static_cast<int>(source_.kernels.size());
  }
  [[nodiscard]] CodeModules modules() const noexcept override { return modules_; }
  /// What a profiled kernel counted.
  [[nodiscard]] std::vector<KernelTime> kernel_times() const override;

 protected:
  /// A kernel of the source. Parameters are eight bytes each; none where a library does the work.
  struct Loaded {
    CUfunction function = nullptr;
    unsigned blocks = 1;
    std::vector<std::uint64_t> parameters;
  };

  /// Parameters after the pointers and strides, and which of them is the number of steps.
  static constexpr std::size_t kTail = 5;
  static constexpr std::size_t kSteps = 3;

  /// Device memory in which a call's feed is copied; 0: it is read where it lies.
  [[nodiscard]] virtual std::int64_t feed_bytes(std::size_t feed, int steps,
                                                const FeedMemory& memory) const = 0;
  /// Further device memory that it takes on its way.
  [[nodiscard]] virtual std::int64_t staged_bytes(std::size_t feed, int steps,
                                                  const FeedMemory& memory) const = 0;
  /// Fills in every parameter that a call does not change.
  void bind();
  /// `after_kernel`: what it waits for is one generated kernel alone, which lets it begin early.
  void launch(const KernelText& text, Loaded& kernel, CUstream stream, bool after_kernel) const;
  [[nodiscard]] const std::byte* address_of(const Pointer& pointer) const;
  /// Whether any of the bytes lies in the scratch arena or in a variable.
  [[nodiscard]] bool owns(const std::byte* data, std::int64_t bytes) const;
  /// The feed's own device memory, of at least `bytes`.
  std::byte* feed_buffer(std::size_t feed, std::int64_t bytes);

  [[nodiscard]] const Program& program() const noexcept { return program_; }
  [[nodiscard]] bool profiled() const noexcept { return profile_; }
  [[nodiscard]] const StepSource& source() const noexcept { return source_; }
  [[nodiscard]] CudaDevice& device() const noexcept { return *device_; }
  [[nodiscard]] const std::shared_ptr<CudaDevice>& shared_device() const noexcept {
    return device_;
  }
  [[nodiscard]] CUstream stream() const noexcept { return handles_.stream; }
  [[nodiscard]] std::vector<Loaded>& loaded() noexcept { return loaded_; }
  /// Where each feed lay in the last step.
  [[nodiscard]] std::vector<std::byte*>& feed_data() noexcept { return feed_data_; }
  void mark_memory(std::string_view what) { memory_trace_.mark(*device_, what); }
  [[nodiscard]] bool bound() const noexcept { return bound_; }
  void unbind() noexcept { bound_ = false; }

 private:
  void load();
  void load(const std::vector<KernelText>& texts, std::vector<Loaded>& kernels);
  void bind(const std::vector<KernelText>& texts, std::vector<Loaded>& kernels) const;

  const Program& program_;
  VariableStore& store_;
  std::vector<std::byte*> addresses_;
  std::shared_ptr<CudaDevice> device_;
  StepSource source_;
  std::size_t capacity_;
  std::size_t scalars_;
  bool profile_;
  Pinned ring_;
  Buffer control_;
  Buffer counters_;  ///< of a profiled kernel
  std::vector<Buffer> feed_buffers_;
  std::vector<std::byte*> feed_data_;
  std::vector<std::pair<int, std::size_t>> feed_of_root_;
  std::vector<Loaded> loaded_;
  std::vector<Loaded> refresh_;
  CodeModules modules_;
  bool bound_ = false;
  MemoryTrace memory_trace_;
  std::int64_t handed_ = 0;  ///< steps whose scalars were handed over
  StepHandles handles_;      // goes first: it waits for the device
};

/// One kernel for any number of steps, whose blocks wait for one another.
std::unique_ptr<Runner> make_one_kernel_runner(const RunnerRequest& request,
                                               std::shared_ptr<CudaDevice> device,
                                               StepSource source);
/// A captured graph of kernels and libraries' work for each step.
std::unique_ptr<Runner> make_graph_runner(const RunnerRequest& request,
                                          std::shared_ptr<CudaDevice> device, StepSource source);

}  // namespace ingot::cuda
