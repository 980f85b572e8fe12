// Which stream of a GPU may launch steps of one kernel early.
#pragma once

#include <cuda.h>

#include <memory>
#include <mutex>

#include "ingot/base/function_ref.h"

namespace ingot::cuda {

/// Grids whose blocks wait for one another need all their blocks to run at once. A cooperative
/// launch promises that, and begins only when the kernel before it has ended. Without the promise a
/// grid may begin early, and its blocks get their places as others leave theirs: all of them in the
/// end, unless another such grid holds places and waits as well. So on each GPU of the process one
/// stream at a time launches early, and all others cooperatively.
class EarlyTurn {
 public:
  /// The one of the GPU, for all users of its context.
  static std::shared_ptr<EarlyTurn> of(CUcontext context);

  /// Calls `launch(early)`: early where `stream` has the turn, or gets it since the stream that has
  /// it is `done`. Meanwhile no other stream gets it.
  void launch(CUstream stream, FunctionRef<bool(CUstream)> done, FunctionRef<void(bool)> launch);
  /// `stream` has nothing left to run, and ends.
  void give_back(CUstream stream);

 private:
  std::mutex mutex_;
  CUstream holder_ = nullptr;
};

}  // namespace ingot::cuda
