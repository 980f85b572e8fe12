// Elementwise ops, reductions and fused Regions of both: one engine.
#include <fmt/core.h>

#include <algorithm>
#include <numeric>

#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/backends/cpu/fused_body.h"
#include "ingot/backends/cpu/parallel.h"
#include "ingot/backends/cpu/reducer.h"
#include "ingot/backends/cpu/sliced_kernel.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/common.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/registry.h"

namespace ingot {
namespace {

/// Elements of short rows that are evaluated together.
constexpr std::int64_t kRowBundleElements = 512;

std::size_t at(int i) noexcept { return static_cast<std::size_t>(i); }

/// One stage, compiled.
struct Stage {
  MapProgram program;
  std::vector<FusedTensor> inputs;
  std::vector<FusedTensor> outputs;
  std::vector<std::size_t> output_elements;  // bytes
  MapTensor result;
  bool zero_padding = false;
};

/// An operand whose channels must be padded to whole blocks before it is read along them.
struct PaddedCopy {
  std::size_t stage;
  std::size_t input;
  std::size_t element;
  Shape shape;
  OperandWalk walk;
  std::int64_t offset;  // in the scratch memory
};

Support check_fused(const FusedBody& body) {
  if (!body.support) return body.support;
  for (const MapStage& stage : body.stages) {
    const LoweredProgram lowered = lower_stage(stage);
    if (Support s = MapProgram::check(lowered, stage.input_tensors, stage.result); !s) return s;
    const bool reduces = !body.reductions.empty() && &stage == &body.stages.back();
    if (!reduces) continue;
    const ReducePlan plan(stage.result.type.shape, stage.result.layout, body.reduced_axes);
    const bool sums = std::all_of(body.reductions.begin(), body.reductions.end(),
                                  [](const auto& r) { return r.kind == ReductionKind::sum; });
    if (plan.reduces_padding() && !(sums && lowered.keeps_zero)) {
      const MapTensor& reduced = stage.result;
      return Support::no(fmt::format("takes no padding along reduced axes, got {} for {}",
                                     reduced.layout.to_string(reduced.type.shape.rank()),
                                     reduced.type.shape.to_string()));
    }
  }
  return Support::yes();
}

/// Where each element of a tensor lies in its layout; empty when it is plain.
std::vector<std::int64_t> result_offsets(const MapTensor& tensor) {
  std::vector<std::int64_t> offsets;
  if (tensor.layout.is_plain()) return offsets;
  offsets.reserve(at(static_cast<int>(tensor.type.numel())));
  for_each_index(tensor.type.shape, [&](std::int64_t, const auto& index) {
    offsets.push_back(tensor.layout.offset(tensor.type.shape, index.data()));
  });
  return offsets;
}

class FusedKernel final : public Kernel, public cpu::RangeKernel {
 public:
  FusedKernel(const KernelProblem& problem, const CpuBackend& backend)
      : FusedKernel(problem, backend, analyse_fused(problem.node)) {}

  [[nodiscard]] std::string_view name() const noexcept override {
    return reducers_.empty() ? "simd-map" : "simd-reduce";
  }
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override { return scratch_bytes_; }
  [[nodiscard]] bool in_place(int input, int output) const noexcept override;
  void run(const KernelContext& context) noexcept override;

  [[nodiscard]] bool makes_ranges(int output) const noexcept override;
  void prepare_ranges(const KernelContext& context) noexcept override;
  void run_range(const KernelContext& context, cpu::SliceRange range, int worker) noexcept override;
  [[nodiscard]] double range_cost() const noexcept override {
    return stages_.back().program.cost();
  }

 private:
  FusedKernel(const KernelProblem& problem, const CpuBackend& backend, const FusedBody& body);

