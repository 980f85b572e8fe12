#include "ingot/backends/cuda/contract_problem.h"

#include <fmt/core.h>

#include <array>

#include "ingot/backends/cuda/map_kernel.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/conv2d_shape.h"
#include "ingot/ops/op_list.h"

namespace ingot::cuda {
namespace {

std::string conv_constants(const Conv2dShape& s) {
  const Window2d& w = s.window;
  return fmt::format(
             "const int C = {}, H = {}, W = {}, O = {}, OH = {}, OW = {}, GI = {}, GO = {};\n",
             s.in_channels, s.in_h, s.in_w, s.out_channels, s.out_h, s.out_w, s.group_in(),
             s.group_out()) +
         fmt::format(
             "const int KH = {}, KW = {}, SH = {}, SW = {}, PT = {}, PL = {}, DH = {}, DW = {};\n",
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
  p.a = fmt::format("return get({}, (i64)g * M * K + {});", operand_pointer(region, node, 0),
                    ta ? "(i64)k * M + m" : "(i64)m * K + k");
  p.b = fmt::format("return get({}, (i64)g * K * N + {});", operand_pointer(region, node, 1),
                    tb ? "(i64)n * K + k" : "(i64)k * N + n");
  p.a_along_k = !ta;
  p.b_along_n = !tb;
  Shape lead;
  for (int axis = 0; axis < rank - 2; ++axis) lead.push_back(out[axis]);
  write_decode(p.coordinates, "c", "g", lead);
  p.coordinates += fmt::format("const u32 c{} = m, c{} = n;\n", rank - 2, rank - 1);
  if (rank == 2) p.batch = ta ? ContractProblem::Batch::k : ContractProblem::Batch::m;
  return p;
}

/// x at (image, channel, h, w), 0 on padding; the image and place from `pixel` of the output.
std::string read_image(const std::string& pointer, std::string_view tap, std::string_view pixel) {
  return fmt::format(
      "const int tap = {0}, c = tap / (KH * KW), i = tap / KW % KH, j = tap % KW;\n"
      "const int image = {1} / (OH * OW), oh = {1} / OW % OH, ow = {1} % OW;\n"
      "const int h = oh * SH - PT + i * DH, w = ow * SW - PL + j * DW;\n"
      "if ((unsigned)h >= (unsigned)H || (unsigned)w >= (unsigned)W) return 0.0f;\n"
      "return get({2}, (((i64)image * C + g * GI + c) * H + h) * W + w);",
      tap, pixel, pointer);
}

ContractProblem forward_problem(const Node& node, const Region& region) {
  const Conv2dShape s = conv2d_shape(node);
  ContractProblem p;
  p.groups = s.groups;
  p.m = s.group_out();
  p.n = s.batch * s.out_h * s.out_w;
  p.k = s.group_in() * s.taps();
  p.constants = conv_constants(s);
  p.a = fmt::format("return get({}, (i64)(g * GO + m) * (GI * KH * KW) + k);",
                    operand_pointer(region, node, 1));
  p.b = read_image(operand_pointer(region, node, 0), "k", "n");
  p.coordinates = "const u32 c0 = n / (OH * OW), c1 = g * GO + m, c2 = n / OW % OH, c3 = n % OW;\n";
  p.batch = ContractProblem::Batch::n;
  return p;
}

ContractProblem input_grad_problem(const Node& node, const Region& region) {
  const Conv2dShape s = conv2d_shape(node);
  ContractProblem p;
  p.groups = s.groups;
  p.m = s.group_in();
  p.n = s.batch * s.in_h * s.in_w;
  p.k = s.group_out() * s.taps();
  p.constants = conv_constants(s);
  p.a = fmt::format(
      "const int o = k / (KH * KW), ij = k % (KH * KW);\n"
      "return get({}, ((i64)(g * GO + o) * GI + m) * (KH * KW) + ij);",
      operand_pointer(region, node, 1));
  p.b = fmt::format(
      "const int o = k / (KH * KW), i = k / KW % KH, j = k % KW;\n"
      "const int image = n / (H * W), h = n / W % H, w = n % W;\n"
      "const int y = h + PT - i * DH, x = w + PL - j * DW;\n"
      "if (y < 0 || x < 0 || (SH > 1 && y % SH != 0) || (SW > 1 && x % SW != 0)) return 0.0f;\n"
      "const int oh = y / SH, ow = x / SW;\nif (oh >= OH || ow >= OW) return 0.0f;\n"
      "return get({}, (((i64)image * O + g * GO + o) * OH + oh) * OW + ow);",
      operand_pointer(region, node, 0));
  p.coordinates = "const u32 c0 = n / (H * W), c1 = g * GI + m, c2 = n / W % H, c3 = n % W;\n";
  p.batch = ContractProblem::Batch::n;
  return p;
}

ContractProblem weight_grad_problem(const Node& node, const Region& region) {
  const Conv2dShape s = conv2d_shape(node);
  ContractProblem p;
  p.groups = s.groups;
  p.m = s.group_out();
  p.n = s.group_in() * s.taps();
  p.k = s.batch * s.out_h * s.out_w;
  p.constants = conv_constants(s);
  p.a = fmt::format(
      "const int image = k / (OH * OW), pixel = k % (OH * OW);\n"
      "return get({}, ((i64)image * O + g * GO + m) * (OH * OW) + pixel);",
      operand_pointer(region, node, 1));
  p.b = read_image(operand_pointer(region, node, 0), "n", "k");
  p.b_along_n = false;
  p.coordinates = "const u32 c0 = g * GO + m, c1 = n / (KH * KW), c2 = n / KW % KH, c3 = n % KW;\n";
  p.batch = ContractProblem::Batch::k;
  return p;
}

struct Entry {
  const OpDef* op;
  ContractProblem (*make)(const Node&, const Region&);
};

std::array<Entry, 4> entries() {
  return {Entry{&matmul_op(), matmul_problem}, Entry{&conv2d_op(), forward_problem},
          Entry{&conv2d_input_grad_op(), input_grad_problem},
          Entry{&conv2d_weight_grad_op(), weight_grad_problem}};
}

}  // namespace

bool is_contraction(const Node& node) {
  for (const Entry& entry : entries()) {
    if (entry.op == &node.op()) return true;
  }
  return false;
}

ContractProblem contract_problem(const Node& node, const Region& region) {
  for (const Entry& entry : entries()) {
    if (entry.op == &node.op()) return entry.make(node, region);
  }
  return {};
}

}  // namespace ingot::cuda
