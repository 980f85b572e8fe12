// What a failed step says: the first Node that met the trouble.
#include <fmt/core.h>

#include <algorithm>

#include <cmath>
#include <limits>
#include <utility>

#include "ingot/base/error.h"
#include "ingot/base/trace.h"
#include "ingot/engine/executable_impl.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/evaluate.h"
#include "ingot/ir/op_def.h"
#include "ingot/runtime/convert_layout.h"

namespace ingot {
namespace {

/// Index of the first element that is not finite, -1 when all are.
std::int64_t first_bad(const HostView& view) {
  if (!is_float(view.type.dtype)) return -1;
  for (std::int64_t i = 0; i < view.numel(); ++i) {
    if (!std::isfinite(view.get(i))) return i;
  }
  return -1;
}

/// For messages: the sign of a NaN says nothing and differs between machines.
double printable(double value) {
  return std::isnan(value) ? std::numeric_limits<double>::quiet_NaN() : value;
}

struct Finding {
  const Node* node = nullptr;
  std::string text;
};

Finding finding(const Node& node, const HostView& view, std::int64_t at) {
  return {&node, fmt::format("{} \"{}\": result must be finite, got {} at element {} of {}",
                             node.op().name, node.name(), printable(view.get(at)), at,
                             view.type.to_string())};
}

/// The first Node inside a Region that gives a value that is not finite; the Region when its body,
/// evaluated in reference arithmetic, does not.
Finding first_in_region(const Node& region, const std::vector<HostTensor>& operands,
                        const Finding& otherwise) {
  Finding found = otherwise;
  bool done = false;
  std::vector<HostTensor> values;
  std::vector<int> first_value;
  for (const auto& node : region.body()->nodes()) {
    first_value.push_back(static_cast<int>(values.size()));
    if (&node->op() == &argument_op()) {
      values.push_back(operands[static_cast<std::size_t>(node->integer("index"))]);
      continue;
    }
    std::vector<HostView> inputs;
    for (const Value& input : node->inputs()) {
      const int at = first_value[static_cast<std::size_t>(input.node()->id())] + input.index();
      inputs.push_back(std::as_const(values[static_cast<std::size_t>(at)]).view());
    }
    for (HostTensor& output : evaluate_node(*node, inputs, nullptr)) {
      const std::int64_t at = first_bad(output.view());
      if (at >= 0 && !done) {
        found = finding(*node, output.view(), at);
        done = true;
      }
      values.push_back(std::move(output));
    }
    if (done) break;
  }
  return found;
}

}  // namespace

HostTensor Executable::Impl::slot_value(int slot) const {
  const Value value = program.slots[static_cast<std::size_t>(slot)].value;
  HostTensor tensor(value.type());
  const std::byte* data =
      runner != nullptr ? runner->address(slot) : addresses[static_cast<std::size_t>(slot)];
  std::vector<std::byte> copied;
  if (!backend->device()->host_visible()) {
    copied.resize(static_cast<std::size_t>(value.layout().physical_bytes(value.type())));
    backend->device()->copy_to_host(copied.data(), data, copied.size());
    data = copied.data();
  }
  to_logical(data, value.layout(), tensor.view());
  return tensor;
}

void Executable::Impl::throw_runner_failure(const StepFailure& failure) {
  if (failure.error.node >= 0) throw_data_error(failure.error);
  // The feeds may hold something else by now, so nothing is run again. What a value that died left
  // behind may be overwritten; fetches are there.
  std::string text = "numerics: a scalar fetch must be finite";
  for (const BoundFetch& fetch : program.fetches) {
    if (fetch.ring_index < 0) continue;
    const HostTensor value = slot_value(fetch.slot);
    if (first_bad(value.view()) < 0) continue;
    text = fmt::format("fetch \"{}\": value must be finite, got {}", fetch.name,
                       printable(value.view().get(0)));
    break;
  }
  Error error(ErrorKind::user, ErrorCode::numerics, text);
  error.note(fmt::format("in step {}; no variable was changed", steps));
  error.help("run the step on device \"cpu\" to see which op gave it first");
  throw error;
}

void Executable::Impl::throw_data_error(const StepError& e) const {
  const Node& outer = *program.graph->nodes()[static_cast<std::size_t>(e.node)];
  const auto rule = static_cast<std::size_t>(e.rule);
  const Node* broken =
      e.inner < 0 ? &outer : outer.body()->nodes()[static_cast<std::size_t>(e.inner)].get();
  if (broken->body() != nullptr) {
    // A Region within one is named as a whole: its first Node that has the rule comes first.
    const auto inner = broken->body()->nodes();
    const auto it = std::ranges::find_if(inner, [&](const auto& candidate) {
      return !candidate->op().traits.source && rule < candidate->op().constraints.size();
    });
    if (it != inner.end()) broken = it->get();
  }
  const Node& node = *broken;
  const auto& constraints = node.op().constraints;
  const std::string_view text =
      rule < constraints.size() ? constraints[rule].text : "data must keep the op's rule";
  Error error = user_error(ErrorCode::invalid_data,
                           fmt::format("{} \"{}\": {}, got {} at element {}", node.op().name,
                                       node.name(), text, e.value, e.index));
  if (rule < constraints.size() && !constraints[rule].help.empty())
    error.help(constraints[rule].help);
  error.note(fmt::format("in step {}; no variable was changed", steps));
  throw_with_origin(std::move(error), node.origin());
}

void Executable::Impl::throw_numerics_error() {
  // No variable has changed, so running again gives the same values, now looked at one by one.
  Finding found;
  for (std::size_t i = 0; i < program.slots.size() && found.node == nullptr; ++i) {
    const Slot& slot = program.slots[i];
    const bool given = slot.root == static_cast<int>(i) && slot.storage != Slot::Storage::scratch;
    if (!given) continue;
    const HostTensor value = slot_value(static_cast<int>(i));
    if (const auto at = first_bad(value.view()); at >= 0) {
      const Node& node = *slot.value.node();
      found = {&node, fmt::format("{} \"{}\": value must be finite, got {} at element {} of {}",
                                  node.op().name, node.name(), printable(value.view().get(at)), at,
                                  value.type().to_string())};
    }
  }
  for (Launch& launch : program.main) {
    if (found.node != nullptr) break;
    std::vector<HostTensor> operands;
    if (launch.node->body() != nullptr) {
      for (const int input : launch.inputs) operands.push_back(slot_value(input));
    }
    launch.kernel->run({addresses.data(), store->scratch() + launch.scratch_offset, &errors});
    for (const int output : launch.outputs) {
      const HostTensor value = slot_value(output);
      const auto at = first_bad(value.view());
      if (at < 0 || found.node != nullptr) continue;
      found = finding(*launch.node, value.view(), at);
      if (launch.node->body() != nullptr) {
        found = first_in_region(*launch.node, operands, found);
      }
    }
  }
  if (found.node == nullptr) {
    throw internal_error("numerics: a fetch is not finite, but no kernel gave such a value again");
  }
  Error error(ErrorKind::user, ErrorCode::numerics, found.text);
  error.note(fmt::format("in step {}; no variable was changed", steps));
  throw_with_origin(std::move(error), found.node->origin());
}

void Executable::Impl::trace_numerics() {
  for (const Launch& launch : program.main) {
    for (const int output : launch.outputs) {
      // Memory of a value that died may hold another one by now; only live results are looked at.
      const Slot& root = program.slots[static_cast<std::size_t>(program.root_of(output))];
      if (root.last < static_cast<int>(program.main.size())) continue;
      const HostTensor value = slot_value(output);
      if (const auto at = first_bad(value.view()); at >= 0) {
        trace(Channel::numerics,
              fmt::format("step {}: {}", steps, finding(*launch.node, value.view(), at).text));
        return;
      }
    }
  }
}

}  // namespace ingot
