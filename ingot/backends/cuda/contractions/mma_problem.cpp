#include "ingot/backends/cuda/contractions/mma_problem.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "ingot/backends/cuda/contractions/contract_problem.h"
#include "ingot/backends/cuda/kernels/map_kernel.h"
#include "ingot/backends/cuda/kernels/strides.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/conv2d_shape.h"

namespace ingot::cuda {
namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// The most bytes that a copy may have where runs of neighbours have these lengths and starts.
int copy_bytes(DType dtype, std::initializer_list<std::int64_t> lengths) {
  const auto size = static_cast<std::int64_t>(dtype_size(dtype));
  for (const std::int64_t bytes : {16, 8, 4}) {
    if (bytes < size) break;
    const bool fits = std::ranges::all_of(
        lengths, [&](std::int64_t length) { return length * size % bytes == 0; });
    if (fits) return static_cast<int>(bytes);
  }
  return 0;
}

/// Length of runs along axis `n` of a result, when all starts are at multiples of it.
std::int64_t run_of(const Strides& s, std::size_t n, std::int64_t length) {
  if (s.step[n] != 1) return 1;
  for (std::size_t axis = 0; axis < s.step.size(); ++axis) {
    if (axis != n) length = std::gcd(length, s.step[axis]);
  }
  return length;
}

/// An operand with one stride along m or n and one along k, both of known length.
std::string linear_text(std::int64_t size, std::int64_t step, std::int64_t k_step,
                        std::int64_t group_step) {
  return fmt::format(
      "struct Fixed {{ Index at; bool in; }};\ntypedef Fixed Inner;\n"
      "Fixed fixed(int i) const {{ return {{(Index)i * {} + (Index)g * {}, i < {}}}; }}\n"
      "Inner inner(int k) const {{ return {{(Index)k * {}, k < k1}}; }}\n"
      "Index index(const Fixed& f, const Inner& i, bool& inside) const {{ inside = f.in && i.in; "
      "return f.at + i.at; }}\n",
      step, group_step, size, k_step);
}

/// An image read at a pixel moved by a tap; `pixel_first`: the pixel is m or n, the tap k.
struct ImageTexts {
  std::string pixel;  ///< declares image, y and x from p
  std::string tap;    ///< declares dy, dx (signed) and c from t
  std::int64_t pixels = 0;
  std::int64_t taps = 0;  ///< number of t
  std::int64_t channels;  ///< that exist in a group
  std::int64_t height = 0, width = 0;
  bool bounded = true;  ///< whether y + dy, x + dx may be outside
  std::int64_t group_channels = 0;
  std::string group = std::string(1, 'g');
};

std::string image_text(const ImageTexts& image, const Strides& s, bool pixel_first) {
  const std::string pixel_limit = pixel_first ? std::to_string(image.pixels) : "k1";
  const std::string tap_limit = pixel_first ? "k1" : std::to_string(image.taps);
  std::string text =
      "struct Spot { int y, x; Index at; };\nstruct Shift { int dy, dx; Index at; };\n";
  text += fmt::format(
      "Spot spot(int p) const {{\n{}return {{p < {} ? y : -(1 << 28), x, (Index)image * {} + "
      "(Index)y * {} + (Index)x * {}}};\n}}\n",
      image.pixel, pixel_limit, s.step[0], s.step[2], s.step[3]);
  text += fmt::format(
      "Shift shift(int t) const {{\n{}return {{t < {} && c < {} ? dy : 1 << 26, dx, (Index)dy * {} "
      "+ (Index)dx * {} + (Index)(c + ({}) * {}) * {}}};\n}}\n",
      image.tap, tap_limit, image.channels, s.step[2], s.step[3], image.group, image.group_channels,
      s.step[1]);
  const std::string_view spot = pixel_first ? "Fixed" : "Inner";
  const std::string_view shift = pixel_first ? "Inner" : "Fixed";
  text += fmt::format(
      "typedef Spot {0};\ntypedef Shift {1};\n{0} {2}(int i) const {{ return spot(i); }}\n{1} "
      "{3}(int i) const {{ return shift(i); }}\n",
      spot, shift, pixel_first ? "fixed" : "inner", pixel_first ? "inner" : "fixed");
  text += fmt::format(
      "Index index(const Fixed& fixed, const Inner& inner, bool& inside) const {{\n"
      "const Spot& p = {};\nconst Shift& t = {};\ninside = (u32)(p.y + t.dy) < {}u{};\n"
      "return p.at + t.at;\n}}\n",
      pixel_first ? "fixed" : "inner", pixel_first ? "inner" : "fixed", image.height,
      image.bounded ? fmt::format(" && (u32)(p.x + t.dx) < {}u", image.width) : "");
  return text;
}

/// What the three convolutions have in common.
class Conv {
 public:
  Conv(const Node& node, const Region& region)
      : node_(node), region_(region), s_(conv2d_shape(node)) {}

