// Max and average pooling and their gradients, in plain and channel-blocked layouts. A blocked
// image is a plain one whose elements are `lanes` channels side by side; the compiler vectorises
// the loops over them.
#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/backends/cpu/cpu_layouts.h"
#include "ingot/backends/cpu/operand_walk.h"
#include "ingot/backends/cpu/parallel.h"
#include "ingot/backends/cpu/pool_simd.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/pool2d.h"

namespace ingot {
namespace {

constexpr std::int64_t kMaxLanes = 16;

/// Lanes of a layout that pooling takes: 1 when plain, 8 or 16 channels in blocks; else 0.
std::int64_t lanes_of(const Layout& layout) {
  if (layout.is_plain()) return 1;
  for (const std::int64_t lanes : {8, 16}) {
    if (layout == Layout::channels_blocked(lanes)) return lanes;
  }
  return 0;
}

/// What one image of one channel (or block of channels) is.
struct Geometry {
  Window2d window;
  std::int64_t planes;
  std::int64_t height;
  std::int64_t width;
  std::int64_t out_height;
  std::int64_t out_width;

  Geometry(const Node& node, std::int64_t lanes) {
    const Pool2dShape shape = pool2d_shape(node);
    window = shape.window;
    planes = shape.input[0] * ((shape.input[1] + lanes - 1) / lanes);
    height = shape.input[2];
    width = shape.input[3];
    out_height = shape.output[2];
    out_width = shape.output[3];
  }
  [[nodiscard]] std::int64_t in_size() const { return height * width; }
  [[nodiscard]] std::int64_t out_size() const { return out_height * out_width; }

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

  /// The taps of a window that lie inside the image, along one axis.
  [[nodiscard]] std::pair<std::int64_t, std::int64_t> taps(int axis, std::int64_t out,
                                                           std::int64_t size) const {
    const auto a = static_cast<std::size_t>(axis);
    const std::int64_t first = window.source(axis, out, 0);
    const std::int64_t step = window.dilation[a];
    const std::int64_t begin = first < 0 ? (step - 1 - first) / step : 0;
    const std::int64_t end = first < size ? (size - 1 - first) / step + 1 : 0;
    return {begin, std::min(end, window.kernel[a])};
  }
};

/// Calls fn(window, its first element's position, the output's) for each window of a plane of
/// blocks of f32 channels.
template <class Fn>
void for_each_window(const Geometry& s, std::int64_t lanes, const float* x, const Fn& fn) {
  std::int64_t out = 0;
  for (std::int64_t oh = 0; oh < s.out_height; ++oh) {
    const auto [top, bottom] = s.taps(0, oh, s.height);
    for (std::int64_t ow = 0; ow < s.out_width; ++ow, out += lanes) {
      const auto [left, right] = s.taps(1, ow, s.width);
      const std::int64_t first =
          lanes * (s.window.source(0, oh, top) * s.width + s.window.source(1, ow, left));
      fn(cpu::MaxWindow{.first = x + first,
                        .rows = bottom - top,
                        .columns = right - left,
                        .row = s.window.dilation[0] * s.width * lanes,
                        .column = s.window.dilation[1] * lanes,
                        .lanes = lanes},
         first, out);
    }
  }
}

void max_forward_blocked(const Geometry& s, std::int64_t lanes, const float* x, float* y) {
  const cpu::MaxWindowFn max_window = cpu::max_window_fn();
  for_each_window(s, lanes, x, [&](const cpu::MaxWindow& window, std::int64_t, std::int64_t out) {
    max_window(window, y + out);
  });
}

void max_backward_blocked(const Geometry& s, std::int64_t lanes, const float* x, const float* g,
                          float* sums) {
  const cpu::MaxWindowGradFn add = cpu::max_window_grad_fn();
  for_each_window(s, lanes, x,
                  [&](const cpu::MaxWindow& window, std::int64_t first, std::int64_t out) {
                    add(window, g + out, sums + first);
                  });
}

/// T in memory, A in registers.
template <class T, class A, std::int64_t kLanes>
struct Pools {
  // 1 where a NaN or the first of equal values holds its place, else 0; without a branch.
  static int keeps(A best, A value) {
    return static_cast<int>(value <= best) | static_cast<int>(best != best);
  }

