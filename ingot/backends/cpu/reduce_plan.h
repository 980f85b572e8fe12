// The geometry of a reduction over a tensor in memory, and its fixed order of work.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ingot/backends/cpu/operand_walk.h"
#include "ingot/backends/cpu/tile_ops.h"

namespace ingot {

/// Memory is seen as kept and reduced axes around contiguous blocks. A block is `rows` x `columns`
/// with the rows reduced (columns > 1 or all kept), or one reduced run (columns == 1). Each result
/// group (the `columns` results of one outer kept position) is the sum of `blocks` blocks.
///
/// The work is cut into items of fixed size: a group, or a part of its blocks where there are few
/// groups. Nothing here depends on the number of threads, so neither do the sums.
class ReducePlan {
 public:
  ReducePlan(const Shape& shape, const Layout& layout, std::span<const int> reduced_axes);

  [[nodiscard]] std::int64_t groups() const noexcept { return groups_; }
  [[nodiscard]] std::int64_t columns() const noexcept { return columns_; }
  [[nodiscard]] std::int64_t block_size() const noexcept { return rows_ * columns_; }
  [[nodiscard]] std::int64_t parts() const noexcept { return parts_; }
  /// Whether the elements of consecutive groups are consecutive in memory.
  [[nodiscard]] bool consecutive() const noexcept { return consecutive_; }
  /// Whether padding is among what is reduced.
  [[nodiscard]] bool reduces_padding() const noexcept { return reduces_padding_; }
  [[nodiscard]] std::int64_t reduced_count() const noexcept { return blocks_ * rows_; }

  /// Calls fn(begin, end) for each contiguous range of memory that belongs to a part of a group, in
  /// order; it starts and ends with a row.
  template <class Fn>
  void for_each_range(std::int64_t group, std::int64_t part, Fn&& fn) const {
    const std::int64_t base = group_walk_offset(group);
    if (blocks_ == 1) {
      const std::int64_t first = rows_ * part / parts_;
      const std::int64_t last = rows_ * (part + 1) / parts_;
      fn(base + first * columns_, base + last * columns_);
      return;
    }
    const std::int64_t first = blocks_ * part / parts_;
    const std::int64_t last = blocks_ * (part + 1) / parts_;
    for (std::int64_t block = first; block < last; ++block) {
      const std::int64_t begin = base + block_offset(block);
      fn(begin, begin + block_size());
    }
  }

  /// Position in the plain result of column `column` of a group; -1 for padding.
  [[nodiscard]] std::int64_t result_index(std::int64_t group, std::int64_t column) const noexcept;

 private:
  struct Axis {
    std::int64_t size;
    std::int64_t stride;         // in memory
    std::int64_t result_stride;  // in the plain result
    std::int64_t step;           // logical coordinates, and the limit that they must stay under
    int logical;
  };
  [[nodiscard]] std::int64_t group_walk_offset(std::int64_t group) const noexcept;
  [[nodiscard]] std::int64_t block_offset(std::int64_t block) const noexcept;

  Shape shape_;
  std::vector<Axis> kept_;     // outer kept axes
  std::vector<Axis> reduced_;  // outer reduced axes
  std::vector<Axis> inner_;    // the columns' axes
  std::int64_t groups_ = 1;
  std::int64_t blocks_ = 1;
  std::int64_t rows_ = 1;
  std::int64_t columns_ = 1;
  std::int64_t parts_ = 1;
  bool consecutive_ = false;
  bool plain_ = false;
  bool reduces_padding_ = false;
};

}  // namespace ingot
