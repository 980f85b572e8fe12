#include "ingot/planner/plan.h"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <utility>

#include "ingot/planner/placement.h"

namespace ingot {
namespace {

// Visits of overlapping pairs that all greedy orders together may take; about half a second.
constexpr std::int64_t kPairBudget = 10'000'000;

/// Range maximum of the live bytes, for ordering by the busiest moment of a lifetime.
class RangeMaximum {
 public:
  explicit RangeMaximum(std::vector<std::int64_t> values) {
    levels_.push_back(std::move(values));
    for (std::size_t width = 2; width <= levels_[0].size(); width *= 2) {
      const auto& below = levels_.back();
      std::vector<std::int64_t> level(levels_[0].size() - width + 1);
      for (std::size_t i = 0; i < level.size(); ++i) {
        level[i] = std::max(below[i], below[i + width / 2]);
      }
      levels_.push_back(std::move(level));
    }
  }
  [[nodiscard]] std::int64_t of(int first, int last) const {
    const auto low = static_cast<std::size_t>(first);
    const auto high = static_cast<std::size_t>(last) + 1;
    const auto level = static_cast<std::size_t>(std::bit_width(high - low)) - 1;
    return std::max(levels_[level][low], levels_[level][high - (std::size_t{1} << level)]);
  }

 private:
  std::vector<std::vector<std::int64_t>> levels_;
};

using Key = std::array<double, 3>;

/// Items by descending keys, ties by position.
std::vector<int> order_by(const std::vector<Key>& keys) {
  std::vector<int> order(keys.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, [&](int a, int b) {
    const Key& x = keys[static_cast<std::size_t>(a)];
    const Key& y = keys[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  });
  return order;
}

/// The orders worth trying, the usually best first: by size, by the busiest moment lived through
/// (Pisarchyk and Lee, "Efficient memory management for deep neural net inference", 2020, call both
/// greedy by size and greedy by breadth), by area, by duration.
std::vector<std::vector<int>> greedy_orders(const Lifetimes& lifetimes) {
  const RangeMaximum busiest(lifetimes.live);
  std::array<std::vector<Key>, 4> keys;
  for (const Lifetime& item : lifetimes.items) {
    const auto bytes = static_cast<double>(item.bytes);
    const double duration = item.last - item.first + 1;
    const auto moment = static_cast<double>(busiest.of(item.first, item.last));
    keys[0].push_back({bytes, duration, 0});
    keys[1].push_back({moment, bytes, duration});
    keys[2].push_back({bytes * duration, bytes, 0});
    keys[3].push_back({duration, bytes, 0});
  }
  std::vector<std::vector<int>> orders;
  for (const auto& key : keys) orders.push_back(order_by(key));
  return orders;
}

Placement best_placement(const Lifetimes& lifetimes, std::int64_t lower_bound) {
  const std::size_t times = lifetimes.time_of.size();
  Placement best = place_in_time(lifetimes.items, times, false);
  const auto offer = [&best](Placement candidate) {
    if (candidate.arena_bytes < best.arena_bytes) best = std::move(candidate);
  };
  if (best.arena_bytes > lower_bound) offer(place_in_time(lifetimes.items, times, true));
  const LifetimeIndex index(lifetimes.items, times);
  std::int64_t budget = kPairBudget;
  for (const std::vector<int>& order : greedy_orders(lifetimes)) {
    for (const Fit fit : {Fit::tightest, Fit::lowest}) {
      budget -= 2 * index.overlaps();
      if (best.arena_bytes <= lower_bound || budget < 0) return best;
      offer(index.place(order, fit));
    }
  }
  return best;
}

}  // namespace

Plan make_plan(const PlanRequest& request) {
  const Lifetimes lifetimes = find_lifetimes(request);
  Plan plan{std::vector<std::int64_t>(request.buffers.size(), 0), 0, 0};
  if (lifetimes.items.empty()) return plan;
  plan.live_peak_bytes = lifetimes.live[static_cast<std::size_t>(peak_time(lifetimes))];
  const Placement placement = best_placement(lifetimes, plan.live_peak_bytes);
  plan.arena_bytes = placement.arena_bytes;
  for (std::size_t i = 0; i < plan.offsets.size(); ++i) {
    const int item = lifetimes.item_of[i];
    if (item >= 0) plan.offsets[i] = placement.offsets[static_cast<std::size_t>(item)];
  }
  return plan;
}

}  // namespace ingot
