#include "ingot/backends/cpu/fused_body.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/reduction.h"

namespace ingot {
namespace {

/// Where a Value of the body comes from.
struct Symbol {
  enum class Kind : std::uint8_t { operand, constant, staged };
  Kind kind = Kind::operand;
  int operand = 0;
  double constant = 0;
  int stage = 0;
  int instr = 0;
  TensorType type;
};

/// Shapes that differ in leading ones alone run in one stage.
std::vector<std::int64_t> stage_key(const Shape& shape) {
  const std::int64_t* first =
      std::find_if(shape.begin(), shape.end(), [](auto d) { return d != 1; });
  return {first, shape.end()};
}

bool is_mean(const Node& node) { return &node.op() == &mean_op(); }

class Analysis {
 public:
  FusedBody run(const Node& node, const Node* producer) {
    if (node.body() == nullptr) {
      for (std::size_t i = 0; i < node.inputs().size(); ++i) {
        bind_operand(node.input(i), static_cast<int>(i), node.input(i));
      }
      add(node);
      for (int i = 0; i < static_cast<int>(node.outputs().size()); ++i) {
        finish(const_cast<Node&>(node).output(i),
               node.outputs()[static_cast<std::size_t>(i)].layout, i);
      }
    } else {
      for (const auto& inner : node.body()->nodes()) {
        if (&inner->op() == &argument_op()) {
          const auto index = static_cast<int>(inner->integer("index"));
          bind_operand(inner->output(), index, node.input(static_cast<std::size_t>(index)));
        } else if (inner.get() == producer) {
          bind_operand(inner->output(), static_cast<int>(node.inputs().size()), inner->output());
        } else {
          add(*inner);
        }
        if (!body_.support) return std::move(body_);
      }
      const auto& fetches = node.body()->fetches();
      for (std::size_t i = 0; i < fetches.size(); ++i) {
        finish(fetches[i].value, node.outputs()[i].layout, static_cast<int>(i));
      }
    }
    if (body_.support) close();
    return std::move(body_);
  }

 private:
  struct Root {
    const Node* node;
    std::array<int, 2> results{-1, -1};
    std::array<MapTensor, 2> tensors{};
  };

  void refuse(std::string why) {
    if (body_.support) body_.support = Support::no(std::move(why));
  }

  void bind_operand(const Value& value, int operand, const Value& outer) {
    symbols_[value] = {.kind = Symbol::Kind::operand, .operand = operand, .type = value.type()};
    if (operand >= static_cast<int>(operands_.size())) {
      operands_.resize(static_cast<std::size_t>(operand) + 1);
    }
    operands_[static_cast<std::size_t>(operand)] = {outer.type(), outer.layout()};
  }

  /// The symbol of an operand; a body may use constants, a plain Node has them as operands.
  const Symbol* symbol(const Value& value) {
    const auto it = symbols_.find(value);
    if (it != symbols_.end()) return &it->second;
    refuse(fmt::format("reads a result of the reduction {}", value.node()->op().name));
    return nullptr;
  }

  int stage_for(const Shape& shape) {
    const auto key = stage_key(shape);
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      if (keys_[i] != key) continue;
      Shape& known = body_.stages[i].result.type.shape;
      if (shape.rank() > known.rank()) known = shape;
      return static_cast<int>(i);
    }
    keys_.push_back(key);
    body_.stages.emplace_back();
    body_.stages.back().result = {{DType::f32, shape}, {}};
    return static_cast<int>(keys_.size()) - 1;
  }

  int input_of(int stage, FusedTensor tensor, const MapTensor& described) {
    MapStage& into = body_.stages[static_cast<std::size_t>(stage)];
    for (std::size_t i = 0; i < into.inputs.size(); ++i) {
      if (into.inputs[i].kind == tensor.kind && into.inputs[i].index == tensor.index) {
        return into.program.add_input(static_cast<int>(i));
      }
    }
    into.inputs.push_back(tensor);
    into.input_tensors.push_back(described);
    into.program.set_num_inputs(static_cast<int>(into.inputs.size()));
    return into.program.add_input(static_cast<int>(into.inputs.size()) - 1);
  }

