// Pools and their gradients on channels that lie next to each other, 16 bytes at a time.
#include <fmt/core.h>

#include <algorithm>
#include <cstdint>

#include "ingot/backends/cuda/map_kernel.h"
#include "ingot/backends/cuda/pool_window.h"
#include "ingot/backends/cuda/vector_walk.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"
#include "ingot/runtime/backend.h"

namespace ingot::cuda {
namespace {

bool is_maximum(const OpDef& op) { return op.attr_index("count_include_pad") < 0; }
bool is_gradient(const Node& node) {
  return node.inputs().size() > 1 || node.op().attr_index("input_shape") >= 0;
}

/// A maximum's gradient holds so much for each channel that half as many keep more threads alive.
int pool_vector(const Node& node) {
  if (is_gradient(node) && is_maximum(node.op())) return 4;
  return dtype_size(node.output_type().dtype) <= 2 ? 8 : 4;
}

std::string each_element(int vector) {
  return fmt::format("#pragma unroll\nfor (int e = 0; e < {}; ++e) ", vector);
}

class VectorPoolKernel final : public CudaKernel {
 public:
  explicit VectorPoolKernel(const KernelProblem& problem)
      : CudaKernel(problem, "vector pool"),
        pool_(pool2d_shape(node())),
        gradient_(is_gradient(node())),
        walk_(*VectorWalk::of(node().output_type().shape, node().outputs().front().layout,
                              pool_vector(node()), false)) {
    // A maximum's gradient finds each window's winner once for all pixels between two windows.
    const Window2d& w = pool_.window;
    const bool dense = w.dilation[0] == 1 && w.dilation[1] == 1;
    if (gradient_ && is_maximum(node().op()) && dense && w.stride[0] <= 2 && w.stride[1] <= 2) {
      patch_h_ = w.stride[0];
      patch_w_ = w.stride[1];
    }
  }

  [[nodiscard]] std::vector<Stage> stages(const StageRequest& request) const override {
    const Shape& out = walk_.shape;
    const std::int64_t patches =
        out[0] * ((out[2] + patch_h_ - 1) / patch_h_) * ((out[3] + patch_w_ - 1) / patch_w_);
    const std::int64_t row_blocks = (patches + walk_.ty - 1) / walk_.ty;
    Stage stage;
    stage.what = fmt::format("{} \"{}\"", node().op().name, node().name());
    stage.units = row_blocks * walk_.columns;
    stage.accesses = all_accesses(request, *this);
    for (Access& access : stage.accesses) access.by_item = false;
    for (const Value& input : node().inputs()) {
      stage.bytes += static_cast<double>(input.type().bytes());
    }
    stage.bytes += static_cast<double>(node().output_type().bytes());
    stage.flops = static_cast<double>(pool_.taps() * out.numel());
    std::string code;
    write_place(code, walk_, row_blocks);
    write_window(code, pool_);
    code += fmt::format("if (live && first < {}u) {{\n", patches);
    code += gradient_ ? gradient_body() : forward_body();
    code += "}\n";
    stage.body = std::move(code);
    return {std::move(stage)};
  }

 private:
  [[nodiscard]] std::string load(std::size_t operand, const std::string& row) const {
    const DType dtype = node().input_type(operand).dtype;
    return fmt::format("load_words<{}>({} + ((Index)({}) * {}u + c))", words_of(walk_, dtype),
                       pointer_to(inputs()[operand], dtype), row, walk_.padded);
  }
  [[nodiscard]] std::string get(std::size_t operand, const std::string& words) const {
    return fmt::format("Lane<{}>::get({}.w, e)", storage_type(node().input_type(operand).dtype),
                       words);
  }
  [[nodiscard]] std::string store(const std::string& row, const std::string& value) const {
    const DType dtype = node().output_type().dtype;
    std::string code =
        fmt::format("Raw<{}> words;\n{}", words_of(walk_, dtype), each_element(walk_.vector));
    code += fmt::format("Lane<{}>::set(words.w, e, {});\n", storage_type(dtype), value);
    return code + fmt::format("store_words({} + ((Index)({}) * {}u + c), words);\n",
                              pointer_to(outputs()[0], dtype, true), row, walk_.padded);
  }
  [[nodiscard]] std::string scale_text() const {
    return node().attr<bool>("count_include_pad") ? "(float)(KH * KW)" : "count";
  }
  /// Taps of the window (oh, ow), in order; `inner` sees h and w, inside the input.
  static std::string taps(const std::string& oh, const std::string& ow, const std::string& inner) {
    return fmt::format(
        "#pragma unroll\nfor (int ti = 0; ti < KH; ++ti) {{ const int h = {} * SH - PT + ti * DH;\n"
        "#pragma unroll\nfor (int tj = 0; tj < KW; ++tj) {{ const int w = {} * SW - PL + tj * DW;\n"
        "if (h >= 0 && h < H && w >= 0 && w < W) {{\n{} }} }} }}\n",
        oh, ow, inner);
  }

