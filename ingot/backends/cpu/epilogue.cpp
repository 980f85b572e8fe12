#include "ingot/backends/cpu/epilogue.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/backends/cpu/fused_body.h"
#include "ingot/backends/cpu/parallel.h"
#include "ingot/backends/cpu/sliced_kernel.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/node_kinds.h"
#include "ingot/ops/op_list.h"

namespace ingot::cpu {
namespace {

std::size_t at(int i) noexcept { return static_cast<std::size_t>(i); }

const KernelCandidate* producer_candidate(const Node& producer, const Backend& backend,
                                          std::string& reasons) {
  for (const KernelCandidate& candidate : backend.kernels().candidates(producer.op().name)) {
    const Support support = candidate.supports(producer, backend);
    if (support) return &candidate;
    reasons += fmt::format("{}{}: {}", reasons.empty() ? "" : "; ", candidate.name, support.reason);
  }
  return nullptr;
}

/// Operands are padded in copies only where the stage's own layout is padded.
Support check_stage(const MapStage& stage) {
  if (Support unpadded = require_unpadded(stage.result.type.shape, stage.result.layout);
      !unpadded) {
    return unpadded;
  }
  return MapProgram::check(lower_stage(stage), stage.input_tensors, stage.result);
}

Support supports(const Node& node, const Backend& backend) {
  const Node* producer = epilogue_producer(node);
  if (producer == nullptr) return Support::no("no convolution or product to follow");
  for (const Value& input : producer->inputs()) {
    const OpDef& maker = input.node()->op();
    if (&maker == &argument_op()) continue;
    return Support::no(fmt::format("{} must read the Region's operands, got a result of {}",
                                   producer->op().name, maker.name));
  }
  const FusedBody body = analyse_fused(node, producer);
  if (!body.support) return body.support;
  if (!body.reductions.empty()) return Support::no("an epilogue takes no reductions");
  for (const MapStage& stage : body.stages) {
    if (const Support support = check_stage(stage); !support) return support;
  }
  const MapTensor& last = body.stages.back().result;
  const Node::Output& made = producer->outputs()[0];
  if (last.type.shape != made.type.shape || last.layout != made.layout) {
    return Support::no(
        fmt::format("an epilogue has its producer's shape and layout, got {} in {} for {} in {}",
                    last.type.shape.to_string(), last.layout.to_string(last.type.shape.rank()),
                    made.type.shape.to_string(), made.layout.to_string(made.type.shape.rank())));
  }
  std::string reasons;
  if (producer_candidate(*producer, backend, reasons) == nullptr) return Support::no(reasons);
  return Support::yes();
}

/// An epilogue that producers may know how to compute themselves.
struct SimpleEpilogue {
  int bias = -1;  ///< operand of the Region with a value for each index of an axis
  bool relu = false;
};

/// Whether a Value has one element for each index of the axis of `shape` and repeats along the
/// other axes.
bool is_vector_along(const Value& value, const Shape& shape, int axis) {
  const Shape& own = value.shape();
  const int own_axis = axis - (shape.rank() - own.rank());
  return own_axis >= 0 && own[own_axis] == shape[axis] && own.numel() == shape[axis] &&
         own != shape && value.layout().is_plain();
}

/// producer, or producer + bias along `axis`, or relu of either, as the Region's one result.
std::optional<SimpleEpilogue> simple_epilogue(const Node& region, const Node& producer, int axis) {
  SimpleEpilogue simple;
  const Node* last = &producer;
  for (const auto& node : region.body()->nodes()) {
    if (node.get() == &producer || &node->op() == &argument_op()) continue;
    const auto reads_last = [&](std::size_t i) { return node->input(i).node() == last; };
    if (is_addition(*node) && simple.bias < 0 && !simple.relu) {
      const std::size_t own = reads_last(0) ? 0 : 1;
      const Value& other = node->input(1 - own);
      if (!reads_last(own) || &other.node()->op() != &argument_op() ||
          !is_vector_along(other, producer.output_type().shape, axis)) {
        return std::nullopt;
      }
      simple.bias = static_cast<int>(other.node()->integer("index"));
    } else if (is_relu(*node) && !simple.relu && reads_last(0)) {
      simple.relu = true;
    } else {
      return std::nullopt;
    }
    last = node.get();
  }
  const auto& results = region.body()->fetches();
  if (results.size() != 1 || results[0].value.node() != last) return std::nullopt;
  return simple;
}

struct Stage {
  MapProgram program;
  std::vector<FusedTensor> inputs, outputs;
};

class EpilogueKernel final : public SlicedKernel {
 public:
  EpilogueKernel(const KernelProblem& problem, const CpuBackend& backend)
      : SlicedKernel(backend.pool()), inputs_(problem.inputs), outputs_(problem.outputs) {
    const Node& producer = *epilogue_producer(problem.node);
    produced_ = static_cast<int>(inputs_.size());
    make_producer(producer, backend);
    if (give_to_producer(problem.node, producer)) return;
    const FusedBody body = analyse_fused(problem.node, &producer);
    scratch_bytes_ = producer_->scratch_bytes();
    reserve(0);
    for (const MapTensor& temporary : body.temporaries) {
      temporaries_.push_back(reserve(temporary.layout.physical_bytes(temporary.type)));
    }
    for (const MapStage& stage : body.stages) {
      stages_.push_back({MapProgram(lower_stage(stage), stage.input_tensors, stage.result),
                         stage.inputs, stage.outputs});
      frame_bytes_ = std::max(frame_bytes_, stages_.back().program.frame_bytes());
    }
    frames_ = reserve(frame_bytes_ * pool_.size());
    choose_place(body.stages.back(), producer.outputs()[0]);
    name_ = fmt::format("{} + epilogue", producer_->name());
  }

