// Pools and their gradients, each result element from the windows that meet it.
#include <fmt/core.h>

#include "ingot/backends/cuda/kernels/map_kernel.h"
#include "ingot/backends/cuda/kernels/pool_window.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/pool2d.h"

namespace ingot::cuda {

void write_window(std::string& code, const Pool2dShape& s) {
  const Window2d& w = s.window;
  code +=
      fmt::format("const int KH = {}, KW = {}, SH = {}, SW = {}, PT = {}, PL = {};\n", w.kernel[0],
                  w.kernel[1], w.stride[0], w.stride[1], w.padding[0], w.padding[2]);
  code +=
      fmt::format("const int DH = {}, DW = {}, H = {}, W = {}, OH = {}, OW = {};\n", w.dilation[0],
                  w.dilation[1], s.input[2], s.input[3], s.output[2], s.output[3]);
}

namespace {

/// Taps of the window (oh, ow), in order; `inner` sees h and w, inside the input.
std::string taps(const std::string& oh, const std::string& ow, const std::string& inner) {
  return fmt::format(
      "for (int ki = 0; ki < KH; ++ki) {{ const int h = {} * SH - PT + ki * DH;\n"
      "if (h < 0 || h >= H) continue;\n"
      "for (int kj = 0; kj < KW; ++kj) {{ const int w = {} * SW - PL + kj * DW;\n"
      "if (w < 0 || w >= W) continue;\n{} }} }}\n",
      oh, ow, inner);
}

/// Windows that hold (h, w), as (ph, pw), in order of the taps.
std::string windows(const std::string& inner) {
  return fmt::format(
      "for (int ki = 0; ki < KH; ++ki) {{ const int nh = h0 + PT - ki * DH;\n"
      "if (nh < 0 || nh % SH != 0 || nh / SH >= OH) continue;\n"
      "for (int kj = 0; kj < KW; ++kj) {{ const int nw = w0 + PL - kj * DW;\n"
      "if (nw < 0 || nw % SW != 0 || nw / SW >= OW) continue;\n"
      "const int ph = nh / SH, pw = nw / SW;\n{} }} }}\n",
      inner);
}

std::string scale_text(const Node& node) {
  return node.attr<bool>("count_include_pad") ? "(float)(KH * KW)" : "count";
}

std::string max_element(std::string& code, const Node& node, const Region& region,
                        const Place& place) {
  write_window(code, pool2d_shape(node));
  code += "const int oh = c2, ow = c3;\n";
  code += fmt::format("const i64 plane = (i64){} / (OH * OW) * (H * W);\n", place.flat);
  code += "float pooled = -infinity();\n";
  code += taps("oh", "ow",
               fmt::format("const float v = get({}, plane + h * W + w);\n"
                           "if (!(v <= pooled) && pooled == pooled) pooled = v;",
                           operand_pointer(region, node, 0)));
  return "pooled";
}

std::string max_grad_element(std::string& code, const Node& node, const Region& region,
                             const Place& place) {
  write_window(code, pool2d_shape(node));
  code += "const int h0 = c2, w0 = c3;\n";
  code +=
      fmt::format("const i64 image = (i64){} / (H * W), plane = image * (H * W);\n", place.flat);
  code += "float pooled = 0.0f;\n";
  // The window's first maximum, found again: what the forward pass would have had to store.
  code += windows(fmt::format(
      "float best = 0.0f; int at = -1;\n{}"
      "if (at == h0 * W + w0) pooled += get({}, image * (OH * OW) + ph * OW + pw);",
      "for (int ti = 0; ti < KH; ++ti) { const int h = ph * SH - PT + ti * DH;\n"
      "if (h < 0 || h >= H) continue;\n"
      "for (int tj = 0; tj < KW; ++tj) { const int w = pw * SW - PL + tj * DW;\n"
      "if (w < 0 || w >= W) continue;\n" +
          fmt::format("const float v = get({}, plane + h * W + w);\n",
                      operand_pointer(region, node, 0)) +
          "if (at < 0 || (!(v <= best) && best == best)) { best = v; at = h * W + w; } } }\n",
      operand_pointer(region, node, 2)));
  return "pooled";
}

std::string avg_element(std::string& code, const Node& node, const Region& region,
                        const Place& place) {
  write_window(code, pool2d_shape(node));
  code += "const int oh = c2, ow = c3;\n";
  code += fmt::format("const i64 plane = (i64){} / (OH * OW) * (H * W);\n", place.flat);
  code += "float total = 0.0f, count = 0.0f;\n";
  code += taps("oh", "ow",
               fmt::format("total += get({}, plane + h * W + w); count += 1.0f;",
                           operand_pointer(region, node, 0)));
  code += fmt::format("const float pooled = total / {};\n", scale_text(node));
  return "pooled";
}

std::string avg_grad_element(std::string& code, const Node& node, const Region& region,
                             const Place& place) {
  write_window(code, pool2d_shape(node));
  code += "const int h0 = c2, w0 = c3;\n";
  code += fmt::format("const i64 image = (i64){} / (H * W);\n", place.flat);
  code += "float pooled = 0.0f;\n";
  const std::string count =
      node.attr<bool>("count_include_pad")
          ? ""
          : "float count = 0.0f;\n" +
                std::string(
                    "for (int ti = 0; ti < KH; ++ti) { const int h = ph * SH - PT + ti * DH;\n"
                    "if (h < 0 || h >= H) continue;\n"
                    "for (int tj = 0; tj < KW; ++tj) { const int w = pw * SW - PL + tj * DW;\n"
                    "if (w >= 0 && w < W) count += 1.0f; } }\n");
  code += windows(fmt::format("{}pooled += get({}, image * (OH * OW) + ph * OW + pw) / {};", count,
                              operand_pointer(region, node, 0), scale_text(node)));
  return "pooled";
}

}  // namespace

void register_pool_kernels(KernelTable& table) {
  register_element_source(table, max_pool2d_op().name, max_element);
  register_element_source(table, max_pool2d_grad_op().name, max_grad_element);
  register_element_source(table, avg_pool2d_op().name, avg_element);
  register_element_source(table, avg_pool2d_grad_op().name, avg_grad_element);
}

}  // namespace ingot::cuda
