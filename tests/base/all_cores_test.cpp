#include "ingot/base/all_cores.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

namespace ingot {
namespace {

TEST(AllCores, EveryTaskRunsOnce) {
  std::vector<int> runs(100);
  std::vector<int> by(100, -1);
  on_all_cores(runs.size(), [&](std::size_t task, int worker) {
    ++runs[task];
    by[task] = worker;
  });
  for (std::size_t i = 0; i < runs.size(); ++i) {
    EXPECT_EQ(runs[i], 1) << i;
    EXPECT_GE(by[i], 0) << i;
    EXPECT_LT(by[i], worker_count(runs.size())) << i;
  }
  on_all_cores(0, [](std::size_t, int) { FAIL() << "no tasks"; });
}

TEST(AllCores, HaveNoMoreWorkersThanTasks) {
  EXPECT_EQ(worker_count(0), 1);
  EXPECT_EQ(worker_count(1), 1);
  EXPECT_LE(worker_count(2), 2);
}

TEST(AllCores, TheFirstTaskThatFailsIsToldAfterAllHaveEnded) {
  std::vector<int> runs(20);
  try {
    on_all_cores(runs.size(), [&](std::size_t task, int) {
      runs[task] = 1;
      if (task == 3 || task == 15) throw std::runtime_error(std::to_string(task));
    });
    FAIL() << "nothing was thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "3");
  }
  for (const int ran : runs) EXPECT_EQ(ran, 1);
}

}  // namespace
}  // namespace ingot
