#include "tests/backends/support/mma_case.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ingot/base/philox.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/conv2d_shape.h"
#include "ingot/ops/op_list.h"

namespace ingot {
namespace {

Layout channels_last(const Shape& shape, DType dtype, bool is_weight) {
  const auto block = static_cast<std::int64_t>(16 / dtype_size(dtype));
  std::vector<Layout::Block> blocks;
  if (shape[1] % block != 0) blocks.push_back({1, is_weight || shape[1] < 8 ? block : 8});
  return Layout({0, 2, 3, 1}, blocks);
}

/// The Node with its operands as placeholders.
std::unique_ptr<Graph> graph_of(const MmaCase& p) {
  auto graph = std::make_unique<Graph>();
  const auto operand = [&](const char* name, const Shape& shape, const Layout& layout) {
    const Value value = graph->placeholder(name, {p.dtype, shape});
    value.node()->set_layout(0, layout);
    return value;
  };
  Node* node = nullptr;
  if (p.kind == MmaKind::product) {
    const Shape a = p.transpose_a ? Shape{p.in, p.batch} : Shape{p.batch, p.in};
    const Shape b = p.transpose_b ? Shape{p.out, p.in} : Shape{p.in, p.out};
    const AttrList attrs{{"transpose_a", p.transpose_a}, {"transpose_b", p.transpose_b}};
    node = graph->add(matmul_op(), {operand("a", a, {}), operand("b", b, {})}, attrs);
  } else {
    Conv2dOptions options;
    options.stride = {p.stride, p.stride};
    const std::int64_t pad = p.kernel / 2;
    options.padding = {pad, pad, pad, pad};
    const std::int64_t side = (p.image + 2 * pad - p.kernel) / p.stride + 1;
    const Shape x{p.batch, p.in, p.image, p.image};
    const Shape w{p.out, p.in, p.kernel, p.kernel};
    const Shape y{p.batch, p.out, side, side};
    const Layout lx = p.plain_input ? Layout{} : channels_last(x, p.dtype, false);
    const Layout lw = channels_last(w, p.dtype, true);
    const Layout ly = channels_last(y, p.dtype, false);
    AttrList attrs = to_attrs(options);
    if (p.kind == MmaKind::forward) {
      node = graph->add(conv2d_op(), {operand("x", x, lx), operand("w", w, lw)}, attrs);
      node->set_layout(0, ly);
    } else if (p.kind == MmaKind::input_grad) {
      attrs.emplace_back("input_shape", x.to_vector());
      node = graph->add(conv2d_input_grad_op(), {operand("g", y, ly), operand("w", w, lw)}, attrs);
      node->set_layout(0, lx);
    } else {
      attrs.emplace_back("weight_shape", w.to_vector());
      node = graph->add(conv2d_weight_grad_op(), {operand("x", x, lx), operand("g", y, ly)}, attrs);
      node->set_layout(0, lw);
    }
  }
  graph->fetch("y", node->output());
  return graph;
}

float round_to(float value, DType dtype) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, 4);
  const std::uint32_t half = 0x7fffU + ((bits >> 16) & 1U);
  if (dtype == DType::bf16) bits = (bits + half) & 0xffff0000U;
  std::memcpy(&value, &bits, 4);
  return value;
}

double read(const std::vector<std::byte>& bytes, DType dtype, std::int64_t at) {
  const auto place = static_cast<std::size_t>(at);
  std::uint32_t bits = 0;
  if (dtype == DType::f32) {
    std::memcpy(&bits, bytes.data() + 4 * place, 4);
  } else {
    std::uint16_t high = 0;
    std::memcpy(&high, bytes.data() + 2 * place, 2);
    bits = static_cast<std::uint32_t>(high) << 16;
  }
  float v = 0;
  std::memcpy(&v, &bits, 4);
  return v;
}

struct Sum {
  double value = 0, magnitude = 0;
  void add(double a, double b) {
    value += a * b;
    magnitude += std::abs(a * b);
  }
};

/// One element of the result, summed in double.
Sum reference(const MmaCase& p, const Node& node, const HostData& a, const HostData& b,
              const std::vector<std::int64_t>& c) {
  Sum sum;
  const auto at = [](const HostData& d, const Shape& s, std::initializer_list<std::int64_t> i) {
    std::int64_t flat = 0;
    int axis = 0;
    for (const std::int64_t v : i) flat = flat * s[axis++] + v;
    return d.values[static_cast<std::size_t>(flat)];
  };
  const Shape& sa = node.input_type(0).shape;
  const Shape& sb = node.input_type(1).shape;
  if (p.kind == MmaKind::product) {
    for (std::int64_t k = 0; k < p.in; ++k) {
      sum.add(p.transpose_a ? at(a, sa, {k, c[0]}) : at(a, sa, {c[0], k}),
              p.transpose_b ? at(b, sb, {c[1], k}) : at(b, sb, {k, c[1]}));
    }
    return sum;
  }
  const std::int64_t pad = p.kernel / 2;
  const std::int64_t side = (p.image + 2 * pad - p.kernel) / p.stride + 1;
  if (p.kind == MmaKind::weight_grad) {
    for (std::int64_t n = 0; n < p.batch; ++n) {
      for (std::int64_t y = 0; y < side; ++y) {
        for (std::int64_t x = 0; x < side; ++x) {
          const std::int64_t h = y * p.stride + c[2] - pad;
          const std::int64_t w = x * p.stride + c[3] - pad;
          if (h < 0 || w < 0 || h >= p.image || w >= p.image) continue;
          sum.add(at(a, sa, {n, c[1], h, w}), at(b, sb, {n, c[0], y, x}));
        }
      }
    }
    return sum;
  }
  for (std::int64_t i = 0; i < p.kernel; ++i) {
    for (std::int64_t j = 0; j < p.kernel; ++j) {
      if (p.kind == MmaKind::forward) {
        const std::int64_t h = c[2] * p.stride + i - pad;
        const std::int64_t w = c[3] * p.stride + j - pad;
        if (h < 0 || w < 0 || h >= p.image || w >= p.image) continue;
        for (std::int64_t k = 0; k < p.in; ++k)
          sum.add(at(a, sa, {c[0], k, h, w}), at(b, sb, {c[1], k, i, j}));
      } else {
        const std::int64_t y = c[2] + pad - i;
        const std::int64_t x = c[3] + pad - j;
        if (y < 0 || x < 0 || y % p.stride != 0 || x % p.stride != 0) continue;
        if (y / p.stride >= side || x / p.stride >= side) continue;
        for (std::int64_t o = 0; o < p.out; ++o) {
          sum.add(at(a, sa, {c[0], o, y / p.stride, x / p.stride}), at(b, sb, {o, c[1], i, j}));
        }
      }
    }
  }
  return sum;
}

}  // namespace

