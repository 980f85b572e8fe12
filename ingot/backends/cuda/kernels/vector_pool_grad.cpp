// The gradient of a maximum's windows on channels that lie next to each other. A block takes a tile
// of the image: it finds the winner of each window that meets the tile once, keeps the winners'
// places in its shared memory, and then every pixel gathers from the windows around it, in order.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "ingot/backends/cuda/kernels/pool_window.h"
#include "ingot/backends/cuda/kernels/vector_pool.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"
#include "ingot/runtime/backend.h"

namespace ingot::cuda {
namespace {

// Fewer threads than other kernels have, so that several blocks share a multiprocessor: while one
// looks for winners another stores.
constexpr int kTileThreads = 256;
constexpr std::int64_t kMostBytes = 32 << 10;
// Vectors of channels side by side: whole lines of 128 bytes.
constexpr std::int64_t kMostColumns = 8;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// Along one axis: a thread takes `patch` pixels at once, a block `tile` patches, which `windows`
/// windows meet at most.
struct TileAxis {
  std::int64_t patch = 1, patches = 1, tile = 1, windows = 1;

  [[nodiscard]] std::int64_t tiles() const { return ceil_div(patches, tile); }
};

/// The axis in tiles of `tile` patches, or in a single one.
TileAxis cut(const Pool2dShape& s, std::size_t axis, std::int64_t tile) {
  const Window2d& w = s.window;
  const std::int64_t size = s.input[static_cast<int>(axis) + 2];
  TileAxis result;
  // Between two windows' beginnings, where these are few: neighbours have the same windows.
  result.patch = w.dilation[axis] == 1 && w.stride[axis] <= 2 ? w.stride[axis] : 1;
  result.patches = ceil_div(size, result.patch);
  result.tile = std::min(tile, result.patches);
  const std::int64_t reach =
      result.tile * result.patch - 1 + (w.kernel[axis] - 1) * w.dilation[axis];
  result.windows = std::min(reach / w.stride[axis] + 1, s.output[static_cast<int>(axis) + 2]);
  return result;
}

/// The axis as one tile, as two, and so on.
std::vector<TileAxis> cuts(const Pool2dShape& s, std::size_t axis) {
  std::vector<TileAxis> result{cut(s, axis, s.input[static_cast<int>(axis) + 2])};
  for (std::int64_t count = 2; result.back().tile > 1; ++count) {
    const TileAxis next = cut(s, axis, ceil_div(result.back().patches, count));
    if (next.tile < result.back().tile) result.push_back(next);
  }
  return result;
}

/// Of a tap's number.
int place_bytes(const Pool2dShape& s) { return s.taps() <= 256 ? 1 : 2; }

struct Tiling {
  TileAxis h, w;
  int place_bytes = 1;

  [[nodiscard]] std::int64_t shared_bytes(std::int64_t channels) const {
    return h.windows * w.windows * channels * place_bytes;
  }
};

/// The tiles that take the fewest rounds of a block of `rows` x `channels`, none where not even the
/// smallest fit.
std::optional<Tiling> choose_tiles(const Pool2dShape& s, std::int64_t rows, std::int64_t channels) {
  // Of a tap while looking for the winner, beside a pixel while gathering.
  constexpr std::int64_t kTap = 5;
  constexpr std::int64_t kPixel = 12;
  std::optional<Tiling> best;
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (const TileAxis& h : cuts(s, 0)) {
    for (const TileAxis& w : cuts(s, 1)) {
      const Tiling tiling{h, w, place_bytes(s)};
      if (tiling.shared_bytes(channels) > kMostBytes) continue;
      const std::int64_t windows = ceil_div(h.windows * w.windows, rows);
      const std::int64_t patches = ceil_div(h.tile * w.tile, rows);
      const std::int64_t cost = h.tiles() * w.tiles() *
                                (windows * s.taps() * kTap + patches * h.patch * w.patch * kPixel);
      if (cost >= least) continue;
      least = cost;
      best = tiling;
    }
  }
  return best;
}

/// The walk's threads as a tile takes them.
void narrow(VectorWalk& walk) {
  walk.columns = ceil_div(walk.groups(), kMostColumns);
  walk.tx = ceil_div(walk.groups(), walk.columns);
  walk.ty = kTileThreads / walk.tx;
}

class MaxPoolGradKernel final : public VectorPoolKernel {
 public:
  explicit MaxPoolGradKernel(const KernelProblem& problem)
      : VectorPoolKernel(problem, "pool tiles") {
    narrow(walk_);
    tiling_ = *choose_tiles(pool_, walk_.ty, walk_.tx * walk_.vector);
  }

