#include "bench/kernel_timer.h"

#include <algorithm>

#include "bench/fma_ceiling.h"

namespace ingot {

double best_seconds(const std::function<void()>& run) {
  run();
  double best = 1e9;
  double total = 0;
  for (int repeat = 0; repeat < 2000 && (repeat < 5 || total < 0.15); ++repeat) {
    const double start = thread_seconds();
    run();
    const double seconds = thread_seconds() - start;
    best = std::min(best, seconds);
    total += seconds;
  }
  return best;
}

}  // namespace ingot
