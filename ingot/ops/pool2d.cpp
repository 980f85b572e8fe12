#include "ingot/ops/pool2d.h"

#include <fmt/core.h>

#include <algorithm>

#include "ingot/ops/common.h"

namespace ingot {
namespace {

/// Whether each window position along the axis has a tap inside the input.
bool every_window_holds_an_element(const Window2d& window, int axis, std::int64_t input) {
  for (std::int64_t out = 0; out < window.output_size(axis, input); ++out) {
    bool inside = false;
    for (std::int64_t k = 0; k < window.kernel[static_cast<std::size_t>(axis)]; ++k) {
      const std::int64_t source = window.source(axis, out, k);
      inside = inside || (source >= 0 && source < input);
    }
    if (!inside) return false;
  }
  return true;
}

Pool2dShape make_shape(const Shape& input, const Window2d& window) {
  const Shape output{input[0], input[1], window.output_size(0, input[2]),
                     window.output_size(1, input[3])};
  return {input, output, window};
}

template <std::size_t kSize>
std::vector<std::int64_t> to_vector(const std::array<std::int64_t, kSize>& values) {
  return {values.begin(), values.end()};
}

template <typename Options>
AttrList window_values(const Options& options) {
  return {{"kernel", to_vector(options.kernel)},
          {"stride", to_vector(options.stride.value_or(options.kernel))},
          {"padding", to_vector(options.padding)}};
}

}  // namespace

bool is_pool2d(const Node& node) {
  const OpDef& op = node.op();
  return op.inputs.size() == 1 && op.attr_index("kernel") >= 0 && op.attr_index("input_shape") < 0;
}

bool is_max_pool2d(const Node& node) {
  return is_pool2d(node) && node.op().attr_index("count_include_pad") < 0;
}

Pool2dShape pool2d_shape(const Node& node) {
  const Shape input = node.op().attr_index("input_shape") >= 0 ? Shape(node.integers("input_shape"))
                                                               : node.input_type(0).shape;
  const std::vector<std::int64_t>& kernel = node.integers("kernel");
  return make_shape(input, window_of(node, {kernel[0], kernel[1]}));
}

std::vector<AttrSpec> pool2d_attrs(std::vector<AttrSpec> own, bool with_dilation) {
  const AttrSpec kernel{"kernel", AttrKind::integers, "height and width of a window"};
  own.push_back(kernel);
  return window_attrs(std::move(own), with_dilation);
}

std::vector<Constraint> pool2d_constraints(std::string_view input_rank, bool with_dilation,
                                           bool has_pooled_operand) {
  std::vector<Constraint> constraints{
      {"C1", "operands must be floating point", "convert them with cast"},
      {"C2", input_rank, "add a batch dimension: reshape [C, H, W] to [1, C, H, W]"},
      {"C3", "kernel must be two numbers of at least 1", "give {height, width}"},
      {"C4", "every window must hold an element of the input", "use less padding"}};
  if (has_pooled_operand) {
    constraints.push_back({"C5", "pooled operands must have the type of the pool's result"});
  }
  for (const Constraint& constraint : window_constraints()) {
    // C3 says already what W4 would.
    if (constraint.id == "W4" || (constraint.id == "W3" && !with_dilation)) continue;
    constraints.push_back(constraint);
  }
  return constraints;
}

Pool2dShape check_pool2d(const InferContext& ctx, const Shape& input, bool with_dilation) {
  ctx.require(is_float(ctx.input(0).dtype), "C1");
  const bool valid = input.rank() == 4 && std::all_of(input.begin(), input.end(),
                                                      [](std::int64_t dim) { return dim >= 0; });
  ctx.require(valid, "C2", [&] { return input.to_string(); });
  const std::vector<std::int64_t>& kernel = ctx.integers("kernel");
  ctx.require(kernel.size() == 2 && kernel[0] >= 1 && kernel[1] >= 1, "C3",
              [&] { return fmt::format("kernel {}", list_text(kernel)); });
  const Window2d window =
      check_window(ctx, {kernel[0], kernel[1]}, {input[2], input[3]}, with_dilation);
  ctx.require(every_window_holds_an_element(window, 0, input[2]) &&
                  every_window_holds_an_element(window, 1, input[3]),
              "C4", [&] {
                return fmt::format("kernel {}, padding {} on {}", list_text(kernel),
                                   list_text(ctx.integers("padding")), input.to_string());
              });
  return make_shape(input, window);
}

void check_pooled_operand(const InferContext& ctx, std::size_t i, const Pool2dShape& shape) {
  const TensorType want{ctx.input(0).dtype, shape.output};
  ctx.require(ctx.input(i) == want, "C5",
              [&] { return fmt::format("{} for {}", ctx.input(i).to_string(), want.to_string()); });
}

Cost pool2d_cost(const Node& node) {
  Cost cost = streaming_cost(node, 0);
  const Pool2dShape shape = pool2d_shape(node);
  cost.flops = static_cast<double>(shape.output.numel()) * static_cast<double>(shape.taps());
  return cost;
}

std::int64_t pool2d_taps(const Node& node) { return pool2d_shape(node).taps(); }

AttrList to_attrs(const MaxPool2dOptions& options) {
  AttrList attrs = window_values(options);
  attrs.emplace_back("dilation", to_vector(options.dilation));
  return attrs;
}

AttrList to_attrs(const AvgPool2dOptions& options) {
  AttrList attrs = window_values(options);
  attrs.emplace_back("count_include_pad", options.count_include_pad);
  return attrs;
}

AvgPool2dOptions avg_pool2d_options(const Node& node) {
  const Window2d window = pool2d_shape(node).window;
  return {window.kernel, window.stride, window.padding, node.attr<bool>("count_include_pad")};
}

std::vector<double> avg_pool2d_scale(const Node& node) {
  const Pool2dShape shape = pool2d_shape(node);
  std::vector<double> count(static_cast<std::size_t>(shape.output.numel()), 0.0);
  for_each_pool2d_tap(shape, [&](std::size_t yi, std::size_t) { count[yi] += 1.0; });
  const bool all = node.attr<bool>("count_include_pad");
  for (double& c : count) c = 1.0 / (all ? static_cast<double>(shape.taps()) : c);
  return count;
}

}  // namespace ingot
