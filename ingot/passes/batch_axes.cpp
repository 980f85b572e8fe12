#include "ingot/passes/batch_axes.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <map>
#include <utility>

#include "ingot/ir/batch.h"
#include "ingot/ir/core_ops.h"

namespace ingot {
namespace {

/// More operands of free choice than this are all read in the same way.
constexpr std::size_t kMaxFree = 6;

std::int64_t batch_items(const Graph& graph) {
  std::map<std::int64_t, std::int64_t> bytes;
  for (const Node* node : graph.nodes_of(placeholder_op())) {
    const TensorType& type = node->output_type();
    if (type.shape.rank() > 0 && type.shape[0] > 1) bytes[type.shape[0]] += type.bytes();
  }
  const auto most = std::ranges::max_element(
      bytes, [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? 0 : most->first;
}

bool can_be_summed(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::i32 || dtype == DType::i64;
}

class BatchFinder {
 public:
  explicit BatchFinder(const Graph& graph) : graph_(graph) { result_.items = batch_items(graph); }

  GraphBatch run() {
    for (const auto& node : graph_.nodes()) {
      result_.nodes.emplace_back();
      axes_.emplace_back(node->outputs().size(), -1);
      if (result_.items == 0) continue;
      if (&node->op() == &placeholder_op()) {
        const Shape& shape = node->output_type().shape;
        if (shape.rank() > 0 && shape[0] == result_.items) axes_.back()[0] = 0;
      } else if (!node->op().traits.source && !node->op().traits.side_effect) {
        visit(*node, result_.nodes.back());
      }
    }
    return std::move(result_);
  }

 private:
  [[nodiscard]] int axis_of(const Value& value) const {
    return axes_[static_cast<std::size_t>(value.node()->id())]
                [static_cast<std::size_t>(value.index())];
  }

  /// The axis along which a Value without batch could be sliced, -1: none.
  [[nodiscard]] int outermost_axis(const Value& value) const {
    for (int axis = 0; axis < value.shape().rank(); ++axis) {
      if (value.shape()[axis] == result_.items &&
          is_outermost(value.shape(), value.layout(), axis)) {
        return axis;
      }
    }
    return -1;
  }

  static bool is_mixed(const std::vector<BatchResult>& outputs) {
    return std::ranges::any_of(outputs, [](const BatchResult& r) {
      return r.kind == BatchKind::mixed || r.kind == BatchKind::none;
    });
  }

  void visit(const Node& node, NodeBatch& batch) {
    std::vector<std::pair<std::size_t, int>> free;
    bool reads_batch = false;
    for (std::size_t i = 0; i < node.inputs().size(); ++i) {
      const int axis = axis_of(node.input(i));
      batch.input_axes.push_back(axis);
      reads_batch |= axis >= 0;
      const int other = axis < 0 ? outermost_axis(node.input(i)) : -1;
      if (other >= 0) free.emplace_back(i, other);
    }
    if (!reads_batch) return;
    choose_free(node, free, batch);
    if (is_mixed(batch.outputs)) {
      batch.reason = "it mixes the items";
      return;
    }
    for (std::size_t i = 0; i < batch.outputs.size(); ++i) {
      axes_.back()[i] = batch.outputs[i].axis;
    }
    batch.reason = obstacle(node, batch);
    batch.separable = batch.reason.empty();
  }

  /// The fewest operands read along the batch with which the rule is content.
  void choose_free(const Node& node, const std::vector<std::pair<std::size_t, int>>& free,
                   NodeBatch& batch) const {
    const std::vector<int> fixed = batch.input_axes;
    const auto attempt = [&](std::uint32_t chosen) {
      batch.input_axes = fixed;
      for (std::size_t f = 0; f < free.size(); ++f) {
        const bool takes = free.size() > kMaxFree ? chosen != 0 : (chosen >> f & 1) != 0;
        if (takes) batch.input_axes[free[f].first] = free[f].second;
      }
      batch.outputs = batch_of(node, batch.input_axes);
      return !is_mixed(batch.outputs);
    };
    const std::uint32_t choices = free.size() > kMaxFree ? 2 : std::uint32_t{1} << free.size();
    for (int count = 0; count <= static_cast<int>(std::min(free.size(), kMaxFree)); ++count) {
      for (std::uint32_t chosen = 0; chosen < choices; ++chosen) {
        if (std::popcount(chosen) == count && attempt(chosen)) return;
      }
    }
    attempt(0);
  }

  [[nodiscard]] static std::string obstacle(const Node& node, const NodeBatch& batch) {
    const auto is_split = [](const TensorType& type, const Layout& layout, int axis) {
      return axis >= 0 && !is_outermost(type.shape, layout, axis);
    };
    for (std::size_t i = 0; i < batch.input_axes.size(); ++i) {
      if (is_split(node.input_type(i), node.input(i).layout(), batch.input_axes[i])) {
        return fmt::format("slices of operand {} are no contiguous memory", i);
      }
    }
    for (std::size_t i = 0; i < batch.outputs.size(); ++i) {
      const Node::Output& output = node.outputs()[i];
      if (is_split(output.type, output.layout, batch.outputs[i].axis)) {
        return fmt::format("slices of result {} are no contiguous memory", i);
      }
      if (batch.outputs[i].kind == BatchKind::reduced && !can_be_summed(output.type.dtype)) {
        return fmt::format("sums of {} are not split", dtype_name(output.type.dtype));
      }
    }
    return {};
  }

  const Graph& graph_;
  GraphBatch result_;
  std::vector<std::vector<int>> axes_;  // of each Node's outputs
};

}  // namespace

GraphBatch find_batch(const Graph& graph) { return BatchFinder(graph).run(); }

}  // namespace ingot
