#include "ingot/ops/window2d.h"

#include <fmt/core.h>

#include <algorithm>

#include "ingot/ops/common.h"

namespace ingot {
namespace {

template <std::size_t kSize>
std::array<std::int64_t, kSize> to_array(const std::vector<std::int64_t>& values) {
  std::array<std::int64_t, kSize> result{};
  std::copy_n(values.begin(), kSize, result.begin());
  return result;
}

bool all_at_least(const std::vector<std::int64_t>& values, std::int64_t low) {
  return std::all_of(values.begin(), values.end(), [&](std::int64_t v) { return v >= low; });
}

}  // namespace

std::int64_t Window2d::extent(int axis) const {
  const auto a = static_cast<std::size_t>(axis);
  return (kernel[a] - 1) * dilation[a] + 1;
}

std::int64_t Window2d::padded(int axis, std::int64_t input) const {
  const auto a = static_cast<std::size_t>(axis);
  return input + padding[2 * a] + padding[2 * a + 1];
}

std::int64_t Window2d::output_size(int axis, std::int64_t input) const {
  const std::int64_t room = padded(axis, input) - extent(axis);
  return room < 0 ? 0 : room / stride[static_cast<std::size_t>(axis)] + 1;
}

std::vector<AttrSpec> window_attrs(std::vector<AttrSpec> own, bool with_dilation) {
  using Integers = std::vector<std::int64_t>;
  const std::vector<AttrSpec> shared{
      {"stride", AttrKind::integers, "steps along height and width", AttrValue(Integers{1, 1})},
      {"padding", AttrKind::integers, "rows and columns added at top, bottom, left, right",
       AttrValue(Integers{0, 0, 0, 0})},
      {"dilation", AttrKind::integers, "distance of taps along height and width",
       AttrValue(Integers{1, 1})}};
  own.insert(own.end(), shared.begin(), with_dilation ? shared.end() : shared.end() - 1);
  return own;
}

std::vector<Constraint> window_constraints() {
  return {{"W1", "stride must be two numbers of at least 1", "give {vertical, horizontal}"},
          {"W2", "padding must be four numbers of at least 0", "give {top, bottom, left, right}"},
          {"W3", "dilation must be two numbers of at least 1",
           "1 is an ordinary kernel, 2 leaves one element between taps"},
          {"W4", "kernel must be at least 1x1"},
          {"W5", "kernel must fit into the padded input",
           "pad the input, or use a smaller kernel or dilation"}};
}

std::vector<BadCase> window_bad_cases(std::string_view op, const std::vector<TensorType>& inputs,
                                      const AttrList& attrs, bool with_dilation) {
  std::vector<BadCase> bad;
  const auto add = [&](std::string name, std::vector<std::int64_t> values, std::string_view id) {
    std::string rule;
    for (const Constraint& constraint : window_constraints()) {
      if (constraint.id == id) rule = constraint.text;
    }
    const std::string message =
        fmt::format("{} \"op\": {}, got {} {}", op, rule, name, list_text(values));
    AttrList changed = attrs;
    std::erase_if(changed, [&](const NamedAttr& attr) { return attr.name == name; });
    changed.emplace_back(name, std::move(values));
    bad.push_back({"wrong " + name, inputs, std::move(changed), id, message});
  };
  add("stride", {2, 0}, "W1");
  add("padding", {1, 1, 1, -1}, "W2");
  if (with_dilation) add("dilation", {0, 1}, "W3");
  return bad;
}

Window2d check_window(const InferContext& ctx, std::array<std::int64_t, 2> kernel,
                      std::array<std::int64_t, 2> input, bool with_dilation) {
  Window2d window;
  window.kernel = kernel;
  const auto check = [&](std::string_view name, std::size_t size, std::int64_t low,
                         std::string_view rule) -> const std::vector<std::int64_t>& {
    const std::vector<std::int64_t>& values = ctx.integers(name);
    ctx.require(values.size() == size && all_at_least(values, low), rule,
                [&] { return fmt::format("{} {}", name, list_text(values)); });
    return values;
  };
  window.stride = to_array<2>(check("stride", 2, 1, "W1"));
  window.padding = to_array<4>(check("padding", 4, 0, "W2"));
  if (with_dilation) window.dilation = to_array<2>(check("dilation", 2, 1, "W3"));
  ctx.require(kernel[0] >= 1 && kernel[1] >= 1, "W4",
              [&] { return fmt::format("{}x{}", kernel[0], kernel[1]); });
  ctx.require(
      window.output_size(0, input[0]) > 0 && window.output_size(1, input[1]) > 0, "W5", [&] {
        return fmt::format("kernel {}x{} on padded input {}x{}", window.extent(0), window.extent(1),
                           window.padded(0, input[0]), window.padded(1, input[1]));
      });
  return window;
}

Window2d window_of(const Node& node, std::array<std::int64_t, 2> kernel) {
  Window2d window;
  window.kernel = kernel;
  window.stride = to_array<2>(node.integers("stride"));
  window.padding = to_array<4>(node.integers("padding"));
  if (node.op().attr_index("dilation") >= 0) {
    window.dilation = to_array<2>(node.integers("dilation"));
  }
  return window;
}

std::vector<BatchResult> image_batch(const Node&, std::span<const int> input_axes) {
  const auto has_batch = [](int axis) { return axis >= 0; };
  if (std::none_of(input_axes.begin(), input_axes.end(), has_batch)) return {{BatchKind::none, -1}};
  if (input_axes[0] == 0 && std::none_of(input_axes.begin() + 1, input_axes.end(), has_batch)) {
    return {{BatchKind::kept, 0}};
  }
  return {{BatchKind::mixed, -1}};
}

AttrList image_rebatch(const Node& node, std::span<const int>, std::int64_t items) {
  return with_batch_dim(node, "input_shape", 0, items);
}

std::string list_text(const std::vector<std::int64_t>& values) {
  return to_string(AttrValue(values));
}

std::vector<double> read_all(const HostView& view) {
  std::vector<double> values(static_cast<std::size_t>(view.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = view.get(static_cast<std::int64_t>(i));
  }
  return values;
}

void write_all(const HostView& view, const std::vector<double>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    view.set(static_cast<std::int64_t>(i), values[i]);
  }
}

}  // namespace ingot
