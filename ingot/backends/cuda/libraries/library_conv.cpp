#include "ingot/backends/cuda/libraries/library_conv.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <optional>
#include <string_view>
#include <utility>

#include "ingot/backends/cuda/libraries/library_epilogue.h"

#include "ingot/ir/op_def.h"
#include "ingot/ops/conv2d_shape.h"

namespace ingot::cuda {
namespace {

std::string tensor_text(const ConvTensor& tensor) {
  return fmt::format("{}[{}]/{}", dtype_name(tensor.dtype), fmt::join(tensor.dims, ","),
                     fmt::join(tensor.strides, ","));
}

std::string_view kind_name(ConvKind kind) {
  switch (kind) {
    case ConvKind::forward: return "forward";
    case ConvKind::input_grad: return "input_grad";
    case ConvKind::weight_grad: return "weight_grad";
  }
  return "";
}

}  // namespace

std::int64_t ConvTensor::bytes() const {
  std::int64_t last = 0;
  for (std::size_t axis = 0; axis < dims.size(); ++axis) last += (dims[axis] - 1) * strides[axis];
  return (last + 1) * static_cast<std::int64_t>(dtype_size(dtype));
}

const ConvTensor& ConvProblem::result() const {
  switch (kind) {
    case ConvKind::input_grad: return x;
    case ConvKind::weight_grad: return w;
    case ConvKind::forward: break;
  }
  return y;
}

double ConvProblem::flops() const {
  return 2.0 * static_cast<double>(y.dims[0] * y.dims[1] * y.dims[2] * y.dims[3]) *
         static_cast<double>(w.dims[1] * w.dims[2] * w.dims[3]);
}

std::string ConvProblem::text() const {
  return fmt::format("conv {} x={} w={} y={} pad={},{} stride={} dilation={}{}{}{}{}",
                     kind_name(kind), tensor_text(x), tensor_text(w), tensor_text(y),
                     fmt::join(before, ","), fmt::join(after, ","), fmt::join(stride, ","),
                     fmt::join(dilation, ","), tf32 ? " tf32" : "",
                     bias ? fmt::format(" bias:{}", dtype_name(bias_dtype)) : "",
                     addend ? " addend" : "", relu ? " relu" : "");
}

bool wants_tf32(const Node& node) {
  for (std::size_t i = 0; i < node.op().attrs.size(); ++i) {
    if (node.op().attrs[i].name == "math") return node.attr<std::string>("math") == "tf32";
  }
  return false;
}

Support check_flops(double flops, double least) {
  if (flops >= least) return Support::yes();
  return Support::no(fmt::format("{:.2f} Gflop are too few for a library", 1e-9 * flops));
}

Support wants_library(const Node& region, double least_flops) {
  const Node* const producer = contraction_of(region);
  if (producer == nullptr || !conv2d_operands(producer->op())) {
    return Support::no("it is no convolution");
  }
  const Node& node = *producer;
  const DType dtype = node.output_type().dtype;
  if (dtype != DType::f32 && dtype != DType::f16 && dtype != DType::bf16) {
    return Support::no(fmt::format("the library takes no {}", dtype_name(dtype)));
  }
  if (node.output_type().numel() == 0) return Support::no("it is empty");
  return check_flops(conv2d_shape(node).flops(), least_flops);
}

ConvTensorResult conv_tensor(const TensorType& type, const Layout& layout) {
  ConvTensorResult result;
  ConvTensor& tensor = result.tensor;
  tensor.dtype = type.dtype;
  if (type.shape.rank() != 4) {
    result.refusal = fmt::format("it has {} axes", type.shape.rank());
    return result;
  }
  for (int axis = 0; axis < 4; ++axis) {
    const std::int64_t block = layout.block_of(axis);
    const std::int64_t size = type.shape[axis];
    tensor.dims[static_cast<std::size_t>(axis)] = (size + block - 1) / block * block;
  }
  std::vector<int> order = layout.order();
  if (order.empty()) order = {0, 1, 2, 3};
  if (!layout.blocks().empty()) {
    // Only an innermost axis that is blocked alone lies as if it were whole.
    const bool whole = layout.blocks().size() == 1 && layout.blocks().front().axis == order.back();
    if (!whole) {
      result.refusal = fmt::format("strides do not tell the layout {}", layout.to_string(4));
      return result;
    }
  }
  std::int64_t step = 1;
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    const auto axis = static_cast<std::size_t>(*it);
    tensor.strides[axis] = step;
    step *= tensor.dims[axis];
  }
  return result;
}

