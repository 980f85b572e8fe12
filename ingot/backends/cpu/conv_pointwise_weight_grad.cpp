// Weight gradients of 1x1 convolutions: sums over all pixels of products of channels. Each element
// is read from memory once a tile of channels, and is on its way while the pixels before it are
// summed.
#include <fmt/core.h>

#include <algorithm>
#include <cstdint>

#include "ingot/backends/cpu/conv_blocked.h"
#include "ingot/backends/cpu/conv_blocked_simd.h"
#include "ingot/backends/cpu/conv_direct.h"
#include "ingot/backends/cpu/conv_weights.h"
#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/ir/op_def.h"

namespace ingot::cpu {
namespace {

/// Bytes of x and of the gradient that are summed at a time: with as many that are fetched and with
/// the sums of a tile they stay in the second-level cache.
constexpr std::int64_t kChunkBytes = 256 << 10;
/// Pixels that go into one sum before it is added to the others: rounding grows with them.
constexpr std::int64_t kChunkPixels = 512;
/// Blocks of input or output channels of a tile, at most.
constexpr std::int64_t kTileBlocks = 16;
/// Of operands and result that are mostly not in the caches when the kernel begins.
constexpr std::int64_t kLeastBytes = 6 << 20;
/// Tasks that are enough for several threads.
constexpr std::int64_t kTasks = 8;

/// Blocks of channels of a group, in parts.
struct Blocks {
  std::int64_t count, parts;

  explicit Blocks(std::int64_t blocks)
      : count(blocks), parts((blocks + kTileBlocks - 1) / kTileBlocks) {}
  [[nodiscard]] std::int64_t begin(std::int64_t part) const noexcept {
    return part * count / parts;
  }
  [[nodiscard]] std::int64_t longest() const noexcept { return (count + parts - 1) / parts; }
};

class PointwiseWeightGrad final : public Kernel {
 public:
  PointwiseWeightGrad(const KernelProblem& problem, const CpuBackend& backend)
      : problem_(ConvProblem::of(problem.node)),
        slots_(problem),
        pool_(backend.pool()),
        block_(common_block(conv_values(problem.node))),
        sum_(blocked_code(block_).stretch),
        in_(problem_.ic / problem_.groups / block_),
        out_(problem_.oc / problem_.groups / block_),
        tiles_(problem_.groups * in_.parts * out_.parts),
        pixels_(problem_.oh * problem_.ow) {
    const std::int64_t slices = backend.is_serial() ? 1 : kTasks / tiles_;
    images_ = slice_batch(problem_.n, std::min(slices, group_batch(problem_).count));
    const std::int64_t pixel = 4 * block_ * (in_.longest() + out_.longest());
    const std::int64_t most = std::min(kChunkBytes / pixel, kChunkPixels);
    chunk_images_ = std::clamp<std::int64_t>(most / pixels_, 1, images_.images);
    const std::int64_t parts = (pixels_ + most - 1) / most;
    chunk_pixels_ = (pixels_ + parts - 1) / parts;
  }

  [[nodiscard]] std::string_view name() const noexcept override { return "pointwise"; }
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    return 4 * problem_.weights() * (images_.count - 1);
  }

  void run(const KernelContext& context) noexcept override {
    auto* const partials = reinterpret_cast<float*>(context.scratch);
    float* const w = context.at<float>(slots_.w);
    pool_.parallel_for(tiles_ * images_.count, [&](std::int64_t task, int) {
      const std::int64_t slice = task / tiles_;
      float* const sums = slice == 0 ? w : partials + (slice - 1) * problem_.weights();
      sum_tile({context.at<float>(slots_.x), context.at<float>(slots_.y), sums},
               tile_at(task % tiles_), slice);
    });
    add_partials(w, partials, problem_.weights(), images_.count - 1, problem_.weights(), pool_);
  }

 private:
  struct Memory {
    const float* x;
    const float* g;
    float* w;
  };
  /// Blocks of channels; the first of each counted over all groups.
  struct Tile {
    std::int64_t in, ins;
    std::int64_t out, outs;
    std::int64_t first_in;  ///< counted in its group
  };
  /// Images, and pixels of each, that are summed at a time.
  struct Chunk {
    std::int64_t image, images;
    std::int64_t pixel, pixels;
  };

