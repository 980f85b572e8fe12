// Ops that move elements: reshape, transpose, slice, pad, concat, reorder.
#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/backends/cpu/strided_copy.h"
#include "ingot/base/host_view.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"

namespace ingot {
namespace {

std::size_t at(std::int64_t i) noexcept { return static_cast<std::size_t>(i); }

/// What such an op does: an optional fill, then copies from its operands.
struct Movement {
  struct Job {
    std::size_t operand;
    StridedCopy copy;
  };
  std::vector<Job> jobs;
  bool fill = false;
  double value = 0;
};

Movement plan_reshape(const Node& node) {
  const std::array axes{CopyAxis{node.output_type().numel(), 1, 1}};
  Movement movement;
  movement.jobs.push_back({0, StridedCopy(axes, dtype_size(node.output_type().dtype))});
  return movement;
}

Movement plan_transpose(const Node& node) {
  const auto& perm = node.integers("perm");
  const Shape& shape = node.output_type().shape;
  const auto in = node.input_type(0).shape.strides();
  const auto out = shape.strides();
  std::vector<CopyAxis> axes;
  for (std::size_t i = 0; i < perm.size(); ++i) {
    axes.push_back({shape[static_cast<int>(i)], in[at(perm[i])], out[i]});
  }
  Movement movement;
  movement.jobs.push_back({0, StridedCopy(axes, dtype_size(node.output_type().dtype))});
  return movement;
}

Movement plan_slice(const Node& node) {
  const auto& starts = node.integers("starts");
  const auto& steps = node.integers("steps");
  const Shape& shape = node.output_type().shape;
  const auto in = node.input_type(0).shape.strides();
  const auto out = shape.strides();
  std::vector<CopyAxis> axes;
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    offset += starts[i] * in[i];
    axes.push_back({shape[static_cast<int>(i)], in[i] * (steps.empty() ? 1 : steps[i]), out[i]});
  }
  Movement movement;
  movement.jobs.push_back({0, StridedCopy(axes, dtype_size(node.output_type().dtype), offset)});
  return movement;
}

Movement plan_pad(const Node& node) {
  const auto& low = node.integers("low");
  const auto& interior = node.integers("interior");
  const Shape& shape = node.input_type(0).shape;
  const auto in = shape.strides();
  const auto out = node.output_type().shape.strides();
  std::vector<CopyAxis> axes;
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < low.size(); ++i) {
    offset += low[i] * out[i];
    const std::int64_t step = interior.empty() ? 1 : interior[i] + 1;
    axes.push_back({shape[static_cast<int>(i)], in[i], out[i] * step});
  }
  Movement movement;
  movement.fill = true;
  movement.value = node.attr<double>("value");
  movement.jobs.push_back({0, StridedCopy(axes, dtype_size(node.output_type().dtype), 0, offset)});
  return movement;
}

Movement plan_concat(const Node& node) {
  const Shape& shape = node.output_type().shape;
  const std::int64_t given = node.integer("axis");
  const auto axis = static_cast<std::size_t>(given < 0 ? given + shape.rank() : given);
  const auto out = shape.strides();
  Movement movement;
  std::int64_t start = 0;
  for (std::size_t k = 0; k < node.inputs().size(); ++k) {
    const Shape& part = node.input_type(k).shape;
    const auto in = part.strides();
    std::vector<CopyAxis> axes;
    for (int i = 0; i < part.rank(); ++i) axes.push_back({part[i], in[at(i)], out[at(i)]});
    movement.jobs.push_back(
        {k, StridedCopy(axes, dtype_size(node.output_type().dtype), 0, start * out[axis])});
    start += part[static_cast<int>(axis)];
  }
  return movement;
}

/// A logical axis as a common refinement of both layouts' blocks: full blocks first, then, where a
/// block is not full, the rest.
struct AxisPart {
  std::vector<CopyAxis> axes;
  std::int64_t in_offset = 0;
  std::int64_t out_offset = 0;
};

/// Stride in elements of one logical coordinate of `axis` at granularity `step`.
std::int64_t stride_of(const std::vector<PhysicalAxis>& physical, int axis, std::int64_t step) {
  // The finest physical part that moves by `step` or less carries it.
  std::int64_t stride = 0;
  std::int64_t best = 0;
  for (const PhysicalAxis& p : physical) {
    if (p.axis == axis && p.step <= step && p.step > best) {
      best = p.step;
      stride = p.stride * (step / p.step);
    }
  }
  return stride;
}