ConvProblemResult conv_problem(const Node& region) {
  ConvProblemResult result;
  ConvProblem& problem = result.problem;
  const auto refuse = [&](std::string why) {
    result.support = Support::no(std::move(why));
    return result;
  };
  const Node* const producer = contraction_of(region);
  const auto operands = producer == nullptr ? std::nullopt : conv2d_operands(producer->op());
  if (!operands) return refuse("it is no convolution");
  const Node& node = *producer;
  const auto epilogue = library_epilogue(region, node, 1);
  const bool sum_only = epilogue && epilogue->bias < 0 && !epilogue->relu;
  const bool able = operands->kind == ConvKind::forward ||
                    (sum_only && (operands->kind == ConvKind::input_grad || epilogue->addend < 0));
  if (!epilogue || !able) return refuse("the library has no such epilogue");
  if (region.output_type().dtype != node.output_type().dtype ||
      region.outputs().front().layout != node.outputs().front().layout) {
    return refuse("its result is converted");
  }
  problem.relu = epilogue->relu;
  problem.bias = epilogue->bias >= 0;
  result.places.bias = epilogue->bias;
  if (problem.bias) {
    problem.bias_dtype = region.input_type(static_cast<std::size_t>(epilogue->bias)).dtype;
    if (problem.bias_dtype != DType::f32 && problem.bias_dtype != node.output_type().dtype) {
      return refuse(fmt::format("the library adds no {}", dtype_name(problem.bias_dtype)));
    }
  }
  problem.addend = epilogue->addend >= 0;
  result.places.addend = epilogue->addend;
  if (problem.addend &&
      region.input(epilogue->addend).layout() != region.outputs().front().layout) {
    return refuse("what is added lies otherwise");
  }
  const auto gives = static_cast<int>(region.inputs().size());
  result.places.workspace = gives + 1;
  problem.kind = operands->kind;
  problem.tf32 = wants_tf32(node);
  const Conv2dShape shape = conv2d_shape(node);
  const Window2d& window = shape.window;
  problem.before = {window.padding[0], window.padding[2]};
  problem.after = {window.padding[1], window.padding[3]};
  problem.stride = window.stride;
  problem.dilation = window.dilation;
  struct Part {
    ConvTensor& tensor;
    int& place;
    int operand;
  };
  for (const auto& [tensor, place, operand] :
       {Part{problem.x, result.places.x, operands->image},
        Part{problem.w, result.places.w, operands->weight},
        Part{problem.y, result.places.y, operands->result}}) {
    place = operand < 0 ? gives : operand_of(region, node, operand);
    if (place < 0) return refuse("an operand is made inside");
    const TensorType& type = operand < 0 ? node.output_type() : node.input_type(operand);
    const Layout& layout =
        operand < 0 ? node.outputs().front().layout : node.input(operand).layout();
    if (type.numel() == 0) return refuse("it is empty");
    ConvTensorResult one = conv_tensor(type, layout);
    if (!one.refusal.empty()) return refuse(std::move(one.refusal));
    tensor = one.tensor;
  }
  if (problem.y.dims[1] != shape.out_channels || problem.w.dims[0] != shape.out_channels) {
    return refuse("channels of the result are padded");
  }
  if (problem.x.dims[1] != problem.w.dims[1] * shape.groups) {
    return refuse(fmt::format("the input has {} channels in memory, the weight {}",
                              problem.x.dims[1], problem.w.dims[1]));
  }
  return result;
}

}  // namespace ingot::cuda