  [[nodiscard]] Tile tile_at(std::int64_t index) const noexcept {
    const std::int64_t out_part = index % out_.parts;
    const std::int64_t in_part = index / out_.parts % in_.parts;
    const std::int64_t group = index / (out_.parts * in_.parts);
    return {.in = group * in_.count + in_.begin(in_part),
            .ins = in_.begin(in_part + 1) - in_.begin(in_part),
            .out = group * out_.count + out_.begin(out_part),
            .outs = out_.begin(out_part + 1) - out_.begin(out_part),
            .first_in = in_.begin(in_part)};
  }
  [[nodiscard]] Chunk chunk_at(std::int64_t image, std::int64_t pixel,
                               std::int64_t end) const noexcept {
    return {image, std::min(chunk_images_, end - image), pixel,
            std::min(chunk_pixels_, pixels_ - pixel)};
  }
  [[nodiscard]] Chunk after(const Chunk& chunk, std::int64_t end) const noexcept {
    const std::int64_t pixel = chunk.pixel + chunk.pixels;
    return pixel < pixels_ ? chunk_at(chunk.image, pixel, end)
                           : chunk_at(chunk.image + chunk.images, 0, end);
  }
  [[nodiscard]] const float* x_at(const Memory& memory, const Chunk& chunk,
                                  std::int64_t block) const noexcept {
    return memory.x + chunk.image * problem_.x_image() + (block * pixels_ + chunk.pixel) * block_;
  }
  [[nodiscard]] const float* g_at(const Memory& memory, const Chunk& chunk,
                                  std::int64_t block) const noexcept {
    return memory.g + chunk.image * problem_.y_image() + (block * pixels_ + chunk.pixel) * block_;
  }

  void sum_tile(const Memory& memory, const Tile& tile, std::int64_t slice) const noexcept {
    const std::int64_t first = slice * images_.images;
    const std::int64_t end = first + images_.images_of(slice);
    for (Chunk chunk = chunk_at(first, 0, end); chunk.images > 0;) {
      const Chunk next = after(chunk, end);
      sum_chunk(memory, tile, chunk, next, chunk.image > first || chunk.pixel > 0);
      chunk = next;
    }
  }

  void sum_chunk(const Memory& memory, const Tile& tile, const Chunk& chunk, const Chunk& next,
                 bool add) const noexcept {
    // The next chunk's blocks, one after the other; at the end what is in the cache already.
    std::int64_t fetched = next.images > 0 ? 0 : tile.ins + tile.outs;
    const auto fetch = [&]() -> BlockedFetch {
      const std::int64_t block = fetched++;
      if (block < tile.outs) return {g_at(memory, next, tile.out + block), problem_.y_image()};
      const bool ended = block >= tile.outs + tile.ins;
      return {
          ended ? x_at(memory, chunk, tile.in) : x_at(memory, next, tile.in + block - tile.outs),
          problem_.x_image()};
    };
    for (std::int64_t out = 0; out < tile.outs; out += 2) {
      for (std::int64_t in = 0; in < tile.ins; ++in) {
        const std::int64_t w_block = (tile.out + out) * in_.count + tile.first_in + in;
        BlockedTapArgs args{.x = x_at(memory, chunk, tile.in + in),
                            .g = g_at(memory, chunk, tile.out + out),
                            .w = memory.w + w_block * block_ * block_,
                            .images = chunk.images,
                            .rows = 1,
                            .columns = chunk.pixels,
                            .x_image = problem_.x_image(),
                            .x_column = block_,
                            .g_image = problem_.y_image(),
                            .g_block = pixels_ * block_,
                            .w_block = in_.count * block_ * block_,
                            .two_blocks = out + 1 < tile.outs,
                            .add = add};
        args.fetch[0] = fetch();
        if (args.two_blocks) args.fetch[1] = fetch();
        sum_(args);
      }
    }
  }

  ConvProblem problem_;
  ConvSlots slots_;
  ThreadPool& pool_;
  std::int64_t block_;
  BlockedCode::Function sum_;
  Blocks in_, out_;
  std::int64_t tiles_;
  std::int64_t pixels_;  ///< of an image
  BatchSlices images_;   ///< summed apart
  std::int64_t chunk_images_ = 1, chunk_pixels_ = 1;
};

Support supports(const Node& node, const Backend&) {
  if (Support support = has_weight_grad_blocks(node); !support) return support;
  const ConvProblem problem = ConvProblem::of(node);
  if (problem.kh * problem.kw != 1) {
    return Support::no(fmt::format("takes 1x1, got {}x{}", problem.kh, problem.kw));
  }
  if (problem.stride_h * problem.stride_w != 1) return Support::no("takes stride 1 alone");
  if (problem.oh != problem.ih || problem.ow != problem.iw) return Support::no("takes no padding");
  return Support::yes();
}

/// Fetching ahead pays for what comes from memory and takes part in several products.
Support supports_large(const Node& node, const Backend& backend) {
  if (Support support = supports(node, backend); !support) return support;
  const ConvProblem p = ConvProblem::of(node);
  const std::int64_t bytes = 4 * (p.n * (p.x_image() + p.y_image()) + p.weights());
  if (bytes < kLeastBytes) {
    return Support::no(fmt::format("takes 6 MiB of operands and result, got {} bytes", bytes));
  }
  if (p.ic / p.groups == common_block(conv_values(node))) {
    return Support::no("takes several blocks of input channels");
  }
  return Support::yes();
}

std::unique_ptr<Kernel> create(const KernelProblem& problem, const Backend& backend) {
  return std::make_unique<PointwiseWeightGrad>(problem, as_cpu(backend));
}

}  // namespace

KernelCandidate pointwise_weight_grad_candidate() { return {"pointwise", supports_large, create}; }

KernelCandidate any_pointwise_weight_grad_candidate() {
  return {"pointwise of any size", supports, create};
}

}  // namespace ingot::cpu