  struct Addresses {
    std::array<const std::byte*, MapProgram::kMaxOperands> operands;
    std::array<std::byte*, MapProgram::kMaxOutputs> outputs;
  };
  /// Where a stage's tensors lie; those that need padding, in their copies.
  Addresses addresses(const KernelContext& context, std::size_t stage) const noexcept;
  void pad_operands(const KernelContext& context, std::size_t stage) const noexcept;
  [[nodiscard]] std::byte* address(const KernelContext& context,
                                   const FusedTensor& tensor) const noexcept;
  void bind(MapProgram::Frame& frame, const Stage& stage, const Addresses& addresses,
            const KernelContext& context, int worker) const noexcept;
  void run_map(const KernelContext& context, std::size_t index) const noexcept;
  void run_reduction(const KernelContext& context) const noexcept;
  void reduce_items(MapProgram::Frame& frame, const KernelContext& context, std::int64_t first,
                    std::int64_t last, int worker) const noexcept;
  void reduce_range(MapProgram::Frame& frame, std::int64_t begin, std::int64_t end,
                    Accumulator* acc) const noexcept;
  void reduce_rows(MapProgram::Frame& frame, const KernelContext& context, std::int64_t first,
                   std::int64_t last, Accumulator* acc) const noexcept;
  void write(const KernelContext& context, std::int64_t group,
             const Accumulator* acc) const noexcept;
  /// Whether each group is one row, right behind the last group's.
  [[nodiscard]] bool by_rows() const noexcept {
    return plan_->parts() == 1 && plan_->consecutive() && plan_->columns() == 1;
  }
  [[nodiscard]] std::int64_t reduce_tile(std::int64_t begin, std::int64_t end) const noexcept;
  [[nodiscard]] Accumulator* accumulators(const KernelContext& context,
                                          std::int64_t item) const noexcept {
    return reinterpret_cast<Accumulator*>(context.scratch + accumulators_) + item * acc_size_;
  }

