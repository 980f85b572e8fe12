#include "ingot/base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/base/function_ref.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

int triple(int x) { return 3 * x; }

TEST(FunctionRef, CallsLambdasFunctionsAndMembersState) {
  int calls = 0;
  const auto count = [&calls](int x) { return calls += x; };
  const FunctionRef<int(int)> lambda = count;
  EXPECT_EQ(lambda(2), 2);
  EXPECT_EQ(lambda(3), 5);
  const FunctionRef<int(int)> function = triple;
  EXPECT_EQ(function(4), 12);
  FunctionRef<int(int)> copy = lambda;
  EXPECT_EQ(copy(1), 6);
  copy = function;
  EXPECT_EQ(copy(1), 3);
}

TEST(ThreadPool, RunsEveryTaskOnce) {
  for (const int threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (const std::int64_t tasks : {0, 1, 2, 7, 1000}) {
      std::vector<int> runs(static_cast<std::size_t>(tasks));
      std::atomic<bool> worker_in_range{true};
      pool.parallel_for(tasks, [&](std::int64_t task, int worker) {
        ++runs[static_cast<std::size_t>(task)];
        if (worker < 0 || worker >= threads) worker_in_range = false;
      });
      EXPECT_TRUE(worker_in_range);
      EXPECT_EQ(std::accumulate(runs.begin(), runs.end(), std::int64_t{0}), tasks);
      for (const int count : runs) EXPECT_EQ(count, 1);
    }
  }
}

// Plain memory written in one dispatch and read in the next: the sanitizer build proves the order.
TEST(ThreadPool, DispatchesAreOrdered) {
  ThreadPool pool(3);
  std::vector<std::int64_t> values(64);
  for (int round = 0; round < 2000; ++round) {
    pool.parallel_for(64, [&](std::int64_t task, int) {
      const auto i = static_cast<std::size_t>(task);
      values[i] = values[i] + 1;
    });
    const std::int64_t sum = std::accumulate(values.begin(), values.end(), std::int64_t{0});
    ASSERT_EQ(sum, 64 * (round + 1));
    std::vector<std::int64_t> rotated(64);
    pool.parallel_for(64, [&](std::int64_t task, int) {
      const auto i = static_cast<std::size_t>(task);
      rotated[i] = values[(i + 1) % 64];
    });
    values.swap(rotated);
  }
}

TEST(ThreadPool, WorksAfterWorkersFellAsleep) {
  ThreadPool pool(2);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::atomic<int> sum{0};
    pool.parallel_for(10, [&](std::int64_t task, int) {
      sum += static_cast<int>(task);
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    });
    EXPECT_EQ(sum, 45);
  }
}

TEST(ThreadPool, CallerSleepsUntilASlowWorkerIsDone) {
  ThreadPool pool(2);
  std::atomic<int> done{0};
  pool.for_each_thread([&](int worker) {
    if (worker == 1) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ++done;
  });
  EXPECT_EQ(done, 2);
  // One long task on whoever takes it: the other side has to wait asleep.
  for (int round = 0; round < 5; ++round) {
    std::vector<int> finished(2);
    pool.parallel_for(2, [&](std::int64_t task, int worker) {
      if (worker != 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
      finished[static_cast<std::size_t>(task)] = 1;
    });
    EXPECT_EQ(finished, (std::vector<int>{1, 1}));
  }
}

TEST(ThreadPool, NestedCallsRunInlineOnTheSameWorker) {
  ThreadPool pool(3);
  std::atomic<int> inner{0};
  std::atomic<bool> same{true};
  pool.parallel_for(8, [&](std::int64_t, int worker) {
    const std::thread::id self = std::this_thread::get_id();
    pool.parallel_for(4, [&](std::int64_t, int inner_worker) {
      ++inner;
      if (inner_worker != worker || std::this_thread::get_id() != self) same = false;
    });
  });
  EXPECT_EQ(inner, 32);
  EXPECT_TRUE(same);
}

TEST(ThreadPool, EachThreadBeginsWithTheSameShareEachTime) {
  ThreadPool pool(3);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::int64_t> first(3, -1);
    std::atomic<int> begun{0};
    pool.parallel_for(8, [&](std::int64_t task, int worker) {
      std::int64_t& own = first[static_cast<std::size_t>(worker)];
      if (own >= 0) return;
      own = task;
      ++begun;
      while (begun < 3) std::this_thread::yield();
    });
    EXPECT_EQ(first, (std::vector<std::int64_t>{0, 3, 6}));
  }
}

