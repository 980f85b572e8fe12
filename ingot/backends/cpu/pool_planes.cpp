// A blocked image is a plain one whose elements are `lanes` channels side by side; the compiler
// vectorises the loops over them. In plain f32 images vectors go along a row of windows.
#include "ingot/backends/cpu/pool_planes.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <type_traits>

#include "ingot/backends/cpu/pool_simd.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/pool2d.h"

namespace ingot::cpu {
namespace {

/// Calls fn(window, its first element's position, the output's) for each window of the rows, in
/// blocks of f32 channels.
template <class Fn>
void for_each_window(const PoolGeometry& s, const float* x, PoolRows rows, const Fn& fn) {
  std::int64_t out = rows.begin * s.out_row();
  for (std::int64_t oh = rows.begin; oh < rows.end; ++oh) {
    const auto [top, bottom] = s.taps(0, oh, s.height);
    for (std::int64_t ow = 0; ow < s.out_width; ++ow, out += s.lanes) {
      const auto [left, right] = s.taps(1, ow, s.width);
      const std::int64_t first =
          s.lanes * (s.window.source(0, oh, top) * s.width + s.window.source(1, ow, left));
      fn(MaxWindow{.first = x + first,
                   .rows = bottom - top,
                   .columns = right - left,
                   .row = s.window.dilation[0] * s.in_row(),
                   .column = s.window.dilation[1] * s.lanes,
                   .lanes = s.lanes},
         first, out);
    }
  }
}

/// The windows of a row of a plain f32 image that hold all their columns, as a row of SIMD code.
/// Windows [first, first + count) are in it; count 0: there are none.
struct InnerRow {
  std::int64_t first = 0, count = 0;
  std::int64_t position = 0;  ///< of the first window's first tap
  PlainWindows windows{};

  InnerRow(const PoolGeometry& s, std::int64_t oh) {
    const Window2d& w = s.window;
    const bool can = plain_windows_fit(w.kernel[1], w.stride[1], w.dilation[1]);
    if (!can) return;
    first = std::min((w.padding[2] + w.stride[1] - 1) / w.stride[1], s.out_width);
    const std::int64_t room = s.width + w.padding[2] - w.extent(1);
    const std::int64_t end = std::min(room < 0 ? 0 : room / w.stride[1] + 1, s.out_width);
    count = std::max<std::int64_t>(end - first, 0);
    const auto [top, bottom] = s.taps(0, oh, s.height);
    position = w.source(0, oh, top) * s.width + w.source(1, first, 0);
    windows = {.rows = bottom - top,
               .columns = w.kernel[1],
               .row = w.dilation[0] * s.width,
               .column = w.dilation[1],
               .stride = w.stride[1],
               .count = count};
  }
};

/// T in memory, A in registers.
template <class T, class A, std::int64_t kLanes>
class Pools final : public PlanePools {
  static constexpr bool kSimd = std::is_same_v<T, float>;

 public:
  void max(const PoolGeometry& s, const std::byte* from, std::byte* to,
           PoolRows rows) const noexcept override {
    const T* const x = reinterpret_cast<const T*>(from);
    T* const y = reinterpret_cast<T*>(to);
    if constexpr (kSimd && kLanes > 1) {
      const MaxWindowFn max_window = max_window_fn();
      for_each_window(s, x, rows, [&](const MaxWindow& window, std::int64_t, std::int64_t out) {
        max_window(window, y + out);
      });
    } else {
      for (std::int64_t oh = rows.begin; oh < rows.end; ++oh) {
        T* const row = y + oh * s.out_row();
        std::int64_t first = s.out_width;
        std::int64_t end = s.out_width;
        if constexpr (kSimd) {
          const InnerRow inner(s, oh);
          if (inner.count > 0) {
            plain_windows().max(inner.windows, x + inner.position, row + inner.first);
            first = inner.first;
            end = inner.first + inner.count;
          }
        }
        for (std::int64_t ow = 0; ow < first; ++ow) max_window_at(s, x, oh, ow, row);
        for (std::int64_t ow = end; ow < s.out_width; ++ow) max_window_at(s, x, oh, ow, row);
      }
    }
  }

