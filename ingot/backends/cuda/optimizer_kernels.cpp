// One update rule over all tensors of a group, in one stage.
#include <fmt/core.h>

#include "ingot/backends/cuda/map_kernel.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"
#include "ingot/runtime/backend.h"

namespace ingot::cuda {
namespace {

// Elements of a thread: enough loads under way, a block apart so that neighbours read neighbours.
constexpr int kPerThread = 4;
constexpr std::int64_t kChunk = kThreads * kPerThread;

class OptimizerKernel final : public CudaKernel {
 public:
  explicit OptimizerKernel(const KernelProblem& problem)
      : CudaKernel(problem, "optimizer"),
        scalars_(static_cast<std::size_t>(node().integer("num_scalars"))),
        states_(static_cast<std::size_t>(node().integer("num_states"))) {}

  [[nodiscard]] bool in_place(int input, int output) const noexcept override {
    // Output j of a tensor is its operand j, the gradient left out.
    const auto in = static_cast<std::size_t>(input);
    if (in < scalars_) return false;
    const std::size_t group = 2 + states_;
    const std::size_t operand = (in - scalars_) % group;
    if (operand == 1) return false;
    const std::size_t wanted =
        (in - scalars_) / group * (1 + states_) + (operand == 0 ? 0 : operand - 1);
    return wanted == static_cast<std::size_t>(output);
  }

  [[nodiscard]] std::vector<Stage> stages(const StageRequest& request) const override {
    Stage stage;
    stage.what = fmt::format("{} \"{}\"", node().op().name, node().name());
    stage.mode = request.mode == Mode::item ? Mode::grid : request.mode;
    stage.accesses = all_accesses(request, *this);
    for (Access& access : stage.accesses) access.by_item = false;
    const std::size_t group = 2 + states_;
    const std::size_t tensors = (inputs().size() - scalars_) / group;
    const auto& rule = node().attr<ScalarProgram>("rule");

    // Which tensor a unit belongs to: tables of first units and of the operands' pointers.
    std::string firsts;
    std::string sizes;
    std::int64_t units = 0;
    double elements = 0;
    for (std::size_t t = 0; t < tensors; ++t) {
      const std::size_t p = scalars_ + t * group;
      const std::int64_t numel = node().input_type(p).numel();
      firsts += fmt::format("{}, ", units);
      sizes += fmt::format("{}, ", numel);
      units += (numel + kChunk - 1) / kChunk;
      elements += static_cast<double>(numel);
    }
    if (units == 0) return {};
    std::string code = fmt::format("static const int firsts[] = {{ {}{} }};\n", firsts, units);
    code += fmt::format("static const i64 sizes[] = {{ {} }};\n", sizes);
    code += fmt::format("int low = 0, high = {};\n", tensors);
    code +=
        "while (high - low > 1) { const int mid = (low + high) / 2;\n"
        "if (firsts[mid] <= unit) low = mid; else high = mid; }\n";
    code +=
        fmt::format("const i64 first = (i64)(unit - firsts[low]) * {} + threadIdx.x;\n", kChunk);
    std::vector<std::string> names;
    std::vector<DType> types;
    for (std::size_t s = 0; s < scalars_; ++s) {
      names.push_back(fmt::format("s{}", s));
      types.push_back(node().input_type(s).dtype);
      code +=
          fmt::format("const auto s{} = get({}, 0);\n", s, pointer_to(inputs()[s], types.back()));
    }
    const std::string loop = fmt::format(
        "#pragma unroll\nfor (int q = 0; q < {}; ++q) {{ const i64 i = first + q * {};\n"
        "if (i < sizes[low]) {{\n",
        kPerThread, kThreads);
    std::string loads;
    for (std::size_t o = 0; o < group; ++o) {
      names.push_back(fmt::format("x{}[q]", o));
      types.push_back(node().input_type(scalars_ + o).dtype);
      code += declare_pointer(fmt::format("in{}", o), tensors,
                              [&](std::size_t t) { return inputs()[scalars_ + t * group + o]; });
      code += fmt::format("{} x{}[{}];\n", compute_type(types.back()), o, kPerThread);
      loads += fmt::format("x{0}[q] = get((const {1}*)in{0}, i);\n", o, storage_type(types.back()));
    }
    // All loads before the first store, which the compiler could not move them past.
    code += loop + loads + "} }\n";
    for (std::size_t r = 0; r < 1 + states_; ++r) {
      code += declare_pointer(fmt::format("out{}", r), tensors,
                              [&](std::size_t t) { return outputs()[t * (1 + states_) + r]; });
    }
    code += loop;
    const auto results = write_program(code, rule, names, types, "u");
    for (std::size_t r = 0; r < results.size(); ++r) {
      code += fmt::format("put(({}*)out{}, i, {});\n", storage_type(node().output_type(r).dtype), r,
                          results[r]);
    }
    code += "} }\n";
    stage.body = std::move(code);
    stage.units = units;
    stage.flops = elements * rule.flops();
    stage.bytes = elements * 4.0 * static_cast<double>(group + 1 + states_);
    return {std::move(stage)};
  }

 private:
  /// `char* name`, the pointer of tensor `low`.
  template <typename Fn>
  static std::string declare_pointer(const std::string& name, std::size_t tensors, Fn&& slot_of) {
    std::string code = fmt::format("char* {};\nswitch (low) {{\n", name);
    for (std::size_t t = 0; t < tensors; ++t) {
      code +=
          fmt::format("{}: {} = @{}@; break;\n",
                      t + 1 == tensors ? "default" : fmt::format("case {}", t), name, slot_of(t));
    }
    return code + "}\n";
  }

  std::size_t scalars_;
  std::size_t states_;
};

Support supports_optimizer(const Node& node, const Backend&) {
  if (const Support types = check_types(node); !types) return types;
  const auto scalars = static_cast<std::size_t>(node.integer("num_scalars"));
  const auto group = 2 + static_cast<std::size_t>(node.integer("num_states"));
  // One text serves all tensors, so their dtypes agree.
  for (std::size_t i = scalars + group; i < node.inputs().size(); ++i) {
    if (node.input_type(i).dtype != node.input_type(i - group).dtype) {
      return Support::no("its tensors differ in dtype");
    }
  }
  return Support::yes();
}

}  // namespace

void register_optimizer_kernels(KernelTable& table) {
  table.register_kernel(
      optimizer_update_op().name,
      {"optimizer", supports_optimizer, [](const KernelProblem& problem, const Backend&) {
         return std::make_unique<OptimizerKernel>(problem);
       }});
}

}  // namespace ingot::cuda
