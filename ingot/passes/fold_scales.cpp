// y = scale * op(x, w) + shift, with w, scale and shift constant and the latter two alike along all
// axes but the channels', is op(x, scale * w) + shift. The chain between op and y may add,
// subtract, multiply and divide; every Value in it must be needed by its successor alone.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"
#include "ingot/ops/registry.h"
#include "ingot/passes/passes.h"
#include "ingot/passes/rewriter.h"

namespace ingot {
namespace {

/// v -> scale v + shift.
struct Affine {
  double scale = 1;
  double shift = 0;
};

/// What a binary op with the constant `c` as one operand makes of an Affine.
struct AffineRule {
  std::string_view op;
  bool constant_first;
  Affine (*apply)(Affine v, double c);
};
constexpr std::array kRules{
    AffineRule{"add", false, [](Affine v, double c) { return Affine{v.scale, v.shift + c}; }},
    AffineRule{"add", true, [](Affine v, double c) { return Affine{v.scale, v.shift + c}; }},
    AffineRule{"sub", false, [](Affine v, double c) { return Affine{v.scale, v.shift - c}; }},
    AffineRule{"sub", true, [](Affine v, double c) { return Affine{-v.scale, c - v.shift}; }},
    AffineRule{"mul", false, [](Affine v, double c) { return Affine{v.scale * c, v.shift * c}; }},
    AffineRule{"mul", true, [](Affine v, double c) { return Affine{v.scale * c, v.shift * c}; }},
    AffineRule{"div", false, [](Affine v, double c) { return Affine{v.scale / c, v.shift / c}; }},
};

const HostTensor* constant_of(const Value& value) {
  if (&value.node()->op() != &constant_op()) return nullptr;
  return value.node()->attr<TensorAttr>("value").tensor.get();
}

/// The constant's value for each index of `axis` of `shape`, if that is all it depends on.
std::optional<std::vector<double>> along_axis(const HostTensor& constant, const Shape& shape,
                                              int axis) {
  const Shape& own = constant.type().shape;
  const int offset = shape.rank() - own.rank();
  if (offset < 0) return std::nullopt;
  for (int i = 0; i < own.rank(); ++i) {
    if (own[i] != 1 && i + offset != axis) return std::nullopt;
  }
  std::vector<double> values = constant.to_doubles();
  if (values.size() == 1) values.resize(static_cast<std::size_t>(shape[axis]), values.front());
  if (static_cast<std::int64_t>(values.size()) != shape[axis]) return std::nullopt;
  return values;
}

/// An op with its chain.
struct Chain {
  const Node* first = nullptr;
  const Node* last = nullptr;
  ScaledOperand where;
  std::vector<Affine> channels;

  [[nodiscard]] bool is_worthwhile() const {
    return std::ranges::any_of(channels, [](const Affine& v) { return v.scale != 1; }) &&
           std::ranges::all_of(channels, [](const Affine& v) {
             return std::isfinite(v.scale) && std::isfinite(v.shift);
           });
  }
};

class ScaleFolder {
 public:
  ScaleFolder(const Graph& graph, PassContext& context)
      : rewriter_(graph), context_(context), uses_(find_uses(graph)) {
    for (const Fetch& fetch : graph.fetches()) fetched_.insert(fetch.value);
  }

  std::unique_ptr<Graph> run() {
    for (const auto& node : rewriter_.source().nodes()) {
      if (rewriter_.done(*node) || inner_.contains(node.get())) continue;
      if (const auto chain = by_last_.find(node.get()); chain != by_last_.end()) {
        emit(chain->second);
      } else if (!start(*node)) {
        rewriter_.clone(*node);
      }
    }
    return rewriter_.finish();
  }

 private:
  /// Whether a chain worth folding starts at the Node; remembers it then.
  bool start(const Node& node) {
    if (node.op().scaled_operand == nullptr || !is_float(node.output_type().dtype)) return false;
    Chain chain{&node, &node, node.op().scaled_operand(node), {}};
    if (constant_of(node.input(static_cast<std::size_t>(chain.where.operand))) == nullptr) {
      return false;
    }
    const auto channels = node.output_type().shape[chain.where.output_axis];
    chain.channels.resize(static_cast<std::size_t>(channels));
    std::vector<const Node*> members;
    while (extend(chain)) members.push_back(chain.last);
    if (!chain.is_worthwhile()) return false;
    members.pop_back();
    inner_.insert(members.begin(), members.end());
    by_last_.emplace(chain.last, std::move(chain));
    return true;
  }

