// The problem that conv2d and its two gradients have in common.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ingot/ops/ops.h"
#include "ingot/ops/window2d.h"

namespace ingot {

/// Sizes of a convolution x[batch, in_channels, in_h, in_w] * w[out_channels, in_channels/groups,
/// kernel] -> y[batch, out_channels, out_h, out_w].
struct Conv2dShape {
  std::int64_t batch = 0, in_channels = 0, in_h = 0, in_w = 0;
  std::int64_t out_channels = 0, out_h = 0, out_w = 0;
  std::int64_t groups = 1;
  Window2d window;

  [[nodiscard]] std::int64_t group_in() const { return in_channels / groups; }
  [[nodiscard]] std::int64_t group_out() const { return out_channels / groups; }
  [[nodiscard]] std::int64_t taps() const { return window.kernel[0] * window.kernel[1]; }
  [[nodiscard]] Shape input() const { return {batch, in_channels, in_h, in_w}; }
  [[nodiscard]] Shape weight() const {
    return {out_channels, group_in(), window.kernel[0], window.kernel[1]};
  }
  [[nodiscard]] Shape output() const { return {batch, out_channels, out_h, out_w}; }
  /// Multiplications and additions, taps on padding counted too.
  [[nodiscard]] double flops() const;
};

/// Of a conv2d, conv2d_input_grad or conv2d_weight_grad Node.
Conv2dShape conv2d_shape(const Node& node);

enum class ConvKind : std::uint8_t { forward, input_grad, weight_grad };

/// Which of the three an op is, and which of its operands is the image, the weight, and conv2d's
/// result or the gradient of it; -1: what the op gives.
struct Conv2dOperands {
  ConvKind kind;
  int image, weight, result;
};
/// Told by the record's attributes; nothing for an op that is none of the three.
std::optional<Conv2dOperands> conv2d_operands(const OpDef& op);

/// The options that build such a Node, and their attributes.
Conv2dOptions conv2d_options(const Node& node);
AttrList to_attrs(const Conv2dOptions& options);

/// Where the three records differ: how each calls its input, weight and gradient.
struct Conv2dTexts {
  std::string_view input_rank;
  std::string_view weight_rank;
  bool has_gradient_operand = true;
};
/// An op's own attributes, then those of a convolution.
std::vector<AttrSpec> conv2d_attrs(std::vector<AttrSpec> own);
std::vector<Constraint> conv2d_constraints(const Conv2dTexts& texts);
/// Checks everything but the gradient's shape.
Conv2dShape check_conv2d(const InferContext& ctx, const Shape& input, const Shape& weight);
/// Checks that a gradient operand has the shape of conv2d's result.
void check_conv2d_gradient(const InferContext& ctx, const TensorType& gradient,
                           const Conv2dShape& shape);
Cost conv2d_cost(const Node& node);

/// Calls fn(y, x, w) with the flat indices of every product that conv2d sums, those of one y
/// element in sequence.
template <typename Fn>
void for_each_conv2d_product(const Conv2dShape& s, Fn&& fn) {
  const auto [kh, kw] = s.window.kernel;
  std::int64_t y = 0;
  for (std::int64_t n = 0; n < s.batch; ++n) {
    for (std::int64_t o = 0; o < s.out_channels; ++o) {
      const std::int64_t first_channel = o / s.group_out() * s.group_in();
      for (std::int64_t oh = 0; oh < s.out_h; ++oh) {
        for (std::int64_t ow = 0; ow < s.out_w; ++ow, ++y) {
          for (std::int64_t c = 0; c < s.group_in(); ++c) {
            for (std::int64_t i = 0; i < kh; ++i) {
              const std::int64_t h = s.window.source(0, oh, i);
              if (h < 0 || h >= s.in_h) continue;
              for (std::int64_t j = 0; j < kw; ++j) {
                const std::int64_t w = s.window.source(1, ow, j);
                if (w < 0 || w >= s.in_w) continue;
                const std::int64_t channel = n * s.in_channels + first_channel + c;
                fn(static_cast<std::size_t>(y),
                   static_cast<std::size_t>((channel * s.in_h + h) * s.in_w + w),
                   static_cast<std::size_t>(((o * s.group_in() + c) * kh + i) * kw + j));
              }
            }
          }
        }
      }
    }
  }
}

}  // namespace ingot
