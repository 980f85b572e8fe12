// A Region of batch slices: each task takes one slice through the whole body, whose Values stay in
// the cache of the core that runs it.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/backends/cpu/slice_memory.h"
#include "ingot/base/trace.h"
#include "ingot/ir/batch.h"
#include "ingot/ir/core_ops.h"
#include "ingot/runtime/workspace_owners.h"

namespace ingot {
namespace {

using Clock = std::chrono::steady_clock;

/// Sums of more elements than this use the threads.
constexpr std::int64_t kSerialSum = 1 << 16;
constexpr std::int64_t kSumChunk = 4096;

template <typename T>
void add_range(std::byte* to, const std::byte* from, std::int64_t begin,
               std::int64_t end) noexcept {
  T* const sum = reinterpret_cast<T*>(to);
  const T* const term = reinterpret_cast<const T*>(from);
  for (std::int64_t i = begin; i < end; ++i) sum[i] = static_cast<T>(sum[i] + term[i]);
}

using AddFn = void (*)(std::byte*, const std::byte*, std::int64_t, std::int64_t) noexcept;

/// Null for a dtype that is not summed. Integers wrap, as they do in a sum of all.
AddFn add_fn(DType dtype) noexcept {
  switch (dtype) {
    case DType::f32: return add_range<float>;
    case DType::f64: return add_range<double>;
    case DType::i64: return add_range<std::uint64_t>;
    case DType::i32: return add_range<std::uint32_t>;
    default: return nullptr;
  }
}

/// A result that is the sum of the groups' terms. Group 0 adds up its own in place.
struct SummedResult {
  int slot;  ///< of the Region
  std::int64_t bytes;
  std::int64_t elements;
  std::int64_t offset;  ///< of the other groups' terms in the scratch memory
  std::int64_t part;    ///< of what a slice adds to its group's term, in the worker's memory
  AddFn add;
};

/// One slice on its way.
struct SliceTurn {
  std::int64_t slice;
  std::int64_t group;
  bool starts_group;
  std::byte* memory;  ///< the worker's
};

class BatchSlicesKernel final : public Kernel, public WorkspaceOwners {
 public:
  BatchSlicesKernel(const KernelProblem& problem, const CpuBackend& backend)
      : pool_(backend.pool()), region_(problem.node.id()) {
    const Node& node = problem.node;
    const auto items = node.integer("items");
    const std::vector<int> axes = operand_axes(node);
    for (std::size_t i = 0; i < axes.size(); ++i) {
      if (axes[i] >= 0) count_ = node.input_type(i).shape[axes[i]] / items;
    }
    groups_ = node.integer("groups");
    body_ = rebatch(*node.body(), axes, items);
    memory_.emplace(*body_, axes);
    for (int worker = 0; worker < pool_.size(); ++worker) {
      auto& kernels = kernels_.emplace_back();
      for (const SliceLaunch& launch : memory_->launches()) {
        kernels.push_back(
            backend.serial().create_kernel({*launch.node, launch.inputs, launch.outputs}));
      }
      slots_.emplace_back(memory_->slots(), nullptr);
      seconds_.emplace_back(kernels.size(), 0.0);
    }
    memory_->plan(kernels_.front(), static_cast<std::int64_t>(backend.alignment()));
    worker_bytes_ = memory_->bytes();
    add_results(problem);
    find_index_steps(axes);
    workers_offset_ = reserve(worker_bytes_ * pool_.size());
    inputs_ = problem.inputs;
    outputs_ = problem.outputs;
    name_ = fmt::format("{} slices of {}", count_, items);
  }

  [[nodiscard]] std::string_view name() const noexcept override { return name_; }
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override { return scratch_bytes_; }

  void run(const KernelContext& context) noexcept override {
    pool_.parallel_for(groups_, [&](std::int64_t group, int worker) {
      const std::int64_t begin = group * count_ / groups_;
      const std::int64_t end = (group + 1) * count_ / groups_;
      std::byte* const memory = context.scratch + workers_offset_ + worker * worker_bytes_;
      for (std::int64_t slice = begin; slice < end; ++slice) {
        run_slice(context, {slice, group, slice == begin, memory},
                  static_cast<std::size_t>(worker));
      }
    });
    for (const SummedResult& sum : sums_) combine(sum, context);
  }