  /// Takes the only user of the chain's result into it.
  bool extend(Chain& chain) {
    const auto& users = uses_[static_cast<std::size_t>(chain.last->id())];
    const Value result{const_cast<Node*>(chain.last), 0};
    if (users.size() != 1 || fetched_.contains(result)) return false;
    const Node& user = *users.front().node;
    if (user.inputs().size() != 2 || user.outputs().size() != 1 ||
        user.output_type() != result.type()) {
      return false;
    }
    const bool constant_first = users.front().operand == 1;
    const AffineRule* rule = find_rule(user.op(), constant_first);
    if (rule == nullptr) return false;
    const HostTensor* constant = constant_of(user.input(constant_first ? 0 : 1));
    if (constant == nullptr) return false;
    const auto values = along_axis(*constant, result.shape(), chain.where.output_axis);
    if (!values) return false;
    for (std::size_t i = 0; i < values->size(); ++i) {
      chain.channels[i] = rule->apply(chain.channels[i], (*values)[i]);
    }
    chain.last = &user;
    return true;
  }

  static const AffineRule* find_rule(const OpDef& op, bool constant_first) {
    for (const AffineRule& rule : kRules) {
      if (rule.constant_first == constant_first && find_op(rule.op) == &op) return &rule;
    }
    return nullptr;
  }

  void emit(const Chain& chain) {
    ++context_.statistics["fold_scales.folded"];
    const Graph::OriginScope scope = rewriter_.graph().with_origin(chain.first->origin());
    std::vector<Value> inputs = rewriter_.map_inputs(*chain.first);
    Value& weight = inputs[static_cast<std::size_t>(chain.where.operand)];
    weight = rewriter_.graph().constant(scaled(*constant_of(weight), chain), {});
    Value y = rewriter_.clone(*chain.first, std::move(inputs))->output();
    const bool shifts =
        std::ranges::any_of(chain.channels, [](const Affine& v) { return v.shift != 0; });
    if (shifts) y = ops::add(y, shift_constant(y, chain), {});
    rewriter_.replace({const_cast<Node*>(chain.last), 0}, y);
  }

  static HostTensor scaled(const HostTensor& weight, const Chain& chain) {
    HostTensor result(weight.type());
    const Shape& shape = weight.type().shape;
    const auto axis = static_cast<std::size_t>(chain.where.operand_axis);
    const std::int64_t stride = shape.strides()[axis];
    const std::int64_t size = shape[chain.where.operand_axis];
    for (std::int64_t i = 0; i < weight.type().numel(); ++i) {
      const auto channel = static_cast<std::size_t>(i / stride % size);
      result.view().set(i, weight.view().get(i) * chain.channels[channel].scale);
    }
    return result;
  }

  Value shift_constant(Value y, const Chain& chain) {
    Shape shape(std::vector<std::int64_t>(static_cast<std::size_t>(y.shape().rank()), 1));
    shape[chain.where.output_axis] = y.shape()[chain.where.output_axis];
    HostTensor shift({y.dtype(), shape});
    for (std::size_t i = 0; i < chain.channels.size(); ++i) {
      shift.view().set(static_cast<std::int64_t>(i), chain.channels[i].shift);
    }
    return rewriter_.graph().constant(std::move(shift), {});
  }

  Rewriter rewriter_;
  PassContext& context_;
  std::vector<std::vector<Use>> uses_;
  std::unordered_set<Value, ValueHash> fetched_;
  std::unordered_map<const Node*, Chain> by_last_;
  std::unordered_set<const Node*> inner_;
};

}  // namespace

std::unique_ptr<Graph> fold_scales(const Graph& graph, PassContext& context) {
  return ScaleFolder(graph, context).run();
}

}  // namespace ingot
