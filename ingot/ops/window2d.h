// Sliding windows over the two spatial axes: what convolutions and pools share.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ingot/ir/op_def.h"

namespace ingot {

struct Window2d {
  std::array<std::int64_t, 2> kernel{1, 1};
  std::array<std::int64_t, 2> stride{1, 1};
  std::array<std::int64_t, 4> padding{0, 0, 0, 0};  ///< top, bottom, left, right
  std::array<std::int64_t, 2> dilation{1, 1};

  /// Extent of the dilated kernel along spatial axis 0 (height) or 1 (width).
  [[nodiscard]] std::int64_t extent(int axis) const;
  [[nodiscard]] std::int64_t padded(int axis, std::int64_t input) const;
  /// Window positions along the axis; 0 when the kernel does not fit.
  [[nodiscard]] std::int64_t output_size(int axis, std::int64_t input) const;
  /// Where tap `k` of window `out` lies in the input; outside [0, input) means padding.
  [[nodiscard]] std::int64_t source(int axis, std::int64_t out, std::int64_t k) const {
    const auto a = static_cast<std::size_t>(axis);
    return out * stride[a] - padding[2 * a] + k * dilation[a];
  }
};

/// An op's own attributes, then `stride`, `padding` and, when it has it, `dilation`.
std::vector<AttrSpec> window_attrs(std::vector<AttrSpec> own, bool with_dilation = true);
/// W1 to W5, the rules that check_window cites.
std::vector<Constraint> window_constraints();
/// Bad cases for the rules on the attributes alone, W1 to W3, from operands and attributes that are
/// otherwise right.
std::vector<BadCase> window_bad_cases(std::string_view op, const std::vector<TensorType>& inputs,
                                      const AttrList& attrs, bool with_dilation = true);
/// Reads and checks the attributes for a kernel on a spatial input of height x width.
Window2d check_window(const InferContext& ctx, std::array<std::int64_t, 2> kernel,
                      std::array<std::int64_t, 2> input, bool with_dilation = true);
/// The attributes of a Node that inference has accepted.
Window2d window_of(const Node& node, std::array<std::int64_t, 2> kernel);

/// Batch rule of ops that treat the images of operand 0 apart and share their other operands.
std::vector<BatchResult> image_batch(const Node& node, std::span<const int> input_axes);
/// Their attributes for another number of images, when `input_shape` is one of them.
AttrList image_rebatch(const Node& node, std::span<const int> input_axes, std::int64_t items);

/// "[1,2]" of a list attribute.
std::string list_text(const std::vector<std::int64_t>& values);
/// The elements as doubles.
std::vector<double> read_all(const HostView& view);
void write_all(const HostView& view, const std::vector<double>& values);

}  // namespace ingot