  [[nodiscard]] std::string forward_body() const {
    const bool maximum = is_maximum(node().op());
    std::string code =
        "const int image = first / (OH * OW), oh = first / OW % OH, ow = first % OW;\n";
    code += fmt::format("float pooled[{}], count = 0.0f;\n", walk_.vector);
    code += each_element(walk_.vector) +
            fmt::format("pooled[e] = {};\n", maximum ? "-infinity()" : "0.0f");
    std::string inner = fmt::format("const auto x = {};\n", load(0, "(image * H + h) * W + w")) +
                        (maximum ? "" : "count += 1.0f;\n") + each_element(walk_.vector);
    inner += maximum ? fmt::format("pooled[e] = op_max(pooled[e], {});", get(0, "x"))
                     : fmt::format("pooled[e] += {};", get(0, "x"));
    code += taps("oh", "ow", inner);
    return code +
           store("first", maximum ? "pooled[e]" : fmt::format("pooled[e] / {}", scale_text()));
  }

  [[nodiscard]] std::string gradient_body() const {
    const bool maximum = is_maximum(node().op());
    const std::size_t operand = maximum ? 2 : 0;
    std::string code = fmt::format(
        "const int QH = {0}, QW = {1}, NH = (H + QH - 1) / QH, NW = (W + QW - 1) / QW;\n"
        "const int image = first / (NH * NW), h0 = first / NW % NH * QH, w0 = first % NW * QW;\n"
        "float sums[QH * QW][{2}];\n#pragma unroll\nfor (int a = 0; a < QH * QW; ++a) {{\n"
        "{3} sums[a][e] = 0.0f;\n}}\n",
        patch_h_, patch_w_, walk_.vector, each_element(walk_.vector));
    code +=
        "const int low_h = h0 + PT - (KH - 1) * DH, low_w = w0 + PL - (KW - 1) * DW;\n"
        "const int first_h = low_h <= 0 ? 0 : (low_h + SH - 1) / SH;\n"
        "const int first_w = low_w <= 0 ? 0 : (low_w + SW - 1) / SW;\n"
        "const int last_h = min(OH - 1, (h0 + QH - 1 + PT) / SH);\n"
        "const int last_w = min(OW - 1, (w0 + QW - 1 + PL) / SW);\n"
        "for (int oh = first_h; oh <= last_h; ++oh)\n"
        "for (int ow = first_w; ow <= last_w; ++ow) {\n";
    code += fmt::format("const auto g = {};\n", load(operand, "(image * OH + oh) * OW + ow"));
    code += maximum ? winner_part() : average_part();
    code +=
        "}\n#pragma unroll\nfor (int a = 0; a < QH * QW; ++a) {\n"
        "const int h = h0 + a / QW, w = w0 + a % QW;\nif (h < H && w < W) {\n";
    return code + store("(image * H + h) * W + w", "sums[a][e]") + "}\n}\n";
  }

  /// The window's first maximum takes its gradient.
  [[nodiscard]] std::string winner_part() const {
    std::string code =
        fmt::format("float best[{0}]; int at[{0}];\n{1} {{ best[e] = 0.0f; at[e] = -1; }}\n",
                    walk_.vector, each_element(walk_.vector));
    std::string inner =
        fmt::format("const auto x = {};\n{}{{ const float v = {};\n",
                    load(0, "(image * H + h) * W + w"), each_element(walk_.vector), get(0, "x"));
    inner +=
        "if (at[e] < 0 || (!(v <= best[e]) && best[e] == best[e])) { best[e] = v; at[e] = h * W + "
        "w; } }";
    code += taps("oh", "ow", inner);
    code += "#pragma unroll\nfor (int a = 0; a < QH * QW; ++a) {\n" + each_element(walk_.vector);
    return code +
           fmt::format("if (at[e] == (h0 + a / QW) * W + w0 + a % QW) sums[a][e] += {};\n}}\n",
                       get(2, "g"));
  }

  /// The pixel takes its share of the gradient where the window holds it.
  [[nodiscard]] std::string average_part() const {
    std::string code = "float count = 0.0f; bool holds = false;\n";
    code += taps("oh", "ow", "count += 1.0f; holds |= h == h0 && w == w0;");
    return code + "if (holds) {\n" + each_element(walk_.vector) +
           fmt::format("sums[0][e] += {} / {};\n}}\n", get(0, "g"), scale_text());
  }

  Pool2dShape pool_;
  bool gradient_;
  VectorWalk walk_;
  std::int64_t patch_h_ = 1, patch_w_ = 1;
};

Support supports_vector_pool(const Node& node, const Backend&) {
  const Layout& layout = node.outputs().front().layout;
  if (layout.is_plain()) return Support::no("it is plain");
  for (const Value& input : node.inputs()) {
    if (input.layout() != layout) return Support::no("its layouts differ");
    if (!has_lane(input.dtype())) return Support::no("no vectors hold its operands");
    if (input.dtype() != node.output_type().dtype) return Support::no("its dtypes differ");
  }
  const auto walk = VectorWalk::of(node.output_type().shape, layout, pool_vector(node), false);
  if (!walk || walk->axis != 1 || walk->is_padded() || walk->outer != std::vector<int>{0, 2, 3}) {
    return Support::no("its channels do not divide into vectors");
  }
  return Support::yes();
}

}  // namespace

void register_vector_pool_kernels(KernelTable& table) {
  for (const OpDef* op :
       {&max_pool2d_op(), &max_pool2d_grad_op(), &avg_pool2d_op(), &avg_pool2d_grad_op()}) {
    table.register_kernel(op->name, {"vector pool", supports_vector_pool,
                                     [](const KernelProblem& problem, const Backend&) {
                                       return std::make_unique<VectorPoolKernel>(problem);
                                     }});
  }
}

}  // namespace ingot::cuda