std::vector<AxisPart> split_axis(int axis, std::int64_t size, const std::vector<PhysicalAxis>& in,
                                 const std::vector<PhysicalAxis>& out) {
  std::vector<std::int64_t> steps;
  for (const auto* physical : {&in, &out}) {
    for (const PhysicalAxis& p : *physical) {
      if (p.axis == axis) steps.push_back(p.step);
    }
  }
  std::sort(steps.begin(), steps.end(), std::greater<>());
  steps.erase(std::unique(steps.begin(), steps.end()), steps.end());
  // Peel full blocks from the coarsest step to the finest, what is left of each is its own part.
  std::vector<AxisPart> parts;
  std::int64_t start = 0;
  const auto offset_of = [&](const std::vector<PhysicalAxis>& physical, std::int64_t coordinate) {
    std::int64_t offset = 0;
    for (const PhysicalAxis& p : physical) {
      if (p.axis == axis) offset += coordinate / p.step % p.size * p.stride;
    }
    return offset;
  };
  for (std::size_t first = 0; first < steps.size() && start < size; ++first) {
    const std::int64_t count = (size - start) / steps[first];
    if (count == 0) continue;
    AxisPart part{{}, offset_of(in, start), offset_of(out, start)};
    part.axes.push_back(
        {count, stride_of(in, axis, steps[first]), stride_of(out, axis, steps[first])});
    for (std::size_t i = first + 1; i < steps.size(); ++i) {
      part.axes.push_back(
          {steps[i - 1] / steps[i], stride_of(in, axis, steps[i]), stride_of(out, axis, steps[i])});
    }
    start += count * steps[first];
    parts.push_back(std::move(part));
  }
  return parts;
}

/// Block steps of both layouts must divide one another.
Support check_reorder(const Node& node, const Backend&) {
  const Shape& shape = node.output_type().shape;
  const auto in = physical_axes(shape, node.input(0).layout());
  const auto out = physical_axes(shape, node.outputs()[0].layout);
  for (const PhysicalAxis& a : in) {
    for (const PhysicalAxis& b : out) {
      const bool divides = a.step % b.step == 0 || b.step % a.step == 0;
      if (a.axis != b.axis || divides) continue;
      return Support::no(
          fmt::format("blocks of {} and {} do not divide one another", a.step, b.step));
    }
  }
  return Support::yes();
}

Movement plan_reorder(const Node& node) {
  const Shape& shape = node.output_type().shape;
  const Layout& layout = node.outputs()[0].layout;
  const auto in = physical_axes(shape, node.input(0).layout());
  const auto out = physical_axes(shape, layout);
  std::vector<AxisPart> combined{{}};
  for (int axis = 0; axis < shape.rank(); ++axis) {
    std::vector<AxisPart> next;
    for (const AxisPart& done : combined) {
      for (const AxisPart& part : split_axis(axis, shape[axis], in, out)) {
        AxisPart joined = done;
        joined.axes.insert(joined.axes.end(), part.axes.begin(), part.axes.end());
        joined.in_offset += part.in_offset;
        joined.out_offset += part.out_offset;
        next.push_back(std::move(joined));
      }
    }
    combined = std::move(next);
  }
  Movement movement;
  movement.fill = is_padded(shape, layout);
  for (const AxisPart& part : combined) {
    movement.jobs.push_back({0, StridedCopy(part.axes, dtype_size(node.output_type().dtype),
                                            part.in_offset, part.out_offset)});
  }
  return movement;
}

class MovementKernel final : public Kernel {
 public:
  MovementKernel(const KernelProblem& problem, const CpuBackend& backend, Movement movement)
      : pool_(backend.pool()),
        inputs_(problem.inputs),
        output_(problem.outputs[0]),
        movement_(std::move(movement)) {
    const Node::Output& result = problem.node.outputs()[0];
    element_ = dtype_size(result.type.dtype);
    count_ = result.layout.physical_numel(result.type.shape);
    empty_ = count_ == 0;
    HostView{{result.type.dtype, Shape{}}, pattern_.data()}.set(0, movement_.value);
  }

  [[nodiscard]] std::string_view name() const noexcept override { return "simd-move"; }

  void run(const KernelContext& context) noexcept override {
    std::byte* out = context.slots[output_];
    if (empty_) return;
    if (movement_.fill && movement_.value == 0) {
      std::memset(out, 0, at(count_) * element_);
    } else if (movement_.fill) {
      for (std::int64_t i = 0; i < count_; ++i) {
        std::memcpy(out + at(i) * element_, pattern_.data(), element_);
      }
    }
    for (const Movement::Job& job : movement_.jobs) {
      job.copy.run(context.slots[inputs_[job.operand]], out, pool_);
    }
  }

 private:
  ThreadPool& pool_;
  std::vector<int> inputs_;
  int output_;
  Movement movement_;
  std::size_t element_ = 1;
  std::int64_t count_ = 0;
  bool empty_ = false;
  alignas(8) std::array<std::byte, 8> pattern_{};
};

}  // namespace

void register_movement_kernels(KernelTable& table) {
  const auto add = [&](const OpDef& op, Movement (*plan)(const Node&),
                       Support (*supports)(const Node&, const Backend&)) {
    table.register_kernel(op.name,
                          {.name = "simd",
                           .supports = supports,
                           .create = [plan](const KernelProblem& problem, const Backend& backend) {
                             return std::make_unique<MovementKernel>(problem, as_cpu(backend),
                                                                     plan(problem.node));
                           }});
  };
  add(reshape_op(), plan_reshape, require_plain);
  add(transpose_op(), plan_transpose, require_plain);
  add(slice_op(), plan_slice, require_plain);
  add(pad_op(), plan_pad, require_plain);
  add(concat_op(), plan_concat, require_plain);
  add(reorder_op(), plan_reorder, check_reorder);
}

}  // namespace ingot