  Support run(MmaProblem& p) {
    const auto output = strides_of(node_.outputs().front().layout, node_.output_type().shape);
    const auto first = strides_of(node_.input(0));
    const auto second = strides_of(node_.input(1));
    if (!output || !first || !second) return Support::no("a layout has no strides");
    if (s_.groups > 1) {
      const std::int64_t block = 16 / static_cast<std::int64_t>(dtype_size(p.dtype));
      if (s_.group_in() % block != 0 || s_.group_out() % block != 0) {
        return Support::no("a group's channels are no multiple of 16 bytes");
      }
    }
    p.groups = s_.groups;
    p.constants += fmt::format("const int OH = {}, OW = {}, KH = {}, KW = {};\n", s_.out_h,
                               s_.out_w, s_.window.kernel[0], s_.window.kernel[1]);
    switch (conv2d_operands(node_.op())->kind) {
      case ConvKind::input_grad: return input_problem(p, *first, *second, *output);
      case ConvKind::weight_grad: return weight_problem(p, *first, *second, *output);
      case ConvKind::forward: break;
    }
    return forward_problem(p, *first, *second, *output);
  }

 private:
  /// Channels as the sum or the result counts them: padded where a copy's size asks for it.
  [[nodiscard]] std::int64_t counted(std::int64_t channels, std::int64_t padded) const {
    const std::int64_t block =
        16 / static_cast<std::int64_t>(dtype_size(node_.input_type(0).dtype));
    return s_.groups == 1 && channels % block != 0 ? padded : channels;
  }

  /// Copies of an image's channels; 4 bytes along pixels where those are the neighbours.
  Support image_copies(MmaOperand& operand, const Strides& s, std::int64_t channels,
                       std::int64_t group_channels, bool pixel_is_k) const {
    const DType dtype = node_.input_type(0).dtype;
    if (s.step[1] == 1) {
      operand.k_lines = pixel_is_k;
      operand.copy_bytes =
          copy_bytes(dtype, {channels, s.extent[1], group_channels * (s_.groups > 1), s.step[0],
                             s.step[2], s.step[3]});
    } else {
      operand.k_lines = !pixel_is_k;
      operand.copy_bytes = dtype_size(dtype) == 4 ? 4 : 0;
    }
    if (operand.copy_bytes == 0) return Support::no("an operand has no copies of 4 bytes");
    return Support::yes();
  }

  /// Pixels of the output with what input they read.
  [[nodiscard]] ImageTexts input_image(std::int64_t channels) const {
    const Window2d& w = s_.window;
    ImageTexts image;
    image.pixel = fmt::format(
        "const u32 image = (u32)p / (OH * OW);\nconst int y = (int)((u32)p / OW % OH) * {} - {}, x "
        "= (int)((u32)p % OW) * {} - {};\n",
        w.stride[0], w.padding[0], w.stride[1], w.padding[2]);
    image.tap = fmt::format(
        "const u32 tap = (u32)t / {0}u;\nconst int c = (u32)t % {0}u, dy = (int)(tap / KW) * {1}, "
        "dx = (int)(tap % KW) * {2};\n",
        channels, w.dilation[0], w.dilation[1]);
    image.pixels = s_.batch * s_.out_h * s_.out_w;
    image.taps = s_.taps() * channels;
    image.height = s_.in_h;
    image.width = s_.in_w;
    image.bounded = std::ranges::any_of(w.padding, [](std::int64_t p) { return p != 0; });
    image.group_channels = s_.group_in();
    return image;
  }

