// The numbers of a convolution, whichever of its three ops asks.
#pragma once

#include <cstdint>

#include "ingot/ir/graph.h"
#include "ingot/ir/target.h"

namespace ingot::cpu {

enum class ConvKind : std::uint8_t { forward, input_grad, weight_grad };

/// x [n, ic, ih, iw], w [oc, ic / groups, kh, kw], y and its gradient [n, oc, oh, ow].
struct ConvProblem {
  std::int64_t n = 1, ic = 1, ih = 1, iw = 1;
  std::int64_t oc = 1, oh = 1, ow = 1;
  std::int64_t kh = 1, kw = 1;
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t top = 0, bottom = 0, left = 0, right = 0;
  std::int64_t dilation_h = 1, dilation_w = 1;  ///< 1: dense
  std::int64_t groups = 1;

  /// Of a conv2d, conv2d_input_grad or conv2d_weight_grad Node.
  static ConvProblem of(const Node& node);

  [[nodiscard]] std::int64_t x_image() const noexcept { return ic * ih * iw; }
  [[nodiscard]] std::int64_t y_image() const noexcept { return oc * oh * ow; }
  [[nodiscard]] std::int64_t weights() const noexcept { return oc * (ic / groups) * kh * kw; }
  [[nodiscard]] bool depthwise() const noexcept {
    return groups > 1 && groups == ic && groups == oc;
  }
  /// Of one image, a multiply-add counted as two.
  [[nodiscard]] double flops_per_image() const noexcept {
    const std::int64_t products = y_image() * (ic / groups) * kh * kw;
    return 2.0 * static_cast<double>(products);
  }

  friend bool operator==(const ConvProblem&, const ConvProblem&) = default;
};

/// Of a conv2d, conv2d_input_grad or conv2d_weight_grad Node.
ConvKind conv_kind(const Node& node);
/// Whether the Node is one of the three.
bool is_conv(const Node& node) noexcept;

/// The Values of a convolution, wherever they stand among its operands and results.
struct ConvValues {
  const Node::Output* x = nullptr;
  const Node::Output* w = nullptr;
  const Node::Output* y = nullptr;
};
ConvValues conv_values(const Node& node);

/// Channels per block when activations and weights all lie in blocks of one size ("aBcd16b",
/// "ABcd16b16a"); 0 when not.
std::int64_t common_block(const ConvValues& values);
/// Whether a convolution's Node is f32, with the channels of each group in full blocks of that
/// size.
Support has_full_blocks(const Node& node);

/// Consecutive images that one task takes: `count` slices of `images`, the last one of `rest`
/// (1 <= rest <= images).
struct BatchSlices {
  std::int64_t images = 1;
  std::int64_t count = 1;
  std::int64_t rest = 1;

  [[nodiscard]] std::int64_t images_of(std::int64_t slice) const noexcept {
    return slice + 1 == count ? rest : images;
  }
};

/// At most `most` slices of n images, as even as they can be.
BatchSlices slice_batch(std::int64_t n, std::int64_t most) noexcept;
/// Slices for the forward pass and the data gradient; from the shape alone. A slice is long enough
/// for reading the weights to cost little beside computing with them.
BatchSlices slice_batch(const ConvProblem& problem) noexcept;
/// Groups of images whose weight gradients are summed apart and then added in order; from the
/// shape alone, so that the result does not depend on the number of threads. Fewer groups for large
/// weights, whose partial sums cost memory traffic.
BatchSlices group_batch(const ConvProblem& problem) noexcept;

}  // namespace ingot::cpu
