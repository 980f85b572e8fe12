// Pools, and the gradient of averages, on channels that lie next to each other, 16 bytes at a time.
#include "ingot/backends/cuda/kernels/vector_pool.h"

#include <fmt/core.h>

#include <cstdint>
#include <utility>

#include "ingot/backends/cuda/kernels/map_kernel.h"
#include "ingot/backends/cuda/kernels/pool_window.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"
#include "ingot/runtime/backend.h"

namespace ingot::cuda {
namespace {

bool is_maximum(const OpDef& op) { return op.attr_index("count_include_pad") < 0; }

int pool_vector(const Node& node) { return dtype_size(node.output_type().dtype) <= 2 ? 8 : 4; }

}  // namespace

VectorPoolKernel::VectorPoolKernel(const KernelProblem& problem, std::string name)
    : CudaKernel(problem, std::move(name)),
      pool_(pool2d_shape(node())),
      walk_(*VectorWalk::of(node().output_type().shape, node().outputs().front().layout,
                            pool_vector(node()), false)) {}

Stage VectorPoolKernel::stage_of(const StageRequest& request, std::int64_t blocks) const {
  Stage stage;
  stage.what = fmt::format("{} \"{}\"", node().op().name, node().name());
  stage.units = blocks * walk_.columns;
  stage.accesses = all_accesses(request, *this);
  for (Access& access : stage.accesses) access.by_item = false;
  for (const Value& input : node().inputs()) {
    stage.bytes += static_cast<double>(input.type().bytes());
  }
  stage.bytes += static_cast<double>(node().output_type().bytes());
  stage.flops = static_cast<double>(pool_.taps() * walk_.shape.numel());
  write_place(stage.body, walk_, blocks);
  write_window(stage.body, pool_);
  return stage;
}

std::string VectorPoolKernel::load(std::size_t operand, const std::string& row) const {
  const DType dtype = node().input_type(operand).dtype;
  return fmt::format("load_words<{}>({} + ((Index)({}) * {}u + c))", words_of(walk_, dtype),
                     pointer_to(inputs()[operand], dtype), row, walk_.padded);
}

std::string VectorPoolKernel::get(std::size_t operand, const std::string& words) const {
  return fmt::format("Lane<{}>::get({}.w, e)", storage_type(node().input_type(operand).dtype),
                     words);
}

std::string VectorPoolKernel::store(const std::string& row, const std::string& value) const {
  const DType dtype = node().output_type().dtype;
  std::string code = fmt::format("Raw<{}> words;\n{}", words_of(walk_, dtype), each_element());
  code += fmt::format("Lane<{}>::set(words.w, e, {});\n", storage_type(dtype), value);
  return code + fmt::format("store_words({} + ((Index)({}) * {}u + c), words);\n",
                            pointer_to(outputs()[0], dtype, true), row, walk_.padded);
}

std::string VectorPoolKernel::each_tap(FunctionRef<std::string(const std::string&)> look) const {
  // Words of more would not stay in registers.
  const bool whole = pool_.taps() <= 9;
  const std::string words = fmt::format(
      "Raw<{}> x[{}];\n", words_of(walk_, node().input_type(0).dtype), whole ? "KH * KW" : "KW");
  const std::string name = whole ? "x[ti * KW + tj]" : "x[tj]";
  const std::string row =
      "const int h = h1 + ti * DH;\n#pragma unroll\n"
      "for (int tj = 0; tj < KW; ++tj) { const int w = w1 + tj * DW;\n";
  const std::string loads =
      row + fmt::format(
                "const int h_ = min(max(h, 0), H - 1), w_ = min(max(w, 0), W - 1);\n{} = {};\n}}\n",
                name, load(0, "(image * H + h_) * W + w_"));
  const std::string looks =
      row + "const bool inside = h >= 0 && h < H && w >= 0 && w < W;\n" + look(name) + "}\n";
  const std::string rows = "for (int ti = 0; ti < KH; ++ti) {\n";
  if (!whole) {
    return "#pragma unroll 1\n" + rows + words + "{\n" + loads + "}\n{\n" + looks + "}\n}\n";
  }
  return words + "#pragma unroll\n" + rows + loads + "}\n#pragma unroll\n" + rows + looks + "}\n";
}

std::string VectorPoolKernel::each_element() const {
  return fmt::format("#pragma unroll\nfor (int e = 0; e < {}; ++e) ", walk_.vector);
}

namespace {

/// Each thread computes a pixel of the result from the windows that hold it, or that it is.
class PoolKernel final : public VectorPoolKernel {
 public:
  explicit PoolKernel(const KernelProblem& problem) : VectorPoolKernel(problem, "vector pool") {}