  static std::string place(const Strides& s) {
    std::vector<std::string> names{"c0", "c1", "c2", "c3"};
    return fmt::format("const i64 at = {};\n", offset_text(names, s.step));
  }

  Support forward_problem(MmaProblem& p, const Strides& x, const Strides& w, const Strides& y) {
    const std::int64_t c = counted(s_.group_in(), x.extent[1]);
    p.m = s_.batch * s_.out_h * s_.out_w;
    p.n = s_.groups == 1 ? y.extent[1] : s_.group_out();
    p.k = s_.taps() * c;
    p.a.pointer = operand_pointer(region_, node_, 0);
    p.b.pointer = operand_pointer(region_, node_, 1);
    ImageTexts image = input_image(c);
    image.channels = std::min(c, s_.groups == 1 ? x.extent[1] : c);
    p.a.text = image_text(image, x, true);
    if (const Support a = image_copies(p.a, x, c, s_.group_in(), false); !a) return a;
    p.a.near = s_.taps() > 1;
    weights(p.b, w, c, s_.group_out());
    if (p.b.copy_bytes == 0) return Support::no("weights have no copies of 4 bytes");
    p.coordinates = fmt::format(
        "const u32 pixel = m, c0 = pixel / (OH * OW), c1 = g * {} + n, c2 = pixel / OW % OH, c3 = "
        "pixel % OW;\n",
        s_.group_out());
    p.coordinates += place(y);
    if (p.n > s_.group_out()) p.is_padding = fmt::format("n >= {}", s_.group_out());
    p.n_fast = y.step[1] == 1;
    p.n_run = run_of(y, 1, p.n);
    return Support::yes();
  }

  /// Weights with k = (tap, channel): fixed is the output's channel.
  void weights(MmaOperand& operand, const Strides& w, std::int64_t c,
               std::int64_t group_out) const {
    const bool packed = w.step[1] == 1 && w.extent[1] == c && w.step[3] == c &&
                        w.step[2] == c * s_.window.kernel[1];
    operand.text = fmt::format(
        "struct Fixed {{ Index at; bool in; }};\ntypedef Fixed Inner;\n"
        "Fixed fixed(int i) const {{ return {{(Index)(g * {0} + i) * {1}, i < {0}}}; }}\n",
        group_out, w.step[0]);
    if (packed) {
      operand.text += "Inner inner(int k) const { return {(Index)k, k < k1}; }\n";
    } else {
      operand.text += fmt::format(
          "Inner inner(int k) const {{ const u32 tap = (u32)k / {0}u, c = (u32)k % {0}u; return "
          "{{(Index)(tap / KW) * {1} + (Index)(tap % KW) * {2} + (Index)c * {3}, k < k1 && c < "
          "{4}}}; }}\n",
          c, w.step[2], w.step[3], w.step[1], w.extent[1]);
    }
    operand.text +=
        "Index index(const Fixed& f, const Inner& i, bool& inside) const { inside = f.in && i.in; "
        "return f.at + i.at; }\n";
    operand.k_lines = false;
    const DType dtype = node_.input_type(0).dtype;
    operand.copy_bytes = w.step[1] == 1
                             ? copy_bytes(dtype, {c, w.extent[1], w.step[0], w.step[2], w.step[3]})
                             : (dtype_size(dtype) == 4 ? 4 : 0);
  }

