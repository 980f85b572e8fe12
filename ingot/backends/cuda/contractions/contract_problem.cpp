#include "ingot/backends/cuda/contractions/contract_problem.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "ingot/backends/cuda/kernels/map_kernel.h"
#include "ingot/backends/cuda/kernels/strides.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/conv2d_shape.h"

namespace ingot::cuda {
namespace {

/// Position of a Value's element, by its layout.
std::string index_of(const Value& value, const std::array<std::string, 4>& coordinates) {
  const auto strides = strides_of(value);
  std::string text;
  for (std::size_t axis = 0; axis < coordinates.size(); ++axis) {
    text += fmt::format("{}(Index)({}) * {}u", axis == 0 ? "" : " + ", coordinates[axis],
                        strides->step[axis]);
  }
  return text;
}

std::int64_t extent(const Value& value, std::size_t axis) {
  return strides_of(value)->extent[axis];
}

/// The convolution with channels as they lie in memory: what pads them is zero in the operands and
/// comes out zero.
Conv2dShape padded_shape(const Node& node) {
  Conv2dShape s = conv2d_shape(node);
  const int operand = conv2d_operands(node.op())->image;
  const Value image = operand < 0 ? const_cast<Node&>(node).output() : node.input(operand);
  if (s.groups == 1) s.in_channels = extent(image, 1);
  return s;
}

std::string conv_constants(const Conv2dShape& s) {
  const Window2d& w = s.window;
  return fmt::format(
             "const u32 C = {}, H = {}, W = {}, O = {}, OH = {}, OW = {}, GI = {}, GO = {};\n",
             s.in_channels, s.in_h, s.in_w, s.out_channels, s.out_h, s.out_w, s.group_in(),
             s.group_out()) +
         fmt::format(
             "const u32 KH = {}, KW = {}, SH = {}, SW = {}, PT = {}, PL = {}, DH = {}, DW = {};\n",
             w.kernel[0], w.kernel[1], w.stride[0], w.stride[1], w.padding[0], w.padding[2],
             w.dilation[0], w.dilation[1]);
}

ContractProblem matmul_problem(const Node& node, const Region& region) {
  ContractProblem p;
  const bool ta = node.attr<bool>("transpose_a");
  const bool tb = node.attr<bool>("transpose_b");
  const Shape& a = node.input_type(0).shape;
  const Shape& out = node.output_type().shape;
  const int rank = out.rank();
  p.m = out[rank - 2];
  p.n = out[rank - 1];
  p.k = a[ta ? rank - 2 : rank - 1];
  for (int axis = 0; axis < rank - 2; ++axis) p.groups *= out[axis];
  p.constants = fmt::format("const int M = {}, N = {}, K = {};\n", p.m, p.n, p.k);
  p.a = fmt::format("return get({}, (Index)g * M * K + {});", operand_pointer(region, node, 0),
                    ta ? "(Index)k * M + m" : "(Index)m * K + k");
  p.b = fmt::format("return get({}, (Index)g * K * N + {});", operand_pointer(region, node, 1),
                    tb ? "(Index)n * K + k" : "(Index)k * N + n");
  p.a_along_k = !ta;
  p.b_along_n = !tb;
  Shape lead;
  for (int axis = 0; axis < rank - 2; ++axis) lead.push_back(out[axis]);
  write_decode(p.coordinates, "c", "g", lead);
  p.coordinates += fmt::format("const u32 c{} = m, c{} = n;\n", rank - 2, rank - 1);
  if (rank == 2) p.batch = ta ? ContractProblem::Batch::k : ContractProblem::Batch::m;
  return p;
}

/// A load that always happens, from place 0 where there is nothing: no branch keeps others waiting.
std::string guarded_read(const std::string& pointer) {
  return fmt::format(
      "const float value = get({}, inside ? index : 0);\nreturn inside ? value : 0.0f;", pointer);
}

/// x at (image, channel, h, w), 0 on padding; the image and place from `pixel` of the output.
std::string read_image(const Node& node, const Region& region, std::string_view tap,
                       std::string_view pixel) {
  return fmt::format(
      "const u32 tap = {0}, pixel = {1}, c = tap / (KH * KW), i = tap / KW % KH, j = tap % KW;\n"
      "const u32 image = pixel / (OH * OW), oh = pixel / OW % OH, ow = pixel % OW;\n"
      "const u32 h = oh * SH + i * DH - PT, w = ow * SW + j * DW - PL;\n"
      "const bool inside = h < H && w < W;\n"
      "const Index index = {2};\n{3}",
      tap, pixel, index_of(node.input(0), {"image", "g * GI + c", "h", "w"}),
      guarded_read(operand_pointer(region, node, 0)));
}

ContractProblem forward_problem(const Node& node, const Region& region) {
  const Conv2dShape s = padded_shape(node);
  ContractProblem p;
  p.groups = s.groups;
  p.m = s.group_out();
  p.n = s.batch * s.out_h * s.out_w;
  p.k = s.group_in() * s.taps();
  p.constants = conv_constants(s);
  p.a =
      node.input(1).layout().is_plain()
          ? fmt::format("return get({}, (Index)(g * GO + m) * (GI * KH * KW) + k);",
                        operand_pointer(region, node, 1))
          : fmt::format("const u32 tap = k;\nreturn get({}, {});", operand_pointer(region, node, 1),
                        index_of(node.input(1),
                                 {"g * GO + m", "tap / (KH * KW)", "tap / KW % KH", "tap % KW"}));
  p.b = read_image(node, region, "k", "n");
  p.coordinates =
      "const u32 pixel = n, c0 = pixel / (OH * OW), c1 = g * GO + m, c2 = pixel / OW % OH, "
      "c3 = pixel % OW;\n";
  p.batch = ContractProblem::Batch::n;
  return p;
}

/// Pixels of one remainder by the strides form a group of their own: they meet the same taps, every
/// stride-th of the kernel. With dilation all pixels are one group that tries every tap.
ContractProblem input_grad_problem(const Node& node, const Region& region) {
  const Conv2dShape s = padded_shape(node);
  const Window2d& w = s.window;
  const bool apart = w.dilation[0] == 1 && w.dilation[1] == 1;
  const std::int64_t rh = apart ? w.stride[0] : 1;
  const std::int64_t rw = apart ? w.stride[1] : 1;
  const auto ceil_div = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
  const std::int64_t hh = ceil_div(s.in_h, rh);
  const std::int64_t ww = ceil_div(s.in_w, rw);
  const std::int64_t th = ceil_div(w.kernel[0], rh);
  const std::int64_t tw = ceil_div(w.kernel[1], rw);
  ContractProblem p;
  p.groups = s.groups * rh * rw;
  p.m = s.group_in();
  p.n = s.batch * hh * ww;
  p.k = s.group_out() * th * tw;
  p.constants = conv_constants(s);
  p.constants += fmt::format(
      "const u32 RH = {}, RW = {}, HH = {}, WW = {}, TH = {}, TW = {};\n"
      "const u32 rh = (u32)g / RW % RH, rw = (u32)g % RW, gg = (u32)g / (RH * RW);\n",
      rh, rw, hh, ww, th, tw);
  const std::string tap =
      "const u32 tap = k, o = tap / (TH * TW);\n"
      "const u32 i = tap / TW % TH * RH + (RH > 1 ? (rh + PT) % RH : 0);\n"
      "const u32 j = tap % TW * RW + (RW > 1 ? (rw + PL) % RW : 0);\n";
  p.a = tap + "const bool inside = i < KH && j < KW;\n" +
        fmt::format("const Index index = {};\n",
                    index_of(node.input(1), {"gg * GO + o", "m", "i", "j"})) +
        guarded_read(operand_pointer(region, node, 1));
  // Differences below zero wrap around and are then too large.
  p.b = tap +
        "const u32 pixel = n, image = pixel / (HH * WW);\n"
        "const u32 h = pixel / WW % HH * RH + rh, w = pixel % WW * RW + rw;\n"
        "const u32 y = h + PT - i * DH, x = w + PL - j * DW, oh = y / SH, ow = x / SW;\n"
        "const bool inside = i < KH && j < KW && (int)y >= 0 && (int)x >= 0 && oh < OH && ow < OW "
        "&&\n"
        "    (RH > 1 || y % SH == 0) && (RW > 1 || x % SW == 0);\n" +
        fmt::format("const Index index = {};\n",
                    index_of(node.input(0), {"image", "gg * GO + o", "oh", "ow"})) +
        guarded_read(operand_pointer(region, node, 0));
  p.coordinates =
      "const u32 pixel = n, c0 = pixel / (HH * WW), c1 = gg * GI + m, "
      "c2 = pixel / WW % HH * RH + rh, c3 = pixel % WW * RW + rw;\n";
  if (s.in_h % rh != 0 || s.in_w % rw != 0) p.exists = "c2 < H && c3 < W";
  p.batch = ContractProblem::Batch::n;
  return p;
}

ContractProblem weight_grad_problem(const Node& node, const Region& region) {
  const Conv2dShape s = padded_shape(node);
  ContractProblem p;
  p.groups = s.groups;
  p.m = s.group_out();
  p.n = s.group_in() * s.taps();
  p.k = s.batch * s.out_h * s.out_w;
  p.constants = conv_constants(s);
  p.a = fmt::format(
      "const u32 image = (u32)k / (OH * OW), pixel = (u32)k % (OH * OW);\n"
      "return get({}, {});",
      operand_pointer(region, node, 1),
      index_of(node.input(1), {"image", "g * GO + m", "pixel / OW", "pixel % OW"}));
  p.b = read_image(node, region, "n", "k");
  p.b_along_n = false;
  p.coordinates =
      "const u32 tap = n, c0 = g * GO + m, c1 = tap / (KH * KW), c2 = tap / KW % KH, c3 = tap % "
      "KW;\n";
  p.batch = ContractProblem::Batch::k;
  return p;
}

ContractProblem problem_of(const Node& node, const Region& region) {
  const auto conv = conv2d_operands(node.op());
  if (!conv) return matmul_problem(node, region);
  switch (conv->kind) {
    case ConvKind::input_grad: return input_grad_problem(node, region);
    case ConvKind::weight_grad: return weight_grad_problem(node, region);
    case ConvKind::forward: break;
  }
  return forward_problem(node, region);
}

}  // namespace

bool is_contraction(const Node& node) { return node.op().traits.contraction; }

Support check_counts(std::int64_t rows, std::int64_t columns, std::int64_t terms,
                     std::int64_t most) {
  if (std::max({rows, columns, terms}) <= most) return Support::yes();
  return Support::no(fmt::format("kernels count up to {}, got {} rows, {} columns and {} terms",
                                 most, rows, columns, terms));
}

ContractProblem contract_problem(const Node& node, const Region& region) {
  ContractProblem problem = problem_of(node, region);
  const auto strides = strides_of(const_cast<Node&>(node).output());
  problem.result = Shape(strides->extent);
  // 32 bits address all operands but the largest, at half the arithmetic.
  const bool large = std::ranges::any_of(node.inputs(), [](const Value& input) {
    return input.type().numel() >= (std::int64_t{1} << 31);
  });
  problem.constants += large ? "typedef u64 Index;\n" : "typedef u32 Index;\n";
  return problem;
}

}  // namespace ingot::cuda
