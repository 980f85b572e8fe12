#include "ingot/backends/cpu/conv_depthwise_plan.h"

#include <algorithm>
#include <iterator>

namespace ingot::cpu {
namespace {

DepthwisePlan forward_of(const ConvProblem& p) {
  DepthwisePlan plan{.source_rows = p.ih,
                     .source_columns = p.iw,
                     .result_rows = p.oh,
                     .result_columns = p.ow,
                     .kernel_columns = p.kw};
  for (std::int64_t row = 0; row < p.oh; ++row) {
    plan.first_row.push_back(std::ssize(plan.rows));
    for (std::int64_t k = 0; k < p.kh; ++k) {
      const std::int64_t source = row * p.stride_h + k * p.dilation_h - p.top;
      if (source >= 0 && source < p.ih) plan.rows.push_back({source, k});
    }
  }
  plan.first_row.push_back(std::ssize(plan.rows));
  plan.columns.push_back({.count = p.ow,
                          .first = -p.left,
                          .stride = p.stride_w,
                          .dilation = p.dilation_w,
                          .taps = static_cast<int>(p.kw)});
  return plan;
}

/// Input columns base, base + stride, ...: those columns of the kernel that meet an output there.
/// Neighbouring ones among them meet outputs equally far apart.
DepthwiseColumns gradient_columns(const ConvProblem& p, std::int64_t base) {
  DepthwiseColumns columns{
      .base = base, .step = p.stride_w, .count = (p.iw - base + p.stride_w - 1) / p.stride_w};
  std::int64_t next = 0;
  for (std::int64_t k = p.kw - 1; k >= 0; --k) {
    const std::int64_t offset = base + p.left - k * p.dilation_w;
    if (offset % p.stride_w != 0) continue;
    const std::int64_t source = offset / p.stride_w;
    if (columns.taps == 0) {
      columns.first = source;
      columns.kernel_first = k;
    } else if (columns.taps == 1) {
      columns.dilation = source - columns.first;
      columns.kernel_step = k - next;
    }
    next = k;
    ++columns.taps;
  }
  return columns;
}

DepthwisePlan gradient_of(const ConvProblem& p) {
  DepthwisePlan plan{.source_rows = p.oh,
                     .source_columns = p.ow,
                     .result_rows = p.ih,
                     .result_columns = p.iw,
                     .kernel_columns = p.kw};
  for (std::int64_t row = 0; row < p.ih; ++row) {
    plan.first_row.push_back(std::ssize(plan.rows));
    for (std::int64_t k = 0; k < p.kh; ++k) {
      const std::int64_t offset = row + p.top - k * p.dilation_h;
      if (offset >= 0 && offset % p.stride_h == 0 && offset / p.stride_h < p.oh) {
        plan.rows.push_back({offset / p.stride_h, k});
      }
    }
  }
  plan.first_row.push_back(std::ssize(plan.rows));
  for (std::int64_t base = 0; base < std::min(p.stride_w, p.iw); ++base) {
    plan.columns.push_back(gradient_columns(p, base));
  }
  return plan;
}

}  // namespace

DepthwisePlan DepthwisePlan::of(const ConvProblem& problem, bool forward) {
  return forward ? forward_of(problem) : gradient_of(problem);
}

}  // namespace ingot::cpu
