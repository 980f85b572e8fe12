#include "ingot/base/thread_pool.h"

#include <fmt/core.h>
#ifdef __linux__
#include <sched.h>
#endif

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

#include "ingot/base/env.h"
#include "ingot/base/error.h"

namespace ingot {
namespace {

constexpr int kMaxThreads = 1024;
constexpr auto kSpinTime = std::chrono::microseconds(20);

// What this thread is doing for which pool.
struct ThreadRole {
  const ThreadPool* running = nullptr;  // the pool whose task this thread is inside
  int worker = 0;
  std::uint64_t initialised = 0;  // id of the pool whose worker_init ran here last
};

thread_local constinit ThreadRole role;

// Pools are told apart by number, since an address is reused.
std::uint64_t next_pool_id() noexcept {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

void pause_core() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// True as soon as `done()` is, false after kSpinTime.
bool spin_until(FunctionRef<bool()> done) noexcept {
  const auto deadline = std::chrono::steady_clock::now() + kSpinTime;
  do {
    for (int i = 0; i < 16; ++i) {
      if (done()) return true;
      pause_core();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

int available_cores() {
#ifdef __linux__
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

int default_thread_count() {
  const auto asked = static_cast<int>(env_integer("INGOT_THREADS"));
  return asked > 0 ? asked : std::min(available_cores(), kMaxThreads);
}

ThreadPool::ThreadPool(int threads, std::function<void()> worker_init)
    : worker_init_(std::move(worker_init)), id_(next_pool_id()) {
  if (threads < 1 || threads > kMaxThreads) {
    throw user_error(
        ErrorCode::invalid_argument,
        fmt::format("thread pool: threads must be from 1 to {}, got {}", kMaxThreads, threads));
  }
  shares_ = std::vector<Share>(static_cast<std::size_t>(threads));
  workers_.reserve(static_cast<std::size_t>(threads - 1));
  try {
    for (int worker = 1; worker < threads; ++worker) {
      workers_.emplace_back([this, worker] { worker_main(worker); });
    }
  } catch (const std::system_error&) {
    const int started = size();
    stop();
    throw user_error(
        ErrorCode::invalid_argument,
        fmt::format("thread pool: the system must allow {} threads, got {}", threads, started));
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() noexcept {
  {
    const std::lock_guard lock(sleep_mutex_);
    stopping_.store(true);
  }
  wake_workers_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::prepare_caller() {
  if (role.initialised == id_) return;
  role.initialised = id_;
  if (worker_init_) worker_init_();
}

void ThreadPool::share_out(std::int64_t tasks) noexcept {
  const auto threads = static_cast<std::int64_t>(shares_.size());
  std::int64_t begin = 0;
  for (std::int64_t worker = 0; worker < threads; ++worker) {
    Share& share = shares_[static_cast<std::size_t>(worker)];
    share.next.store(begin, std::memory_order_relaxed);
    begin += tasks / threads + (worker < tasks % threads ? 1 : 0);
    share.end = begin;
  }
}

void ThreadPool::run_tasks(int worker) noexcept {
  const ThreadRole outer = role;
  role.running = this;
  role.worker = worker;
  const Task task = *task_;
  const std::size_t threads = shares_.size();
  for (std::size_t i = 0; i < threads; ++i) {
    Share& share = shares_[(static_cast<std::size_t>(worker) + i) % threads];
    // A look first: what is empty need not change hands between the cores.
    while (share.next.load(std::memory_order_relaxed) < share.end) {
      const std::int64_t index = share.next.fetch_add(1, std::memory_order_relaxed);
      if (index < share.end) task(index, worker);
    }
  }
  role.running = outer.running;
  role.worker = outer.worker;
}

void ThreadPool::parallel_for(std::int64_t tasks, Task task) noexcept {
  if (workers_.empty() && !worker_init_) {
    for (std::int64_t index = 0; index < tasks; ++index) task(index, 0);
    return;
  }
  if (tasks <= 0) return;
  if (role.running == this) {
    for (std::int64_t index = 0; index < tasks; ++index) task(index, role.worker);
    return;
  }
  const std::lock_guard turn(dispatch_mutex_);
  prepare_caller();
  task_ = &task;
  share_out(tasks);
  if (workers_.empty() || tasks == 1) {
    run_tasks(0);
    return;
  }
  // Nobody is inside and the job is closed, so the word is the old epoch alone. Sequential
  // consistency orders this write before the load of sleeping_workers_, and a worker's increment of
  // that before its last look at the word: one of the two sees the other. An exchange, for user
  // mode emulators of Arm let a load pass the plain store before it.
  state_.exchange((state_.load(std::memory_order_relaxed) & ~(kEpoch - 1)) + kEpoch + kOpen);
  if (sleeping_workers_.load() > 0) {
    {
      const std::lock_guard lock(sleep_mutex_);
    }
    wake_workers_.notify_all();
  }
  run_tasks(0);
  wait_for_joined_workers();
}

void ThreadPool::wait_for_joined_workers() noexcept {
  if ((state_.fetch_and(~kOpen) & kJoined) == 0) return;
  const auto all_left = [this] { return (state_.load() & kJoined) == 0; };
  if (spin_until(all_left)) return;
  std::unique_lock lock(sleep_mutex_);
  caller_sleeps_.exchange(true);  // as in parallel_for: before the look at the word
  wake_caller_.wait(lock, all_left);
  caller_sleeps_.store(false);
}

bool ThreadPool::try_join(std::uint64_t state) noexcept {
  while ((state & kOpen) != 0) {
    if (state_.compare_exchange_weak(state, state + 1)) return true;
  }
  return false;
}

void ThreadPool::worker_main(int worker) noexcept {
  role.initialised = id_;
  if (worker_init_) worker_init_();
  std::uint64_t seen = 0;  // epoch of the last job joined
  const auto work_or_stop = [this, &seen] {
    const std::uint64_t state = state_.load();
    return stopping_.load(std::memory_order_relaxed) ||
           ((state & kOpen) != 0 && state / kEpoch != seen);
  };
  for (;;) {
    if (!spin_until(work_or_stop)) {
      std::unique_lock lock(sleep_mutex_);
      sleeping_workers_.fetch_add(1);
      wake_workers_.wait(lock, work_or_stop);
      sleeping_workers_.fetch_sub(1);
    }
    if (stopping_.load()) return;
    const std::uint64_t state = state_.load();
    if (state / kEpoch == seen || !try_join(state)) continue;
    // Joined, so the epoch cannot move on until this worker leaves.
    seen = state_.load(std::memory_order_relaxed) / kEpoch;
    run_tasks(worker);
    const std::uint64_t left = state_.fetch_sub(1) - 1;
    if ((left & (kOpen | kJoined)) == 0 && caller_sleeps_.load()) {
      {
        const std::lock_guard lock(sleep_mutex_);
      }
      wake_caller_.notify_one();
    }
  }
}

void ThreadPool::for_each_thread(FunctionRef<void(int worker)> task) {
  if (role.running == this) {
    throw internal_error("thread pool: for_each_thread must not be called from inside a task");
  }
  // Nobody takes a second task before everybody has one.
  std::atomic<int> arrived{0};
  const int threads = size();
  parallel_for(threads, [&](std::int64_t, int worker) {
    task(worker);
    arrived.fetch_add(1);
    while (arrived.load() < threads) std::this_thread::yield();
  });
}

}  // namespace ingot