  [[nodiscard]] std::vector<Stage> stages(const StageRequest& request) const override {
    Stage stage = stage_of(request, walk_.shape[0] * tiling_.h.tiles() * tiling_.w.tiles());
    stage.threads = kTileThreads;
    stage.shared_bytes = static_cast<int>(tiling_.shared_bytes(walk_.tx * walk_.vector));
    std::string& code = stage.body;
    const auto constants = [&code](const TileAxis& axis, char name) {
      code += fmt::format("const int Q{0} = {1}, T{0} = {2}, N{0} = {3}, M{0} = {4};\n", name,
                          axis.patch, axis.tile, axis.tiles(), axis.windows);
    };
    constants(tiling_.h, 'H');
    constants(tiling_.w, 'W');
    code +=
        "const int image = slice / (NH * NW);\n"
        "const int h0 = slice / NW % NH * (TH * QH), w0 = slice % NW * (TW * QW);\n"
        "const int low_h = h0 + PT - (KH - 1) * DH, low_w = w0 + PL - (KW - 1) * DW;\n"
        "const int first_h = low_h <= 0 ? 0 : (low_h + SH - 1) / SH;\n"
        "const int first_w = low_w <= 0 ? 0 : (low_w + SW - 1) / SW;\n";
    code += fmt::format("const int places = {}, own = {};\n", walk_.tx * vector_bytes(),
                        vector_bytes());
    code += "if (live) {\n" + winners() + "}\n__syncthreads();\nif (live) {\n" + gather() + "}\n";
    return {std::move(stage)};
  }

 private:
  [[nodiscard]] int vector_bytes() const { return walk_.vector * tiling_.place_bytes; }
  [[nodiscard]] std::string place_words() const {
    return fmt::format("Raw<{}>", vector_bytes() / 4);
  }
  /// Element e of words of places.
  [[nodiscard]] std::string place() const {
    const int each = 4 / tiling_.place_bytes;
    return fmt::format("(int)(at.w[e / {0}] >> ({1} * (e % {0})) & {2}u)", each,
                       8 * tiling_.place_bytes, tiling_.place_bytes == 1 ? 255 : 65535);
  }

  /// The number of each window's first maximum among its taps, NaN being the largest.
  [[nodiscard]] std::string winners() const {
    std::string code =
        "for (u32 i = ty; i < MH * MW; i += step) {\n"
        "const int oh = first_h + i / MW, ow = first_w + i % MW;\n"
        "if (oh < OH && ow < OW) {\n"
        "const int h1 = oh * SH - PT, w1 = ow * SW - PL;\n";
    code = fmt::format("const u32 step = {};\n", walk_.ty) + code;
    code += fmt::format("float best[{0}]; int tap[{0}];\n", walk_.vector);
    code +=
        "const int none = (h1 < 0 ? (DH - 1 - h1) / DH : 0) * KW + (w1 < 0 ? (DW - 1 - w1) / DW : "
        "0);\n";
    code += each_element() + "{ best[e] = -infinity(); tap[e] = none; }\n";
    code += each_tap([this](const std::string& x) {
      return each_element() + "{ const float v = " + get(0, x) +
             ";\nif (inside && !(v <= best[e]) && best[e] == best[e]) { best[e] = v; tap[e] = ti * "
             "KW + tj; } }\n";
    });
    code += place_words() + " at;\n" + each_element() +
            fmt::format("{}(at.w, e, (u32)tap[e]);\n",
                        tiling_.place_bytes == 1 ? "set_byte" : "set_half");
    return code + "store_words(smem + i * places + tx * own, at);\n}\n}\n";
  }

  /// The first window, counted from a patch's own, that may hold a pixel of it, and how many do.
  [[nodiscard]] std::array<std::int64_t, 2> windows_around(std::size_t axis) const {
    const Window2d& w = pool_.window;
    const TileAxis& tile = axis == 0 ? tiling_.h : tiling_.w;
    const std::int64_t before = w.padding[2 * axis];
    const std::int64_t reach = before - (w.kernel[axis] - 1) * w.dilation[axis];
    const std::int64_t stride = w.stride[axis];
    const std::int64_t low = reach <= 0 ? -(-reach / stride) : ceil_div(reach, stride);
    // Patches that are no whole stride begin anywhere in one.
    const std::int64_t rest = tile.patch == stride ? 0 : stride - 1;
    return {low, (rest + tile.patch - 1 + before) / stride - low + 1};
  }