  [[nodiscard]] std::vector<InnerKernel> inner() const override {
    std::vector<InnerKernel> list;
    for (std::size_t k = 0; k < kernels_.front().size(); ++k) {
      double seconds = 0;
      for (const auto& worker : seconds_) seconds += worker[k];
      list.push_back({memory_->launches()[k].node, kernels_.front()[k].get(), seconds});
    }
    return list;
  }

  [[nodiscard]] std::vector<MemoryOwner> workspace_owners() const override {
    const std::int64_t workers = pool_.size();
    std::vector<MemoryOwner> owners;
    for (const OwnerBytes& owner : memory_->owners()) {
      owners.push_back({owner.owner, owner.bytes * workers});
    }
    for (std::size_t r = 0; r < result_terms_.size(); ++r) {
      if (result_terms_[r] < 0) continue;
      const SummedResult& sum = sums_[static_cast<std::size_t>(result_terms_[r])];
      const std::int64_t terms = groups_ - 1 + (count_ > groups_ ? workers : 0);
      owners.push_back({body_->fetches()[r].value.node()->name() + " (terms)", sum.bytes * terms});
    }
    return owners;
  }

 private:
  std::int64_t reserve(std::int64_t bytes) {
    return std::exchange(scratch_bytes_, scratch_bytes_ + (bytes + 63) / 64 * 64);
  }

  void add_results(const KernelProblem& problem) {
    const auto& axes = problem.node.integers("result_axes");
    for (std::size_t r = 0; r < axes.size(); ++r) {
      const Node::Output& result = problem.node.outputs()[r];
      const std::int64_t bytes = result.layout.physical_bytes(result.type);
      result_steps_.push_back(axes[r] >= 0 ? bytes / count_ : 0);
      result_terms_.push_back(-1);
      if (axes[r] >= 0) continue;
      const std::int64_t aligned = (bytes + 63) / 64 * 64;
      result_terms_[r] = static_cast<int>(sums_.size());
      sums_.push_back({problem.outputs[r], aligned, result.layout.physical_numel(result.type.shape),
                       reserve(aligned * (groups_ - 1)), worker_bytes_, add_fn(result.type.dtype)});
      if (count_ > groups_) worker_bytes_ += aligned;
    }
  }

  /// What an element's index in a slice of the operand that data errors are about lacks from one
  /// slice to the next: labels and indices are integers.
  void find_index_steps(const std::vector<int>& axes) {
    const BatchFlow flow = follow_batch(*body_, axes);
    for (const auto& node : body_->nodes()) {
      std::int64_t step = 0;
      const auto& own = flow.input_axes[static_cast<std::size_t>(node->id())];
      for (std::size_t i = 0; i < own.size() && step == 0; ++i) {
        const TensorType& type = node->input_type(i);
        if (own[i] >= 0 && !is_float(type.dtype)) step = type.numel();
      }
      index_steps_.push_back(step);
    }
  }

  /// Where a group's term of a sum lies.
  [[nodiscard]] static std::byte* term_address(const KernelContext& context,
                                               const SummedResult& sum,
                                               std::int64_t group) noexcept {
    return group == 0 ? context.slots[sum.slot]
                      : context.scratch + sum.offset + (group - 1) * sum.bytes;
  }

  [[nodiscard]] std::byte* result_address(const KernelContext& context, std::size_t result,
                                          const SliceTurn& turn) const noexcept {
    const int term = result_terms_[result];
    if (term < 0) return context.slots[outputs_[result]] + turn.slice * result_steps_[result];
    const SummedResult& sum = sums_[static_cast<std::size_t>(term)];
    return turn.starts_group ? term_address(context, sum, turn.group) : turn.memory + sum.part;
  }

