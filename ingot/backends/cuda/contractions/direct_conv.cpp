#include "ingot/backends/cuda/contractions/direct_conv.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <optional>

#include "ingot/backends/cuda/kernels/map_kernel.h"
#include "ingot/backends/cuda/kernels/stage.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/conv2d_shape.h"
#include "ingot/ops/op_list.h"

namespace ingot::cuda {
namespace {

// Beside what the phase keeps in shared memory.
constexpr std::int64_t kMostShared = 96 << 10;
constexpr double kWarps = kThreads / 32.0;
// From a stage's first load of an operand to its use, and around its last result.
constexpr double kLoadCycles = 500;
constexpr double kStoreCycles = 200;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

/// A convolution of `c` channels of h x w to `o` channels of oh x ow.
struct Sizes {
  std::int64_t c, h, w, o, oh, ow, kh, kw, sh, sw, pt, pl;

  [[nodiscard]] std::int64_t taps() const { return kh * kw; }
  /// Rows and columns of the image with the padding that the windows touch.
  [[nodiscard]] std::int64_t padded_h() const { return (oh - 1) * sh + kh; }
  [[nodiscard]] std::int64_t padded_w(std::int64_t neighbours) const {
    const std::int64_t last = (round_up(ow, neighbours) - neighbours) * sw;
    return round_up(last + round_up((neighbours - 1) * sw + kw, 4), 4);
  }
  [[nodiscard]] std::string text(std::int64_t neighbours) const {
    return fmt::format(
        "struct Sizes {{ enum {{ C = {}, H = {}, W = {}, O = {}, OH = {}, OW = {}, KH = {}, KW = "
        "{}, SH = {}, SW = {}, PT = {}, PL = {}, HP = {}, WP = {} }}; }};\n",
        c, h, w, o, oh, ow, kh, kw, sh, sw, pt, pl, padded_h(), padded_w(neighbours));
  }
};

/// Channels of a slab: all, or as many as fit.
std::int64_t slab(const Sizes& s, std::int64_t channel_bytes, std::int64_t other_bytes) {
  const std::int64_t fit = (kMostShared - other_bytes) / channel_bytes;
  if (fit >= s.c) return s.c;
  return fit < 1 ? 0 : ceil_div(s.c, ceil_div(s.c, fit));
}

/// How a thread's outputs are cut.
struct Cut {
  std::int64_t channels = 0, pixels = 0, rows = 0, slab = 0, lanes = 0;
  std::int64_t shared_bytes = 0;
  double cycles = std::numeric_limits<double>::infinity();
};

double copy_cycles(double elements) { return kLoadCycles + elements / kThreads * 25; }

Cut forward_cut(const Sizes& s) {
  Cut best;
  for (const std::int64_t to : {8, 4, 2, 1}) {
    for (const std::int64_t tp : {4, 2, 1}) {
      if (to >= 2 * s.o || tp >= 2 * s.ow) continue;
      Cut cut{.channels = to, .pixels = tp};
      const std::int64_t image = s.padded_h() * s.padded_w(tp);
      const std::int64_t outputs = round_up(s.o, to);
      const std::int64_t channel = (image + s.taps() * outputs) * 4;
      cut.slab = slab(s, channel, 0);
      if (cut.slab == 0) continue;
      cut.shared_bytes = cut.slab * channel;
      const std::int64_t tiles = outputs / to * s.oh * ceil_div(s.ow, tp);
      const auto rounds = static_cast<double>(ceil_div(tiles, kThreads));
      const double warps = std::min(kWarps, static_cast<double>(ceil_div(tiles, 32)));
      const std::int64_t values = (tp - 1) * s.sw + s.kw;
      const double row_loads = tp * s.sw % 4 == 0 ? 4.0 * static_cast<double>(ceil_div(values, 4))
                                                  : 2.0 * static_cast<double>(values);
      const double weight_loads = static_cast<double>(s.kw * (to % 4 == 0 ? to / 2 : to));
      const auto multiplies = static_cast<double>(to * tp * s.kw);
      // Loads and sums of all warps share the units; one warp alone waits for its own.
      const double row = std::max({warps * (row_loads + weight_loads), warps * multiplies / 4,
                                   40 + multiplies + row_loads});
      const auto chunks = static_cast<double>(ceil_div(s.c, cut.slab));
      cut.cycles = rounds * static_cast<double>(s.c * s.kh) * row +
                   (chunks > 1 ? rounds * chunks : 1) *
                       copy_cycles(static_cast<double>(cut.shared_bytes) / 4) +
                   kStoreCycles * rounds;
      if (cut.cycles < best.cycles) best = cut;
    }
  }
  return best;
}

Cut weight_cut(const Sizes& s) {
  Cut best;
  const std::int64_t image = s.padded_h() * s.padded_w(4) * 4;
  for (const std::int64_t to : {8, 4, 2, 1}) {
    for (const std::int64_t rows : {s.kh, std::int64_t{1}}) {
      const std::int64_t sums = to * rows * s.kw;
      if (to >= 2 * s.o || sums > 40) continue;
      Cut cut{.channels = to, .rows = rows};
      // A word a warp and sum.
      const auto parts = static_cast<std::int64_t>(kWarps) * sums * 4;
      cut.slab = slab(s, image, parts);
      if (cut.slab == 0) continue;
      cut.shared_bytes = cut.slab * image + parts;
      const std::int64_t tiles = ceil_div(s.o, to) * (s.kh / rows) * cut.slab;
      const std::int64_t quads = s.oh * ceil_div(s.ow, 4);
      const auto fit = static_cast<std::uint64_t>(std::max<std::int64_t>(kThreads / tiles, 1));
      const auto most = std::bit_ceil(static_cast<std::uint64_t>(quads));
      cut.lanes = static_cast<std::int64_t>(std::min(std::bit_floor(fit), most));
      const auto rounds = static_cast<double>(ceil_div(tiles, kThreads / cut.lanes));
      const double warps = std::min(kWarps, static_cast<double>(ceil_div(tiles * cut.lanes, 32)));
      const double loads = static_cast<double>(4 * to + 4 * rows * ceil_div(3 * s.sw + s.kw, 4));
      const auto multiplies = static_cast<double>(4 * sums);
      const double quad = std::max({warps * loads, warps * multiplies / 4, 60 + multiplies});
      const double fold = warps * static_cast<double>(sums) + 150;
      const double round = static_cast<double>(ceil_div(quads, cut.lanes)) * quad + fold;
      const auto chunks = static_cast<double>(ceil_div(s.c, cut.slab));
      cut.cycles = chunks * (rounds * (round + kStoreCycles) +
                             copy_cycles(static_cast<double>(cut.slab * image) / 4));
      if (cut.cycles < best.cycles) best = cut;
    }
  }
  return best;
}

/// An item's work in units: ranges of output channels and, forward, of rows of the result or, for
/// weights, of input channels.
struct Parts {
  std::int64_t outputs = 1, others = 1;
  Cut cut = {};