  static void max_forward(const Geometry& s, const T* x, T* y) {
    if constexpr (std::is_same_v<T, float> && kLanes > 1) {
      return max_forward_blocked(s, kLanes, x, y);
    }
    for (std::int64_t oh = 0; oh < s.out_height; ++oh) {
      for (std::int64_t ow = 0; ow < s.out_width; ++ow, y += kLanes) {
        std::array<A, kLanes> best;
        best.fill(-std::numeric_limits<A>::infinity());
        s.for_each_tap(oh, ow, [&](std::int64_t at) {
          for (std::size_t l = 0; l < kLanes; ++l) {
            const A value = static_cast<A>(x[at * kLanes + static_cast<std::int64_t>(l)]);
            best[l] = keeps(best[l], value) != 0 ? best[l] : value;
          }
        });
        for (std::size_t l = 0; l < kLanes; ++l) y[l] = T(best[l]);
      }
    }
  }

  /// `sums` is a zeroed image of A.
  static void max_backward(const Geometry& s, const T* x, const T* g, A* sums) {
    if constexpr (std::is_same_v<T, float> && kLanes > 1) {
      return max_backward_blocked(s, kLanes, x, g, sums);
    }
    for (std::int64_t oh = 0; oh < s.out_height; ++oh) {
      for (std::int64_t ow = 0; ow < s.out_width; ++ow, g += kLanes) {
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
          sums[static_cast<std::int64_t>(winner[l]) * kLanes + static_cast<std::int64_t>(l)] +=
              static_cast<A>(g[l]);
        }
      }
    }
  }

  /// 1 / the number of elements that the window counts.
  static A scale(const Geometry& s, bool count_padding, std::int64_t oh, std::int64_t ow) {
    std::int64_t count = s.window.kernel[0] * s.window.kernel[1];
    if (!count_padding) {
      count = 0;
      s.for_each_tap(oh, ow, [&](std::int64_t) { ++count; });
    }
    return A{1} / static_cast<A>(count);
  }

  static void average_forward(const Geometry& s, bool count_padding, const T* x, T* y) {
    for (std::int64_t oh = 0; oh < s.out_height; ++oh) {
      for (std::int64_t ow = 0; ow < s.out_width; ++ow, y += kLanes) {
        std::array<A, kLanes> total{};
        s.for_each_tap(oh, ow, [&](std::int64_t at) {
          for (std::size_t l = 0; l < kLanes; ++l) {
            total[l] += static_cast<A>(x[at * kLanes + static_cast<std::int64_t>(l)]);
          }
        });
        const A factor = scale(s, count_padding, oh, ow);
        for (std::size_t l = 0; l < kLanes; ++l) y[l] = T(total[l] * factor);
      }
    }
  }

  static void average_backward(const Geometry& s, bool count_padding, const T* g, A* sums) {
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
};

enum class PoolKind : std::uint8_t { max, max_grad, average, average_grad };

template <class T, class A, std::int64_t kLanes>
class PoolKernel final : public Kernel {
 public:
  PoolKernel(const KernelProblem& problem, const CpuBackend& backend, PoolKind kind)
      : pool_(backend.pool()),
        inputs_(problem.inputs),
        output_(problem.outputs[0]),
        kind_(kind),
        shape_(problem.node, kLanes) {
    if (problem.node.op().attr_index("count_include_pad") >= 0) {
      count_padding_ = problem.node.template attr<bool>("count_include_pad");
    }
  }

  [[nodiscard]] std::string_view name() const noexcept override { return "simd-pool"; }
  /// Gradients are summed in A, an image a thread, unless the result can hold the sums.
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    if (std::is_same_v<T, A>) return 0;
    return pool_.size() * shape_.in_size() * kLanes * static_cast<std::int64_t>(sizeof(A));
  }

  void run(const KernelContext& context) noexcept override {
    const auto taps = static_cast<double>(shape_.window.kernel[0] * shape_.window.kernel[1]);
    const double cost =
        static_cast<double>(shape_.planes * shape_.out_size()) * taps * (kLanes > 1 ? 4.0 : 2.0);
    parallel_ranges(pool_, shape_.planes, 1, cost,
                    [&](std::int64_t first, std::int64_t last, int worker) {
                      for (std::int64_t p = first; p < last; ++p) run_plane(context, p, worker);
                    });
  }

