// A Region of the backward pass may read a Value of the forward pass only to compare it: the output
// of a residual block for the mask of its ReLU. What the comparison gives takes one bit an element.
// The Region that makes the Value then compares it and stores the bits as one more result, the
// others read these, and a Value that nobody reads any more is not stored.
//
// A comparison is whatever a Region computes as bool from one operand and constants alone. The pass
// stores it only in steps bound by throughput, where that moves fewer bytes and the target has
// kernels for all Regions that change.
#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "ingot/base/trace.h"
#include "ingot/ir/bits.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/node_kinds.h"
#include "ingot/passes/body_tests.h"
#include "ingot/passes/passes.h"
#include "ingot/passes/rewriter.h"

namespace ingot {
namespace {

std::size_t index_of(const Node& node) { return static_cast<std::size_t>(node.id()); }
std::int64_t bytes_of(const Value& value) { return value.layout().physical_bytes(value.type()); }

/// Whether the Node is one kernel over elements: elementwise, or a Region of such Nodes and of
/// reductions.
bool walks_elements(const Node& node) {
  if (node.body() == nullptr) return is_pointwise(node);
  return &node.op() == &fused_op() && std::ranges::all_of(node.body()->nodes(), [](const auto& n) {
    return n->op().traits.source || is_pointwise(*n) || is_reduction(*n);
  });
}

/// A comparison's result that is to be stored.
struct Mask {
  Value of;
  BodyTest test;  ///< in the body of one of its readers
};

/// What becomes of a Node.
struct Change {
  std::vector<int> makes;                    ///< masks of its results
  std::vector<std::pair<Value, int>> takes;  ///< tests in its body, and the masks in their place
};

class MaskStorer {
 public:
  MaskStorer(const Graph& graph, PassContext& context)
      : graph_(graph), context_(context), uses_(find_uses(graph)) {
    for (const Fetch& fetch : graph.fetches()) fetched_.insert(fetch.value);
  }

  std::unique_ptr<Graph> run() {
    for (const auto& node : graph_.nodes()) {
      if (!walks_elements(*node)) continue;
      for (int i = 0; i < static_cast<int>(node->outputs().size()); ++i) {
        consider({node.get(), i});
      }
    }
    return rewrite(graph_, [this](Rewriter& rewriter, const Node& node) {
      if (is_changed(node)) {
        emit(rewriter, node);
      } else {
        rewriter.clone(node);
      }
    });
  }

 private:
  [[nodiscard]] bool is_changed(const Node& node) const {
    const auto it = changes_.find(&node);
    return it != changes_.end() && !(it->second.makes.empty() && it->second.takes.empty());
  }
  [[nodiscard]] const Mask& mask(int i) const { return masks_[static_cast<std::size_t>(i)]; }
  [[nodiscard]] TensorType type_of(int i) const { return {DType::boolean, mask(i).of.shape()}; }
  [[nodiscard]] Layout layout_of(int i) const { return in_bits(mask(i).of.layout()); }
  [[nodiscard]] std::int64_t mask_bytes(int i) const {
    return layout_of(i).physical_bytes(type_of(i));
  }

  void consider(const Value& value) {
    if (value.dtype() == DType::boolean || value.shape().rank() == 0) return;
    const auto first = static_cast<int>(masks_.size());
    std::vector<const Node*> readers;
    for (const Use& use : uses_[index_of(*value.node())]) {
      const Node& reader = *use.node;
      const auto operand = static_cast<std::size_t>(use.operand);
      if (reader.input(operand) != value || reader.body() == nullptr) continue;
      if (!walks_elements(reader) || std::ranges::count(reader.inputs(), value) > 1) continue;
      const std::vector<BodyTest> tests = tests_of(reader, operand);
      if (!tests.empty() && takes_masks(value, reader, tests)) readers.push_back(&reader);
    }
    if (readers.empty()) return;
    if (saved_bytes(value, readers, first) <= 0) return take_back(value, readers, first);
    context_.statistics["store_masks.masks"] += std::ssize(masks_) - first;
    context_.statistics["store_masks.readers"] += std::ssize(readers);
  }

  /// The mask of an equal test, else a new one.
  int mask_of(const Value& value, const BodyTest& test) {
    std::vector<int>& makes = changes_[value.node()].makes;
    for (const int i : makes) {
      if (mask(i).of == value && mask(i).test.key == test.key) return i;
    }
    masks_.push_back({value, test});
    makes.push_back(static_cast<int>(masks_.size()) - 1);
    return makes.back();
  }

  /// Lets the reader take masks in place of the Value, if there are kernels for both sides.
  bool takes_masks(const Value& value, const Node& reader, const std::vector<BodyTest>& tests) {
    const auto first = static_cast<int>(masks_.size());
    for (const BodyTest& test : tests) {
      const int taken = mask_of(value, test);
      changes_[&reader].takes.emplace_back(test.result, taken);
    }
    Support support = probe(*value.node(), value);
    if (support) support = probe(reader, value);
    if (support) return true;
    std::vector<std::pair<Value, int>>& takes = changes_[&reader].takes;
    takes.resize(takes.size() - tests.size());
    drop_masks(value, first);
    if (trace_enabled(Channel::dispatch)) {
      trace(Channel::dispatch,
            fmt::format("store_masks: \"{}\" reads \"{}\" and only compares it: {}", reader.name(),
                        value.node()->name(), support.reason));
    }
    return false;
  }