  void average(const PoolGeometry& s, bool count_padding, const std::byte* from, std::byte* to,
               PoolRows rows) const noexcept override {
    const T* const x = reinterpret_cast<const T*>(from);
    T* const y = reinterpret_cast<T*>(to);
    for (std::int64_t oh = rows.begin; oh < rows.end; ++oh) {
      T* const row = y + oh * s.out_row();
      std::int64_t first = s.out_width;
      std::int64_t end = s.out_width;
      if constexpr (kSimd && kLanes == 1) {
        const InnerRow inner(s, oh);
        if (inner.count > 0) {
          const A factor = scale(s, count_padding, oh, inner.first);
          plain_windows().average(inner.windows, factor, x + inner.position, row + inner.first);
          first = inner.first;
          end = inner.first + inner.count;
        }
      }
      for (std::int64_t ow = 0; ow < first; ++ow) average_at(s, count_padding, x, oh, ow, row);
      for (std::int64_t ow = end; ow < s.out_width; ++ow) {
        average_at(s, count_padding, x, oh, ow, row);
      }
    }
  }

  void max_grad(const PoolGeometry& s, const std::byte* from, const std::byte* gradient,
                std::byte* to) const noexcept override {
    const T* const x = reinterpret_cast<const T*>(from);
    const T* const g = reinterpret_cast<const T*>(gradient);
    A* const sums = reinterpret_cast<A*>(to);
    if constexpr (kSimd && kLanes > 1) {
      const MaxWindowGradFn add = max_window_grad_fn();
      for_each_window(s, x, {0, s.out_height},
                      [&](const MaxWindow& window, std::int64_t first, std::int64_t out) {
                        add(window, g + out, sums + first);
                      });
    } else {
      for (std::int64_t oh = 0; oh < s.out_height; ++oh) {
        const T* const row = g + oh * s.out_row();
        std::int64_t first = s.out_width;
        std::int64_t end = s.out_width;
        if constexpr (kSimd) {
          const InnerRow inner(s, oh);
          if (inner.count > 0) {
            first = inner.first;
            end = inner.first + inner.count;
            for (std::int64_t ow = 0; ow < first; ++ow) max_grad_at(s, x, oh, ow, row, sums);
            plain_windows().max_grad(inner.windows, x + inner.position, row + inner.first,
                                     sums + inner.position);
          }
        }
        if (end == first) {
          for (std::int64_t ow = 0; ow < first; ++ow) max_grad_at(s, x, oh, ow, row, sums);
        }
        for (std::int64_t ow = end; ow < s.out_width; ++ow) max_grad_at(s, x, oh, ow, row, sums);
      }
    }
  }

  void average_grad(const PoolGeometry& s, bool count_padding, const std::byte* gradient,
                    std::byte* to) const noexcept override {
    const T* g = reinterpret_cast<const T*>(gradient);
    A* const sums = reinterpret_cast<A*>(to);
    for (std::int64_t oh = 0; oh < s.out_height; ++oh) {
      for (std::int64_t ow = 0; ow < s.out_width; ++ow, g += kLanes) {
        const A factor = scale(s, count_padding, oh, ow);
        s.for_each_tap(oh, ow, [&](std::int64_t at) {
          for (std::size_t l = 0; l < kLanes; ++l) {
            sums[at * kLanes + static_cast<std::int64_t>(l)] += static_cast<A>(g[l]) * factor;
          }
        });
      }
    }
  }

  [[nodiscard]] std::size_t sum_size() const noexcept override { return sizeof(A); }

  void round(const std::byte* sums, std::byte* to, std::int64_t count) const noexcept override {
    const A* const from = reinterpret_cast<const A*>(sums);
    T* const result = reinterpret_cast<T*>(to);
    for (std::int64_t i = 0; i < count; ++i) result[i] = T(from[i]);
  }

 private:
  // 1 where a NaN or the first of equal values holds its place, else 0; without a branch.
  static int keeps(A best, A value) {
    return static_cast<int>(value <= best) | static_cast<int>(best != best);
  }

  static void max_window_at(const PoolGeometry& s, const T* x, std::int64_t oh, std::int64_t ow,
                            T* row) {
    std::array<A, kLanes> best;
    best.fill(-std::numeric_limits<A>::infinity());
    s.for_each_tap(oh, ow, [&](std::int64_t at) {
      for (std::size_t l = 0; l < kLanes; ++l) {
        const A value = static_cast<A>(x[at * kLanes + static_cast<std::int64_t>(l)]);
        best[l] = keeps(best[l], value) != 0 ? best[l] : value;
      }
    });
    for (std::size_t l = 0; l < kLanes; ++l) {
      row[ow * kLanes + static_cast<std::int64_t>(l)] = T(best[l]);
    }
  }

