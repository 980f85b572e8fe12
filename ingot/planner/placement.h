// Greedy placements of lifetimes in an arena.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ingot/planner/lifetimes.h"

namespace ingot {

struct Placement {
  std::vector<std::int64_t> offsets;
  std::int64_t arena_bytes = 0;
};

enum class Fit : std::uint8_t { lowest, tightest };

/// Lifetimes by their time, for asking which overlap one.
class LifetimeIndex {
 public:
  explicit LifetimeIndex(std::span<const Lifetime> items, std::size_t times);

  /// Pairs of lifetimes that overlap: what a placement in any order visits.
  [[nodiscard]] std::int64_t overlaps() const noexcept { return overlaps_; }
  /// Puts each lifetime, in the given order, into a gap between those it overlaps.
  [[nodiscard]] Placement place(std::span<const int> order, Fit fit) const;

 private:
  std::span<const Lifetime> items_;
  std::vector<int> by_first_;  // items sorted by first
  std::vector<int> first_at_;  // position in by_first_ of the first item of each time
  std::size_t leaves_ = 1;
  std::int64_t overlaps_ = 0;
};

/// What an allocator with a free list gives when buffers come and go in time, best fit;
/// `backwards`: with time reversed. O(n log n).
Placement place_in_time(std::span<const Lifetime> items, std::size_t times, bool backwards);

}  // namespace ingot
