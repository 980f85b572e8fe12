// Lanes of a captured step: what may run at once, and what must not.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "ingot/backends/cuda/step/lanes.h"

namespace ingot::cuda {
namespace {

KernelText kernel(std::vector<Touch> touches, double seconds = 20e-6) {
  KernelText text;
  text.touches = std::move(touches);
  text.seconds = seconds;
  return text;
}

Touch reads(int root) { return {root, 0, 64, false}; }
Touch writes(int root) { return {root, 0, 64, true}; }

/// Whether kernel `from` is done before kernel `to` begins, as the lanes have it.
bool ordered(const std::vector<LaneNode>& nodes, int from, int to) {
  std::vector<bool> before(nodes.size(), false);
  before[static_cast<std::size_t>(to)] = true;
  for (int i = to; i > from; --i) {
    const auto at = static_cast<std::size_t>(i);
    if (!before[at]) continue;
    for (const int wait : nodes[at].waits) before[static_cast<std::size_t>(wait)] = true;
    for (int j = i - 1; j >= 0; --j) {
      if (nodes[static_cast<std::size_t>(j)].lane != nodes[at].lane) continue;
      before[static_cast<std::size_t>(j)] = true;
      break;
    }
  }
  return before[static_cast<std::size_t>(from)];
}

bool conflict(const KernelText& a, const KernelText& b) {
  for (const Touch& x : a.touches) {
    for (const Touch& y : b.touches) {
      const bool overlap = x.root == y.root && x.begin < y.end && y.begin < x.end;
      if (overlap && (x.write || y.write)) return true;
    }
  }
  return false;
}

TEST(CudaLanes, WeightGradientsLeaveTheFirstLane) {
  // A backward pass: each layer's gradient goes on, its weight's gradient is wanted at the end.
  std::vector<KernelText> kernels;
  kernels.push_back(kernel({writes(0)}));
  for (int layer = 0; layer < 4; ++layer) {
    kernels.push_back(kernel({reads(layer), writes(100 + layer)}));  // weight
    kernels.push_back(kernel({reads(layer), writes(layer + 1)}));    // input
  }
  kernels.push_back(kernel({reads(100), reads(101), reads(102), reads(103), writes(200)}));
  const std::vector<LaneNode> nodes = assign_lanes(kernels, 3);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_GT(nodes[1 + 2 * i].lane, 0) << i;
    EXPECT_EQ(nodes[2 + 2 * i].lane, 0) << i;
  }
  EXPECT_EQ(nodes.front().lane, 0);
  EXPECT_EQ(nodes.back().lane, 0);
  EXPECT_FALSE(nodes.back().waits.empty());
}

TEST(CudaLanes, OneLaneWaitsForNothing) {
  const std::vector<KernelText> kernels{kernel({writes(0)}), kernel({writes(1)}),
                                        kernel({reads(0), reads(1)})};
  for (const LaneNode& node : assign_lanes(kernels, 1)) {
    EXPECT_EQ(node.lane, 0);
    EXPECT_TRUE(node.waits.empty());
  }
}

TEST(CudaLanes, ReusedMemoryOfTheArenaIsWaitedFor) {
  const std::vector<KernelText> kernels{
      kernel({{-1, 0, 100, true}}), kernel({{-1, 0, 100, false}, {-1, 500, 600, true}}, 1e-6),
      kernel({{-1, 50, 150, true}}, 80e-6), kernel({{-1, 50, 150, false}, {-1, 500, 600, false}})};
  const std::vector<std::vector<int>> before = dependencies(kernels);
  EXPECT_EQ(before[2], (std::vector<int>{0, 1}));
  const std::vector<LaneNode> nodes = assign_lanes(kernels, 2);
  EXPECT_TRUE(ordered(nodes, 1, 2));
}

TEST(CudaLanes, EveryConflictIsOrdered) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<KernelText> kernels;
    for (int i = 0; i < 40; ++i) {
      std::vector<Touch> touches;
      for (int t = 0; t < 3; ++t) {
        Touch touch;
        touch.root = static_cast<int>(random() % 3) - 1;
        touch.begin = static_cast<std::int64_t>(random() % 40);
        touch.end = touch.begin + 1 + static_cast<std::int64_t>(random() % 20);
        touch.write = random() % 3 == 0;
        touches.push_back(touch);
      }
      kernels.push_back(kernel(std::move(touches), 1e-6 * static_cast<double>(1 + random() % 40)));
    }
    const std::vector<LaneNode> nodes = assign_lanes(kernels, 1 + round % 4);
    for (int to = 0; to < 40; ++to) {
      for (int from = 0; from < to; ++from) {
        if (!conflict(kernels[static_cast<std::size_t>(from)],
                      kernels[static_cast<std::size_t>(to)])) {
          continue;
        }
        ASSERT_TRUE(ordered(nodes, from, to)) << "round " << round << ": " << from << " " << to;
      }
    }
  }
}

}  // namespace
}  // namespace ingot::cuda
