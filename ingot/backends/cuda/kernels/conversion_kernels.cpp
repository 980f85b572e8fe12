// Conversions of many tensors, element by element of their memory, in one stage.
#include <fmt/core.h>

#include <algorithm>

#include "ingot/backends/cuda/kernels/map_kernel.h"
#include "ingot/backends/cuda/kernels/tensor_table.h"
#include "ingot/backends/cuda/kernels/vector_walk.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/node_kinds.h"
#include "ingot/ops/op_list.h"
#include "ingot/runtime/backend.h"

namespace ingot::cuda {
namespace {

constexpr int kVector = 8;
constexpr int kVectors = 2;

class ConversionKernel final : public CudaKernel {
 public:
  explicit ConversionKernel(const KernelProblem& problem) : CudaKernel(problem, "conversions") {}

  [[nodiscard]] std::vector<Stage> stages(const StageRequest& request) const override {
    std::vector<std::int64_t> sizes;
    Stage stage;
    for (std::size_t i = 0; i < outputs().size(); ++i) {
      const Value& from = node().input(converted_operand(node(), i));
      sizes.push_back(from.layout().physical_numel(from.shape()));
      stage.bytes += static_cast<double>(from.type().bytes() + node().output_type(i).bytes());
      stage.flops += static_cast<double>(sizes.back());
    }
    const TensorTable table = tensor_table(sizes, std::int64_t{kThreads} * kVector * kVectors);
    if (table.units == 0) return {};
    stage.what = fmt::format("{} \"{}\"", node().op().name, node().name());
    stage.mode = request.mode == Mode::item ? Mode::grid : request.mode;
    stage.units = table.units;
    stage.accesses = all_accesses(request, *this);
    for (Access& access : stage.accesses) access.by_item = false;
    stage.body = table.text;
    stage.body += table_pointer("in", sizes.size(), [this](std::size_t i) {
      return inputs()[converted_operand(node(), i)];
    });
    stage.body +=
        table_pointer("out", sizes.size(), [this](std::size_t i) { return outputs()[i]; });
    stage.body += body();
    return {std::move(stage)};
  }

 private:
  [[nodiscard]] std::string body() const {
    const DType from = node().input_type(converted_operand(node(), 0)).dtype;
    const DType to = node().output_type().dtype;
    const auto words = [](DType dtype) {
      return static_cast<int>(dtype_size(dtype)) * kVector / 4;
    };
    const std::string loop = fmt::format(
        "#pragma unroll\nfor (int q = 0; q < {}; ++q) {{\n"
        "const i64 i = first + (threadIdx.x + q * {}) * {};\nif (i + {} <= size) {{\n",
        kVectors, kThreads, kVector, kVector);
    std::string code = fmt::format("Raw<{}> x[{}];\n", words(from), kVectors) + loop;
    code += fmt::format("x[q] = load_words<{}>((const {}*)in + i);\n}}\n}}\n", words(from),
                        storage_type(from));
    code += loop + fmt::format("Raw<{}> y;\n#pragma unroll\nfor (int e = 0; e < {}; ++e) {{\n",
                               words(to), kVector);
    code +=
        fmt::format("const auto v = Lane<{}>::get(x[q].w, e);\nLane<{}>::set(y.w, e, {});\n}}\n",
                    storage_type(from), storage_type(to), convert_text("v", from, to));
    code += fmt::format("store_words(({}*)out + i, y);\n}} else {{\n", storage_type(to));
    code += fmt::format(
        "for (i64 k = i; k < size; ++k) {{ const auto v = get((const {}*)in, k);\n"
        "put(({}*)out, k, {}); }}\n}}\n}}\n",
        storage_type(from), storage_type(to), convert_text("v", from, to));
    return code;
  }
};

Support supports_conversions(const Node& node, const Backend&) {
  const bool converts = &node.op() == &fused_op() ? is_conversions(node) : converts_operands(node);
  if (!converts) return Support::no("it does more than convert several tensors");
  const DType from = node.input_type(converted_operand(node, 0)).dtype;
  const DType to = node.output_type().dtype;
  for (std::size_t i = 0; i < node.outputs().size(); ++i) {
    const Value& input = node.input(converted_operand(node, i));
    if (input.layout() != node.outputs()[i].layout) return Support::no("its layouts differ");
    if (input.dtype() != from || node.output_type(i).dtype != to) {
      return Support::no("its dtypes differ");
    }
  }
  if (!has_lane(from) || !has_lane(to)) {
    return Support::no(
        fmt::format("no vectors convert {} to {}", dtype_name(from), dtype_name(to)));
  }
  return Support::yes();
}

}  // namespace

void register_conversion_kernels(KernelTable& table) {
  for (const OpDef* op : {&fused_op(), &weight_copies_op()}) {
    table.register_kernel(op->name, {"conversions", supports_conversions,
                                     [](const KernelProblem& problem, const Backend&) {
                                       return std::make_unique<ConversionKernel>(problem);
                                     }});
  }
}

}  // namespace ingot::cuda