  [[nodiscard]] std::string_view name() const noexcept override { return name_; }
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override { return scratch_bytes_; }

  [[nodiscard]] bool in_place(int input, int output) const noexcept override {
    if (part_bytes_ == 0 ||
        std::ranges::find(producer_inputs_, inputs_[at(input)]) != producer_inputs_.end()) {
      return false;
    }
    const auto reads = [&](const Stage& stage) {
      return std::ranges::find_if(stage.inputs, [&](const FusedTensor& tensor) {
        return tensor.kind == FusedTensor::Kind::operand && tensor.index == input;
      });
    };
    const Stage& last = stages_.back();
    for (const Stage& stage : stages_) {
      if (&stage != &last && reads(stage) != stage.inputs.end()) return false;
    }
    const auto from = reads(last);
    const auto to = std::ranges::find_if(last.outputs, [&](const FusedTensor& tensor) {
      return tensor.kind == FusedTensor::Kind::result && tensor.index == output;
    });
    return from != last.inputs.end() && to != last.outputs.end() &&
           last.program.in_place(static_cast<int>(from - last.inputs.begin()),
                                 static_cast<int>(to - last.outputs.begin()));
  }

  // Its slices are the producer's, where these are ranges.
  [[nodiscard]] bool has_ranges() const noexcept override { return sliced_ != nullptr; }
  [[nodiscard]] std::int64_t slices() const noexcept override { return sliced_->slices(); }
  [[nodiscard]] SliceRange range(std::int64_t slice) const noexcept override {
    return sliced_->range(slice);
  }
  [[nodiscard]] bool is_serial() const noexcept override { return sliced_->is_serial(); }
  void prepare(const KernelContext& context) noexcept override {
    run_small_stages(context);
    const ProducerSlots slots(*this, context);
    sliced_->prepare(slots.context);
  }
  void run_slice(const KernelContext& context, std::int64_t slice, int worker) noexcept override {
    const ProducerSlots slots(*this, context);
    if (part_bytes_ > 0) {
      sliced_->run_slice_apart(slots.context, slice, worker, produced(context, worker));
    } else {
      sliced_->run_slice(slots.context, slice, worker);
    }
    if (!stages_.empty()) run_stage(stages_.back(), context, sliced_->range(slice), worker);
  }

  void run(const KernelContext& context) noexcept override {
    const ProducerSlots slots(*this, context);
    if (stages_.empty()) return producer_->run(slots.context);
    if (sliced_ != nullptr) {
      prepare(context);
      const auto each = [&](std::int64_t slice, int worker) { run_slice(context, slice, worker); };
      if (!is_serial()) return pool_.parallel_for(slices(), each);
      for (std::int64_t slice = 0; slice < slices(); ++slice) each(slice, 0);
      return;
    }
    run_small_stages(context);
    const Stage& last = stages_.back();
    producer_->run(slots.context);
    const std::int64_t size = last.program.size();
    parallel_ranges(pool_, size, 1024, static_cast<double>(size) * last.program.cost(),
                    [&](std::int64_t begin, std::int64_t end, int worker) {
                      run_stage(last, context, {begin, end}, worker);
                    });
  }