  Support weight_problem(MmaProblem& p, const Strides& x, const Strides& dy, const Strides& dw) {
    const std::int64_t c = s_.groups == 1
                               ? std::max(dw.extent[1], counted(s_.group_in(), x.extent[1]))
                               : s_.group_in();
    p.m = s_.group_out();
    p.n = s_.taps() * c;
    p.k = s_.batch * s_.out_h * s_.out_w;
    p.a.pointer = operand_pointer(region_, node_, 1);
    p.b.pointer = operand_pointer(region_, node_, 0);
    // The gradient at a pixel of its own: a tap of one place.
    ImageTexts own;
    own.pixel =
        "const u32 image = (u32)p / (OH * OW);\nconst int y = (u32)p / OW % OH, x = (u32)p % OW;\n";
    own.tap = "const int c = t, dy = 0, dx = 0;\n";
    own.pixels = p.k;
    own.taps = s_.group_out();
    own.channels = s_.group_out();
    own.height = s_.out_h;
    own.width = s_.out_w;
    own.bounded = false;
    own.group_channels = s_.group_out();
    p.a.text = image_text(own, dy, false);
    if (const Support a = image_copies(p.a, dy, s_.group_out(), s_.group_out(), true); !a) return a;
    ImageTexts image = input_image(c);
    image.channels = s_.groups == 1 ? std::min(c, x.extent[1]) : c;
    p.b.text = image_text(image, x, false);
    if (const Support b = image_copies(p.b, x, c, s_.group_in(), true); !b) return b;
    p.b.near = s_.taps() > 1;
    p.coordinates = fmt::format(
        "const u32 tap = n / {0}, c0 = g * {1} + m, c1 = n % {0}, c2 = tap / KW, c3 = tap % KW;\n",
        c, s_.group_out());
    p.coordinates += place(dw);
    if (c > s_.group_in()) {
      p.is_padding = fmt::format("c1 >= {}", s_.group_in());
      if (c > dw.extent[1]) p.exists = fmt::format("c1 < {}", dw.extent[1]);
    }
    p.n_fast = dw.step[1] == 1 || dw.step[0] != 1;
    p.n_run = run_of(dw, 1, std::gcd(c, dw.extent[1]));
    return Support::yes();
  }

