// Convolutions as a vendor's library takes them.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "ingot/base/dtype.h"
#include "ingot/ir/graph.h"
#include "ingot/ir/target.h"

namespace ingot::cuda {

enum class ConvKind : std::uint8_t { forward, input_grad, weight_grad };

/// A tensor of four axes (batch, channels, height, width; or out, in, height, width).
struct ConvTensor {
  DType dtype = DType::f32;
  std::array<std::int64_t, 4> dims{};
  std::array<std::int64_t, 4> strides{};

  [[nodiscard]] std::int64_t bytes() const;
};

struct ConvProblem {
  ConvKind kind = ConvKind::forward;
  ConvTensor x, w, y;  ///< or their gradients
  std::array<std::int64_t, 2> before{}, after{}, stride{}, dilation{};
  bool tf32 = false;  ///< products of f32 may be rounded to tf32
  bool bias = false;  ///< added to y along its channels, in f32 or y's dtype
  DType bias_dtype = DType::f32;
  bool relu = false;

  [[nodiscard]] double flops() const;
  /// Everything that a choice of a plan depends on.
  [[nodiscard]] std::string text() const;
};

/// Whether a Node's work is left to a vendor's library where there is one: a convolution with work
/// enough that a kernel of its own pays.
Support wants_library(const Node& node);

/// The tensor of four axes that a Value is, channels (axis 1) as they lie in memory, padding
/// included. Refused: layouts that strides cannot tell.
struct ConvTensorResult {
  ConvTensor tensor;
  std::string refusal;
};
ConvTensorResult conv_tensor(const TensorType& type, const Layout& layout);

/// Of a conv2d, conv2d_input_grad or conv2d_weight_grad Node, without epilogue.
struct ConvProblemResult {
  ConvProblem problem;
  Support support;
};
ConvProblemResult conv_problem(const Node& node);

}  // namespace ingot::cuda