 private:
  static constexpr std::size_t kMaxOperands = 4;  // of a producer

  /// What the producer's kernel runs on: its operands, its result, a bias.
  struct ProducerSlots {
    std::array<std::byte*, kMaxOperands + 2> addresses{};
    KernelContext context;

    ProducerSlots(const EpilogueKernel& kernel, const KernelContext& outer)
        : context{addresses.data(), outer.scratch, outer.errors} {
      const std::size_t operands = kernel.producer_inputs_.size();
      for (std::size_t i = 0; i < operands; ++i) {
        addresses[i] = outer.slots[kernel.producer_inputs_[i]];
      }
      addresses[operands] = kernel.produced(outer, 0);
      if (kernel.bias_ >= 0)
        addresses[operands + 1] = outer.slots[kernel.inputs_[at(kernel.bias_)]];
    }
    ProducerSlots(const ProducerSlots&) = delete;
    ProducerSlots& operator=(const ProducerSlots&) = delete;
  };

  /// Smaller shapes, such as a scale of each channel, come first.
  void run_small_stages(const KernelContext& context) noexcept {
    for (std::size_t i = 0; i + 1 < stages_.size(); ++i) {
      run_stage(stages_[i], context, {0, stages_[i].program.size()}, 0);
    }
  }

  std::int64_t reserve(std::int64_t bytes) {
    scratch_bytes_ = (scratch_bytes_ + 63) / 64 * 64;
    return std::exchange(scratch_bytes_, scratch_bytes_ + (bytes + 63) / 64 * 64);
  }

  /// The producer's kernel has slots of its own: its operands, then its result.
  void make_producer(const Node& producer, const CpuBackend& backend) {
    KernelProblem problem{producer, {}, {}};
    for (const Value& input : producer.inputs()) {
      problem.inputs.push_back(static_cast<int>(producer_inputs_.size()));
      producer_inputs_.push_back(inputs_[at(static_cast<int>(input.node()->integer("index")))]);
    }
    problem.outputs.push_back(static_cast<int>(producer_inputs_.size()));
    producer_ =
        backend.find_candidate(producer, [](const auto&, const auto&) {})->create(problem, backend);
    sliced_ = dynamic_cast<SlicedKernel*>(producer_.get());
    if (sliced_ != nullptr && !sliced_->has_ranges()) sliced_ = nullptr;
  }

  /// Whether the producer does everything itself, from then on.
  bool give_to_producer(const Node& region, const Node& producer) {
    auto* sliced = dynamic_cast<SlicedKernel*>(producer_.get());
    if (sliced == nullptr) return false;
    const int axis = sliced->bias_axis(producer.output_type().shape.rank());
    const std::optional<SimpleEpilogue> simple = simple_epilogue(region, producer, axis);
    if (!simple) return false;
    const int slot = simple->bias < 0 ? -1 : static_cast<int>(producer_inputs_.size()) + 1;
    if (!sliced->absorb(slot, simple->relu)) return false;
    bias_ = simple->bias;
    target_ = 0;
    scratch_bytes_ = producer_->scratch_bytes();
    name_ = fmt::format("{} with {}{}", producer_->name(), bias_ >= 0 ? "bias" : "",
                        simple->relu ? (bias_ >= 0 ? " and relu" : "relu") : "");
    return true;
  }

  /// Where the producer writes: each slice to a small buffer of the worker's; or everything to a
  /// result that the program may overwrite in place, or to a buffer.
  void choose_place(const MapStage& stage, const Node::Output& made) {
    const Stage& last = stages_.back();
    const auto is_produced = [&](const FusedTensor& tensor) {
      return tensor.kind == FusedTensor::Kind::operand && tensor.index == produced_;
    };
    const auto input = std::ranges::find_if(last.inputs, is_produced) - last.inputs.begin();
    const DType dtype = made.type.dtype;
    if (sliced_ != nullptr && sliced_->apart_size() > 0 && input < std::ssize(last.inputs) &&
        last.program.reads_along(static_cast<int>(input))) {
      part_input_ = static_cast<int>(input);
      const auto bytes = sliced_->apart_size() * static_cast<std::int64_t>(dtype_size(dtype));
      part_bytes_ = (bytes + 63) / 64 * 64;
      buffer_ = reserve(part_bytes_ * pool_.size());
      return;
    }
    for (std::size_t o = 0; o < last.outputs.size(); ++o) {
      const FusedTensor& output = last.outputs[o];
      if (output.kind != FusedTensor::Kind::result || stage.output_types[o] != dtype) continue;
      if (!last.program.in_place(static_cast<int>(input), static_cast<int>(o))) continue;
      target_ = output.index;
      return;
    }
    buffer_ = reserve(made.layout.physical_bytes(made.type));
  }

