#include "ingot/ir/core_ops.h"

#include <algorithm>
#include <array>

namespace ingot {
namespace {

constexpr std::string_view kRoots = "it has no inputs";

AttrSpec dtype_attr() { return {"dtype", AttrKind::dtype, "element type"}; }
AttrSpec shape_attr() { return {"shape", AttrKind::integers, "static shape"}; }

TensorType declared_type(const InferContext& ctx) {
  return {ctx.attr<DType>("dtype"), Shape(ctx.integers("shape"))};
}

std::vector<TensorType> infer_source(const InferContext& ctx) {
  const TensorType type = declared_type(ctx);
  for (const std::int64_t dim : type.shape) {
    ctx.require(dim >= 0, "C1", [&] { return type.to_string(); });
  }
  return {type};
}

Constraint static_dims() {
  return {"C1", "every dimension must be known and not negative",
          "give the size; only reshape infers a -1"};
}

std::vector<TensorType> infer_assign(const InferContext& ctx) {
  ctx.require(ctx.input(0) == ctx.input(1), "C1");
  ctx.require(ctx.num_inputs() < 3 || ctx.input(2) == TensorType{DType::boolean, Shape{}}, "C2");
  return {};
}

std::vector<TensorType> infer_region(const InferContext& ctx) {
  ctx.require(false, "C1");
  return {};
}

std::vector<BatchResult> reorder_batch(const Node&, std::span<const int> axes) {
  return {{axes[0] < 0 ? BatchKind::none : BatchKind::kept, axes[0]}};
}

}  // namespace

const OpDef& placeholder_op() {
  static const OpDef def{.name = "placeholder",
                         .summary = "a value fed from outside at each run",
                         .outputs = {{"value", "what was fed"}},
                         .attrs = {dtype_attr(), shape_attr()},
                         .constraints = {static_dims()},
                         .infer = infer_source,
                         .gradient = {nullptr, kRoots},
                         .traits = {.source = true}};
  return def;
}

const OpDef& variable_op() {
  static const OpDef def{
      .name = "variable",
      .summary = "device-resident state; gives its value at the start of the step",
      .outputs = {{"value", "the value at the start of the step"}},
      .attrs = {dtype_attr(),
                shape_attr(),
                {"role", AttrKind::integer, "0 parameter, 1 buffer, 2 optimizer state, 3 counter"},
                {"init", AttrKind::integer, "0 constant a, 1 uniform [a, b), 2 normal(a, b)"},
                {"init_a", AttrKind::real, "constant, lower bound or mean"},
                {"init_b", AttrKind::real, "upper bound or standard deviation"}},
      .constraints = {static_dims()},
      .infer = infer_source,
      .gradient = {nullptr, kRoots},
      .traits = {.source = true}};
  return def;
}

const OpDef& constant_op() {
  static const OpDef def{.name = "constant",
                         .summary = "an immutable tensor",
                         .outputs = {{"value", "the tensor"}},
                         .attrs = {{"value", AttrKind::tensor, "the tensor"}},
                         .infer =
                             [](const InferContext& ctx) {
                               return std::vector{ctx.attr<TensorAttr>("value").tensor->type()};
                             },
                         .gradient = {nullptr, kRoots},
                         .traits = {.source = true}};
  return def;
}

const OpDef& argument_op() {
  static const OpDef def{
      .name = "argument",
      .summary = "an input of a region's body",
      .outputs = {{"value", "the region's operand of the same index"}},
      .attrs = {{"index", AttrKind::integer, "which operand"}, dtype_attr(), shape_attr()},
      .constraints = {static_dims()},
      .infer = infer_source,
      .gradient = {nullptr, kRoots},
      .traits = {.source = true}};
  return def;
}

const OpDef& assign_op() {
  static const OpDef def{
      .name = "assign",
      .summary = "gives a variable a new value at the end of the step",
      .inputs = {{"variable", "the variable"},
                 {"value", "its new value"},
                 {"predicate", "bool[]: keep the old value when false", false, true}},
      .constraints = {{"C1", "the value must have the variable's type"},
                      {"C2", "the predicate must be bool[]"}},
      .infer = infer_assign,
      .gradient = {nullptr, "it has no outputs"},
      .traits = {.side_effect = true}};
  return def;
}

const OpDef& fused_op() {
  static const OpDef def{.name = "fused",
                         .summary = "a region run as one kernel; made by the compiler",
                         .inputs = {{"operands", "the body's arguments", true}},
                         .outputs = {{"results", "the body's results", true}},
                         .constraints = {{"C1", "a region is made by the compiler only"}},
                         .infer = infer_region,
                         .gradient = {nullptr, "it is made after gradients"}};
  return def;
}

const OpDef& batch_slices_op() {
  static const OpDef def{
      .name = "batch_slices",
      .summary = "a region run slice by slice of the batch; made by the compiler",
      .inputs = {{"operands", "the body's arguments", true}},
      .outputs = {{"results", "the body's results", true}},
      .attrs = {{"items", AttrKind::integer, "items of the batch in a slice; divides it"},
                {"groups", AttrKind::integer,
                 "groups of consecutive slices: a task each, and one term of each sum"},
                {"operand_axes", AttrKind::integers, "each operand's batch axis, -1: read whole"},
                {"result_axes", AttrKind::integers,
                 "each result's batch axis, -1: summed over the slices"}},
      .constraints = {{"C1", "a region is made by the compiler only"}},
      .infer = infer_region,
      .gradient = {nullptr, "it is made after gradients"}};
  return def;
}

const OpDef& weight_copies_op() {
  static const OpDef def{
      .name = "weight_copies",
      .summary =
          "a region of conversions of weights, whose results are kept from step to step; made "
          "by the compiler",
      .inputs = {{"operands", "the body's arguments, variables", true}},
      .outputs = {{"results", "the body's results, casts of the operands", true}},
      .constraints = {{"C1", "a region is made by the compiler only"}},
      .infer = infer_region,
      .gradient = {nullptr, "it is made after gradients"}};
  return def;
}

const OpDef& reorder_op() {
  static const OpDef def{.name = "reorder",
                         .summary = "the same value in another layout; made by the compiler",
                         .inputs = {{"x", "any"}},
                         .outputs = {{"y", "the same, in `layout`"}},
                         .attrs = {{"layout", AttrKind::string, "layout tag, e.g. aBcd16b"}},
                         .infer = [](const InferContext& ctx) { return std::vector{ctx.input(0)}; },
                         .gradient = {nullptr, "it is made after gradients"},
                         .reference =
                             [](const ReferenceContext& ctx) {
                               const auto n =
                                   ctx.inputs[0].numel() *
                                   static_cast<std::int64_t>(dtype_size(ctx.inputs[0].type.dtype));
                               std::copy_n(ctx.inputs[0].data, n, ctx.outputs[0].data);
                             },
                         .batch = reorder_batch};
  return def;
}

std::span<const OpDef* const> core_ops() {
  static const std::array kOps{&placeholder_op(),  &variable_op(),      &constant_op(),
                               &argument_op(),     &assign_op(),        &fused_op(),
                               &batch_slices_op(), &weight_copies_op(), &reorder_op()};
  return kOps;
}

Initializer initializer_of(const Node& variable) {
  return {static_cast<Initializer::Kind>(variable.integer("init")), variable.attr<double>("init_a"),
          variable.attr<double>("init_b")};
}

VariableRole role_of(const Node& variable) {
  return static_cast<VariableRole>(variable.integer("role"));
}

}  // namespace ingot