  void drop_masks(const Value& value, int first) {
    std::erase_if(changes_[value.node()].makes, [first](int i) { return i >= first; });
    masks_.resize(static_cast<std::size_t>(first));
  }

  void take_back(const Value& value, const std::vector<const Node*>& readers, int first) {
    for (const Node* reader : readers) {
      std::erase_if(changes_[reader].takes,
                    [first](const auto& take) { return take.second >= first; });
    }
    drop_masks(value, first);
  }

  /// Bytes that are moved less with the masks from `first` on.
  [[nodiscard]] std::int64_t saved_bytes(const Value& value,
                                         const std::vector<const Node*>& readers, int first) const {
    std::int64_t saved = std::ssize(readers) * bytes_of(value);
    if (!is_read(value)) saved += bytes_of(value);
    for (int i = first; i < static_cast<int>(masks_.size()); ++i) saved -= mask_bytes(i);
    for (const Node* reader : readers) {
      for (const int i : masks_taken(*reader)) saved -= i >= first ? mask_bytes(i) : 0;
    }
    return saved;
  }

  [[nodiscard]] std::set<int> masks_taken(const Node& reader) const {
    std::set<int> taken;
    if (const auto it = changes_.find(&reader); it != changes_.end()) {
      for (const auto& [test, i] : it->second.takes) taken.insert(i);
    }
    return taken;
  }

  /// Whether anybody needs the Value itself.
  [[nodiscard]] bool is_read(const Value& value) const {
    if (fetched_.contains(value)) return true;
    return std::ranges::any_of(uses_[index_of(*value.node())], [&](const Use& use) {
      if (use.node->input(static_cast<std::size_t>(use.operand)) != value) return false;
      return std::ranges::none_of(masks_taken(*use.node),
                                  [&](int i) { return mask(i).of == value; });
    });
  }

  /// The Node's results that are still read.
  [[nodiscard]] std::vector<int> kept_of(const Node& node) const {
    std::vector<int> kept;
    for (int i = 0; i < static_cast<int>(node.outputs().size()); ++i) {
      if (is_read({const_cast<Node*>(&node), i})) kept.push_back(i);
    }
    return kept;
  }

  [[nodiscard]] ChangedBody rebuild(const Node& node) const {
    const Change& change = changes_.at(&node);
    BodyChange body{kept_of(node), {}, {}};
    for (const int i : change.makes) {
      body.added.push_back({mask(i).of.index(), mask(i).test, layout_of(i)});
    }
    for (const auto& [test, i] : change.takes) body.replaced.push_back({test, i, layout_of(i)});
    return change_body(node, body);
  }

  static Node* add_region(Graph& graph, const Node& node, ChangedBody rebuilt,
                          std::vector<Value> operands) {
    const Graph::OriginScope scope = graph.with_origin(node.origin());
    return graph.add_region(fused_op(), std::move(operands), std::move(rebuilt.body), {},
                            node.name());
  }

  /// Whether the target has a kernel for the changed Node, with masks of the Value.
  [[nodiscard]] Support probe(const Node& node, const Value& value) const {
    ChangedBody rebuilt = rebuild(node);
    Graph graph;
    std::vector<Value> operands;
    for (const Node* argument : rebuilt.body->nodes_of(argument_op())) {
      const Value stand_in =
          graph.placeholder(fmt::format("x{}", operands.size()), argument->output_type());
      stand_in.node()->set_layout(0, argument->outputs().front().layout);
      operands.push_back(stand_in);
    }
    const Node& region = *add_region(graph, node, std::move(rebuilt), std::move(operands));
    const Layout bits = in_bits(value.layout());
    if (!context_.target.accepts(region, bits)) {
      return Support::no(fmt::format("no kernel for {}", bits.to_string(value.shape().rank())));
    }
    return context_.target.supports(region);
  }

  void emit(Rewriter& rewriter, const Node& node) {
    ChangedBody rebuilt = rebuild(node);
    std::vector<Value> operands;
    for (const ChangedBody::Operand& operand : rebuilt.operands) {
      operands.push_back(operand.token < 0 ? rewriter.map(operand.value)
                                           : stored_.at(operand.token));
    }
    Node* region = add_region(rewriter.graph(), node, std::move(rebuilt), std::move(operands));
    int output = 0;
    for (const int i : kept_of(node)) {
      rewriter.replace({const_cast<Node*>(&node), i}, region->output(output++));
    }
    for (const int i : changes_.at(&node).makes) stored_[i] = region->output(output++);
  }

  const Graph& graph_;
  PassContext& context_;
  std::vector<std::vector<Use>> uses_;
  std::unordered_set<Value, ValueHash> fetched_;
  std::vector<Mask> masks_;
  std::unordered_map<const Node*, Change> changes_;
  std::unordered_map<int, Value> stored_;  ///< masks in the new Graph
};

}  // namespace

std::unique_ptr<Graph> store_masks(const Graph& graph, PassContext& context) {
  return context.form == StepForm::throughput ? MaskStorer(graph, context).run()
                                              : clone_graph(graph);
}

}  // namespace ingot