  /// Pixels of one remainder by the strides form a group of their own: they meet the same taps,
  /// every stride-th of the kernel.
  Support input_problem(MmaProblem& p, const Strides& dy, const Strides& w, const Strides& dx) {
    const Window2d& win = s_.window;
    const std::array<std::int64_t, 2> r{win.stride[0], win.stride[1]};
    if ((r[0] > 1 || r[1] > 1) && (win.dilation[0] > 1 || win.dilation[1] > 1)) {
      return Support::no("it has a stride and a dilation");
    }
    const std::int64_t hh = ceil_div(s_.in_h, r[0]);
    const std::int64_t ww = ceil_div(s_.in_w, r[1]);
    const std::int64_t o = counted(s_.group_out(), dy.extent[1]);
    p.groups = s_.groups * r[0] * r[1];
    p.m = s_.batch * hh * ww;
    p.n = s_.groups == 1 ? dx.extent[1] : s_.group_in();
    const std::int64_t th = ceil_div(win.kernel[0], r[0]);
    const std::int64_t tw = ceil_div(win.kernel[1], r[1]);
    p.k = o * th * tw;
    p.mean_terms = static_cast<double>(o * s_.taps()) / static_cast<double>(r[0] * r[1]);
    p.constants += fmt::format("const int RH = {}, RW = {}, HH = {}, WW = {}, PT = {}, PL = {};\n",
                               r[0], r[1], hh, ww, win.padding[0], win.padding[2]);
    const std::string residue =
        "const int rh = g / RW % RH, rw = g % RW, gg = g / (RH * RW);\n"
        "const int fh = (rh + PT) % RH, fw = (rw + PL) % RW;\n"
        "const int nh = (KH - fh + RH - 1) / RH, nw = (KW - fw + RW - 1) / RW;\n";
    p.group_text = residue;
    p.terms = fmt::format("nh * nw * {}", o);
    p.a.pointer = operand_pointer(region_, node_, 0);
    p.b.pointer = operand_pointer(region_, node_, 1);
    ImageTexts image;
    image.pixel = residue;
    image.pixel +=
        "const u32 image = (u32)p / (HH * WW);\n"
        "const int y = (int)((u32)p / WW % HH) + (rh + PT) / RH, x = (int)((u32)p % WW) + (rw + "
        "PL) / RW;\n";
    std::string tap = residue;
    tap += fmt::format(
        "const u32 tap = (u32)@ / {0}u;\nconst int c = (u32)@ % {0}u, i = {1}, j = {2};\n", o,
        r[1] == 1 ? "tap / KW" : "nw > 1 ? tap / nw : tap",
        r[1] == 1 ? "tap % KW" : "nw > 1 ? tap % nw : 0");
    const auto with = [&tap](char name) {
      std::string text = tap;
      std::ranges::replace(text, '@', name);
      return text;
    };
    image.tap = with('t');
    image.tap +=
        fmt::format("const int dy = -i * {}, dx = -j * {};\n", win.dilation[0], win.dilation[1]);
    image.pixels = p.m;
    image.channels = std::min(o, s_.groups == 1 ? dy.extent[1] : o);
    image.height = s_.out_h;
    image.width = s_.out_w;
    image.group_channels = s_.group_out();
    image.group = std::string("g / (RH * RW)");
    p.a.text = image_text(image, dy, true);
    if (const Support a = image_copies(p.a, dy, o, s_.group_out(), false); !a) return a;
    p.a.near = th * tw > 1;
    p.b.text = fmt::format(
        "struct Fixed {{ Index at; bool in; }};\ntypedef Fixed Inner;\n"
        "Fixed fixed(int n) const {{ return {{(Index)n * {}, n < {}}}; }}\n"
        "Inner inner(int k) const {{\n{}return {{(Index)(gg * {} + c) * {} + (Index)(fh + i * RH) "
        "* "
        "{} + (Index)(fw + j * RW) * {}, k < k1 && c < {}}};\n}}\n"
        "Index index(const Fixed& f, const Inner& i, bool& inside) const {{ inside = f.in && i.in; "
        "return f.at + i.at; }}\n",
        w.step[1], w.extent[1], with('k'), s_.group_out(), w.step[0], w.step[2], w.step[3],
        s_.group_out());
    p.b.k_lines = true;
    const DType dtype = node_.input_type(0).dtype;
    p.b.copy_bytes = w.step[1] == 1
                         ? copy_bytes(dtype, {w.extent[1], w.step[0], w.step[2], w.step[3]})
                         : (dtype_size(dtype) == 4 ? 4 : 0);
    if (p.b.copy_bytes == 0) return Support::no("weights have no copies of 4 bytes");
    p.coordinates = residue;
    p.coordinates += fmt::format(
        "const u32 pixel = m, c0 = pixel / (HH * WW), c1 = gg * {} + n, c2 = pixel / WW % HH * RH "
        "+ rh, c3 = pixel % WW * RW + rw;\n",
        s_.group_in());
    p.coordinates += place(dx);
    if (s_.in_h % r[0] != 0 || s_.in_w % r[1] != 0) {
      p.exists = fmt::format("c2 < {} && c3 < {}", s_.in_h, s_.in_w);
    }
    if (p.n > s_.group_in()) p.is_padding = fmt::format("n >= {}", s_.group_in());
    p.n_fast = dx.step[1] == 1;
    p.n_run = run_of(dx, 1, p.n);
    return Support::yes();
  }

