#include "ingot/base/all_cores.h"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <vector>

#include "ingot/base/thread_pool.h"

namespace ingot {

int worker_count(std::size_t tasks) {
  const auto cores = static_cast<std::size_t>(default_thread_count());
  return static_cast<int>(std::clamp<std::size_t>(tasks, 1, cores));
}

void on_all_cores(std::size_t tasks, FunctionRef<void(std::size_t task, int worker)> task) {
  std::vector<std::exception_ptr> failures(tasks);
  ThreadPool threads(worker_count(tasks));
  threads.parallel_for(static_cast<std::int64_t>(tasks), [&](std::int64_t i, int worker) {
    const auto at = static_cast<std::size_t>(i);
    try {
      task(at, worker);
    } catch (...) {
      failures[at] = std::current_exception();
    }
  });
  for (const std::exception_ptr& failure : failures) {
    if (failure != nullptr) std::rethrow_exception(failure);
  }
}

}  // namespace ingot
