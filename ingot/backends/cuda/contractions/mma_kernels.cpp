// Products and convolutions by tensor cores: f32 operands in tf32 where that is asked for, bf16 and
// f16 ones.
#include "ingot/backends/cuda/contractions/mma_kernels.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "ingot/backends/cuda/contractions/contract_kernels.h"
#include "ingot/backends/cuda/contractions/contract_problem.h"
#include "ingot/backends/cuda/contractions/mma_form.h"
#include "ingot/backends/cuda/kernels/map_kernel.h"
#include "ingot/backends/cuda/kernels/reduce_plan.h"
#include "ingot/backends/cuda/kernels/strides.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"

namespace ingot::cuda {
namespace {

std::string_view math_of(DType dtype) {
  if (dtype == DType::bf16) return "MmaBf16";
  return dtype == DType::f16 ? "MmaF16" : "MmaTf32";
}

class MmaKernel final : public CudaKernel {
 public:
  MmaKernel(const KernelProblem& problem, const MmaChoice* choice)
      : CudaKernel(problem, "mma"), region_(region_of(node(), inputs())) {
    mma_problem(*region_.producer, region_, problem_);
    if (choice != nullptr) choice_ = *choice;
    if (supports_tiles(node())) tiles_ = make_tiles(problem);
  }

  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    std::int64_t parts = choice_.parts;
    for (const int processors : {108, 132, 148}) {
      if (choice_.form.bm == 0)
        parts = std::max<std::int64_t>(parts, choose_mma(problem_, processors).parts);
    }
    const std::int64_t own = parts == 1 ? 0 : parts * region_.producer->output_type().numel() * 4;
    return std::max(own, tiles_ == nullptr ? 0 : tiles_->scratch_bytes());
  }
  [[nodiscard]] bool separable(std::int64_t items) const override {
    return tiles_ != nullptr && tiles_->separable(items);
  }

  [[nodiscard]] std::vector<Stage> stages(const StageRequest& request) const override {
    // A tile's block is no block of a kernel for the whole step.
    if (!request.library && tiles_ != nullptr) return tiles_->stages(request);
    if (node().output_type().numel() == 0) return {};
    const MmaChoice choice =
        choice_.form.bm > 0 ? choice_ : choose_mma(problem_, request.multiprocessors);
    Stage stage;
    stage.what = fmt::format("{} \"{}\"", node().op().name, node().name());
    stage.accesses = all_accesses(request, *this);
    for (const auto& [value, slot] : region_.operands) {
      stage.bytes += static_cast<double>(value.type().bytes());
    }
    stage.flops =
        2.0 * static_cast<double>(problem_.m * problem_.n * problem_.groups) * problem_.mean_terms;
    stage.flops_of_cycle =
        contraction_flops_of_cycle(region_.producer->input(0).type().dtype, true);
    stage.threads = choice.form.threads();
    stage.cluster = choice.cluster;
    stage.takes_turn = true;
    stage.units = mma_tiles(choice.form, problem_) * choice.cluster * choice.parts;
    stage.shared_bytes = mma_shared_bytes(choice.form, problem_);
    stage.unit_cycles = choice.cycles;
    stage.body = body(choice);
    if (choice.parts == 1) return {std::move(stage)};
    Stage rest = stage;
    rest.threads = kThreads;
    rest.cluster = 1;
    rest.takes_turn = false;
    rest.unit_cycles = 0;
    std::erase_if(stage.accesses, [](const Access& access) { return access.write; });
    stage.accesses.push_back({-1, true, false});
    return {std::move(stage), add(rest, choice.parts)};
  }

 private:
  [[nodiscard]] std::string operand_struct(const char* name, const MmaOperand& operand) const {
    return fmt::format("struct {} {{\nconst {}* base; int g, k1;\n{}}};\n", name,
                       storage_type(problem_.dtype), operand.text);
  }

