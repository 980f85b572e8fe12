#include "ingot/planner/placement.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <utility>

namespace ingot {
namespace {

struct Extent {
  std::int64_t begin;
  std::int64_t end;
  friend auto operator<=>(const Extent&, const Extent&) = default;
};

/// Offset for `bytes` among sorted taken extents, which may overlap each other.
std::int64_t find_gap(std::span<const Extent> taken, std::int64_t bytes, Fit fit) {
  std::int64_t top = 0;
  std::int64_t best = -1;
  std::int64_t best_gap = 0;
  for (const Extent& extent : taken) {
    const std::int64_t gap = extent.begin - top;
    if (gap >= bytes && (best < 0 || gap < best_gap)) {
      if (fit == Fit::lowest) return top;
      best = top;
      best_gap = gap;
    }
    top = std::max(top, extent.end);
  }
  return best >= 0 ? best : top;
}

/// Items that cover a time, as they are added: a segment tree, each item in O(log times) nodes.
class CoverTree {
 public:
  explicit CoverTree(std::size_t leaves) : leaves_(leaves), nodes_(2 * leaves) {}

  void add(int item, int first, int last) {
    auto low = static_cast<std::size_t>(first) + leaves_;
    auto high = static_cast<std::size_t>(last) + leaves_ + 1;
    for (; low < high; low /= 2, high /= 2) {
      if (low % 2 == 1) nodes_[low++].push_back(item);
      if (high % 2 == 1) nodes_[--high].push_back(item);
    }
  }

  template <typename Fn>
  void for_each_at(int time, Fn&& fn) const {
    for (std::size_t node = static_cast<std::size_t>(time) + leaves_; node > 0; node /= 2) {
      for (const int item : nodes_[node]) fn(item);
    }
  }

 private:
  std::size_t leaves_;
  std::vector<std::vector<int>> nodes_;
};

/// Free extents below a top that grows as needed.
class FreeList {
 public:
  std::int64_t allocate(std::int64_t bytes) {
    const auto found = by_size_.lower_bound({bytes, 0});
    std::int64_t offset = 0;
    if (found != by_size_.end()) {
      offset = found->second;
      const std::int64_t size = found->first;
      erase(offset, size);
      if (size > bytes) insert(offset + bytes, size - bytes);
      return offset;
    }
    offset = top_;
    if (!by_offset_.empty()) {
      const auto [last, size] = *by_offset_.rbegin();
      if (last + size == top_) {
        offset = last;
        erase(last, size);
      }
    }
    top_ = offset + bytes;
    return offset;
  }

  void release(std::int64_t offset, std::int64_t bytes) {
    auto next = by_offset_.lower_bound(offset);
    if (next != by_offset_.end() && next->first == offset + bytes) {
      const std::int64_t size = next->second;
      bytes += size;
      erase(next->first, size);
      next = by_offset_.lower_bound(offset);
    }
    if (next != by_offset_.begin()) {
      const auto [before, size] = *std::prev(next);
      if (before + size == offset) {
        erase(before, size);
        offset = before;
        bytes += size;
      }
    }
    insert(offset, bytes);
  }

 private:
  void insert(std::int64_t offset, std::int64_t size) {
    by_offset_.emplace(offset, size);
    by_size_.emplace(size, offset);
  }
  void erase(std::int64_t offset, std::int64_t size) {
    by_offset_.erase(offset);
    by_size_.erase({size, offset});
  }

  std::map<std::int64_t, std::int64_t> by_offset_;
  std::set<std::pair<std::int64_t, std::int64_t>> by_size_;
  std::int64_t top_ = 0;
};

}  // namespace

LifetimeIndex::LifetimeIndex(std::span<const Lifetime> items, std::size_t times)
    : items_(items), by_first_(items.size()), first_at_(times + 1, 0) {
  std::iota(by_first_.begin(), by_first_.end(), 0);
  const auto item = [&](int i) -> const Lifetime& { return items_[static_cast<std::size_t>(i)]; };
  std::ranges::sort(by_first_, {}, [&](int i) { return std::pair(item(i).first, i); });
  for (const Lifetime& lifetime : items) ++first_at_[static_cast<std::size_t>(lifetime.first) + 1];
  std::partial_sum(first_at_.begin(), first_at_.end(), first_at_.begin());
  // Everything that begins within a lifetime overlaps it, and each pair is met once so.
  for (const Lifetime& lifetime : items) {
    overlaps_ += first_at_[static_cast<std::size_t>(lifetime.last) + 1] -
                 first_at_[static_cast<std::size_t>(lifetime.first)];
  }
  while (leaves_ < times) leaves_ *= 2;
}

Placement LifetimeIndex::place(std::span<const int> order, Fit fit) const {
  Placement result{std::vector<std::int64_t>(items_.size(), -1), 0};
  CoverTree placed(leaves_);
  std::vector<Extent> taken;
  const auto take = [&](int other) {
    const std::int64_t offset = result.offsets[static_cast<std::size_t>(other)];
    if (offset >= 0) {
      taken.push_back({offset, offset + items_[static_cast<std::size_t>(other)].bytes});
    }
  };
  for (const int i : order) {
    const Lifetime& item = items_[static_cast<std::size_t>(i)];
    taken.clear();
    placed.for_each_at(item.first, take);
    const auto begin = first_at_[static_cast<std::size_t>(item.first) + 1];
    const auto end = first_at_[static_cast<std::size_t>(item.last) + 1];
    for (auto k = begin; k < end; ++k) take(by_first_[static_cast<std::size_t>(k)]);
    std::sort(taken.begin(), taken.end());
    const std::int64_t offset = find_gap(taken, item.bytes, fit);
    result.offsets[static_cast<std::size_t>(i)] = offset;
    result.arena_bytes = std::max(result.arena_bytes, offset + item.bytes);
    placed.add(i, item.first, item.last);
  }
  return result;
}

Placement place_in_time(std::span<const Lifetime> items, std::size_t times, bool backwards) {
  Placement result{std::vector<std::int64_t>(items.size(), 0), 0};
  std::vector<std::vector<int>> begins(times);
  std::vector<std::vector<int>> ends(times);
  const auto at = [&](int time) {
    return backwards ? times - 1 - static_cast<std::size_t>(time) : static_cast<std::size_t>(time);
  };
  for (std::size_t i = 0; i < items.size(); ++i) {
    begins[at(backwards ? items[i].last : items[i].first)].push_back(static_cast<int>(i));
    ends[at(backwards ? items[i].first : items[i].last)].push_back(static_cast<int>(i));
  }
  FreeList free_list;
  for (std::size_t time = 0; time < times; ++time) {
    // The largest first, ties by position.
    std::ranges::sort(begins[time], {}, [&](int i) {
      return std::pair(-items[static_cast<std::size_t>(i)].bytes, i);
    });
    for (const int i : begins[time]) {
      const std::int64_t bytes = items[static_cast<std::size_t>(i)].bytes;
      const std::int64_t offset = free_list.allocate(bytes);
      result.offsets[static_cast<std::size_t>(i)] = offset;
      result.arena_bytes = std::max(result.arena_bytes, offset + bytes);
    }
    for (const int i : ends[time]) {
      free_list.release(result.offsets[static_cast<std::size_t>(i)],
                        items[static_cast<std::size_t>(i)].bytes);
    }
  }
  return result;
}

}  // namespace ingot
