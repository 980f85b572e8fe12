// What the pools and their gradients have in common.
#pragma once

#include <utility>
#include <vector>

#include "ingot/ops/ops.h"
#include "ingot/ops/window2d.h"

namespace ingot {

/// Pooling windows over every channel of an input [N, C, H, W].
struct Pool2dShape {
  Shape input;
  Shape output;
  Window2d window;

  [[nodiscard]] std::int64_t taps() const { return window.kernel[0] * window.kernel[1]; }
};

/// Windows over the images of one operand, told by what the record has: max_pool2d, avg_pool2d.
bool is_pool2d(const Node& node);
/// Whether such a Node takes each window's largest element rather than its mean.
bool is_max_pool2d(const Node& node);
/// Of a pool's or a pool gradient's Node.
Pool2dShape pool2d_shape(const Node& node);

std::vector<AttrSpec> pool2d_attrs(std::vector<AttrSpec> own, bool with_dilation);
/// The rules that check_pool2d cites; `input_rank` says how the op calls its input.
std::vector<Constraint> pool2d_constraints(std::string_view input_rank, bool with_dilation,
                                           bool has_pooled_operand);
Pool2dShape check_pool2d(const InferContext& ctx, const Shape& input, bool with_dilation);
/// Checks that operand `i` has the type of the pool's result.
void check_pooled_operand(const InferContext& ctx, std::size_t i, const Pool2dShape& shape);
/// Each operand read and each result written once, one operation a tap.
Cost pool2d_cost(const Node& node);
std::int64_t pool2d_taps(const Node& node);
/// Options as attributes; the stride is the kernel's size unless given.
AttrList to_attrs(const MaxPool2dOptions& options);
AttrList to_attrs(const AvgPool2dOptions& options);
/// The options that build an avg_pool2d or avg_pool2d_grad Node.
AvgPool2dOptions avg_pool2d_options(const Node& node);
/// 1 / count of every window of such a Node.
std::vector<double> avg_pool2d_scale(const Node& node);

/// Calls fn(y, x) with the flat indices of every element that a window holds, windows in order and
/// their taps in row-major order.
template <typename Fn>
void for_each_pool2d_tap(const Pool2dShape& s, Fn&& fn) {
  const std::int64_t height = s.input[2];
  const std::int64_t width = s.input[3];
  std::int64_t y = 0;
  for (std::int64_t image = 0; image < s.input[0] * s.input[1]; ++image) {
    for (std::int64_t oh = 0; oh < s.output[2]; ++oh) {
      for (std::int64_t ow = 0; ow < s.output[3]; ++ow, ++y) {
        for (std::int64_t i = 0; i < s.window.kernel[0]; ++i) {
          const std::int64_t h = s.window.source(0, oh, i);
          if (h < 0 || h >= height) continue;
          for (std::int64_t j = 0; j < s.window.kernel[1]; ++j) {
            const std::int64_t w = s.window.source(1, ow, j);
            if (w < 0 || w >= width) continue;
            fn(static_cast<std::size_t>(y),
               static_cast<std::size_t>((image * height + h) * width + w));
          }
        }
      }
    }
  }
}

}  // namespace ingot