  [[nodiscard]] std::string body(const MmaChoice& choice) const {
    const MmaForm& f = choice.form;
    const auto tiles_of = [](std::int64_t size, int tile) { return (size + tile - 1) / tile; };
    const std::int64_t tiles_m = tiles_of(problem_.m, f.bm);
    const std::int64_t tiles_n = tiles_of(problem_.n, f.bn);
    const std::int64_t tiles = mma_tiles(f, problem_);
    const int cuts = choice.cluster * choice.parts;
    std::string code = problem_.constants;
    code += operand_struct("A", problem_.a) + operand_struct("B", problem_.b);
    code += "typedef A OperandA;\ntypedef B OperandB;\n";
    code +=
        "struct Problem {\nconst Params& P; const i64 step, item; char* const local; const int g, "
        "part;\n"
        "typedef OperandA A;\ntypedef OperandB B;\nA a;\nB b;\n";
    const int at_once = choice.parts > 1 ? 1 : results_at_once();
    if (choice.parts > 1) {
      write_part(code);
    } else {
      write_store(code, at_once);
    }
    code += "}\n};\n";
    code += fmt::format(
        "typedef MmaForm<{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}> Form;\n",
        storage_type(problem_.dtype), math_of(problem_.dtype), f.bm, f.bn, f.bk(problem_.dtype),
        f.warps_m, f.warps_n, f.warps_k, f.stages, choice.cluster, problem_.a.k_lines,
        problem_.a.copy_bytes, problem_.b.k_lines, problem_.b.copy_bytes, problem_.n_fast, at_once);
    // Neighbouring blocks share rows of the larger operand.
    code += fmt::format(
        "const int part = unit / {0}, tile = unit / {1} % {2}, tn = tile % {3}, tm = tile / {3} % "
        "{4}, g = tile / {5};\n",
        choice.cluster * tiles, choice.cluster, tiles, tiles_n, tiles_m, tiles_m * tiles_n);
    code += problem_.group_text;
    code += fmt::format(
        "const int terms = {0}, length = (terms + {1}) / {2} * {3};\n"
        "const int k0 = min((part * {4} + unit % {4}) * length, terms), k1 = min(k0 + length, "
        "terms);\n",
        problem_.terms, cuts * f.bk(problem_.dtype) - 1, cuts * f.bk(problem_.dtype),
        f.bk(problem_.dtype), choice.cluster);
    code += fmt::format(
        "const Problem problem{{P, step, item, local, g, part, {{{}, g, k1}}, {{{}, g, k1}}}};\n",
        problem_.a.pointer, problem_.b.pointer);
    code +=
        fmt::format("mma_contract<Form>(problem, tm * {}, tn * {}, k0, k1, smem);\n", f.bm, f.bn);
    return code;
  }

  /// Axes of the result, outermost in memory first.
  [[nodiscard]] std::vector<int> order() const {
    std::vector<int> axes = problem_.layout.order();
    if (axes.empty()) {
      axes.resize(static_cast<std::size_t>(region_.producer->output_type().shape.rank()));
      std::iota(axes.begin(), axes.end(), 0);
    }
    return axes;
  }
  /// The result's shape in that order.
  [[nodiscard]] Shape ordered_shape() const {
    Shape shape;
    for (const int axis : order()) shape.push_back(region_.producer->output_type().shape[axis]);
    return shape;
  }

  /// The function that keeps a sum for the kernel that adds parts.
  void write_part(std::string& code) const {
    const Shape shape = ordered_shape();
    std::vector<std::string> names;
    for (const int axis : order()) names.push_back(fmt::format("c{}", axis));
    code += fmt::format(
        "void store(int m, int n, const float (&totals)[1]) const {{\nif (m >= {} || n >= {}) "
        "return;\n{}",
        problem_.m, problem_.n, problem_.coordinates);
    if (!problem_.exists.empty()) code += fmt::format("if (!({})) return;\n", problem_.exists);
    if (!problem_.is_padding.empty()) code += fmt::format("if ({}) return;\n", problem_.is_padding);
    code += fmt::format("((float*)@W@)[(i64)part * {} + {}] = totals[0];\n", shape.numel(),
                        offset_text(names, shape.strides()));
  }