  int use(const Symbol& symbol, int stage) {
    MapStage& into = body_.stages[static_cast<std::size_t>(stage)];
    switch (symbol.kind) {
      case Symbol::Kind::operand:
        return input_of(stage, {FusedTensor::Kind::operand, symbol.operand},
                        operands_[static_cast<std::size_t>(symbol.operand)]);
      case Symbol::Kind::constant: {
        const int value = into.program.add_constant(symbol.constant);
        return symbol.type.dtype == DType::f32 ? value
                                               : into.program.add_cast(value, symbol.type.dtype);
      }
      case Symbol::Kind::staged: break;
    }
    if (symbol.stage == stage) return symbol.instr;
    const int temporary = export_value(symbol);
    return input_of(stage, {FusedTensor::Kind::temporary, temporary},
                    body_.temporaries[static_cast<std::size_t>(temporary)]);
  }

  /// A value that a later stage reads.
  int export_value(const Symbol& symbol) {
    MapStage& from = body_.stages[static_cast<std::size_t>(symbol.stage)];
    for (std::size_t i = 0; i < from.outputs.size(); ++i) {
      if (from.outputs[i].kind == FusedTensor::Kind::temporary &&
          from.program.outputs()[i] == symbol.instr && from.output_types[i] == symbol.type.dtype) {
        return from.outputs[i].index;
      }
    }
    const auto temporary = static_cast<int>(body_.temporaries.size());
    body_.temporaries.push_back({symbol.type, {}});
    add_output(symbol, {FusedTensor::Kind::temporary, temporary});
    return temporary;
  }

  void add_output(const Symbol& symbol, FusedTensor target) {
    MapStage& stage = body_.stages[static_cast<std::size_t>(symbol.stage)];
    stage.program.add_output(symbol.instr);
    stage.outputs.push_back(target);
    stage.output_types.push_back(symbol.type.dtype);
  }

  void add(const Node& node) {
    if (&node.op() == &constant_op()) {
      const HostTensor& tensor = *node.attr<TensorAttr>("value").tensor;
      if (tensor.type().numel() != 1) {
        return refuse(
            fmt::format("takes constants of one element, got {}", tensor.type().to_string()));
      }
      symbols_[const_cast<Node&>(node).output()] = {
          .kind = Symbol::Kind::constant, .constant = tensor.view().get(0), .type = tensor.type()};
      return;
    }
    if (is_single_update(node)) return add_update(node);
    if (const Support support = fusable(node); !support) return refuse(support.reason);
    if (is_fused_reduction(node)) {
      roots_.push_back({&node, {-1, -1}, {}});
      return;
    }
    const TensorType& type = node.output_type();
    const int stage = stage_for(type.shape);
    const std::vector<int> args = arguments(node, stage);
    if (args.empty()) return;
    ScalarProgram& program = body_.stages[static_cast<std::size_t>(stage)].program;
    int result = args.front();
    if (&node.op() == &cast_op()) {
      result = program.add_cast(args.front(), type.dtype);
    } else if (node.op().traits.elementwise) {
      std::vector<std::string> names;
      for (const OperandSpec& spec : node.op().inputs) names.emplace_back(spec.name);
      result = program.inline_program(ScalarProgram::parse(node.op().expr, names), args).front();
    }
    symbols_[const_cast<Node&>(node).output()] = {
        .kind = Symbol::Kind::staged, .stage = stage, .instr = result, .type = type};
  }

  /// The Node's operands in a stage's program; none after a refusal.
  std::vector<int> arguments(const Node& node, int stage) {
    std::vector<int> args;
    for (const Value& input : node.inputs()) {
      const Symbol* from = symbol(input);
      if (from == nullptr) return {};
      args.push_back(use(*from, stage));
    }
    return args;
  }

