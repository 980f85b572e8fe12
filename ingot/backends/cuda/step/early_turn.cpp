#include "ingot/backends/cuda/step/early_turn.h"

#include <map>

namespace ingot::cuda {

std::shared_ptr<EarlyTurn> EarlyTurn::of(CUcontext context) {
  static std::mutex mutex;
  static std::map<CUcontext, std::weak_ptr<EarlyTurn>> turns;
  const std::lock_guard lock(mutex);
  std::weak_ptr<EarlyTurn>& known = turns[context];
  std::shared_ptr<EarlyTurn> turn = known.lock();
  if (turn == nullptr) known = turn = std::make_shared<EarlyTurn>();
  return turn;
}

void EarlyTurn::launch(CUstream stream, FunctionRef<bool(CUstream)> done,
                       FunctionRef<void(bool)> launch) {
  const std::lock_guard lock(mutex_);
  if (holder_ != stream && (holder_ == nullptr || done(holder_))) holder_ = stream;
  launch(holder_ == stream);
}

void EarlyTurn::give_back(CUstream stream) {
  const std::lock_guard lock(mutex_);
  if (holder_ == stream) holder_ = nullptr;
}

}  // namespace ingot::cuda