  const Node& node_;
  const Region& region_;
  Conv2dShape s_;
};

Support matmul_problem(const Node& node, const Region& region, MmaProblem& p) {
  const bool ta = node.attr<bool>("transpose_a");
  const bool tb = node.attr<bool>("transpose_b");
  const Shape& out = node.output_type().shape;
  const int rank = out.rank();
  const auto a = strides_of(node.input(0));
  const auto b = strides_of(node.input(1));
  const auto y = strides_of(node.outputs().front().layout, out);
  if (!a || !b || !y) return Support::no("a layout has no strides");
  if (rank > 2 && !(node.input(0).layout().is_plain() && node.input(1).layout().is_plain())) {
    return Support::no("a batch of matrices is not plain");
  }
  if (y->extent[static_cast<std::size_t>(rank - 1)] != out[rank - 1]) {
    return Support::no("the result is padded");
  }
  const auto at = [rank](const Strides& s, bool last) {
    return s.step[static_cast<std::size_t>(rank - (last ? 1 : 2))];
  };
  p.m = out[rank - 2];
  p.n = out[rank - 1];
  p.k = node.input_type(0).shape[ta ? rank - 2 : rank - 1];
  for (int axis = 0; axis < rank - 2; ++axis) p.groups *= out[axis];
  const auto operand = [&](MmaOperand& to, const Strides& s, std::size_t index, bool transposed,
                           std::int64_t size, bool is_a) {
    // Lines of the operand as logical rows: m x k or k x n.
    const std::int64_t row = at(s, transposed);
    const std::int64_t column = at(s, !transposed);
    const std::int64_t step = is_a ? row : column;
    const std::int64_t k_step = is_a ? column : row;
    to.pointer = operand_pointer(region, node, index);
    to.text = linear_text(size, step, k_step, size * p.k);
    to.k_lines = step == 1 && k_step != 1;
    const DType dtype = node.input_type(0).dtype;
    if (step != 1 && k_step != 1) {
      to.copy_bytes = dtype_size(dtype) == 4 ? 4 : 0;
    } else {
      to.copy_bytes = copy_bytes(dtype, {to.k_lines ? size : p.k, to.k_lines ? k_step : step,
                                         p.groups > 1 ? size * p.k : 0});
    }
  };
  operand(p.a, *a, 0, ta, p.m, true);
  operand(p.b, *b, 1, tb, p.n, false);
  if (p.a.copy_bytes == 0 || p.b.copy_bytes == 0) {
    return Support::no("an operand has no copies of 4 bytes");
  }
  Shape lead;
  for (int axis = 0; axis < rank - 2; ++axis) lead.push_back(out[axis]);
  write_decode(p.coordinates, "c", "g", lead);
  p.coordinates += fmt::format("const u32 c{} = m, c{} = n;\n", rank - 2, rank - 1);
  std::vector<std::string> names;
  for (int axis = 0; axis < rank; ++axis) names.push_back(fmt::format("c{}", axis));
  p.coordinates += fmt::format("const i64 at = {};\n", offset_text(names, y->step));
  p.n_fast = at(*y, true) == 1;
  p.n_run = run_of(*y, static_cast<std::size_t>(rank - 1), p.n);
  return Support::yes();
}

bool is_large(const Value& value) {
  return value.layout().physical_numel(value.shape()) >= std::int64_t{1} << 30;
}

}  // namespace

Support mma_problem(const Node& node, const Region& region, MmaProblem& problem) {
  problem.dtype = node.input_type(0).dtype;
  problem.layout = node.outputs().front().layout;
  const bool large = std::ranges::any_of(node.inputs(), is_large);
  const std::string index = large ? "typedef i64 Index;\n" : "typedef int Index;\n";
  Support support = conv2d_operands(node.op()) ? Conv(node, region).run(problem)
                                               : matmul_problem(node, region, problem);
  if (!support) return support;
  constexpr std::int64_t kMost = std::numeric_limits<int>::max() / 2;
  if (const Support counts = check_counts(problem.m * problem.groups, problem.n, problem.k, kMost);
      !counts) {
    return counts;
  }
  for (MmaOperand* operand : {&problem.a, &problem.b}) {
    operand->text.insert(0, index + fmt::format("enum {{ NEAR = {} }};\n", operand->near ? 1 : 0));
  }
  if (problem.terms.empty()) problem.terms = std::to_string(problem.k);
  if (problem.mean_terms == 0) problem.mean_terms = static_cast<double>(problem.k);
  return Support::yes();
}

}  // namespace ingot::cuda