  [[nodiscard]] std::vector<Stage> stages(const StageRequest& request) const override {
    Stage stage = stage_of(request, walk_.row_blocks(1));
    stage.body += fmt::format("if (live && first < {}u) {{\n", walk_.rows);
    stage.body += node().op().attr_index("input_shape") >= 0 ? average_grad() : forward();
    stage.body += "}\n";
    return {std::move(stage)};
  }

 private:
  [[nodiscard]] std::string scale_text() const {
    return node().attr<bool>("count_include_pad") ? "(float)(KH * KW)" : "count";
  }
  /// Taps of the window (oh, ow), in order; `inner` sees h and w, inside the input.
  static std::string taps(const std::string& inner) {
    return fmt::format(
        "#pragma unroll\nfor (int ti = 0; ti < KH; ++ti) {{ const int h = oh * SH - PT + ti * DH;\n"
        "#pragma unroll\nfor (int tj = 0; tj < KW; ++tj) {{ const int w = ow * SW - PL + tj * DW;\n"
        "if (h >= 0 && h < H && w >= 0 && w < W) {{\n{} }} }} }}\n",
        inner);
  }

  [[nodiscard]] std::string forward() const {
    const bool maximum = is_maximum(node().op());
    std::string code =
        "const int image = first / (OH * OW);\n"
        "const int h1 = (int)(first / OW % OH) * SH - PT, w1 = (int)(first % OW) * SW - PL;\n";
    code += fmt::format("float pooled[{}], count = 0.0f;\n", walk_.vector);
    code += each_element() + fmt::format("pooled[e] = {};\n", maximum ? "-infinity()" : "0.0f");
    code += each_tap([&](const std::string& x) {
      const std::string update =
          maximum ? "op_max(pooled[e], " + get(0, x) + ")" : "pooled[e] + " + get(0, x);
      return fmt::format("{}if (inside) pooled[e] = {};\n{}", each_element(), update,
                         maximum ? "" : "count += inside ? 1.0f : 0.0f;\n");
    });
    return code +
           store("first", maximum ? "pooled[e]" : fmt::format("pooled[e] / {}", scale_text()));
  }

  /// The pixel takes its share of the gradient of every window that holds it.
  [[nodiscard]] std::string average_grad() const {
    std::string code = fmt::format(
        "const int image = first / (H * W), h0 = first / W % H, w0 = first % W;\n"
        "float sums[{}];\n{} sums[e] = 0.0f;\n",
        walk_.vector, each_element());
    code +=
        "const int low_h = h0 + PT - (KH - 1) * DH, low_w = w0 + PL - (KW - 1) * DW;\n"
        "const int first_h = low_h <= 0 ? 0 : (low_h + SH - 1) / SH;\n"
        "const int first_w = low_w <= 0 ? 0 : (low_w + SW - 1) / SW;\n"
        "const int last_h = min(OH - 1, (h0 + PT) / SH), last_w = min(OW - 1, (w0 + PL) / SW);\n"
        "for (int oh = first_h; oh <= last_h; ++oh)\n"
        "for (int ow = first_w; ow <= last_w; ++ow) {\n";
    code += fmt::format("const auto g = {};\n", load(0, "(image * OH + oh) * OW + ow"));
    code += "float count = 0.0f; bool holds = false;\n";
    code += taps("count += 1.0f; holds |= h == h0 && w == w0;");
    code += "if (holds) {\n" + each_element() +
            fmt::format("sums[e] += {} / {};\n}}\n}}\n", get(0, "g"), scale_text());
    return code + store("first", "sums[e]");
  }
};

}  // namespace

Support supports_vector_pool(const Node& node) {
  const Layout& layout = node.outputs().front().layout;
  if (layout.is_plain()) return Support::no("it is plain");
  for (const Value& input : node.inputs()) {
    if (input.layout() != layout) return Support::no("its layouts differ");
    if (!has_lane(input.dtype())) {
      return Support::no(fmt::format("no vectors hold {}", dtype_name(input.dtype())));
    }
  }
  const auto walk = VectorWalk::of(node.output_type().shape, layout, pool_vector(node), false);
  if (!walk || walk->axis != 1 || walk->is_padded() || walk->outer != std::vector<int>{0, 2, 3}) {
    return Support::no("its channels do not divide into vectors");
  }
  return Support::yes();
}

void register_vector_pool_kernels(KernelTable& table) {
  for (const OpDef* op : {&max_pool2d_op(), &avg_pool2d_op(), &avg_pool2d_grad_op()}) {
    table.register_kernel(
        op->name,
        {"vector pool", [](const Node& node, const Backend&) { return supports_vector_pool(node); },
         [](const KernelProblem& problem, const Backend&) {
           return std::make_unique<PoolKernel>(problem);
         }});
  }
}

}  // namespace ingot::cuda