  [[nodiscard]] std::string gather() const {
    const auto [low_h, count_h] = windows_around(0);
    const auto [low_w, count_w] = windows_around(1);
    std::string code = fmt::format("for (u32 i = ty; i < TH * TW; i += {}u) {{\n", walk_.ty);
    code +=
        "const int h = h0 + i / TW * QH, w = w0 + i % TW * QW;\nif (h < H && w < W) {\n"
        "const int rest_h = QH == SH ? 0 : h % SH, rest_w = QW == SW ? 0 : w % SW;\n";
    code += fmt::format(
        "float sums[QH * QW][{}];\n#pragma unroll\nfor (int a = 0; a < QH * QW; ++a) {{\n"
        "{} sums[a][e] = 0.0f;\n}}\n",
        walk_.vector, each_element());
    // Few windows around a pixel are all under way at once.
    const std::string unroll = count_h * count_w <= 9 ? "#pragma unroll\n" : "#pragma unroll 1\n";
    code += unroll + fmt::format("for (int dh = {}; dh < {}; ++dh) {{\n", low_h, low_h + count_h);
    code += unroll + fmt::format("for (int dw = {}; dw < {}; ++dw) {{\n", low_w, low_w + count_w);
    code +=
        "const int oh = h / SH + dh, ow = w / SW + dw;\n"
        "const bool there = oh >= 0 && oh < OH && ow >= 0 && ow < OW;\n"
        "const int oh_ = min(max(oh, 0), OH - 1), ow_ = min(max(ow, 0), OW - 1);\n"
        "const int mh = min(max(oh - first_h, 0), MH - 1), mw = min(max(ow - first_w, 0), MW - "
        "1);\n";
    code += fmt::format("const auto g = {};\n", load(2, "(image * OH + oh_) * OW + ow_"));
    code +=
        fmt::format("const auto at = load_words<{}>(smem + (mh * MW + mw) * places + tx * own);\n",
                    vector_bytes() / 4);
    code +=
        "#pragma unroll\nfor (int a = 0; a < QH * QW; ++a) {\n"
        "const int th = rest_h + a / QW + PT - dh * SH, tw = rest_w + a % QW + PL - dw * SW;\n"
        "if (th >= 0 && th % DH == 0 && th / DH < KH && tw >= 0 && tw % DW == 0 && tw / DW < KW) "
        "{\nconst int tap = th / DH * KW + tw / DW;\n" +
        each_element() +
        fmt::format("if (there && {} == tap) sums[a][e] += {};\n}}\n}}\n}}\n}}\n", place(),
                    get(2, "g"));
    code +=
        "#pragma unroll\nfor (int a = 0; a < QH * QW; ++a) {\n"
        "const int h_ = h + a / QW, w_ = w + a % QW;\nif (h_ < H && w_ < W) {\n";
    return code + store("(image * H + h_) * W + w_", "sums[a][e]") + "}\n}\n}\n}\n";
  }

  Tiling tiling_;
};

Support supports_pool_tiles(const Node& node, const Backend&) {
  if (!fits_pool_tile(node)) return Support::no("a pixel's windows do not fit a block's memory");
  return supports_vector_pool(node);
}

}  // namespace

bool fits_pool_tile(const Node& max_pool_grad) {
  // As many channels and threads as a block may have: fewer need less.
  const std::int64_t vector = dtype_size(max_pool_grad.output_type().dtype) <= 2 ? 8 : 4;
  const Pool2dShape s = pool2d_shape(max_pool_grad);
  const Tiling least{cut(s, 0, 1), cut(s, 1, 1), place_bytes(s)};
  return least.shared_bytes(kMostColumns * vector) <= kMostBytes;
}

void register_vector_pool_grad_kernels(KernelTable& table) {
  table.register_kernel(
      max_pool2d_grad_op().name,
      {"pool tiles", supports_pool_tiles, [](const KernelProblem& problem, const Backend&) {
         return std::make_unique<MaxPoolGradKernel>(problem);
       }});
}

}  // namespace ingot::cuda
