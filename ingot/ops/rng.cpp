// Random numbers as a function of (seed, stream, step, logical element index); see base/philox.h.
#include <fmt/core.h>

#include "ingot/base/philox.h"
#include "ingot/ops/common.h"
#include "ingot/ops/op_list.h"
#include "ingot/ops/ops.h"

namespace ingot {
namespace {

constexpr std::int64_t kMaxStream = 0xffffffff;

std::vector<TensorType> infer_shape(const InferContext& ctx) {
  const TensorType counter{DType::i64, {}};
  const Shape shape(ctx.integers("shape"));
  const std::int64_t stream = ctx.integer("stream");
  ctx.require(ctx.input(0) == counter && ctx.input(1) == counter, "C1");
  for (const std::int64_t dim : shape) {
    ctx.require(dim >= 0, "C2", [&] { return shape.to_string(); });
  }
  ctx.require(stream >= 0 && stream <= kMaxStream, "C3", [&] { return fmt::format("{}", stream); });
  return {{ctx.attr<DType>("dtype"), shape}};
}

std::vector<TensorType> infer_float(const InferContext& ctx) {
  std::vector<TensorType> types = infer_shape(ctx);
  ctx.require(is_float(types[0].dtype), "C4",
              [&] { return std::string(dtype_name(types[0].dtype)); });
  return types;
}

std::vector<TensorType> infer_uniform(const InferContext& ctx) {
  const double low = ctx.attr<double>("low");
  const double high = ctx.attr<double>("high");
  std::vector<TensorType> types = infer_float(ctx);
  ctx.require(low <= high, "C5", [&] { return fmt::format("low {}, high {}", low, high); });
  return types;
}

std::vector<TensorType> infer_normal(const InferContext& ctx) {
  const double std = ctx.attr<double>("std");
  std::vector<TensorType> types = infer_float(ctx);
  ctx.require(std >= 0, "C5", [&] { return fmt::format("{}", std); });
  return types;
}

std::vector<TensorType> infer_bernoulli(const InferContext& ctx) {
  const double probability = ctx.attr<double>("probability");
  std::vector<TensorType> types = infer_shape(ctx);
  ctx.require(probability >= 0 && probability <= 1, "C4",
              [&] { return fmt::format("{}", probability); });
  return types;
}

/// Sets every element to fn(seed, stream, step, element).
template <typename Fn>
void fill(const ReferenceContext& ctx, Fn&& fn) {
  const auto seed = static_cast<std::uint64_t>(ctx.inputs[0].get_int(0));
  const auto step = static_cast<std::uint64_t>(ctx.inputs[1].get_int(0));
  const auto stream = static_cast<std::uint32_t>(ctx.node.integer("stream"));
  for (std::int64_t i = 0; i < ctx.outputs[0].numel(); ++i) {
    ctx.outputs[0].set(i, fn(seed, stream, step, static_cast<std::uint64_t>(i)));
  }
}

void reference_uniform(const ReferenceContext& ctx) {
  const double low = ctx.node.attr<double>("low");
  const double span = ctx.node.attr<double>("high") - low;
  const bool wide = ctx.outputs[0].type.dtype == DType::f64;
  fill(ctx, [&](auto seed, auto stream, auto step, auto i) {
    const double u = wide ? philox_uniform_f64(seed, stream, step, i)
                          : static_cast<double>(philox_uniform(seed, stream, step, i));
    return low + span * u;
  });
}

void reference_normal(const ReferenceContext& ctx) {
  const double mean = ctx.node.attr<double>("mean");
  const double std = ctx.node.attr<double>("std");
  fill(ctx, [&](auto seed, auto stream, auto step, auto i) {
    return mean + std * philox_normal(seed, stream, step, i);
  });
}

void reference_bernoulli(const ReferenceContext& ctx) {
  const double probability = ctx.node.attr<double>("probability");
  fill(ctx, [&](auto seed, auto stream, auto step, auto i) {
    return philox_bernoulli(seed, stream, step, i, probability) ? 1.0 : 0.0;
  });
}

std::vector<CaseInput> counters() {
  return {{{DType::i64, {}}, 0, 1e9}, {{DType::i64, {}}, 0, 1e6}};
}

AttrList with_shape(Shape shape, AttrList attrs) {
  attrs.emplace_back("shape", shape.to_vector());
  attrs.emplace_back("stream", 3);
  return attrs;
}

std::vector<OpCase> uniform_cases() {
  return {{"unit", counters(), with_shape({3, 7}, {})},
          {"range", counters(), with_shape({33}, {{"low", -2.0}, {"high", 5.0}})},
          {"double", counters(), with_shape({5}, {{"dtype", DType::f64}})},
          {"bf16", counters(), with_shape({9}, {{"dtype", DType::bf16}})},
          {"scalar", counters(), with_shape({}, {})},
          {"empty", counters(), with_shape({0, 3}, {})}};
}

std::vector<OpCase> normal_cases() {
  return {{"standard", counters(), with_shape({5, 7}, {})},
          {"scaled", counters(), with_shape({33}, {{"mean", 3.0}, {"std", 0.5}})},
          {"f16", counters(), with_shape({9}, {{"dtype", DType::f16}})},
          {"empty", counters(), with_shape({0}, {})}};
}

std::vector<OpCase> bernoulli_cases() {
  return {{"mask", counters(), with_shape({4, 9}, {{"probability", 0.3}})},
          {"floats", counters(), with_shape({33}, {{"probability", 0.5}, {"dtype", DType::f32}})},
          {"never", counters(), with_shape({5}, {{"probability", 0.0}})},
          {"always", counters(), with_shape({5}, {{"probability", 1.0}})},
          {"empty", counters(), with_shape({0}, {{"probability", 0.5}})}};
}

/// The bad cases that all three have; `required` are attributes without a default.
std::vector<BadCase> shared_bad_cases(const std::string& name, const AttrList& required) {
  const TensorType counter{DType::i64, {}};
  AttrList negative = with_shape({2, -1}, required);
  AttrList stream = required;
  stream.emplace_back("shape", std::vector<std::int64_t>{2});
  stream.emplace_back("stream", -1);
  return {{"seed",
           {{DType::f32, {}}, counter},
           with_shape({2}, required),
           "C1",
           name + " \"op\": seed and step must be i64[], got f32[], i64[]"},
          {"negative dimension",
           {counter, counter},
           std::move(negative),
           "C2",
           name + " \"op\": dimensions must not be negative, got [2,-1]"},
          {"stream",
           {counter, counter},
           std::move(stream),
           "C3",
           name + " \"op\": stream must be from 0 to 2^32 - 1, got -1"}};
}

BadCase bad_attrs(std::string name, AttrList attrs, std::string_view constraint,
                  std::string message) {
  const TensorType counter{DType::i64, {}};
  return {std::move(name),
          {counter, counter},
          with_shape({2}, std::move(attrs)),
          constraint,
          std::move(message)};
}

std::vector<BadCase> uniform_bad_cases() {
  std::vector<BadCase> bad = shared_bad_cases("rng_uniform", {});
  bad.push_back(bad_attrs("dtype", {{"dtype", DType::i32}}, "C4",
                          "rng_uniform \"op\": dtype must be floating point, got i32"));
  bad.push_back(bad_attrs("range", {{"low", 1.0}, {"high", 0.0}}, "C5",
                          "rng_uniform \"op\": low must not exceed high, got low 1, high 0"));
  return bad;
}

std::vector<BadCase> normal_bad_cases() {
  std::vector<BadCase> bad = shared_bad_cases("rng_normal", {});
  bad.push_back(bad_attrs("dtype", {{"dtype", DType::boolean}}, "C4",
                          "rng_normal \"op\": dtype must be floating point, got bool"));
  bad.push_back(bad_attrs("std", {{"std", -1.0}}, "C5",
                          "rng_normal \"op\": std must not be negative, got -1"));
  return bad;
}

std::vector<BadCase> bernoulli_bad_cases() {
  std::vector<BadCase> bad = shared_bad_cases("rng_bernoulli", {{"probability", 0.5}});
  bad.push_back(bad_attrs("probability", {{"probability", 1.5}}, "C4",
                          "rng_bernoulli \"op\": probability must be from 0 to 1, got 1.5"));
  return bad;
}

/// Fills in what the three have alike.
OpDef rng_record(OpDef op, DType dtype) {
  op.inputs = {{"seed", "i64[]"}, {"step", "i64[]"}};
  op.outputs = {{"y", "`shape`"}};
  op.attrs.insert(op.attrs.begin(),
                  {{"stream", AttrKind::integer, "which of the graph's random sequences"},
                   {"shape", AttrKind::integers, "the result's shape"},
                   {"dtype", AttrKind::dtype, "the result's dtype", AttrValue(dtype)}});
  op.constraints.insert(op.constraints.begin(), {{"C1", "seed and step must be i64[]"},
                                                 {"C2", "dimensions must not be negative"},
                                                 {"C3", "stream must be from 0 to 2^32 - 1"}});
  op.gradient.fn = [](const GradientContext&) { return std::vector<Value>(2); };
  op.batch = [](const Node&, std::span<const int> axes) {
    const bool none = axes[0] < 0 && axes[1] < 0;
    return std::vector<BatchResult>{{none ? BatchKind::none : BatchKind::mixed, -1}};
  };
  // Ten rounds of Philox give four words; Box-Muller adds its functions.
  if (op.cost == nullptr) op.cost = [](const Node& node) { return streaming_cost(node, 20); };
  op.traits.random = true;
  return op;
}

}  // namespace

std::span<const OpDef* const> rng_ops() {
  static const OpDef uniform = rng_record(
      {.name = "rng_uniform",
       .summary = "uniform in [low, high), with 24 random bits (f64: 53)",
       .formula = "y[i] = low + (high - low) u(seed, stream, step, i)",
       .attrs = {{"low", AttrKind::real, "lower bound", AttrValue(0.0)},
                 {"high", AttrKind::real, "upper bound, reached only by rounding", AttrValue(1.0)}},
       .constraints = {{"C4", "dtype must be floating point"}, {"C5", "low must not exceed high"}},
       .infer = infer_uniform,
       .reference = reference_uniform,
       .cases = uniform_cases,
       .bad_cases = uniform_bad_cases},
      DType::f32);
  static const OpDef normal = rng_record(
      {.name = "rng_normal",
       .summary = "normally distributed (Box and Muller 1958)",
       .formula = "y[i] = mean + std z(seed, stream, step, i)",
       .attrs = {{"mean", AttrKind::real, "the mean", AttrValue(0.0)},
                 {"std", AttrKind::real, "the standard deviation", AttrValue(1.0)}},
       .constraints = {{"C4", "dtype must be floating point"}, {"C5", "std must not be negative"}},
       .infer = infer_normal,
       .reference = reference_normal,
       .cost = [](const Node& node) { return streaming_cost(node, 60); },
       .cases = normal_cases,
       .bad_cases = normal_bad_cases},
      DType::f32);
  static const OpDef bernoulli =
      rng_record({.name = "rng_bernoulli",
                  .summary = "1 with the given probability, else 0",
                  .formula = "y[i] = u(seed, stream, step, i) < probability",
                  .attrs = {{"probability", AttrKind::real, "of a 1"}},
                  .constraints = {{"C4", "probability must be from 0 to 1"}},
                  .infer = infer_bernoulli,
                  .reference = reference_bernoulli,
                  .cases = bernoulli_cases,
                  .bad_cases = bernoulli_bad_cases},
                 DType::boolean);
  static const OpDef* const family[] = {&uniform, &normal, &bernoulli};
  return family;
}

namespace ops {
namespace {

Value add_rng(std::size_t op, const RandomSource& source, const Shape& shape, DType dtype,
              AttrList attrs, SourceLocation loc) {
  attrs.emplace_back("stream", static_cast<std::int64_t>(source.stream));
  attrs.emplace_back("shape", shape.to_vector());
  attrs.emplace_back("dtype", dtype);
  return source.seed.graph()
      .add(*rng_ops()[op], {source.seed, source.step}, std::move(attrs), {}, loc)
      ->output();
}

}  // namespace

Value rng_uniform(const RandomSource& source, const Shape& shape, double low, double high,
                  DType dtype, SourceLocation loc) {
  return add_rng(0, source, shape, dtype, {{"low", low}, {"high", high}}, loc);
}

Value rng_normal(const RandomSource& source, const Shape& shape, double mean, double std,
                 DType dtype, SourceLocation loc) {
  return add_rng(1, source, shape, dtype, {{"mean", mean}, {"std", std}}, loc);
}

Value rng_bernoulli(const RandomSource& source, const Shape& shape, double probability, DType dtype,
                    SourceLocation loc) {
  return add_rng(2, source, shape, dtype, {{"probability", probability}}, loc);
}

}  // namespace ops
}  // namespace ingot