Program program_of(const MmaCase& problem) {
  Program program;
  program.graph = graph_of(problem);
  const Node* last = program.graph->nodes().back().get();
  const auto add_slot = [&](const Value& value) {
    Slot slot;
    slot.storage = Slot::Storage::feed;
    slot.value = value;
    slot.root = static_cast<int>(program.slots.size());
    program.slots.push_back(slot);
    return slot.root;
  };
  Launch launch;
  launch.node = last;
  for (const Value& input : last->inputs()) launch.inputs.push_back(add_slot(input));
  launch.outputs.push_back(add_slot(const_cast<Node*>(last)->output()));
  program.main.push_back(std::move(launch));
  return program;
}

HostData random_data(const Value& value, std::uint64_t seed) {
  const Shape& shape = value.shape();
  const DType dtype = value.dtype();
  HostData data;
  data.bytes.resize(static_cast<std::size_t>(value.layout().physical_bytes(value.type())));
  data.values.resize(static_cast<std::size_t>(shape.numel()));
  std::vector<std::int64_t> index(static_cast<std::size_t>(shape.rank()));
  for (std::int64_t i = 0; i < shape.numel(); ++i) {
    std::int64_t rest = i;
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      index[static_cast<std::size_t>(axis)] = rest % shape[axis];
      rest /= shape[axis];
    }
    const double unit =
        philox_to_uniform(philox_word(seed, 0, 0, static_cast<std::uint64_t>(i))) - 0.5;
    const float v = round_to(static_cast<float>(unit), dtype);
    data.values[static_cast<std::size_t>(i)] = v;
    const auto at = static_cast<std::size_t>(value.layout().offset(shape, index.data()));
    if (dtype == DType::f32) {
      std::memcpy(data.bytes.data() + 4 * at, &v, 4);
    } else {
      std::uint32_t bits = 0;
      std::memcpy(&bits, &v, 4);
      const auto high = static_cast<std::uint16_t>(bits >> 16);
      std::memcpy(data.bytes.data() + 2 * at, &high, 2);
    }
  }
  return data;
}

double largest_error(const MmaCase& p, const Node& node, const HostData& a, const HostData& b,
                     const std::vector<std::byte>& result) {
  const Value out = const_cast<Node&>(node).output();
  const Shape& shape = out.shape();
  double worst = 0;
  std::vector<std::int64_t> c(static_cast<std::size_t>(shape.rank()));
  for (std::uint64_t sample = 0; sample < 300; ++sample) {
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const double unit =
          philox_to_uniform(philox_word(99, static_cast<std::uint32_t>(axis), 0, sample));
      // Corners, too.
      c[static_cast<std::size_t>(axis)] =
          sample < 16 ? ((sample >> axis) & 1U) * (shape[axis] - 1)
                      : static_cast<std::int64_t>(unit * static_cast<double>(shape[axis]));
    }
    const Sum want = reference(p, node, a, b, c);
    const double got = read(result, out.dtype(), out.layout().offset(shape, c.data()));
    const double error = std::abs(got - want.value) / std::max(want.magnitude, 1e-6);
    worst = std::isfinite(error) ? std::max(worst, error) : 1e9;
  }
  return worst;
}

void add_conv(std::vector<MmaCase>& list, const std::string& name, DType dtype, std::int64_t batch,
              std::int64_t in, std::int64_t image, std::int64_t out, std::int64_t kernel,
              std::int64_t stride, bool first) {
  const auto add = [&](const char* what, MmaKind kind, bool plain) {
    list.push_back({fmt::format("{} {} {}", name, what, dtype_name(dtype)), kind, dtype, batch, in,
                    image, out, kernel, stride, plain, false, false});
  };
  add("fwd", MmaKind::forward, false);
  add("wgrad", MmaKind::weight_grad, false);
  if (!first) add("dgrad", MmaKind::input_grad, false);
  if (first && dtype == DType::f32) {
    add("fwd nchw", MmaKind::forward, true);
    add("wgrad nchw", MmaKind::weight_grad, true);
  }
}

void add_linear(std::vector<MmaCase>& list, const std::string& name, DType dtype,
                std::int64_t batch, std::int64_t in, std::int64_t out) {
  const auto add = [&](const char* what, std::int64_t m, std::int64_t k, std::int64_t n, bool ta,
                       bool tb) {
    list.push_back({fmt::format("{} {} {}", name, what, dtype_name(dtype)), MmaKind::product, dtype,
                    m, k, 0, n, 1, 1, false, ta, tb});
  };
  add("fwd", batch, in, out, false, true);
  add("dgrad", batch, out, in, false, false);
  add("wgrad", out, batch, in, true, false);
}

}  // namespace ingot
