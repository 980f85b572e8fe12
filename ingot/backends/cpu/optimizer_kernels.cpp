// optimizer_update: one pass over all tensors of a parameter group.
#include <fmt/core.h>

#include <algorithm>

#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/backends/cpu/map_program.h"
#include "ingot/backends/cpu/parallel.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"

namespace ingot {
namespace {

/// Elements of one chunk: small tensors share a task, large ones are split.
constexpr std::int64_t kChunk = 8 << 10;

struct Operands {
  std::size_t scalars;
  std::size_t group;    // p, g and states
  std::size_t results;  // p' and states'
  std::size_t tensors;

  explicit Operands(const Node& node)
      : scalars(static_cast<std::size_t>(node.integer("num_scalars"))),
        group(2 + static_cast<std::size_t>(node.integer("num_states"))),
        results(group - 1),
        tensors((node.inputs().size() - scalars) / group) {}
};

/// The rule over a plain vector: every tensor is one, whatever its layout. `dtype` and
/// `gradient` are those of the parameters and the gradients.
struct Rule {
  LoweredProgram lowered;
  std::vector<MapTensor> operands;
  MapTensor result;
};

Rule make_rule(const Node& node, DType gradient) {
  const Operands shape(node);
  const DType dtype = node.input_type(shape.scalars).dtype;
  Rule rule;
  rule.result = {{dtype, Shape{std::int64_t{1} << 40}}, {}};
  std::vector<DType> types;
  std::vector<bool> varies;
  for (std::size_t i = 0; i < shape.scalars + shape.group; ++i) {
    const bool scalar = i < shape.scalars;
    types.push_back(i == shape.scalars + 1 ? gradient : dtype);
    varies.push_back(!scalar);
    rule.operands.push_back({{types.back(), scalar ? Shape{} : rule.result.type.shape}, {}});
  }
  const std::vector<DType> results(shape.results, dtype);
  rule.lowered = lower_scalar(node.attr<ScalarProgram>("rule"), types, varies, results);
  return rule;
}

const Layout& layout_of(const Node& node, std::size_t operand) {
  return node.input(operand).layout();
}

Support check(const Node& node, const Backend&) {
  const Operands shape(node);
  for (std::size_t t = 0; t < shape.tensors; ++t) {
    const std::size_t p = shape.scalars + t * shape.group;
    const Rule rule = make_rule(node, node.input_type(p + 1).dtype);
    if (Support s = MapProgram::check(rule.lowered, rule.operands, rule.result); !s) return s;
    const Layout& layout = layout_of(node, p);
    const Shape& tensor = node.input_type(p).shape;
    for (std::size_t i = 1; i < shape.group; ++i) {
      for (const Layout* other :
           {&layout_of(node, p + i), &node.outputs()[t * shape.results + i - 1].layout}) {
        if (*other == layout) continue;
        return Support::no(
            fmt::format("a tensor's operands and results must share a layout, got {} and {}",
                        layout.to_string(tensor.rank()), other->to_string(tensor.rank())));
      }
    }
    if (is_padded(tensor, layout) && !rule.lowered.keeps_zero) {
      return Support::no(fmt::format("the rule does not keep the padding of {} zero",
                                     layout.to_string(tensor.rank())));
    }
  }
  return Support::yes();
}

class OptimizerKernel final : public Kernel {
 public:
  OptimizerKernel(const KernelProblem& problem, const CpuBackend& backend)
      : pool_(backend.pool()),
        shape_(problem.node),
        inputs_(problem.inputs),
        outputs_(problem.outputs) {
    double nanoseconds = 0;
    for (std::size_t t = 0; t < shape_.tensors; ++t) {
      const std::size_t p = shape_.scalars + t * shape_.group;
      const TensorType& type = problem.node.input_type(p);
      const DType gradient = problem.node.input_type(p + 1).dtype;
      const std::size_t program = program_for(problem.node, gradient);
      const std::int64_t size = layout_of(problem.node, p).physical_numel(type.shape);
      for (std::int64_t begin = 0; begin < size; begin += kChunk) {
        chunks_.push_back({t, program, begin, std::min(size, begin + kChunk)});
      }
      nanoseconds += static_cast<double>(size) * programs_[program].cost();
    }
    nanoseconds_ = nanoseconds;
    for (const MapProgram& program : programs_) {
      frame_bytes_ = std::max(frame_bytes_, program.frame_bytes());
    }
  }

