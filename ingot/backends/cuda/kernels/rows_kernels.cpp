// Softmax and its losses, each row by one warp: composites kept whole.
#include <fmt/core.h>

#include "ingot/backends/cuda/kernels/map_kernel.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"
#include "ingot/runtime/backend.h"

namespace ingot::cuda {
namespace {

constexpr int kRowsPerUnit = kThreads / 32;

/// The operand seen as [outer, length, inner]; a row runs along `length`.
struct Rows {
  std::int64_t outer = 1, length = 1, inner = 1;
  [[nodiscard]] std::int64_t count() const { return outer * inner; }
};

Rows rows_of(const Node& node) {
  const Shape& x = node.input_type(0).shape;
  std::int64_t axis = node.op().attr_index("axis") >= 0 ? node.integer("axis") : 1;
  if (axis < 0) axis += x.rank();
  Rows rows;
  for (int i = 0; i < x.rank(); ++i) {
    (i < axis ? rows.outer : i == axis ? rows.length : rows.inner) *= x[i];
  }
  return rows;
}

bool has_labels(const OpDef& op) { return op.attr_index("label_smoothing") >= 0; }

class RowsKernel final : public CudaKernel {
 public:
  explicit RowsKernel(const KernelProblem& problem)
      : CudaKernel(problem, "rows"), rows_(rows_of(node())) {}

  [[nodiscard]] bool separable(std::int64_t) const override {
    // The batch is the outermost part of the rows unless it is what they run along.
    return rows_.inner == 1 || node().input_type(0).shape[0] == rows_.outer;
  }

  [[nodiscard]] std::vector<Stage> stages(const StageRequest& request) const override {
    if (rows_.count() == 0 || rows_.length == 0) return {};
    Stage stage;
    stage.what = fmt::format("{} \"{}\"", node().op().name, node().name());
    stage.mode = request.mode;
    const std::int64_t items = request.mode == Mode::item ? request.items : 1;
    const std::int64_t rows = rows_.count() / items;
    stage.units_per_item = (rows + kRowsPerUnit - 1) / kRowsPerUnit;
    stage.units = items * stage.units_per_item;
    stage.accesses = all_accesses(request, *this);
    const auto elements = static_cast<double>(rows_.count() * rows_.length);
    stage.flops = 8 * elements;
    stage.bytes = 8 * elements;
    stage.body = body(rows, stage.units_per_item);
    if (stage.units_per_item == 1) stage.threads_used = static_cast<int>(rows) * 32;
    return {std::move(stage)};
  }

 private:
  [[nodiscard]] std::string body(std::int64_t rows, std::int64_t units_per_item) const {
    const DType dtype = node().input_type(0).dtype;
    std::string code = fmt::format(
        "const int part = unit / {0}, own = (unit - part * {0}) * {1} + threadIdx.x / 32;\n"
        "const int lane = threadIdx.x % 32;\nif (own < {2}) {{\n"
        "const i64 row = (i64)part * {2} + own;\n"
        "const i64 start = row / {3} * {4} + row % {3};\n",
        units_per_item, kRowsPerUnit, rows, rows_.inner, rows_.length * rows_.inner);
    code += fmt::format("const {}* const x = {};\n", storage_type(dtype),
                        pointer_to(inputs()[0], dtype));
    code += fmt::format("const int C = {};\nconst i64 S = {};\n", rows_.length, rows_.inner);
    // A short row is loaded once; lanes beyond it count for nothing.
    code += is_short() ? "const bool has = lane < C;\n"
                         "const float own_x = has ? get(x, start + lane * S) : -infinity();\n"
                         "float top = own_x;\n"
                       : "float top = -infinity();\n"
                         "for (int c = lane; c < C; c += 32) top = op_max(top, get(x, start + c * "
                         "S));\n";
    code +=
        "#pragma unroll\n"
        "for (int d = 16; d > 0; d /= 2) top = op_max(top, __shfl_xor_sync(0xffffffffu, top, "
        "d));\n";
    code += is_short()
                ? "const float own_e = has ? expf(own_x - top) : 0.0f;\nfloat total = own_e;\n"
                : "float total = 0.0f;\n"
                  "for (int c = lane; c < C; c += 32) total += expf(get(x, start + c * S) - "
                  "top);\n";
    code +=
        "#pragma unroll\n"
        "for (int d = 16; d > 0; d /= 2) total += __shfl_xor_sync(0xffffffffu, total, d);\n";
    code += has_labels(node().op()) ? label_part() : element_part();
    return code + "}\n";
  }

