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

constexpr std::array<std::string_view, 4> kNames{"f32", "tf32", "bf16", "f16"};

/// The Graph with contractions in tf32 math.
std::unique_ptr<Graph> with_tf32(const Graph& graph) {
  return rewrite(graph, [](Rewriter& rewriter, const Node& node) {
    AttrList changed;
    if (node.op().traits.contraction) changed.emplace_back("math", "tf32");
    rewriter.clone(node, rewriter.map_inputs(node), std::move(changed));
  });
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
    bool lower = op.traits.contraction;
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
  if (name == "fp16") return Precision::f16;
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) {
    throw user_error(
        ErrorCode::invalid_argument,
        fmt::format("precision \"{}\": must be f32, tf32, bf16 or f16, got another name", name));
  }
  return static_cast<Precision>(found - kNames.begin());
}

DType compute_dtype(Precision precision) noexcept {
  constexpr std::array kTypes{DType::f32, DType::f32, DType::bf16, DType::f16};
  return kTypes[static_cast<std::size_t>(precision)];
}

std::unique_ptr<Graph> apply_precision(const Graph& graph, Precision precision) {
  if (precision == Precision::f32) return clone_graph(graph);
  if (precision == Precision::tf32) return with_tf32(graph);
  return Lowering(graph, compute_dtype(precision)).run();
}

}  // namespace ingot
