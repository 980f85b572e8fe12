#include "ingot/backends/cpu/conv_direct_plan.h"

#include <algorithm>

namespace ingot::cpu {
namespace {

/// One spatial axis of the data gradient: input h + before = stride * u + residue is reached from
/// output u - shift by tap i, where i * dilation = stride * shift + residue.
struct GradAxis {
  std::int64_t stride, dilation, before, kernel, input;

  [[nodiscard]] std::int64_t first_u(std::int64_t residue) const {
    return std::max<std::int64_t>(divide_up(before - residue, stride), 0);
  }
  [[nodiscard]] std::int64_t base(std::int64_t residue) const {
    return stride * first_u(residue) + residue - before;
  }
  [[nodiscard]] std::int64_t count(std::int64_t residue) const {
    const std::int64_t first = base(residue);
    return first < input ? (input - first + stride - 1) / stride : 0;
  }
  [[nodiscard]] bool reaches(std::int64_t tap, std::int64_t residue) const {
    return tap * dilation % stride == residue;
  }
  [[nodiscard]] std::int64_t shift(std::int64_t tap) const { return tap * dilation / stride; }
  /// The lowest output that any pass reads, with padding: where the planes begin.
  [[nodiscard]] std::int64_t plane_begin() const {
    std::int64_t begin = 0;
    for (std::int64_t tap = 0; tap < kernel; ++tap) {
      begin = std::min(begin, first_u(tap * dilation % stride) - shift(tap));
    }
    return begin;
  }
};

}  // namespace

PlanePlan forward_plan(const ConvProblem& p) {
  PlanePlan plan;
  plan.phase_rows = p.stride_h;
  plan.phase_columns = p.stride_w;
  plan.top = p.top;
  plan.left = p.left;
  plan.source_rows = p.ih;
  plan.source_columns = p.iw;
  plan.max_rows = p.oh;
  PlanePass pass{.taps = {}, .rows = p.oh, .columns = p.ow};
  std::int64_t last_column = 0;
  for (std::int64_t i = 0; i < p.kh; ++i) {
    for (std::int64_t j = 0; j < p.kw; ++j) {
      const std::int64_t row = i * p.dilation_h;
      const std::int64_t column = j * p.dilation_w;
      pass.taps.push_back({.kernel_index = i * p.kw + j,
                           .phase = row % p.stride_h * p.stride_w + column % p.stride_w,
                           .row = row / p.stride_h,
                           .column = column / p.stride_w});
      plan.halo = std::max(plan.halo, row / p.stride_h);
      last_column = std::max(last_column, column / p.stride_w);
    }
  }
  plan.pitch = p.ow + last_column;
  plan.passes.push_back(std::move(pass));
  return plan;
}

PlanePlan input_grad_plan(const ConvProblem& p) {
  const GradAxis vertical{p.stride_h, p.dilation_h, p.top, p.kh, p.ih};
  const GradAxis horizontal{p.stride_w, p.dilation_w, p.left, p.kw, p.iw};
  const std::int64_t row_begin = vertical.plane_begin();
  const std::int64_t column_begin = horizontal.plane_begin();
  PlanePlan plan;
  plan.top = -row_begin;
  plan.left = -column_begin;
  plan.source_rows = p.oh;
  plan.source_columns = p.ow;
  for (std::int64_t a = 0; a < p.stride_h; ++a) {
    for (std::int64_t b = 0; b < p.stride_w; ++b) {
      PlanePass pass{.taps = {},
                     .rows = vertical.count(a),
                     .columns = horizontal.count(b),
                     .row_base = vertical.base(a),
                     .column_base = horizontal.base(b),
                     .row_step = p.stride_h,
                     .column_step = p.stride_w};
      if (pass.rows == 0 || pass.columns == 0) continue;
      for (std::int64_t i = 0; i < p.kh; ++i) {
        for (std::int64_t j = 0; j < p.kw; ++j) {
          if (!vertical.reaches(i, a) || !horizontal.reaches(j, b)) continue;
          const PlaneTap tap{.kernel_index = i * p.kw + j,
                             .phase = 0,
                             .row = vertical.first_u(a) - vertical.shift(i) - row_begin,
                             .column = horizontal.first_u(b) - horizontal.shift(j) - column_begin};
          plan.halo = std::max(plan.halo, tap.row);
          plan.pitch = std::max(plan.pitch, tap.column + pass.columns);
          pass.taps.push_back(tap);
        }
      }
      plan.pitch = std::max(plan.pitch, pass.columns);
      plan.max_rows = std::max(plan.max_rows, pass.rows);
      plan.passes.push_back(std::move(pass));
    }
  }
  return plan;
}

}  // namespace ingot::cpu