 private:
  using P = Pools<T, A, kLanes>;

  void run_plane(const KernelContext& context, std::int64_t plane, int worker) const noexcept {
    const std::int64_t in = plane * shape_.in_size() * kLanes;
    const std::int64_t out = plane * shape_.out_size() * kLanes;
    const T* x = context.at<const T>(inputs_[0]);
    T* y = context.at<T>(output_);
    if (kind_ == PoolKind::max) return P::max_forward(shape_, x + in, y + out);
    if (kind_ == PoolKind::average) {
      return P::average_forward(shape_, count_padding_, x + in, y + out);
    }
    const std::int64_t size = shape_.in_size() * kLanes;
    A* sums;
    if constexpr (std::is_same_v<T, A>) {
      sums = y + in;
    } else {
      sums = reinterpret_cast<A*>(context.scratch) + worker * size;
    }
    std::fill_n(sums, size, A{0});
    if (kind_ == PoolKind::max_grad) {
      P::max_backward(shape_, x + in, context.at<const T>(inputs_[2]) + out, sums);
    } else {
      P::average_backward(shape_, count_padding_, x + out, sums);
    }
    if constexpr (!std::is_same_v<T, A>) {
      for (std::int64_t i = 0; i < size; ++i) y[in + i] = T(sums[i]);
    }
  }

  ThreadPool& pool_;
  std::vector<int> inputs_;
  int output_;
  PoolKind kind_;
  Geometry shape_;
  bool count_padding_ = true;
};

template <class T, class A>
std::unique_ptr<Kernel> create_for(const KernelProblem& problem, const CpuBackend& cpu,
                                   PoolKind kind) {
  switch (lanes_of(problem.node.outputs()[0].layout)) {
    case 8: return std::make_unique<PoolKernel<T, A, 8>>(problem, cpu, kind);
    case 16: return std::make_unique<PoolKernel<T, A, kMaxLanes>>(problem, cpu, kind);
    default: return std::make_unique<PoolKernel<T, A, 1>>(problem, cpu, kind);
  }
}

std::unique_ptr<Kernel> create_pool(const KernelProblem& problem, const Backend& backend,
                                    PoolKind kind) {
  const CpuBackend& cpu = as_cpu(backend);
  switch (problem.node.output_type().dtype) {
    case DType::f64: return create_for<double, double>(problem, cpu, kind);
    case DType::f16: return create_for<Half, float>(problem, cpu, kind);
    case DType::bf16: return create_for<BFloat16, float>(problem, cpu, kind);
    default: return create_for<float, float>(problem, cpu, kind);
  }
}

Support check_pool(const Node& node, const Backend&) {
  const Layout& layout = node.outputs()[0].layout;
  if (lanes_of(layout) == 0) return Support::no("the layout is neither plain nor channel-blocked");
  for (const Value& input : node.inputs()) {
    if (input.layout() != layout) return Support::no("operands and result must share a layout");
  }
  return Support::yes();
}

}  // namespace

bool pool_accepts(const Node& node, const Layout& layout) {
  return is_pool(node) && lanes_of(layout) > 0;
}

bool is_pool(const Node& node) {
  const OpDef* op = &node.op();
  return op == &max_pool2d_op() || op == &max_pool2d_grad_op() || op == &avg_pool2d_op() ||
         op == &avg_pool2d_grad_op();
}

void register_pool_kernels(KernelTable& table) {
  const auto add = [&](const OpDef& op, PoolKind kind) {
    table.register_kernel(op.name,
                          {.name = "simd",
                           .supports = check_pool,
                           .create = [kind](const KernelProblem& problem, const Backend& backend) {
                             return create_pool(problem, backend, kind);
                           }});
  };
  add(max_pool2d_op(), PoolKind::max);
  add(max_pool2d_grad_op(), PoolKind::max_grad);
  add(avg_pool2d_op(), PoolKind::average);
  add(avg_pool2d_grad_op(), PoolKind::average_grad);
}

}  // namespace ingot
