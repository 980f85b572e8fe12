#include "ingot/passes/precision.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <string>
#include <unordered_map>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/ops.h"
#include "ingot/passes/rewriter.h"

namespace ingot {
namespace {

constexpr std::array<std::string_view, 3> kNames{"f32", "bf16", "f16"};

/// Sums products of two operands: what low precision is fast at.
bool is_contraction(const Node& node) {
  const OpDef& op = node.op();
  return op.reduction_length != nullptr && !op.traits.reduction && !op.traits.composite &&
         std::ranges::count_if(node.inputs(), [](const Value& v) { return is_float(v.dtype()); }) >
             1;
}

class Lowering {
 public:
  Lowering(const Graph& graph, DType low) : rewriter_(graph), low_(low) {}

  std::unique_ptr<Graph> run() {
    for (const auto& node : rewriter_.source().nodes()) {
      if (!rewriter_.done(*node)) visit(*node);
    }
    for (const Fetch& fetch : rewriter_.source().fetches()) {
      rewriter_.replace(fetch.value, as(rewriter_.map(fetch.value), fetch.value.dtype()));
    }
    return rewriter_.finish();
  }

 private:
  /// The Value in another dtype, cast once.
  Value as(Value value, DType dtype) {
    if (value.dtype() == dtype) return value;
    auto& casts = casts_[value];
    for (const Value& known : casts) {
      if (known.dtype() == dtype) return known;
    }
    const Graph::OriginScope scope = rewriter_.graph().with_origin(value.node()->origin());
    return casts.emplace_back(ops::cast(value, dtype, {}));
  }

  void visit(const Node& node) {
    const OpDef& op = node.op();
    std::vector<Value> inputs = rewriter_.map_inputs(node);
    if (op.traits.side_effect || &op == &fused_op()) {
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        inputs[i] = as(inputs[i], node.input_type(i).dtype);
      }
      rewriter_.clone(node, std::move(inputs));
      return;
    }
    const auto stays = [&](std::size_t i) {
      return std::ranges::find(op.f32_operands, static_cast<int>(i)) != op.f32_operands.end();
    };
    bool lower = is_contraction(node);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      lower |= !stays(i) && inputs[i].dtype() == low_ && node.input_type(i).dtype == DType::f32;
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (node.input_type(i).dtype != DType::f32) continue;
      inputs[i] = as(inputs[i], lower && !stays(i) ? low_ : DType::f32);
    }
    rewriter_.clone(node, std::move(inputs));
  }

  Rewriter rewriter_;
  DType low_;
  std::unordered_map<Value, std::vector<Value>, ValueHash> casts_;
};

}  // namespace

std::string_view precision_name(Precision precision) noexcept {
  return kNames[static_cast<std::size_t>(precision)];
}

Precision parse_precision(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) {
    throw user_error(
        ErrorCode::invalid_argument,
        fmt::format("precision \"{}\": must be f32, bf16 or f16, got another name", name));
  }
  return static_cast<Precision>(found - kNames.begin());
}

DType compute_dtype(Precision precision) noexcept {
  constexpr std::array kTypes{DType::f32, DType::bf16, DType::f16};
  return kTypes[static_cast<std::size_t>(precision)];
}

std::unique_ptr<Graph> apply_precision(const Graph& graph, Precision precision) {
  if (precision == Precision::f32) return clone_graph(graph);
  return Lowering(graph, compute_dtype(precision)).run();
}

}  // namespace ingot
