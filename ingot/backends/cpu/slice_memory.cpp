#include "ingot/backends/cpu/slice_memory.h"

#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/planner/checker.h"
#include "ingot/planner/plan.h"

namespace ingot {

std::vector<int> operand_axes(const Node& region) {
  const auto& axes = region.integers("operand_axes");
  return {axes.begin(), axes.end()};
}

SliceMemory::SliceMemory(const Graph& body, std::span<const int> operand_axes) : body_(body) {
  for (const auto& node : body.nodes()) add_node(*node, operand_axes);
  place_results();
}

void SliceMemory::add_node(const Node& node, std::span<const int> operand_axes) {
  first_slot_.push_back(static_cast<int>(values_.size()));
  for (const Node::Output& output : node.outputs()) {
    const int slot = static_cast<int>(values_.size());
    const std::int64_t bytes = output.layout.physical_bytes(output.type);
    LaunchValue value{bytes, slot, false};
    SlicePlace place{.slot = slot};
    if (&node.op() == &argument_op()) {
      place.kind = SlicePlace::Kind::operand;
      place.index = static_cast<int>(node.integer("index"));
      const auto operand = static_cast<std::size_t>(place.index);
      place.step = operand_axes[operand] >= 0 ? bytes : 0;
    } else if (&node.op() == &constant_op()) {
      place.kind = SlicePlace::Kind::constant;
      place.index = static_cast<int>(constants_.size());
      // Kernels only read constants; the table has one type for all slots.
      constants_.push_back(
          const_cast<std::byte*>(node.attr<TensorAttr>("value").tensor->view().data));
    } else if (is_view(node)) {
      value.root = root_of(values_, slot_of(node.input(0)));
    } else {
      value.scratch = true;
    }
    values_.push_back(value);
    makers_.push_back(&node);
    roots_.push_back(place);
  }
  if (node.op().traits.source || is_view(node)) return;
  SliceLaunch launch{&node, {}, {}};
  for (const Value& input : node.inputs()) launch.inputs.push_back(slot_of(input));
  for (int i = 0; i < static_cast<int>(node.outputs().size()); ++i) {
    launch.outputs.push_back(first_slot_.back() + i);
  }
  launches_.push_back(std::move(launch));
}

/// A result's Value is made where the result lies, unless that memory belongs to something else.
void SliceMemory::place_results() {
  for (std::size_t r = 0; r < body_.fetches().size(); ++r) {
    const int slot = slot_of(body_.fetches()[r].value);
    const auto root = static_cast<std::size_t>(root_of(values_, slot));
    if (values_[root].scratch) {
      values_[root].scratch = false;
      roots_[root].kind = SlicePlace::Kind::result;
      roots_[root].index = static_cast<int>(r);
    } else {
      copies_.push_back({slot, static_cast<int>(r), values_[static_cast<std::size_t>(slot)].bytes});
    }
  }
}

void SliceMemory::plan(std::span<const std::unique_ptr<Kernel>> kernels, std::int64_t alignment) {
  std::vector<LaunchUse> uses;
  for (std::size_t k = 0; k < launches_.size(); ++k) {
    const SliceLaunch& launch = launches_[k];
    const auto position = static_cast<int>(k);
    for (const int slot : launch.outputs) use_value(values_, slot, position);
    for (const int slot : launch.inputs) use_value(values_, slot, position);
    uses.push_back({launch.inputs, launch.outputs, position});
  }
  share_memory(values_, uses, [&](std::size_t launch, int input, int output) {
    return kernels[launch]->in_place(input, output);
  });

  PlanRequest request;
  request.alignment = alignment;
  std::vector<std::int64_t*> targets;
  for (std::size_t slot = 0; slot < values_.size(); ++slot) {
    const LaunchValue& value = values_[slot];
    if (!value.scratch || value.root != static_cast<int>(slot) || value.first < 0) continue;
    request.buffers.push_back({value.bytes, value.first, value.last, makers_[slot]->name()});
    targets.push_back(&roots_[slot].step);
  }
  scratch_offsets_.assign(launches_.size(), 0);
  for (std::size_t k = 0; k < launches_.size(); ++k) {
    const std::int64_t bytes = kernels[k]->scratch_bytes();
    if (bytes == 0) continue;
    const auto position = static_cast<int>(k);
    request.buffers.push_back(
        {bytes, position, position, launches_[k].node->name() + " (workspace)"});
    targets.push_back(&scratch_offsets_[k]);
  }
  const Plan plan = make_plan(request);
  verify_plan(request, plan);
  for (std::size_t i = 0; i < targets.size(); ++i) *targets[i] = plan.offsets[i];
  owners_ = largest_owners(request, request.buffers.size());
  bytes_ = (plan.arena_bytes + alignment - 1) / alignment * alignment;

  for (int slot = 0; slot < static_cast<int>(values_.size()); ++slot) {
    SlicePlace place = roots_[static_cast<std::size_t>(root_of(values_, slot))];
    place.slot = slot;
    places_.push_back(place);
  }
}

}  // namespace ingot