  [[nodiscard]] std::string_view name() const noexcept override { return "simd-optimizer"; }
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    return frame_bytes_ * pool_.size();
  }
  [[nodiscard]] bool in_place(int input, int output) const noexcept override {
    const auto in = static_cast<std::size_t>(input);
    const auto out = static_cast<std::size_t>(output);
    if (in < shape_.scalars) return false;
    const std::size_t tensor = (in - shape_.scalars) / shape_.group;
    if (tensor != out / shape_.results) return false;
    const auto operand = static_cast<int>((in - shape_.scalars) % shape_.group + shape_.scalars);
    const auto result = static_cast<int>(out % shape_.results);
    return std::all_of(programs_.begin(), programs_.end(), [&](const MapProgram& program) {
      return program.in_place(operand, result);
    });
  }

  void run(const KernelContext& context) noexcept override {
    const auto count = static_cast<std::int64_t>(chunks_.size());
    parallel_ranges(pool_, count, 1, nanoseconds_,
                    [&](std::int64_t first, std::int64_t last, int worker) {
                      MapProgram::Frame frame;
                      for (std::int64_t i = first; i < last; ++i) {
                        run_chunk(context, chunks_[static_cast<std::size_t>(i)], worker, frame);
                      }
                    });
  }

 private:
  struct Chunk {
    std::size_t tensor;
    std::size_t program;
    std::int64_t begin;
    std::int64_t end;
  };

  std::size_t program_for(const Node& node, DType gradient) {
    const auto it = std::find(gradients_.begin(), gradients_.end(), gradient);
    if (it != gradients_.end()) return static_cast<std::size_t>(it - gradients_.begin());
    const Rule rule = make_rule(node, gradient);
    gradients_.push_back(gradient);
    programs_.emplace_back(rule.lowered, rule.operands, rule.result);
    return programs_.size() - 1;
  }

  void run_chunk(const KernelContext& context, const Chunk& chunk, int worker,
                 MapProgram::Frame& frame) const noexcept {
    std::array<const std::byte*, MapProgram::kMaxOperands> operands{};
    std::array<std::byte*, MapProgram::kMaxOutputs> results{};
    for (std::size_t i = 0; i < shape_.scalars + shape_.group; ++i) {
      const std::size_t skip = i < shape_.scalars ? 0 : chunk.tensor * shape_.group;
      operands[i] = context.slots[inputs_[i + skip]];
    }
    for (std::size_t i = 0; i < shape_.results; ++i) {
      results[i] = context.slots[outputs_[chunk.tensor * shape_.results + i]];
    }
    const MapProgram& program = programs_[chunk.program];
    program.bind(frame, {operands.data(), shape_.scalars + shape_.group},
                 {results.data(), shape_.results}, context.scratch + worker * frame_bytes_);
    program.run(frame, chunk.begin, chunk.end);
  }

  ThreadPool& pool_;
  Operands shape_;
  std::vector<int> inputs_;
  std::vector<int> outputs_;
  std::vector<DType> gradients_;  // of each program
  std::vector<MapProgram> programs_;
  std::vector<Chunk> chunks_;
  double nanoseconds_ = 0;
  std::int64_t frame_bytes_ = 0;
};

}  // namespace

void register_optimizer_kernels(KernelTable& table) {
  table.register_kernel(optimizer_update_op().name,
                        {.name = "simd",
                         .supports = check,
                         .create = [](const KernelProblem& problem, const Backend& backend) {
                           return std::make_unique<OptimizerKernel>(problem, as_cpu(backend));
                         }});
}

}  // namespace ingot
