#include "ingot/backends/cuda/step/early_turn.h"

#include <algorithm>
#include <map>

#include "ingot/backends/cuda/driver/driver.h"

namespace ingot::cuda {
namespace {

/// The GPU's streams, by an event.
class GpuStreams final : public StreamOrder {
 public:
  ~GpuStreams() override {
    if (event_ != nullptr) driver().EventDestroy(event_);
  }
  [[nodiscard]] bool is_done(CUstream stream) override {
    return driver().StreamQuery(stream) == CUDA_SUCCESS;
  }
  void mark(CUstream stream) override {
    if (event_ == nullptr) {
      check(driver().EventCreate(&event_, CU_EVENT_DISABLE_TIMING), "making an event");
    }
    check(driver().EventRecord(event_, stream), "recording an event");
  }
  void wait_for_mark(CUstream stream) override {
    check(driver().StreamWaitEvent(stream, event_, 0), "waiting for another step");
  }

 private:
  CUevent event_ = nullptr;
};

}  // namespace

std::shared_ptr<EarlyTurn> EarlyTurn::of(CUcontext context) {
  static std::mutex mutex;
  static std::map<CUcontext, std::weak_ptr<EarlyTurn>> turns;
  const std::lock_guard lock(mutex);
  std::weak_ptr<EarlyTurn>& known = turns[context];
  std::shared_ptr<EarlyTurn> turn = known.lock();
  if (turn == nullptr) known = turn = std::make_shared<EarlyTurn>(std::make_unique<GpuStreams>());
  return turn;
}

std::shared_ptr<const void> EarlyTurn::forbid(const std::shared_ptr<EarlyTurn>& turn) {
  {
    const std::lock_guard lock(turn->mutex_);
    ++turn->forbidden_;
  }
  const auto allow = [turn](const void*) {
    const std::lock_guard lock(turn->mutex_);
    --turn->forbidden_;
  };
  return {turn.get(), allow};
}

void EarlyTurn::launch(CUstream stream, bool wanted, FunctionRef<void(bool)> launch) {
  const std::lock_guard lock(mutex_);
  const bool early = take(stream) && wanted && forbidden_ == 0;
  if (early) ++early_launches_;
  launch(early);
}

bool EarlyTurn::take(CUstream stream) {
  if (holder_ == stream) return true;
  if (holder_ != nullptr && !streams_->is_done(holder_)) {
    streams_->mark(holder_);
    sharers_ = {holder_};
    holder_ = nullptr;
  }
  const auto gone = [&](CUstream other) { return other == stream || streams_->is_done(other); };
  std::erase_if(sharers_, gone);
  if (sharers_.empty()) {
    holder_ = stream;
    return true;
  }
  sharers_.push_back(stream);
  streams_->wait_for_mark(stream);
  return false;
}

void EarlyTurn::give_back(CUstream stream) {
  const std::lock_guard lock(mutex_);
  if (holder_ == stream) holder_ = nullptr;
  std::erase(sharers_, stream);
}

std::uint64_t EarlyTurn::early_launches() const {
  const std::lock_guard lock(mutex_);
  return early_launches_;
}

}  // namespace ingot::cuda
