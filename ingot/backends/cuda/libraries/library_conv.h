// Convolutions as a vendor's library takes them.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "ingot/backends/cuda/driver/cuda_device.h"
#include "ingot/base/dtype.h"
#include "ingot/ir/graph.h"
#include "ingot/ir/target.h"
#include "ingot/ops/conv2d_shape.h"

namespace ingot::cuda {

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
  bool addend = false;  ///< a tensor like the result is added, too
  bool relu = false;

  /// The tensor of the three that is computed.
  [[nodiscard]] const ConvTensor& result() const;
  [[nodiscard]] double flops() const;
  /// That a multiprocessor does at most.
  [[nodiscard]] double flops_of_cycle() const { return contraction_flops_of_cycle(w.dtype, tf32); }
  /// Everything that a choice of a plan depends on.
  [[nodiscard]] std::string text() const;
};

/// Below so much work launches and idle multiprocessors rule, and generated kernels win.
inline constexpr double kLibraryFlops = 1e9;
/// Whether `flops` are at least `least`.
Support check_flops(double flops, double least);
/// Whether a Node's work is left to a vendor's convolutions where there are some: a convolution
/// with work enough that a kernel of its own pays, or a Region of one.
Support wants_library(const Node& region, double least_flops = kLibraryFlops);

/// Whether a product's or convolution's f32 operands may be rounded to tf32.
bool wants_tf32(const Node& node);

/// The tensor of four axes that a Value is, channels (axis 1) as they lie in memory, padding
/// included. Refused: layouts that strides cannot tell.
struct ConvTensorResult {
  ConvTensor tensor;
  std::string refusal;
};
ConvTensorResult conv_tensor(const TensorType& type, const Layout& layout);

/// Where a convolution's tensors are: positions of the Node's operands; their number is the
/// result's, then comes the workspace.
struct ConvPlaces {
  int x = -1, w = -1, y = -1;
  int bias = -1, addend = -1;  ///< -1: none
  int workspace = -1;
};

/// Of a conv2d, conv2d_input_grad or conv2d_weight_grad Node, or of a Region of one with a
/// library's epilogue.
struct ConvProblemResult {
  ConvProblem problem;
  ConvPlaces places;
  Support support;
};
ConvProblemResult conv_problem(const Node& region);

}  // namespace ingot::cuda