  /// Whether a lane has at most one element of a row.
  [[nodiscard]] bool is_short() const { return rows_.length <= 32; }
  /// The head of a loop over the lane's elements c, and texts of such an element.
  [[nodiscard]] std::string each() const {
    return is_short() ? "if (const int c = lane; has) " : "for (int c = lane; c < C; c += 32) ";
  }
  [[nodiscard]] std::string element(std::string_view stride) const {
    return is_short() ? "own_x" : fmt::format("get(x, start + c * {})", stride);
  }
  [[nodiscard]] std::string exponential(std::string_view stride) const {
    return is_short() ? "own_e" : fmt::format("expf({} - top)", element(stride));
  }

  [[nodiscard]] std::string element_part() const {
    const DType out = node().output_type().dtype;
    const bool is_log = &node().op() == &log_softmax_op();
    const std::string value = is_log ? fmt::format("{} - top - log_total", element("S"))
                                     : fmt::format("{} * scale", exponential("S"));
    return fmt::format(
        "{}{}{}",
        is_log ? "const float log_total = logf(total);\n" : "const float scale = 1.0f / total;\n",
        each(), store_text(outputs()[0], out, "start + c * S", value));
  }

  [[nodiscard]] std::string label_part() const {
    const double smoothing = node().attr<double>("label_smoothing");
    const DType out = node().output_type().dtype;
    const auto& constraints = node().op().constraints;
    std::size_t rule = 0;
    while (constraints[rule].id != "C5") ++rule;
    std::string code = fmt::format(
        "i64 label = get({}, row);\nif (label < 0 || label >= C) {{\n"
        "if (lane == 0) latch(P.control, @N@, {}, label, row);\n"
        "label = label < 0 ? 0 : C - 1; }}\n",
        pointer_to(inputs()[1], node().input_type(1).dtype), rule);
    if (node().inputs().size() > 2) {
      code += fmt::format(
          "const float g = get({}, row), scale = 1.0f / total;\n"
          "{} {{\nconst float q = {} + (c == label ? {} : 0.0f);\n{}}}\n",
          pointer_to(inputs()[2], node().input_type(2).dtype), each(),
          literal(smoothing / static_cast<double>(rows_.length), DType::f32),
          literal(1 - smoothing, DType::f32),
          store_text(outputs()[0], out, "start + c",
                     fmt::format("({} * scale - q) * g", exponential("1"))));
      return code;
    }
    code += "float target = get(x, start + label) - top;\n";
    if (smoothing > 0) {
      code += fmt::format(
          "float all = 0.0f;\n"
          "for (int c = lane; c < C; c += 32) all += get(x, start + c) - top;\n"
          "for (int d = 16; d > 0; d /= 2) all += __shfl_xor_sync(0xffffffffu, all, d);\n"
          "target = {} * target + {} * all;\n",
          literal(1 - smoothing, DType::f32),
          literal(smoothing / static_cast<double>(rows_.length), DType::f32));
    }
    code += "if (lane == 0) " + store_text(outputs()[0], out, "row", "logf(total) - target");
    return code;
  }

  Rows rows_;
};

Support supports_rows(const Node& node, const Backend&) {
  if (const Support types = check_types(node); !types) return types;
  if (node.input_type(0).dtype == DType::f64) {
    return Support::no("its f64 terms would be summed in f32");
  }
  return Support::yes();
}

}  // namespace

void register_rows_kernels(KernelTable& table) {
  for (const OpDef* op :
       {&softmax_op(), &log_softmax_op(), &cross_entropy_op(), &cross_entropy_grad_op()}) {
    table.register_kernel(op->name,
                          {"rows", supports_rows, [](const KernelProblem& problem, const Backend&) {
                             return std::make_unique<RowsKernel>(problem);
                           }});
  }
}

}  // namespace ingot::cuda