  void run_slice(const KernelContext& context, const SliceTurn& turn, std::size_t worker) noexcept {
    std::vector<std::byte*>& slots = slots_[worker];
    for (const SlicePlace& place : memory_->places()) {
      std::byte*& address = slots[static_cast<std::size_t>(place.slot)];
      const auto index = static_cast<std::size_t>(place.index);
      switch (place.kind) {
        case SlicePlace::Kind::operand:
          address = context.slots[inputs_[index]] + turn.slice * place.step;
          break;
        case SlicePlace::Kind::result: address = result_address(context, index, turn); break;
        case SlicePlace::Kind::constant: address = memory_->constant(index); break;
        case SlicePlace::Kind::arena: address = turn.memory + place.step; break;
      }
    }
    StepErrorLatch errors;
    const std::vector<std::int64_t>& scratch = memory_->scratch_offsets();
    auto& kernels = kernels_[worker];
    const bool timed = trace_enabled(Channel::kernels);
    Clock::time_point before = timed ? Clock::now() : Clock::time_point{};
    for (std::size_t k = 0; k < kernels.size(); ++k) {
      kernels[k]->run({slots.data(), turn.memory + scratch[k], &errors});
      if (!timed) continue;
      const Clock::time_point after = Clock::now();
      seconds_[worker][k] += std::chrono::duration<double>(after - before).count();
      before = after;
    }
    for (const SliceCopy& copy : memory_->copies()) {
      std::memcpy(result_address(context, static_cast<std::size_t>(copy.result), turn),
                  slots[static_cast<std::size_t>(copy.slot)], static_cast<std::size_t>(copy.bytes));
    }
    if (!turn.starts_group) {
      for (const SummedResult& sum : sums_) {
        sum.add(term_address(context, sum, turn.group), turn.memory + sum.part, 0, sum.elements);
      }
    }
    if (errors.set()) pass_on(errors.error(), context, turn.slice);
  }

  void pass_on(const StepError& error, const KernelContext& context, std::int64_t slice) noexcept {
    const std::int64_t step = index_steps_[static_cast<std::size_t>(error.node)];
    context.errors->latch(region_, error.rule, error.value, error.index + slice * step, error.node);
  }

  void combine(const SummedResult& sum, const KernelContext& context) noexcept {
    const auto add_chunk = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t group = 1; group < groups_; ++group) {
        sum.add(context.slots[sum.slot], term_address(context, sum, group), begin, end);
      }
    };
    if (sum.elements * groups_ <= kSerialSum) return add_chunk(0, sum.elements);
    const std::int64_t chunks = (sum.elements + kSumChunk - 1) / kSumChunk;
    pool_.parallel_for(chunks, [&](std::int64_t chunk, int) {
      add_chunk(chunk * kSumChunk, std::min((chunk + 1) * kSumChunk, sum.elements));
    });
  }

  ThreadPool& pool_;
  std::int32_t region_;  ///< the Node's id
  std::vector<int> inputs_, outputs_;
  std::int64_t count_ = 1;  ///< slices
  std::int64_t groups_ = 1;
  std::unique_ptr<Graph> body_;  ///< of one slice
  std::optional<SliceMemory> memory_;
  std::vector<std::vector<std::unique_ptr<Kernel>>> kernels_;  ///< by worker
  std::vector<std::vector<std::byte*>> slots_;                 ///< by worker
  std::vector<std::vector<double>> seconds_;                   ///< by worker
  std::vector<std::int64_t> result_steps_;                     ///< bytes, by result
  std::vector<int> result_terms_;                              ///< in sums_, by result
  std::vector<SummedResult> sums_;
  std::vector<std::int64_t> index_steps_;  ///< by Node of the body
  std::int64_t worker_bytes_ = 0;          ///< one worker's memory, at workers_offset_
  std::int64_t workers_offset_ = 0, scratch_bytes_ = 0;
  std::string name_;
};

Support supports(const Node& node, const Backend&) {
  const auto& axes = node.integers("result_axes");
  for (std::size_t r = 0; r < axes.size(); ++r) {
    const DType dtype = node.output_type(r).dtype;
    if (axes[r] < 0 && add_fn(dtype) == nullptr) {
      return Support::no(fmt::format("adds up f32, f64, i32 and i64, got {}", dtype_name(dtype)));
    }
  }
  return Support::yes();
}

}  // namespace

void register_batch_slices_kernels(KernelTable& table) {
  table.register_kernel(
      batch_slices_op().name,
      {"slices", supports, [](const KernelProblem& problem, const Backend& backend) {
         return std::make_unique<BatchSlicesKernel>(problem, as_cpu(backend));
       }});
}

}  // namespace ingot