  [[nodiscard]] std::byte* produced(const KernelContext& context, int worker) const noexcept {
    return target_ >= 0 ? context.slots[outputs_[at(target_)]]
                        : context.scratch + buffer_ + worker * part_bytes_;
  }

  [[nodiscard]] std::byte* address(const FusedTensor& tensor, const KernelContext& context,
                                   int worker) const noexcept {
    switch (tensor.kind) {
      case FusedTensor::Kind::operand:
        return tensor.index == produced_ ? produced(context, worker)
                                         : context.slots[inputs_[at(tensor.index)]];
      case FusedTensor::Kind::result: return context.slots[outputs_[at(tensor.index)]];
      case FusedTensor::Kind::temporary: break;
    }
    return context.scratch + temporaries_[at(tensor.index)];
  }

  void run_stage(const Stage& stage, const KernelContext& context, SliceRange range,
                 int worker) const noexcept {
    std::array<const std::byte*, MapProgram::kMaxOperands> operands{};
    std::array<std::byte*, MapProgram::kMaxOutputs> outputs{};
    for (std::size_t i = 0; i < stage.inputs.size(); ++i) {
      operands[i] = address(stage.inputs[i], context, worker);
    }
    for (std::size_t i = 0; i < stage.outputs.size(); ++i) {
      outputs[i] = address(stage.outputs[i], context, worker);
    }
    MapProgram::Frame frame;
    stage.program.bind(frame, {operands.data(), stage.inputs.size()},
                       {outputs.data(), stage.outputs.size()},
                       context.scratch + frames_ + worker * frame_bytes_);
    if (part_bytes_ > 0 && &stage == &stages_.back()) frame.part = {part_input_, range.begin};
    stage.program.run(frame, range.begin, range.end);
  }

  std::vector<int> inputs_, outputs_;
  std::vector<int> producer_inputs_;
  std::unique_ptr<Kernel> producer_;
  SlicedKernel* sliced_ = nullptr;  ///< the producer, when it has ranges
  int bias_ = -1;                   ///< operand that the producer adds itself
  int produced_ = 0;                ///< the producer's result as an operand of the program
  int target_ = -1;                 ///< result that the producer writes to; -1: the buffer
  int part_input_ = 0;              ///< the producer's result as an input of the last stage
  std::int64_t part_bytes_ = 0;     ///< of a worker's part of the buffer; 0: it holds everything
  std::vector<Stage> stages_;       ///< none: the producer does everything
  std::vector<std::int64_t> temporaries_;
  std::int64_t buffer_ = 0, frames_ = 0, frame_bytes_ = 0;
  std::int64_t scratch_bytes_ = 0;
  std::string name_;
};

}  // namespace

bool takes_epilogue(const Node& node) noexcept {
  const OpDef* op = &node.op();
  return op == &conv2d_op() || op == &conv2d_input_grad_op() || op == &matmul_op();
}

const Node* epilogue_producer(const Node& region) noexcept {
  if (region.body() == nullptr) return nullptr;
  for (const auto& node : region.body()->nodes()) {
    if (takes_epilogue(*node)) return node.get();
  }
  return nullptr;
}

const Node* epilogue_producer(std::span<const Node* const> nodes) noexcept {
  const auto it = std::ranges::find_if(nodes, [](const Node* n) { return takes_epilogue(*n); });
  return it == nodes.end() ? nullptr : *it;
}

KernelCandidate epilogue_candidate() {
  return {"epilogue", supports, [](const KernelProblem& problem, const Backend& backend) {
            return std::make_unique<EpilogueKernel>(problem, as_cpu(backend));
          }};
}

}  // namespace ingot::cpu

namespace ingot {

void register_epilogue_kernels(KernelTable& table) {
  table.register_kernel(fused_op().name, cpu::epilogue_candidate());
}

}  // namespace ingot
