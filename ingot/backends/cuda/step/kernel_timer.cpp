#include "ingot/backends/cuda/step/kernel_timer.h"

#include "ingot/backends/cuda/driver/driver.h"

namespace ingot::cuda {

KernelTimer::KernelTimer(std::size_t kernels) : events_(kernels + 1, nullptr), total_(kernels, 0) {
  for (CUevent& event : events_) {
    check(driver().EventCreate(&event, CU_EVENT_DEFAULT), "making an event");
  }
}

KernelTimer::~KernelTimer() {
  for (const CUevent event : events_) driver().EventDestroy(event);
}

void KernelTimer::mark(std::size_t i, CUstream stream) {
  check(driver().EventRecordWithFlags(events_[i], stream, CU_EVENT_RECORD_EXTERNAL),
        "capturing a moment");
}

void KernelTimer::add_step(CUstream stream) {
  check(driver().StreamSynchronize(stream), "running a profiled step");
  if (++steps_ == 1) return;
  for (std::size_t i = 0; i < total_.size(); ++i) {
    float milliseconds = 0;
    check(driver().EventElapsedTime(&milliseconds, events_[i], events_[i + 1]), "reading a time");
    total_[i] += 1e-3 * milliseconds;
  }
}

std::vector<double> KernelTimer::seconds() const {
  std::vector<double> means = total_;
  for (double& mean : means) mean = steps_ > 1 ? mean / (steps_ - 1) : 0;
  return means;
}

}  // namespace ingot::cuda