  void add_update(const Node& node) {
    const int stage = stage_for(node.output_type().shape);
    const std::vector<int> args = arguments(node, stage);
    if (args.empty()) return;
    ScalarProgram& program = body_.stages[static_cast<std::size_t>(stage)].program;
    const auto results = program.inline_program(node.attr<ScalarProgram>("rule"), args);
    for (std::size_t i = 0; i < results.size(); ++i) {
      symbols_[const_cast<Node&>(node).output(static_cast<int>(i))] = {.kind = Symbol::Kind::staged,
                                                                       .stage = stage,
                                                                       .instr = results[i],
                                                                       .type = node.output_type(i)};
    }
  }

  void finish(const Value& value, const Layout& layout, int result) {
    const auto root = std::find_if(roots_.begin(), roots_.end(),
                                   [&](const Root& r) { return r.node == value.node(); });
    const FusedTensor target{FusedTensor::Kind::result, result};
    if (root != roots_.end()) {
      const auto output = static_cast<std::size_t>(value.index());
      root->results[output] = result;
      root->tensors[output] = {value.type(), layout};
      return;
    }
    Symbol from = symbols_.at(value);
    if (from.kind != Symbol::Kind::staged) {
      // A result that is an operand or constant: its stage copies it.
      const int stage = stage_for(value.shape());
      from = {.kind = Symbol::Kind::staged,
              .stage = stage,
              .instr = use(from, stage),
              .type = value.type()};
    }
    add_output(from, target);
    MapTensor& over = body_.stages[static_cast<std::size_t>(from.stage)].result;
    const bool given = std::find(laid_out_.begin(), laid_out_.end(), from.stage) != laid_out_.end();
    if (given && over.layout != layout) {
      const int rank = over.type.shape.rank();
      refuse(fmt::format("results of one shape must share a layout, got {} and {}",
                         over.layout.to_string(rank), layout.to_string(rank)));
    }
    over.layout = layout;
    laid_out_.push_back(from.stage);
  }

  void add_reductions() {
    for (const Root& root : roots_) {
      if (root.results[0] < 0 && root.results[1] < 0) continue;
      const Value input = root.node->input(0);
      const Symbol* from = symbol(input);
      if (from == nullptr) return;
      const int stage = stage_for(input.shape());
      const Symbol staged{.kind = Symbol::Kind::staged,
                          .stage = stage,
                          .instr = use(*from, stage),
                          .type = input.type()};
      const std::vector<int> axes = ingot::reduced_axes(*root.node);
      if (!body_.reductions.empty() && (stage != reduced_stage_ || axes != body_.reduced_axes)) {
        return refuse("its reductions differ in shape or axes");
      }
      reduced_stage_ = stage;
      body_.reduced_axes = axes;
      FusedReduction reduction{.results = root.results,
                               .tensors = root.tensors,
                               .dtype = root.node->output_type().dtype};
      if (&root.node->op() == &reduce_max_op()) reduction.kind = ReductionKind::max;
      if (&root.node->op() == &moments_op()) reduction.kind = ReductionKind::moments;
      if (is_mean(*root.node)) {
        reduction.scale = 1.0 / static_cast<double>(reduction_length(*root.node));
      }
      MapStage& into = body_.stages[static_cast<std::size_t>(stage)];
      reduction.program_output = static_cast<int>(into.program.outputs().size());
      into.program.add_output(staged.instr);
      into.output_types.push_back(staged.type.dtype);
      body_.reductions.push_back(reduction);
    }
  }