TEST(ThreadPool, WhoIsDoneHelpsTheOthers) {
  ThreadPool pool(2);
  std::atomic<int> done{0};
  pool.parallel_for(8, [&](std::int64_t task, int) {
    while (task == 0 && done < 7) std::this_thread::yield();
    ++done;
  });
  EXPECT_EQ(done, 8);
}

TEST(ThreadPool, TwoPoolsMayNest) {
  ThreadPool outer(2);
  ThreadPool inner(2);
  std::atomic<int> runs{0};
  outer.parallel_for(
      4, [&](std::int64_t, int) { inner.parallel_for(4, [&](std::int64_t, int) { ++runs; }); });
  EXPECT_EQ(runs, 16);
}

TEST(ThreadPool, SeveralCallersTakeTurns) {
  ThreadPool pool(2);
  std::atomic<std::int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        std::int64_t per_worker[2] = {0, 0};  // never shared by two threads of one dispatch
        pool.parallel_for(16, [&](std::int64_t task, int worker) { per_worker[worker] += task; });
        sum += per_worker[0] + per_worker[1];
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum, 3 * 200 * 120);
}

TEST(ThreadPool, WorkerInitRunsOnceInEveryThread) {
  std::atomic<int> runs{0};
  ThreadPool pool(3, [&] { ++runs; });
  pool.for_each_thread([](int) {});
  pool.for_each_thread([](int) {});
  EXPECT_EQ(runs, 3);
  std::thread other([&] {
    pool.parallel_for(4, [](std::int64_t, int) {});
    pool.parallel_for(4, [](std::int64_t, int) {});
  });
  other.join();
  EXPECT_EQ(runs, 4);
}

TEST(ThreadPool, ForEachThreadVisitsEachOnce) {
  ThreadPool pool(4);
  std::vector<std::thread::id> ids(4);
  pool.for_each_thread(
      [&](int worker) { ids[static_cast<std::size_t>(worker)] = std::this_thread::get_id(); });
  EXPECT_EQ(std::set<std::thread::id>(ids.begin(), ids.end()).size(), 4u);
  EXPECT_EQ(ids[0], std::this_thread::get_id());
}

TEST(ThreadPool, ForEachThreadInsideATaskIsABug) {
  ThreadPool pool(2);
  std::atomic<int> caught{0};
  pool.parallel_for(2, [&](std::int64_t, int) {
    try {
      pool.for_each_thread([](int) {});
    } catch (const Error& error) {
      if (error.message() == "thread pool: for_each_thread must not be called from inside a task") {
        ++caught;
      }
    }
  });
  EXPECT_EQ(caught, 2);
}

TEST(ThreadPool, RefusesAnImpossibleSize) {
  for (const int threads : {0, -1, 1025}) {
    testing_support::expect_user_error(
        ErrorCode::invalid_argument,
        "thread pool: threads must be from 1 to 1024, got " + std::to_string(threads),
        [&] { const ThreadPool pool(threads); });
  }
}

TEST(ThreadPool, DefaultCountFollowsTheEnvironment) {
  setenv("INGOT_THREADS", "7", 1);
  EXPECT_EQ(default_thread_count(), 7);
  setenv("INGOT_THREADS", "0", 1);
  EXPECT_GE(default_thread_count(), 1);
  unsetenv("INGOT_THREADS");
  EXPECT_GE(default_thread_count(), 1);
}

}  // namespace
}  // namespace ingot