  [[nodiscard]] Stage add(const Stage& whole, int parts) const {
    const Shape& shape = region_.producer->output_type().shape;
    const auto laid_out = strides_of(problem_.layout, shape);
    const StoreFn store = [&](std::string& code, const std::string&, const auto& kept,
                              const auto& totals) {
      std::vector<std::string> names(kept.size());
      for (std::size_t i = 0; i < kept.size(); ++i) {
        const int axis = order()[i];
        names[static_cast<std::size_t>(axis)] = fmt::format("c{}", axis);
        code += fmt::format("const u32 c{} = {};\n", axis, kept[i]);
      }
      code += fmt::format("const i64 at = {};\n", offset_text(names, laid_out->step));
      ElementWriter writer(code, region_, {shape, names, "at", problem_.layout});
      writer.bind(const_cast<Node*>(region_.producer)->output(), totals[0]);
      for (std::size_t r = 0; r < region_.results.size(); ++r) {
        const std::string text = writer.value(region_.results[r]);
        const std::string pointer = pointer_to(outputs()[r], region_.results[r].dtype(), true);
        code += fmt::format("put({}, at, {});\n", pointer, text);
        if (problem_.is_padding.empty()) continue;
        const auto last = static_cast<std::size_t>(order().back());
        code +=
            fmt::format("if ({0} == {1}) for (int p = 1; p <= {2}; ++p) put({3}, at + p, 0.0f);\n",
                        names[last], shape[static_cast<int>(last)] - 1,
                        laid_out->extent[last] - shape[static_cast<int>(last)], pointer);
      }
    };
    return add_parts(whole, ordered_shape(), parts, "s", store);
  }

  static bool is_simple(DType dtype) { return is_float(dtype) && dtype != DType::f64; }

  /// Results that a thread stores together: those of 16 bytes, or one.
  [[nodiscard]] int results_at_once() const {
    std::int64_t count = 4;
    for (const Value& result : region_.results) {
      if (!is_simple(result.dtype()) && result.dtype() != DType::boolean) return 1;
      if (is_simple(result.dtype()) && result.dtype() != DType::f32) count = 8;
    }
    if (problem_.n_run % 8 == 0) return static_cast<int>(count);
    return problem_.n_run % 4 == 0 ? 4 : 1;
  }

  /// The function that stores neighbouring results of sums at (m, n).
  void write_store(std::string& code, int at_once) const {
    code += fmt::format(
        "void store(int m, int first, const float (&totals)[{0}]) const {{\nif (m >= {1} || first "
        ">= {2}) return;\ni64 begin;\n{{\nconst int n = first;\n{3}begin = at;\n",
        at_once, problem_.m, problem_.n, problem_.coordinates);
    if (!problem_.exists.empty()) code += fmt::format("if (!({})) return;\n", problem_.exists);
    code += "}\n";
    const Shape& shape = region_.producer->output_type().shape;
    std::vector<std::string> names;
    for (int axis = 0; axis < shape.rank(); ++axis) names.push_back(fmt::format("c{}", axis));
    std::string body;
    ElementWriter writer(body, region_, {shape, names, "at", problem_.layout});
    writer.bind(const_cast<Node*>(region_.producer)->output(), "totals[j]");
    if (at_once > 1) {
      // Operands that lie as the results do come at once, too.
      std::map<int, Value> operands;
      for (const auto& [value, slot] : region_.operands) operands.emplace(slot, value);
      for (const auto& [slot, value] : operands) {
        const bool alike = value.shape() == shape && value.layout() == problem_.layout;
        if (!alike || !(is_simple(value.dtype()) || value.dtype() == DType::boolean)) continue;
        code += fmt::format("{} q{}[{}];\nget_all({}, begin, q{});\n", compute_type(value.dtype()),
                            slot, at_once, pointer_to(slot, value.dtype()), slot);
        writer.bind(value, fmt::format("q{}[j]", slot));
      }
    }
    for (std::size_t r = 0; r < region_.results.size(); ++r) {
      code += fmt::format("{} r{}[{}];\n", compute_type(region_.results[r].dtype()), r, at_once);
    }
    code +=
        fmt::format("#pragma unroll\nfor (int j = 0; j < {}; ++j) {{\nconst int n = first + j;\n{}",
                    at_once, problem_.coordinates);
    if (!problem_.is_padding.empty()) {
      code += fmt::format("if ({}) {{\n", problem_.is_padding);
      for (std::size_t r = 0; r < region_.results.size(); ++r)
        code += fmt::format("r{}[j] = 0;\n", r);
      code += "continue;\n}\n";
    }
    std::string stores;
    for (std::size_t r = 0; r < region_.results.size(); ++r) {
      const Value& result = region_.results[r];
      const std::string text = writer.value(result);
      body += fmt::format("r{}[j] = {};\n", r, text);
      const std::string pointer = pointer_to(outputs()[r], result.dtype(), true);
      stores += at_once == 1 ? fmt::format("put({}, begin, r{}[0]);\n", pointer, r)
                             : fmt::format("put_all({}, begin, r{});\n", pointer, r);
    }
    code += body + "}\n" + stores;
  }