  void close() {
    add_reductions();
    if (!body_.support) return;
    for (std::size_t i = 0; i < body_.stages.size(); ++i) {
      MapStage& stage = body_.stages[i];
      if (std::find(laid_out_.begin(), laid_out_.end(), static_cast<int>(i)) != laid_out_.end()) {
        continue;
      }
      // No result says the layout: follow an operand of the whole shape.
      for (const MapTensor& input : stage.input_tensors) {
        if (input.type.shape == stage.result.type.shape && !input.layout.is_plain()) {
          stage.result.layout = input.layout;
        }
      }
    }
    // Broadcasting only grows shapes, so smaller stages feed larger ones. The stage that is
    // reduced is last: nothing reads it.
    std::vector<int> order(body_.stages.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
      const auto weight = [&](int i) {
        return std::pair(i == reduced_stage_,
                         body_.stages[static_cast<std::size_t>(i)].result.type.numel());
      };
      return weight(a) < weight(b);
    });
    if (reduced_stage_ >= 0 && feeds_another(reduced_stage_)) {
      return refuse("what is reduced is also broadcast");
    }
    std::vector<MapStage> sorted;
    for (const int i : order) {
      MapStage& stage = body_.stages[static_cast<std::size_t>(i)];
      if (!stage.output_types.empty()) sorted.push_back(std::move(stage));
    }
    for (MapStage& stage : sorted) {
      for (std::size_t o = 0; o < stage.outputs.size(); ++o) {
        if (stage.outputs[o].kind == FusedTensor::Kind::temporary) {
          body_.temporaries[static_cast<std::size_t>(stage.outputs[o].index)].layout =
              stage.result.layout;
        }
      }
    }
    for (MapStage& stage : sorted) {
      for (std::size_t i = 0; i < stage.inputs.size(); ++i) {
        if (stage.inputs[i].kind == FusedTensor::Kind::temporary) {
          stage.input_tensors[i] =
              body_.temporaries[static_cast<std::size_t>(stage.inputs[i].index)];
        }
      }
    }
    body_.stages = std::move(sorted);
  }

  [[nodiscard]] bool feeds_another(int stage) const {
    const auto& outputs = body_.stages[static_cast<std::size_t>(stage)].outputs;
    return std::any_of(outputs.begin(), outputs.end(),
                       [](const FusedTensor& t) { return t.kind == FusedTensor::Kind::temporary; });
  }

  FusedBody body_;
  std::unordered_map<Value, Symbol, ValueHash> symbols_;
  std::vector<MapTensor> operands_;
  std::vector<std::vector<std::int64_t>> keys_;  // of each stage
  std::vector<Root> roots_;
  std::vector<int> laid_out_;  // stages whose layout a result gives
  int reduced_stage_ = -1;
};

}  // namespace

bool is_fused_reduction(const Node& node) noexcept {
  return &node.op() == &sum_op() || &node.op() == &reduce_max_op() || &node.op() == &moments_op() ||
         is_mean(node);
}

bool is_single_update(const Node& node) noexcept {
  if (&node.op() != &optimizer_update_op()) return false;
  const std::int64_t group = 2 + node.integer("num_states");
  return std::ssize(node.inputs()) == node.integer("num_scalars") + group;
}

Support fusable(const Node& node) {
  const OpDef& op = node.op();
  const bool maps =
      (op.traits.elementwise && !op.expr.empty()) || &op == &cast_op() || &op == &broadcast_to_op();
  if (!maps && !is_fused_reduction(node)) {
    return Support::no(fmt::format("{} is neither elementwise nor a reduction", op.name));
  }
  return Support::yes();
}

FusedBody analyse_fused(const Node& node, const Node* producer) {
  return Analysis().run(node, producer);
}

LoweredProgram lower_stage(const MapStage& stage) {
  std::vector<DType> types;
  std::vector<bool> varies;
  for (const MapTensor& input : stage.input_tensors) {
    types.push_back(input.type.dtype);
    varies.push_back(input.type.shape == stage.result.type.shape);
  }
  return lower_scalar(stage.program, types, varies, stage.output_types);
}

}  // namespace ingot
