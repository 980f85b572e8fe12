#include "ingot/backends/cuda/step/batch_axes.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"

namespace ingot::cuda {
namespace {

using Results = std::vector<BatchResult>;
using AxisMap = std::unordered_map<Value, int, ValueHash>;

Results all_mixed(const Node& node) { return Results(node.outputs().size()); }

Results results_of(const Node& node, const AxisMap& axes);

/// Through the body: what follows a sum over the batch counts as mixed.
Results results_of_body(const Node& region, const AxisMap& outer) {
  AxisMap axes;
  std::unordered_map<Value, BatchResult, ValueHash> results;
  for (const auto& inner : region.body()->nodes()) {
    Results own;
    if (&inner->op() == &argument_op()) {
      const Value& operand = region.input(static_cast<std::size_t>(inner->integer("index")));
      const int axis = outer.at(operand);
      own = {{axis < 0 ? BatchKind::none : BatchKind::kept, axis}};
    } else if (inner->op().traits.source) {
      own = Results(inner->outputs().size(), {BatchKind::none, -1});
    } else {
      const bool clean = std::ranges::all_of(inner->inputs(), [&](const Value& input) {
        const BatchKind kind = results.at(input).kind;
        return kind == BatchKind::none || kind == BatchKind::kept;
      });
      own = clean ? results_of(*inner, axes) : all_mixed(*inner);
    }
    for (std::size_t i = 0; i < own.size(); ++i) {
      const Value value = inner->output(static_cast<int>(i));
      results[value] = own[i];
      axes[value] = own[i].kind == BatchKind::kept ? own[i].axis : -1;
    }
  }
  Results found;
  for (const Fetch& fetch : region.body()->fetches()) found.push_back(results.at(fetch.value));
  return found;
}

Results results_of(const Node& node, const AxisMap& axes) {
  if (node.body() != nullptr) return results_of_body(node, axes);
  if (node.op().batch == nullptr) return all_mixed(node);
  std::vector<int> inputs;
  for (const Value& input : node.inputs()) inputs.push_back(axes.at(input));
  return node.op().batch(node, inputs);
}

std::int64_t common_items(const Program& program) {
  std::map<std::int64_t, int> votes;
  for (const BoundFeed& feed : program.feeds) {
    if (feed.type.shape.rank() > 0) ++votes[feed.type.shape[0]];
  }
  std::int64_t items = 0;
  int most = 0;
  for (const auto& [size, count] : votes) {
    if (size > 1 && count >= most) {
      items = size;
      most = count;
    }
  }
  return items;
}

}  // namespace

BatchAxes find_batch(const Program& program) {
  BatchAxes batch;
  batch.items = common_items(program);
  AxisMap axes;
  std::unordered_map<const Node*, BatchUse> uses;
  for (const auto& node : program.graph->nodes()) {
    Results results;
    if (&node->op() == &placeholder_op()) {
      const Shape& shape = node->output_type().shape;
      const bool has = batch.items > 1 && shape.rank() > 0 && shape[0] == batch.items;
      results = {{has ? BatchKind::kept : BatchKind::none, has ? 0 : -1}};
    } else if (node->op().traits.source) {
      results = Results(node->outputs().size(), {BatchKind::none, -1});
    } else {
      results = results_of(*node, axes);
    }
    const auto all_kept = [&](const Results& found) {
      return !found.empty() && std::ranges::all_of(found, [](const BatchResult& result) {
        return result.kind == BatchKind::kept && result.axis == 0;
      });
    };
    AxisMap* seen = &axes;
    AxisMap wider;
    if (!node->op().traits.source && !all_kept(results)) {
      // A Value that does not depend on the batch, but has its length, may be read by item too.
      for (const Value& input : node->inputs()) {
        const Shape& shape = input.shape();
        const bool fits = batch.items > 1 && shape.rank() > 0 && shape[0] == batch.items;
        wider[input] = fits ? 0 : axes.at(input);
      }
      if (Results found = results_of(*node, wider); all_kept(found)) {
        results = std::move(found);
        seen = &wider;
      }
    }
    BatchUse use;
    std::size_t kept = 0;
    std::size_t reduced = 0;
    for (std::size_t i = 0; i < results.size(); ++i) {
      const bool in_front = results[i].kind == BatchKind::kept && results[i].axis == 0 &&
                            node->outputs()[i].type.shape[0] == batch.items;
      kept += in_front ? 1 : 0;
      reduced += results[i].kind == BatchKind::reduced ? 1 : 0;
      axes[node->output(static_cast<int>(i))] = in_front ? 0 : -1;
    }
    for (const Value& input : node->inputs()) use.item_inputs.push_back(seen->at(input) == 0);
    if (!results.empty() && kept == results.size()) {
      use.kind = BatchUse::Kind::kept;
    } else if (reduced > 0 && kept + reduced == results.size()) {
      use.kind = BatchUse::Kind::reduced;
    }
    uses[node.get()] = std::move(use);
  }
  for (const Launch& launch : program.main) batch.main.push_back(uses.at(launch.node));
  return batch;
}

}  // namespace ingot::cuda
