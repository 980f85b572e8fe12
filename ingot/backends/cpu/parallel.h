// When and how kernels use the threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "ingot/base/thread_pool.h"

namespace ingot {

/// Work below this many nanoseconds stays on the caller: waking threads costs a share of it.
inline constexpr double kParallelNanoseconds = 25'000;

/// Calls fn(begin, end, worker) on ranges that cover [0, n), cut at multiples of `quantum`, in
/// parallel when the whole work of `nanoseconds` is worth it. Results must not depend on the cuts.
template <class Fn>
void parallel_ranges(ThreadPool& pool, std::int64_t n, std::int64_t quantum, double nanoseconds,
                     const Fn& fn) noexcept {
  if (n <= 0) return;
  const std::int64_t units = (n + quantum - 1) / quantum;
  std::int64_t tasks = 1;
  if (pool.size() > 1 && nanoseconds >= kParallelNanoseconds) {
    const auto by_work = static_cast<std::int64_t>(nanoseconds / (kParallelNanoseconds / 4));
    tasks = std::min({units, by_work, std::int64_t{4} * pool.size()});
  }
  if (tasks <= 1) return fn(std::int64_t{0}, n, 0);
  pool.parallel_for(tasks, [&](std::int64_t task, int worker) {
    const std::int64_t begin = units * task / tasks * quantum;
    const std::int64_t end = std::min(n, units * (task + 1) / tasks * quantum);
    if (begin < end) fn(begin, end, worker);
  });
}

}  // namespace ingot
