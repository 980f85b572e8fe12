// Ingot's own thread pool: the only parallelism on the CPU.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "ingot/base/function_ref.h"

namespace ingot {

/// INGOT_THREADS, or the number of cores that this process may run on. Throws a user Error for a
/// malformed INGOT_THREADS.
int default_thread_count();

/// A fixed set of threads that run the tasks of one parallel_for after another.
///
/// Each thread begins with its own share of the tasks, a stretch of the same place in their order
/// each time, so that data of neighbouring tasks stay in its cache from one call to the next; then
/// it helps the others. So which thread runs a task is not fixed, and results must depend on the
/// task alone. Idle workers spin for about 20 microseconds, which makes a dispatch cheap, and then
/// sleep, so that a core taken away by the system stalls nobody: the caller waits only for workers
/// that have begun.
class ThreadPool {
 public:
  /// `task(index, worker)` with worker in [0, size()), 0 the caller; must not throw (it runs under
  /// noexcept; errors are latched by the kernel, see step_error.h).
  using Task = FunctionRef<void(std::int64_t task, int worker)>;

  /// `threads` >= 1 counts the caller; else a user Error. `worker_init` runs once in each worker,
  /// and in every thread that calls parallel_for before its first dispatch here (again when the
  /// thread has used another pool in between), e.g. to limit a library to one thread. It must not
  /// throw.
  explicit ThreadPool(int threads, std::function<void()> worker_init = {});
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// Threads, the caller included.
  [[nodiscard]] int size() const noexcept { return static_cast<int>(workers_.size()) + 1; }

  /// Runs task 0 ... tasks-1 and returns when all have finished; everything they wrote is visible
  /// then. Allocates nothing. From inside a task of this pool it runs inline on that worker. Calls
  /// from several threads take turns; on a pool of one thread without worker_init, which is no more
  /// than a loop, they run side by side.
  void parallel_for(std::int64_t tasks, Task task) noexcept;

  /// Runs `task(i, worker)` exactly once on every thread. Not from inside a task of this pool: that
  /// is an internal Error.
  void for_each_thread(FunctionRef<void(int worker)> task);

 private:
  void stop() noexcept;
  void worker_main(int worker) noexcept;
  void share_out(std::int64_t tasks) noexcept;
  void run_tasks(int worker) noexcept;
  void wait_for_joined_workers() noexcept;
  void prepare_caller();
  bool try_join(std::uint64_t state) noexcept;

  // The state word: epoch (upper 32 bits), whether the job may still be joined (bit 31), and how
  // many workers are inside it. A worker joins by compare-and-swap, so it never touches a job that
  // the caller has closed.
  static constexpr std::uint64_t kEpoch = std::uint64_t{1} << 32;
  static constexpr std::uint64_t kOpen = std::uint64_t{1} << 31;
  static constexpr std::uint64_t kJoined = kOpen - 1;

  /// The tasks that a thread begins with: those from `next` on are still to be taken.
  struct alignas(64) Share {
    std::atomic<std::int64_t> next{0};
    std::int64_t end = 0;
  };

  alignas(64) std::atomic<std::uint64_t> state_{0};
  alignas(64) const Task* task_ = nullptr;
  std::vector<Share> shares_;  // of each thread
  std::atomic<int> sleeping_workers_{0};
  std::atomic<bool> caller_sleeps_{false};
  std::atomic<bool> stopping_{false};

  std::mutex dispatch_mutex_;  // one job at a time
  std::mutex sleep_mutex_;
  std::condition_variable wake_workers_;
  std::condition_variable wake_caller_;
  std::function<void()> worker_init_;
  std::uint64_t id_;
  std::vector<std::thread> workers_;
};

}  // namespace ingot