  /// `sums` is an image of A.
  static void max_grad_at(const PoolGeometry& s, const T* x, std::int64_t oh, std::int64_t ow,
                          const T* row, A* sums) {
    std::array<A, kLanes> best{};
    std::array<std::int32_t, kLanes> winner;
    winner.fill(-1);
    s.for_each_tap(oh, ow, [&](std::int64_t at) {
      for (std::size_t l = 0; l < kLanes; ++l) {
        const A value = static_cast<A>(x[at * kLanes + static_cast<std::int64_t>(l)]);
        const bool stays = (static_cast<int>(winner[l] >= 0) & keeps(best[l], value)) != 0;
        best[l] = stays ? best[l] : value;
        winner[l] = stays ? winner[l] : static_cast<std::int32_t>(at);
      }
    });
    for (std::size_t l = 0; l < kLanes; ++l) {
      const auto lane = static_cast<std::int64_t>(l);
      sums[static_cast<std::int64_t>(winner[l]) * kLanes + lane] +=
          static_cast<A>(row[ow * kLanes + lane]);
    }
  }

  /// 1 / the number of elements that the window counts.
  static A scale(const PoolGeometry& s, bool count_padding, std::int64_t oh, std::int64_t ow) {
    std::int64_t count = s.window.kernel[0] * s.window.kernel[1];
    if (!count_padding) {
      const auto [top, bottom] = s.taps(0, oh, s.height);
      const auto [left, right] = s.taps(1, ow, s.width);
      count = (bottom - top) * (right - left);
    }
    return A{1} / static_cast<A>(count);
  }

  static void average_at(const PoolGeometry& s, bool count_padding, const T* x, std::int64_t oh,
                         std::int64_t ow, T* row) {
    std::array<A, kLanes> total{};
    s.for_each_tap(oh, ow, [&](std::int64_t at) {
      for (std::size_t l = 0; l < kLanes; ++l) {
        total[l] += static_cast<A>(x[at * kLanes + static_cast<std::int64_t>(l)]);
      }
    });
    const A factor = scale(s, count_padding, oh, ow);
    for (std::size_t l = 0; l < kLanes; ++l) {
      row[ow * kLanes + static_cast<std::int64_t>(l)] = T(total[l] * factor);
    }
  }
};

template <class T, class A>
const PlanePools& pools_of(std::int64_t lanes) {
  static const Pools<T, A, 1> plain;
  static const Pools<T, A, 8> eight;
  static const Pools<T, A, 16> sixteen;
  if (lanes == 8) return eight;
  if (lanes == 16) return sixteen;
  return plain;
}

bool counts_padding(const Node& node) {
  return node.op().attr_index("count_include_pad") < 0 || node.attr<bool>("count_include_pad");
}

}  // namespace

std::int64_t pool_lanes(const Layout& layout) {
  if (layout.is_plain()) return 1;
  for (const std::int64_t lanes : {8, 16}) {
    if (layout == Layout::channels_blocked(lanes)) return lanes;
  }
  return 0;
}

Support takes_pool_layouts(const Node& node) {
  const Layout& layout = node.outputs()[0].layout;
  if (pool_lanes(layout) == 0) {
    return Support::no(fmt::format("takes plain layouts and blocks of 8 or 16 channels, got {}",
                                   layout.to_string(4)));
  }
  for (const Value& input : node.inputs()) {
    if (input.layout() == layout) continue;
    return Support::no(fmt::format("operands and result must share a layout, got {} and {}",
                                   input.layout().to_string(4), layout.to_string(4)));
  }
  return Support::yes();
}

PoolGeometry::PoolGeometry(const Node& node, std::int64_t lanes) : lanes(lanes) {
  const Pool2dShape shape = pool2d_shape(node);
  window = shape.window;
  // NOLINTNEXTLINE(clang-analyzer-core.DivideZero): layouts without lanes are refused
  planes = shape.input[0] * ((shape.input[1] + lanes - 1) / lanes);
  height = shape.input[2];
  width = shape.input[3];
  out_height = shape.output[2];
  out_width = shape.output[3];
}

std::pair<std::int64_t, std::int64_t> PoolGeometry::rows_of(std::int64_t begin,
                                                            std::int64_t end) const {
  const std::int64_t top = window.source(0, begin, taps(0, begin, height).first);
  const std::int64_t bottom = window.source(0, end - 1, taps(0, end - 1, height).second - 1);
  return {top, bottom + 1};
}

const PlanePools& PlanePools::of(DType dtype, std::int64_t lanes) {
  switch (dtype) {
    case DType::f64: return pools_of<double, double>(lanes);
    case DType::f16: return pools_of<Half, float>(lanes);
    case DType::bf16: return pools_of<BFloat16, float>(lanes);
    default: return pools_of<float, float>(lanes);
  }
}

PlanePool::PlanePool(const Node& node)
    : shape_(node, pool_lanes(node.outputs()[0].layout)),
      code_(PlanePools::of(node.output_type().dtype, shape_.lanes)),
      is_max_(is_max_pool2d(node)),
      count_padding_(counts_padding(node)) {}

}  // namespace ingot::cpu
