#include "ingot/backends/cuda/libraries/lt_problem.h"

#include <fmt/core.h>

#include <array>
#include <utility>

#include "ingot/backends/cuda/contractions/contract_problem.h"
#include "ingot/backends/cuda/libraries/library_epilogue.h"
#include "ingot/ir/op_def.h"

namespace ingot::cuda {
namespace {

std::string matrix_text(const LtMatrix& m, std::int64_t batch) {
  return fmt::format("{}[{}x{}]{}/{}{}", dtype_name(m.dtype), m.rows, m.columns,
                     m.transposed ? "T" : "", m.ld,
                     batch > 1 ? fmt::format("+{}", m.step) : std::string());
}

/// Rows of a plain matrix, the last two axes of a tensor, as columns.
LtMatrix by_columns(const TensorType& type, bool transposed, std::int64_t batch) {
  const int rank = type.shape.rank();
  LtMatrix m;
  m.dtype = type.dtype;
  m.rows = m.ld = type.shape[rank - 1];
  m.columns = type.shape[rank - 2];
  m.step = batch > 1 ? m.rows * m.columns : 0;
  m.transposed = transposed;
  return m;
}

/// Pixels are columns of tensors whose channels are innermost; a weight [O, I] is I x O.
LtMatrix matrix_of(const ConvTensor& t, bool transposed) {
  return {t.dtype, t.dims[1], t.dims[0] * t.dims[2] * t.dims[3], t.dims[1], 0, transposed};
}

}  // namespace

double LtProblem::flops() const {
  const std::int64_t terms = a.transposed ? a.rows : a.columns;
  return 2.0 * static_cast<double>(batch * d.rows * d.columns) * static_cast<double>(terms);
}

std::string LtProblem::text() const {
  return fmt::format("product a={} b={} d={}{}{}{}{}{}", matrix_text(a, batch),
                     matrix_text(b, batch), matrix_text(d, batch),
                     batch > 1 ? fmt::format(" batch={}", batch) : "", tf32 ? " tf32" : "",
                     bias ? fmt::format(" bias:{}", dtype_name(bias_dtype)) : "",
                     addend ? " addend" : "", relu ? " relu" : "");
}

LtProblemResult lt_problem(const Node& node) {
  LtProblemResult result;
  const auto refuse = [&](std::string why) {
    result.support = Support::no(std::move(why));
    return result;
  };
  const Node* const contraction = contraction_of(node);
  if (contraction == nullptr || conv2d_operands(contraction->op())) {
    return refuse("it is no product");
  }
  const Node& product = *contraction;
  const TensorType& out = product.output_type();
  const int rank = out.shape.rank();
  const auto epilogue = library_epilogue(node, product, rank - 1);
  if (!epilogue) return refuse("the library has no such epilogue");
  if (out.numel() == 0) return refuse("it is empty");
  const DType dtype = product.input_type(0).dtype;
  if (dtype != DType::f32 && dtype != DType::f16 && dtype != DType::bf16) {
    return refuse(fmt::format("the library takes no {}", dtype_name(dtype)));
  }
  if (node.output_type().dtype != out.dtype) return refuse("its result is converted");
  const auto is_plain = [](const Layout& layout) { return layout.is_plain(); };
  if (!is_plain(product.input(0).layout()) || !is_plain(product.input(1).layout()) ||
      !is_plain(node.outputs().front().layout)) {
    return refuse("a matrix is not plain");
  }
  LtProblem& p = result.problem;
  for (int axis = 0; axis < rank - 2; ++axis) p.batch *= out.shape[axis];
  p.a = by_columns(product.input_type(1), product.attr<bool>("transpose_b"), p.batch);
  p.b = by_columns(product.input_type(0), product.attr<bool>("transpose_a"), p.batch);
  p.d = by_columns(out, false, p.batch);
  if (p.a.columns == 0 || p.a.rows == 0) return refuse("it has no terms");
  p.tf32 = wants_tf32(product);
  p.relu = epilogue->relu;
  p.bias = epilogue->bias >= 0;
  p.addend = epilogue->addend >= 0;
  // Not every algorithm that the library offers for both runs.
  if (p.addend && (p.bias || p.relu)) return refuse("the library adds a matrix alone");
  if (p.addend && !is_plain(node.input(epilogue->addend).layout())) {
    return refuse("a matrix is not plain");
  }
  if (p.bias) p.bias_dtype = node.input_type(static_cast<std::size_t>(epilogue->bias)).dtype;
  if (p.bias && p.bias_dtype != DType::f32 && p.bias_dtype != p.d.dtype) {
    return refuse(fmt::format("the library adds no {}", dtype_name(p.bias_dtype)));
  }
  result.a = operand_of(node, product, 1);
  result.b = operand_of(node, product, 0);
  result.bias = epilogue->bias;
  result.addend = epilogue->addend;
  result.result = static_cast<int>(node.inputs().size());
  if (result.a < 0 || result.b < 0) return refuse("an operand is made inside");
  return result;
}

bool is_product(const ConvProblem& p) {
  if (p.addend && (p.bias || p.relu)) return false;
  const auto dense = [](const ConvTensor& t) {
    return t.strides[1] == 1 && t.strides[3] == t.dims[1] &&
           t.strides[2] == t.dims[1] * t.dims[3] && t.strides[0] == t.strides[2] * t.dims[2];
  };
  return p.w.dims[2] == 1 && p.w.dims[3] == 1 && p.stride == std::array<std::int64_t, 2>{1, 1} &&
         p.before == std::array<std::int64_t, 2>{} && p.after == p.before &&
         p.x.dims[1] == p.w.dims[1] && p.y.dims[1] == p.w.dims[0] && dense(p.x) && dense(p.y) &&
         p.w.strides[1] == 1 && p.w.strides[0] == p.w.dims[1];
}

LtProblem lt_problem(const ConvProblem& conv) {
  LtProblem p;
  p.tf32 = conv.tf32;
  p.bias = conv.bias;
  p.bias_dtype = conv.bias_dtype;
  p.addend = conv.addend;
  p.relu = conv.relu;
  switch (conv.kind) {
    case ConvKind::input_grad:
      p.a = matrix_of(conv.w, false);
      p.b = matrix_of(conv.y, false);
      p.d = matrix_of(conv.x, false);
      break;
    case ConvKind::weight_grad:
      p.a = matrix_of(conv.x, false);
      p.b = matrix_of(conv.y, true);
      p.d = matrix_of(conv.w, false);
      break;
    case ConvKind::forward:
      p.a = matrix_of(conv.w, true);
      p.b = matrix_of(conv.x, false);
      p.d = matrix_of(conv.y, false);
      break;
  }
  return p;
}

}  // namespace ingot::cuda
