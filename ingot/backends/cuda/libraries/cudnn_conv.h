// cuDNN's plans for convolutions.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ingot/backends/cuda/libraries/conv_library.h"
#include "ingot/backends/cuda/libraries/cudnn.h"
#include "ingot/backends/cuda/libraries/library_conv.h"

namespace ingot::cuda {

/// A handle is for one thread at a time.
struct SharedHandle {
  CudnnHandle handle;
  std::mutex mutex;
};

/// How a convolution adds what a problem has besides a bias.
enum class Addition : std::uint8_t {
  fused,    ///< with what else follows, by an engine that compiles its kernel for it
  in_place  ///< by any engine to what lies where the result will; nothing else follows
};

/// An engine with its knobs, ready to run one problem.
class CudnnPlan final : public ConvCall {
 public:
  CudnnPlan(std::shared_ptr<SharedHandle> shared, CudnnDescriptor plan, const ConvProblem& problem,
            bool adds_in_place, std::string name, std::int64_t workspace_bytes)
      : shared_(std::move(shared)),
        plan_(std::move(plan)),
        kind_(problem.kind),
        adds_in_place_(adds_in_place),
        result_bytes_(problem.result().bytes()),
        name_(std::move(name)),
        workspace_bytes_(workspace_bytes) {}

  /// "engine 3 knobs 2=1,13=0", after "in place " where it adds so: names the plan for this version
  /// of the library.
  [[nodiscard]] const std::string& name() const noexcept override { return name_; }
  [[nodiscard]] std::int64_t workspace_bytes() const noexcept override { return workspace_bytes_; }
  void enqueue(CUstream stream, const ConvMemory& memory, std::byte* workspace) const override;
  [[nodiscard]] bool in_place() const noexcept override { return adds_in_place_; }

 private:
  /// Moves the addend to where the result will lie, unless it lies there.
  void place_addend(CUstream stream, const ConvMemory& memory) const;

  std::shared_ptr<SharedHandle> shared_;
  CudnnDescriptor plan_;
  ConvKind kind_;
  bool adds_in_place_;
  std::int64_t result_bytes_;
  std::string name_;
  std::int64_t workspace_bytes_;
};

/// A problem as cuDNN's graph, from which plans are made. Errors of all members: internal, with
/// what the library said. Whoever uses one holds the handle's mutex.
class ConvGraph {
 public:
  ConvGraph(std::shared_ptr<SharedHandle> shared, const ConvProblem& problem,
            Addition addition = Addition::fused);

  /// Engine configurations by the library's heuristics, best first, of those that are deterministic
  /// and round as the problem allows. `refused` gets "NAME: reason" of the others.
  struct Config {
    CudnnDescriptor descriptor;
    std::string name;
    bool compiles = false;  ///< its kernel is compiled at run time
  };
  [[nodiscard]] std::vector<Config> configs(cudnnBackendHeurMode_t mode,
                                            std::vector<std::string>& refused) const;
  /// The configuration of that name; none when this library has no such engine, or it is refused.
  [[nodiscard]] std::optional<Config> config(const std::string& name) const;
  /// Null when the engine cannot run the problem; `why` gets the reason.
  [[nodiscard]] std::unique_ptr<CudnnPlan> plan(Config config, std::string& why) const;

 private:
  [[nodiscard]] bool adds_in_place() const {
    return problem_.addend && addition_ == Addition::in_place;
  }
  [[nodiscard]] std::string refusal(const CudnnDescriptor& config, Config& described) const;
  CudnnDescriptor tensor(std::int64_t id, const ConvTensor& tensor, bool is_virtual) const;
  void add_epilogue(const ConvTensor& sums);

  std::shared_ptr<SharedHandle> shared_;
  ConvProblem problem_;
  Addition addition_;
  std::vector<CudnnDescriptor> parts_;  ///< tensors and operators that the operations name
  std::vector<CudnnDescriptor> operations_;
  CudnnDescriptor graph_;
};

}  // namespace ingot::cuda
