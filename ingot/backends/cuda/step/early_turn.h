// Which stream of a GPU may launch steps of one kernel early.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "ingot/base/function_ref.h"

namespace ingot::cuda {

/// What is asked of streams.
class StreamOrder {
 public:
  virtual ~StreamOrder() = default;
  /// Whether nothing is left to run on it.
  [[nodiscard]] virtual bool is_done(CUstream stream) = 0;
  /// Marks the end of what the stream has been given, for wait_for_mark.
  virtual void mark(CUstream stream) = 0;
  /// What `stream` is given from now on comes after what was marked last.
  virtual void wait_for_mark(CUstream stream) = 0;
};

/// Grids whose blocks wait for one another need all their blocks to run at once. A cooperative
/// launch promises that, and begins only when the kernel before it has ended. Without the promise a
/// grid may begin early, and its blocks get their places as others leave theirs: all of them in the
/// end, unless another such grid holds places and waits as well. So a stream launches early as long
/// as it is the only one of the GPU with such grids; when another comes, that one first waits for
/// those that were launched early, and both launch cooperatively until one is done.
class EarlyTurn {
 public:
  /// The one of the GPU, for this library's users of its context.
  static std::shared_ptr<EarlyTurn> of(CUcontext context);
  /// As long as what it returns lives, none launches early: see BackendOptions::shares_gpu.
  [[nodiscard]] static std::shared_ptr<const void> forbid(const std::shared_ptr<EarlyTurn>& turn);

  explicit EarlyTurn(std::unique_ptr<StreamOrder> streams) : streams_(std::move(streams)) {}

  /// Calls `launch(early)`, early only if `wanted`. Meanwhile no other stream launches.
  void launch(CUstream stream, bool wanted, FunctionRef<void(bool)> launch);
  /// `stream` has nothing left to run, and ends.
  void give_back(CUstream stream);

  /// How many launches were early.
  [[nodiscard]] std::uint64_t early_launches() const;

 private:
  [[nodiscard]] bool take(CUstream stream);

  mutable std::mutex mutex_;
  std::unique_ptr<StreamOrder> streams_;
  CUstream holder_ = nullptr;      ///< the only one that may have such grids to run
  std::vector<CUstream> sharers_;  ///< without a holder: those that may, all behind the mark
  int forbidden_ = 0;              ///< by so many
  std::uint64_t early_launches_ = 0;
};

}  // namespace ingot::cuda