  Region region_;
  MmaProblem problem_;
  MmaChoice choice_{};
  std::unique_ptr<CudaKernel> tiles_;
};

/// Whether the Node's products may be made by tensor cores.
Support check_math(const Node& producer) {
  const DType dtype = producer.input_type(0).dtype;
  if (dtype == DType::bf16 || dtype == DType::f16) return Support::yes();
  if (dtype != DType::f32) {
    return Support::no(fmt::format("tensor cores take no {}", dtype_name(dtype)));
  }
  if (producer.op().attr_index("math") < 0 || producer.attr<std::string>("math") != "tf32") {
    return Support::no("f32 in full precision was asked for");
  }
  return Support::yes();
}

Support check_epilogue(const Region& region) {
  if (!region.reductions.empty()) return Support::no("an epilogue takes no reductions");
  const Layout& layout = region.producer->outputs().front().layout;
  for (const Value& result : region.results) {
    if (result.shape() != region.producer->output_type().shape || result.layout() != layout) {
      return Support::no("an epilogue has the producer's shape and layout");
    }
  }
  const bool strided = std::ranges::all_of(
      region.operands, [](const auto& operand) { return strides_of(operand.first).has_value(); });
  if (!strided) return Support::no("an operand's layout has no strides");
  return Support::yes();
}

Support check_mma(const Node& node) {
  const Region region = region_of(node, std::vector<int>(node.inputs().size()));
  if (region.producer == nullptr || !is_contraction(*region.producer)) {
    return Support::no("it is no product or convolution");
  }
  if (const Support math = check_math(*region.producer); !math) return math;
  if (const Support epilogue = check_epilogue(region); !epilogue) return epilogue;
  MmaProblem problem;
  return mma_problem(*region.producer, region, problem);
}

Support supports_mma(const Node& node, const Backend&) { return check_mma(node); }

std::unique_ptr<Kernel> make_mma(const KernelProblem& problem, const Backend&) {
  return std::make_unique<MmaKernel>(problem, nullptr);
}

}  // namespace

std::unique_ptr<CudaKernel> make_mma_kernel(const KernelProblem& problem, const MmaChoice& choice) {
  return std::make_unique<MmaKernel>(problem, &choice);
}

Support supports_own_contraction(const Node& node) {
  return check_mma(node) ? Support::yes() : supports_tiles(node);
}

std::unique_ptr<CudaKernel> make_own_contraction(const KernelProblem& problem) {
  if (check_mma(problem.node)) return std::make_unique<MmaKernel>(problem, nullptr);
  return supports_tiles(problem.node) ? make_tiles(problem) : nullptr;
}

std::vector<MmaChoice> mma_choices_of(const Node& node, int multiprocessors) {
  const Region region = region_of(node, std::vector<int>(node.inputs().size()));
  MmaProblem problem;
  if (region.producer == nullptr || !mma_problem(*region.producer, region, problem)) return {};
  return mma_choices(problem, multiprocessors);
}

void register_mma_kernels(KernelTable& table) {
  register_for_contractions(table, {"mma", supports_mma, make_mma});
}

}  // namespace ingot::cuda
