// Pooling of images, plane by plane: one channel's image, or that of a block of channels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "ingot/ir/target.h"
#include "ingot/ops/window2d.h"

namespace ingot::cpu {

/// Channels that lie side by side in a layout that pooling takes: 1 when plain, 8 or 16 in blocks;
/// 0 in any other layout.
std::int64_t pool_lanes(const Layout& layout);
/// Whether a pool's, or a pool gradient's, operands and result lie in one such layout.
Support takes_pool_layouts(const Node& node);

/// What one plane is, and how many there are.
struct PoolGeometry {
  Window2d window;
  std::int64_t lanes = 1;
  std::int64_t planes = 0;
  std::int64_t height = 0, width = 0;
  std::int64_t out_height = 0, out_width = 0;

  /// Of a pool's or a pool gradient's Node.
  PoolGeometry(const Node& node, std::int64_t lanes);

  /// Elements of a plane, and of a row of it.
  [[nodiscard]] std::int64_t in_row() const noexcept { return width * lanes; }
  [[nodiscard]] std::int64_t in_size() const noexcept { return height * width * lanes; }
  [[nodiscard]] std::int64_t out_row() const noexcept { return out_width * lanes; }
  [[nodiscard]] std::int64_t out_size() const noexcept { return out_height * out_width * lanes; }

  /// The taps of a window that lie inside the image, along one axis.
  [[nodiscard]] std::pair<std::int64_t, std::int64_t> taps(int axis, std::int64_t out,
                                                           std::int64_t size) const {
    const auto a = static_cast<std::size_t>(axis);
    const std::int64_t first = window.source(axis, out, 0);
    const std::int64_t step = window.dilation[a];
    const std::int64_t begin = first < 0 ? (step - 1 - first) / step : 0;
    const std::int64_t end = first < size ? (size - 1 - first) / step + 1 : 0;
    return {begin, end < window.kernel[a] ? end : window.kernel[a]};
  }

  /// Calls fn(position in the image) for what window (oh, ow) holds, in row-major order.
  template <class Fn>
  void for_each_tap(std::int64_t oh, std::int64_t ow, const Fn& fn) const {
    const auto [top, bottom] = taps(0, oh, height);
    const auto [left, right] = taps(1, ow, width);
    for (std::int64_t i = top; i < bottom; ++i) {
      const std::int64_t row = window.source(0, oh, i) * width;
      for (std::int64_t j = left; j < right; ++j) fn(row + window.source(1, ow, j));
    }
  }

  /// The rows of the image that output rows [begin, end) hold: from the first to behind the last.
  [[nodiscard]] std::pair<std::int64_t, std::int64_t> rows_of(std::int64_t begin,
                                                              std::int64_t end) const;
};

/// Rows [begin, end) of what a pool makes.
struct PoolRows {
  std::int64_t begin = 0, end = 0;
};

/// The four computations on one plane, in one dtype and one number of lanes. Addresses are those of
/// whole planes; what the rows asked for do not need is not touched.
class PlanePools {
 public:
  virtual ~PlanePools() = default;
  virtual void max(const PoolGeometry& s, const std::byte* x, std::byte* y,
                   PoolRows rows) const noexcept = 0;
  /// `count_padding`: a window's mean counts the padding that it holds.
  virtual void average(const PoolGeometry& s, bool count_padding, const std::byte* x, std::byte* y,
                       PoolRows rows) const noexcept = 0;
  /// A zeroed plane of sums gets each window's gradient; `sums` has sum_size() bytes an element.
  virtual void max_grad(const PoolGeometry& s, const std::byte* x, const std::byte* g,
                        std::byte* sums) const noexcept = 0;
  virtual void average_grad(const PoolGeometry& s, bool count_padding, const std::byte* g,
                            std::byte* sums) const noexcept = 0;
  [[nodiscard]] virtual std::size_t sum_size() const noexcept = 0;
  /// Sums as elements of the dtype.
  virtual void round(const std::byte* sums, std::byte* to, std::int64_t count) const noexcept = 0;

  /// `lanes`: of pool_lanes().
  static const PlanePools& of(DType dtype, std::int64_t lanes);
};

/// A pool of one Node, ready to run on planes.
class PlanePool {
 public:
  /// max_pool2d or avg_pool2d in a layout of pool_lanes().
  explicit PlanePool(const Node& node);

  [[nodiscard]] const PoolGeometry& shape() const noexcept { return shape_; }
  void run(const std::byte* x, std::byte* y, PoolRows rows) const noexcept {
    if (is_max_) return code_.max(shape_, x, y, rows);
    code_.average(shape_, count_padding_, x, y, rows);
  }

 private:
  PoolGeometry shape_;
  const PlanePools& code_;
  bool is_max_;
  bool count_padding_;
};

}  // namespace ingot::cpu
