#include "ingot/backends/cuda/step/lanes.h"

#include <algorithm>
#include <cstddef>

namespace ingot::cuda {
namespace {

/// What must be gained for a kernel to leave lane 0, in seconds: a fork and a join.
constexpr double kLeastSlack = 4e-6;

bool meet(const Touch& a, const Touch& b) {
  return a.root == b.root && a.begin < b.end && b.begin < a.end && (a.write || b.write);
}

bool covers(const Touch& outer, const Touch& inner) {
  return outer.root == inner.root && outer.begin <= inner.begin && inner.end <= outer.end;
}

struct Entry {
  Touch touch;
  int node;
};

/// How much later than with endless lanes a kernel may end without the step ending later.
std::vector<double> slacks(std::span<const KernelText> kernels,
                           const std::vector<std::vector<int>>& before) {
  const std::size_t count = kernels.size();
  std::vector<double> end(count, 0);
  std::vector<double> rest(count, 0);  // from its start to the end of the step
  double whole = 0;
  for (std::size_t i = 0; i < count; ++i) {
    double start = 0;
    for (const int j : before[i]) start = std::max(start, end[static_cast<std::size_t>(j)]);
    end[i] = start + kernels[i].seconds;
    whole = std::max(whole, end[i]);
  }
  std::vector<double> slack(count, 0);
  for (std::size_t i = count; i-- > 0;) {
    rest[i] += kernels[i].seconds;
    for (const int j : before[i]) {
      double& other = rest[static_cast<std::size_t>(j)];
      other = std::max(other, rest[i]);
    }
    slack[i] = whole - (end[i] - kernels[i].seconds + rest[i]);
  }
  return slack;
}

}  // namespace

std::vector<std::vector<int>> dependencies(std::span<const KernelText> kernels) {
  std::vector<std::vector<int>> before(kernels.size());
  std::vector<Entry> live;
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    std::vector<int>& own = before[i];
    for (const Touch& touch : kernels[i].touches) {
      for (const Entry& entry : live) {
        if (meet(entry.touch, touch)) own.push_back(entry.node);
      }
    }
    std::ranges::sort(own);
    own.erase(std::unique(own.begin(), own.end()), own.end());
    for (const Touch& touch : kernels[i].touches) {
      // Who comes after this write comes after all that it came after.
      if (touch.write) {
        std::erase_if(live, [&](const Entry& entry) { return covers(touch, entry.touch); });
      }
    }
    for (const Touch& touch : kernels[i].touches) live.push_back({touch, static_cast<int>(i)});
  }
  return before;
}

std::vector<LaneNode> assign_lanes(std::span<const KernelText> kernels, int lanes) {
  const std::vector<std::vector<int>> before = dependencies(kernels);
  const std::vector<double> slack = slacks(kernels, before);
  std::vector<LaneNode> nodes(kernels.size());
  std::vector<double> busy(static_cast<std::size_t>(lanes), 0);
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    int lane = 0;
    if (lanes > 1 && slack[i] > kLeastSlack && slack[i] > kernels[i].seconds) {
      lane =
          static_cast<int>(std::ranges::min_element(busy.begin() + 1, busy.end()) - busy.begin());
      // What goes on from another kernel of a side lane needs no wait there.
      for (const int j : before[i]) {
        if (nodes[static_cast<std::size_t>(j)].lane > 0) {
          lane = nodes[static_cast<std::size_t>(j)].lane;
        }
      }
    }
    nodes[i].lane = lane;
    busy[static_cast<std::size_t>(lane)] += kernels[i].seconds;
  }
  // The latest kernel of each lane that every lane has waited for.
  std::vector<std::vector<int>> reached(static_cast<std::size_t>(lanes),
                                        std::vector<int>(static_cast<std::size_t>(lanes), -1));
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    std::vector<int> latest(static_cast<std::size_t>(lanes), -1);
    for (const int j : before[i]) {
      int& last = latest[static_cast<std::size_t>(nodes[static_cast<std::size_t>(j)].lane)];
      last = std::max(last, j);
    }
    const auto own = static_cast<std::size_t>(nodes[i].lane);
    for (std::size_t lane = 0; lane < latest.size(); ++lane) {
      if (lane == own || latest[lane] <= reached[own][lane]) continue;
      reached[own][lane] = latest[lane];
      nodes[i].waits.push_back(latest[lane]);
      nodes[static_cast<std::size_t>(latest[lane])].awaited = true;
    }
  }
  return nodes;
}

}  // namespace ingot::cuda