  ThreadPool& pool_;
  std::vector<int> inputs_;
  std::vector<int> outputs_;
  std::vector<Stage> stages_;
  std::vector<PaddedCopy> copies_;
  std::vector<std::int64_t> temporaries_;  // offsets in the scratch memory
  std::optional<ReducePlan> plan_;
  std::vector<Reducer> reducers_;
  std::vector<FusedReduction> reductions_;
  /// Of each reduction's results that are not plain: where their elements lie.
  std::vector<std::array<std::vector<std::int64_t>, 2>> offsets_;
  std::vector<std::int64_t> acc_offsets_;  // of each reducer, in an item's accumulators
  std::int64_t acc_size_ = 0;
  std::int64_t column_quantum_ = 1;  // whole rows in whole vectors
  std::int64_t row_bundle_ = 1;      // short rows that share a tile
  std::int64_t frame_bytes_ = 0;
  std::int64_t frames_ = 0;
  std::int64_t accumulators_ = 0;
  std::int64_t scratch_bytes_ = 0;
};

FusedKernel::FusedKernel(const KernelProblem& problem, const CpuBackend& backend,
                         const FusedBody& body)
    : pool_(backend.pool()),
      inputs_(problem.inputs),
      outputs_(problem.outputs),
      reductions_(body.reductions) {
  const auto reserve = [this](std::int64_t bytes) {
    const std::int64_t offset = scratch_bytes_;
    scratch_bytes_ += (bytes + 63) / 64 * 64;
    return offset;
  };
  for (const MapTensor& temporary : body.temporaries) {
    temporaries_.push_back(reserve(temporary.layout.physical_bytes(temporary.type)));
  }
  for (const MapStage& from : body.stages) {
    Stage stage{.program = MapProgram(lower_stage(from), from.input_tensors, from.result),
                .inputs = from.inputs,
                .outputs = from.outputs,
                .output_elements = {},
                .result = from.result};
    for (const DType dtype : from.output_types) {
      stage.output_elements.push_back(dtype_size(dtype));
    }
    stage.zero_padding = is_padded(from.result.type.shape, from.result.layout) &&
                         !stage.program.keeps_zero() && !from.outputs.empty();
    frame_bytes_ = std::max(frame_bytes_, stage.program.frame_bytes());
    for (std::size_t i = 0; i < from.inputs.size(); ++i) {
      const MapTensor& input = from.input_tensors[i];
      const OperandWalk walk = *OperandWalk::make(from.result.type.shape, from.result.layout,
                                                  input.type.shape, input.layout);
      if (walk.padded_axis() < 0) continue;
      const TensorType padded{input.type.dtype, padded_shape(input.type.shape, walk)};
      copies_.push_back({stages_.size(), i, dtype_size(input.type.dtype), input.type.shape, walk,
                         reserve(padded.bytes())});
    }
    stages_.push_back(std::move(stage));
  }
  frames_ = reserve(frame_bytes_ * pool_.size());
  if (reductions_.empty()) return;
  const MapStage& last = body.stages.back();
  plan_.emplace(last.result.type.shape, last.result.layout, body.reduced_axes);
  for (const FusedReduction& reduction : reductions_) {
    reducers_.emplace_back(reduction, lane_of(last.output_types[at(reduction.program_output)]));
    offsets_.push_back(
        {result_offsets(reduction.tensors[0]), result_offsets(reduction.tensors[1])});
    acc_offsets_.push_back(acc_size_);
    acc_size_ += reducers_.back().width() * plan_->columns();
  }
  column_quantum_ = std::lcm(std::max<std::int64_t>(plan_->columns(), 1), kTileQuantum);
  row_bundle_ = std::max<std::int64_t>(
      1, kRowBundleElements / std::max<std::int64_t>(plan_->block_size(), 1));
  const std::int64_t sets = plan_->parts() == 1 ? pool_.size() : plan_->groups() * plan_->parts();
  accumulators_ = reserve(sets * acc_size_ * static_cast<std::int64_t>(sizeof(Accumulator)));
}

bool FusedKernel::in_place(int input, int output) const noexcept {
  const auto is = [](FusedTensor::Kind kind, int index) {
    return [kind, index](const FusedTensor& t) { return t.kind == kind && t.index == index; };
  };
  const auto reads = is(FusedTensor::Kind::operand, input);
  const auto writes = is(FusedTensor::Kind::result, output);
  for (std::size_t s = 0; s < stages_.size(); ++s) {
    const Stage& stage = stages_[s];
    const auto result = std::find_if(stage.outputs.begin(), stage.outputs.end(), writes);
    if (result == stage.outputs.end()) continue;
    for (std::size_t later = s + 1; later < stages_.size(); ++later) {
      const auto& inputs = stages_[later].inputs;
      if (std::any_of(inputs.begin(), inputs.end(), reads)) return false;
    }
    if (s + 1 == stages_.size()) {
      for (const FusedReduction& reduction : reductions_) {
        if (stage.program.is_loaded(reduction.program_output)) return false;
      }
    }
    const auto o = static_cast<int>(result - stage.outputs.begin());
    for (std::size_t i = 0; i < stage.inputs.size(); ++i) {
      if (reads(stage.inputs[i]) && !stage.program.in_place(static_cast<int>(i), o)) return false;
    }
    return true;
  }
  return false;
}

std::byte* FusedKernel::address(const KernelContext& context,
                                const FusedTensor& tensor) const noexcept {
  switch (tensor.kind) {
    case FusedTensor::Kind::operand: return context.slots[inputs_[at(tensor.index)]];
    case FusedTensor::Kind::result: return context.slots[outputs_[at(tensor.index)]];
    case FusedTensor::Kind::temporary: break;
  }
  return context.scratch + temporaries_[at(tensor.index)];
}

void FusedKernel::pad_operands(const KernelContext& context, std::size_t stage) const noexcept {
  for (const PaddedCopy& copy : copies_) {
    if (copy.stage != stage) continue;
    pad_operand(context.scratch + copy.offset, address(context, stages_[stage].inputs[copy.input]),
                copy.element, copy.shape, copy.walk);
  }
}

FusedKernel::Addresses FusedKernel::addresses(const KernelContext& context,
                                              std::size_t stage) const noexcept {
  Addresses result{};
  const Stage& from = stages_[stage];
  for (std::size_t i = 0; i < from.inputs.size(); ++i) {
    result.operands[i] = address(context, from.inputs[i]);
  }
  for (const PaddedCopy& copy : copies_) {
    if (copy.stage == stage) result.operands[copy.input] = context.scratch + copy.offset;
  }
  for (std::size_t o = 0; o < from.outputs.size(); ++o) {
    result.outputs[o] = address(context, from.outputs[o]);
  }
  return result;
}

bool FusedKernel::makes_ranges(int output) const noexcept {
  if (!reducers_.empty() || stages_.back().zero_padding) return false;
  const auto& outputs = stages_.back().outputs;
  return std::any_of(outputs.begin(), outputs.end(), [&](const FusedTensor& tensor) {
    return tensor.kind == FusedTensor::Kind::result && tensor.index == output;
  });
}

void FusedKernel::prepare_ranges(const KernelContext& context) noexcept {
  for (std::size_t stage = 0; stage + 1 < stages_.size(); ++stage) run_map(context, stage);
  pad_operands(context, stages_.size() - 1);
}

void FusedKernel::run_range(const KernelContext& context, cpu::SliceRange range,
                            int worker) noexcept {
  const Stage& stage = stages_.back();
  MapProgram::Frame frame;
  bind(frame, stage, addresses(context, stages_.size() - 1), context, worker);
  stage.program.run(frame, range.begin, range.end);
}

void FusedKernel::bind(MapProgram::Frame& frame, const Stage& stage, const Addresses& addresses,
                       const KernelContext& context, int worker) const noexcept {
  stage.program.bind(frame, {addresses.operands.data(), stage.inputs.size()},
                     {addresses.outputs.data(), stage.output_elements.size()},
                     context.scratch + frames_ + worker * frame_bytes_);
}

void FusedKernel::run(const KernelContext& context) noexcept {
  const std::size_t maps = stages_.size() - (reducers_.empty() ? 0 : 1);
  for (std::size_t stage = 0; stage < maps; ++stage) run_map(context, stage);
  if (!reducers_.empty()) run_reduction(context);
  for (const FusedReduction& reduction : reductions_) {
    for (std::size_t i = 0; i < reduction.results.size(); ++i) {
      const MapTensor& tensor = reduction.tensors[i];
      if (reduction.results[i] < 0 || !is_padded(tensor.type.shape, tensor.layout)) continue;
      zero_padding(context.slots[outputs_[at(reduction.results[i])]], dtype_size(tensor.type.dtype),
                   tensor.type.shape, tensor.layout);
    }
  }
  for (const Stage& stage : stages_) {
    if (!stage.zero_padding) continue;
    for (std::size_t o = 0; o < stage.outputs.size(); ++o) {
      if (stage.outputs[o].kind != FusedTensor::Kind::result) continue;
      zero_padding(context.slots[outputs_[at(stage.outputs[o].index)]], stage.output_elements[o],
                   stage.result.type.shape, stage.result.layout);
    }
  }
}

void FusedKernel::run_map(const KernelContext& context, std::size_t index) const noexcept {
  const Stage& stage = stages_[index];
  pad_operands(context, index);
  const Addresses bound = addresses(context, index);
  const MapProgram& program = stage.program;
  parallel_ranges(pool_, program.size(), 1024, static_cast<double>(program.size()) * program.cost(),
                  [&](std::int64_t begin, std::int64_t end, int worker) {
                    MapProgram::Frame frame;
                    bind(frame, stage, bound, context, worker);
                    program.run(frame, begin, end);
                  });
}

void FusedKernel::run_reduction(const KernelContext& context) const noexcept {
  pad_operands(context, stages_.size() - 1);
  const Addresses bound = addresses(context, stages_.size() - 1);
  const Stage& stage = stages_.back();
  const std::int64_t parts = plan_->parts();
  const std::int64_t items = plan_->groups() * parts;
  const double cost = (stage.program.cost() + 0.1 * static_cast<double>(reducers_.size())) *
                      static_cast<double>(stage.program.size());
  const std::int64_t quantum = by_rows() ? row_bundle_ : 1;
  parallel_ranges(pool_, items, quantum, cost,
                  [&](std::int64_t first, std::int64_t last, int worker) {
                    MapProgram::Frame frame;
                    bind(frame, stage, bound, context, worker);
                    reduce_items(frame, context, first, last, worker);
                  });
  if (parts == 1) return;
  const std::int64_t columns = plan_->columns();
  for (std::int64_t group = 0; group < plan_->groups(); ++group) {
    Accumulator* total = accumulators(context, group * parts);
    for (std::int64_t part = 1; part < parts; ++part) {
      const Accumulator* other = accumulators(context, group * parts + part);
      for (std::size_t r = 0; r < reducers_.size(); ++r) {
        const std::int64_t skip = acc_offsets_[r];
        reducers_[r].merge(total + skip, other + skip, columns);
      }
    }
    write(context, group, total);
  }
}

void FusedKernel::reduce_items(MapProgram::Frame& frame, const KernelContext& context,
                               std::int64_t first, std::int64_t last, int worker) const noexcept {
  const std::int64_t parts = plan_->parts();
  if (by_rows()) {
    return reduce_rows(frame, context, first, last, accumulators(context, worker));
  }
  for (std::int64_t item = first; item < last; ++item) {
    Accumulator* acc = accumulators(context, parts == 1 ? worker : item);
    for (std::size_t r = 0; r < reducers_.size(); ++r) {
      reducers_[r].reset(acc + acc_offsets_[r], plan_->columns());
    }
    plan_->for_each_range(item / parts, item % parts, [&](std::int64_t begin, std::int64_t end) {
      reduce_range(frame, begin, end, acc);
    });
    for (std::size_t r = 0; r < reducers_.size(); ++r) {
      reducers_[r].close(acc + acc_offsets_[r], plan_->columns());
    }
    if (parts == 1) write(context, item, acc);
  }
}

std::int64_t FusedKernel::reduce_tile(std::int64_t begin, std::int64_t end) const noexcept {
  const std::int64_t n = stages_.back().program.tile(begin, end);
  return n >= column_quantum_ ? n / column_quantum_ * column_quantum_ : n;
}

void FusedKernel::reduce_range(MapProgram::Frame& frame, std::int64_t begin, std::int64_t end,
                               Accumulator* acc) const noexcept {
  const MapProgram& program = stages_.back().program;
  const std::int64_t columns = plan_->columns();
  const std::int64_t start = begin;
  while (begin < end) {
    const std::int64_t n = reduce_tile(begin, end);
    program.evaluate(frame, begin, n);
    for (std::size_t r = 0; r < reducers_.size(); ++r) {
      reducers_[r].add(acc + acc_offsets_[r], columns,
                       program.output(frame, reductions_[r].program_output), 0, n,
                       (begin - start) % columns);
    }
    begin += n;
  }
}

// Rows that follow one another in memory: a tile may hold many.
void FusedKernel::reduce_rows(MapProgram::Frame& frame, const KernelContext& context,
                              std::int64_t first, std::int64_t last,
                              Accumulator* acc) const noexcept {
  const MapProgram& program = stages_.back().program;
  const std::int64_t length = plan_->block_size();
  const auto reset = [&] {
    for (std::size_t r = 0; r < reducers_.size(); ++r) reducers_[r].reset(acc + acc_offsets_[r], 1);
  };
  reset();
  if (length == 0) {
    for (std::int64_t row = first; row < last; ++row) write(context, row, acc);
    return;
  }
  const std::int64_t all = plan_->groups();
  for (std::int64_t row = first; row < last;) {
    // A bundle starts at a multiple of its length whatever the range: so are rows cut alike.
    std::int64_t begin = row * length;
    const std::int64_t end = std::min(row + row_bundle_, all) * length;
    std::int64_t in_row = 0;
    while (begin < end) {
      const std::int64_t n = program.tile(begin, end);
      program.evaluate(frame, begin, n);
      for (std::int64_t i = 0; i < n;) {
        const std::int64_t segment = std::min(n - i, length - in_row);
        for (std::size_t r = 0; r < reducers_.size(); ++r) {
          reducers_[r].add(acc + acc_offsets_[r], 1,
                           program.output(frame, reductions_[r].program_output), i, segment, 0);
        }
        i += segment;
        in_row += segment;
        if (in_row < length) continue;
        for (std::size_t r = 0; r < reducers_.size(); ++r) {
          reducers_[r].close(acc + acc_offsets_[r], 1);
        }
        write(context, row++, acc);
        reset();
        in_row = 0;
      }
      begin += n;
    }
  }
}

void FusedKernel::write(const KernelContext& context, std::int64_t group,
                        const Accumulator* acc) const noexcept {
  for (std::size_t r = 0; r < reducers_.size(); ++r) {
    std::array<ReducedTarget, 2> results{};
    for (std::size_t i = 0; i < results.size(); ++i) {
      const int result = reductions_[r].results[i];
      if (result < 0) continue;
      results[i].data = context.slots[outputs_[at(result)]];
      if (!offsets_[r][i].empty()) results[i].offsets = offsets_[r][i].data();
    }
    reducers_[r].write(results, acc + acc_offsets_[r], *plan_, group);
  }
}

}  // namespace

void register_fused_kernels(KernelTable& table) {
  const KernelCandidate candidate{
      .name = "simd",
      .supports = [](const Node& node, const Backend&) { return check_fused(analyse_fused(node)); },
      .create =
          [](const KernelProblem& problem, const Backend& backend) {
            return std::make_unique<FusedKernel>(problem, as_cpu(backend));
          }};
  table.register_kernel(fused_op().name, candidate);
  for (const OpDef* op : all_ops()) {
    if (op->traits.elementwise) table.register_kernel(op->name, candidate);
  }
  for (const OpDef* op :
       {&cast_op(), &broadcast_to_op(), &sum_op(), &mean_op(), &moments_op(), &reduce_max_op()}) {
    table.register_kernel(op->name, candidate);
  }
}

}  // namespace ingot