  [[nodiscard]] std::int64_t count() const { return outputs * others; }
};

// Of an item.
constexpr std::int64_t kMostParts = 64;

/// The parts with which `blocks` blocks get through `items` items first. `sizes_of` gives a unit's
/// sizes; none where it cannot be cut like that.
template <typename SizesOf, typename CutOf>
Parts choose_parts(bool spread, std::int64_t items, std::int64_t blocks, const SizesOf& sizes_of,
                   const CutOf& cut_of) {
  Parts best{1, 1, cut_of(*sizes_of(1, 1))};
  const auto rounds = [&](const Parts& parts) {
    return static_cast<double>(ceil_div(items * parts.count(), blocks));
  };
  if (!spread) return best;
  for (std::int64_t outputs = 1; outputs <= kMostParts; ++outputs) {
    for (std::int64_t others = 1; outputs * others <= kMostParts; ++others) {
      const std::optional<Sizes> sizes = sizes_of(outputs, others);
      if (!sizes) continue;
      const Parts parts{outputs, others, cut_of(*sizes)};
      if (rounds(parts) * parts.cut.cycles < rounds(best) * best.cut.cycles) best = parts;
    }
  }
  return best;
}

/// Declares the item and the unit's place among its parts.
std::string part_text(const Parts& parts) {
  return fmt::format(
      "const int own = unit / {0}, p_outputs = unit % {0} / {1}, p_others = unit % {1};\n",
      parts.count(), parts.others);
}

DirectConv forward(const Sizes& whole, const Parts& parts, const Sizes& s, const std::string& x,
                   const std::string& weight, const DirectStore& store) {
  const Cut& cut = parts.cut;
  DirectConv conv{.parts = parts.count(),
                  .shared_bytes = static_cast<int>(cut.shared_bytes),
                  .cycles = cut.cycles};
  conv.body = s.text(cut.pixels) + part_text(parts);
  conv.body += fmt::format("const int o0 = p_outputs * {}, h0 = p_others * {};\n", s.o, s.oh);
  conv.body += fmt::format(
      "const auto weight = [&](int o, int c, int tap) -> float {{ o += o0; return {}; }};\n",
      weight);
  std::string keep =
      fmt::format("const u32 c0 = own, c1 = o0 + o, c2 = h0 + h;\nconst int count = {};\n",
                  s.ow % cut.pixels == 0 ? fmt::format("{}", cut.pixels)
                                         : fmt::format("min({}, {} - (int)w)", cut.pixels, s.ow));
  if (whole.oh % s.oh != 0) keep += fmt::format("if (c2 >= {}) return;\n", whole.oh);
  store.row(keep, static_cast<int>(cut.pixels), s.ow % cut.pixels == 0);
  conv.body += fmt::format(
      "const auto keep = [&](u32 o, u32 h, u32 w, const float (&totals)[{}]) {{\n{}}};\n",
      cut.pixels, keep);
  conv.body += fmt::format(
      "conv_item<Sizes, {}, {}, {}, {}>({} + own * (Sizes::C * Sizes::H * Sizes::W), h0 * "
      "Sizes::SH, "
      "weight, keep, smem);\n",
      cut.channels, cut.pixels, cut.slab, store.once, x);
  return conv;
}

/// Of `items` items on `blocks` blocks, or of one that is a unit.
std::optional<DirectConv> spread_forward(const Sizes& whole, const std::string& x,
                                         const std::string& weight, const DirectStore& store,
                                         bool spread, std::int64_t items, std::int64_t blocks) {
  const auto sizes_of = [&](std::int64_t outputs, std::int64_t rows) -> std::optional<Sizes> {
    if (whole.o % outputs != 0 || rows > whole.oh) return std::nullopt;
    Sizes part = whole;
    part.o = whole.o / outputs;
    part.oh = ceil_div(whole.oh, rows);
    if (ceil_div(whole.oh, part.oh) != rows) return std::nullopt;
    return part;
  };
  const Parts parts = choose_parts(spread, items, blocks, sizes_of, forward_cut);
  if (parts.cut.slab == 0) return std::nullopt;
  return forward(whole, parts, *sizes_of(parts.outputs, parts.others), x, weight, store);
}

std::optional<DirectConv> spread_weight_grad(const Sizes& whole, const std::string& x,
                                             const std::string& grad, const DirectStore& store,
                                             bool spread, std::int64_t items, std::int64_t blocks) {
  const auto sizes_of = [&](std::int64_t outputs, std::int64_t inputs) -> std::optional<Sizes> {
    if (whole.o % outputs != 0 || whole.c % inputs != 0) return std::nullopt;
    Sizes part = whole;
    part.o = whole.o / outputs;
    part.c = whole.c / inputs;
    return part;
  };
  const Parts parts = choose_parts(spread, items, blocks, sizes_of, weight_cut);
  const Cut& cut = parts.cut;
  if (cut.slab == 0) return std::nullopt;
  const Sizes s = *sizes_of(parts.outputs, parts.others);
  DirectConv conv{.parts = parts.count(),
                  .shared_bytes = static_cast<int>(cut.shared_bytes),
                  .cycles = cut.cycles};
  conv.body = s.text(4) + part_text(parts);
  conv.body += fmt::format("const int o0 = p_outputs * {}, i0 = p_others * {};\n", s.o, s.c);
  std::string keep =
      "const u32 c0 = o0 + o, c1 = i0 + c, c2 = tap / Sizes::KW, c3 = tap % Sizes::KW;\n";
  store.one(keep);
  conv.body +=
      fmt::format("const auto keep = [&](u32 o, u32 c, u32 tap, float total) {{\n{}}};\n", keep);
  const bool vectors = s.ow % 4 == 0;
  conv.body += fmt::format(
      "weight_grad_item<Sizes, {}, {}, {}, {}, {}>({} + (own * {} + i0) * (Sizes::H * Sizes::W), "
      "{} + (own * {} + o0) * (Sizes::OH * Sizes::OW), keep, smem);\n",
      cut.channels, cut.rows, cut.slab, cut.lanes, vectors ? 4 : 1, x, whole.c, grad, whole.o);
  return conv;
}

}  // namespace

std::optional<DirectConv> direct_conv(const Node& producer, const Region& region,
                                      const DirectStore& store, bool spread, std::int64_t items,
                                      std::int64_t blocks) {
  const auto operands = conv2d_operands(producer.op());
  if (!operands) return std::nullopt;
  for (const Value& input : producer.inputs()) {
    if (!is_float(input.dtype()) || input.dtype() == DType::f64) return std::nullopt;
  }
  const Conv2dShape c = conv2d_shape(producer);
  const Window2d& w = c.window;
  if (c.groups != 1 || w.dilation[0] != 1 || w.dilation[1] != 1) return std::nullopt;
  const Sizes s{c.in_channels, c.in_h,      c.in_w,       c.out_channels,
                c.out_h,       c.out_w,     w.kernel[0],  w.kernel[1],
                w.stride[0],   w.stride[1], w.padding[0], w.padding[2]};
  const std::string first = operand_pointer(region, producer, 0);
  const std::string second = operand_pointer(region, producer, 1);
  if (operands->kind == ConvKind::forward) {
    const std::string weight =
        fmt::format("get({}, (o * {} + c) * {} + tap)", second, s.c, s.taps());
    return spread_forward(s, first, weight, store, spread, items, blocks);
  }
  if (operands->kind == ConvKind::input_grad) {
    if (w.stride[0] != 1 || w.stride[1] != 1) return std::nullopt;
    // The gradient through the mirrored kernel.
    const Sizes back{
        s.o, s.oh, s.ow, s.c, s.h, s.w, s.kh, s.kw, 1, 1, s.kh - 1 - s.pt, s.kw - 1 - s.pl};
    const std::string weight =
        fmt::format("get({}, (c * {} + o) * {} + {} - tap)", second, s.c, s.taps(), s.taps() - 1);
    return spread_forward(back, first, weight, store, spread, items, blocks);
  }
  return spread_weight_grad(s, first, second, store, spread, items, blocks);
}

}  // namespace ingot::cuda
