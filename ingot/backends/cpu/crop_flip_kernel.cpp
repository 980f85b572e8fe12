// crop_flip: rows of images copied, forwards or backwards.
#include <algorithm>
#include <cstring>

#include "ingot/backends/cpu/cpu_kernels.h"
#include "ingot/backends/cpu/parallel.h"
#include "ingot/ir/op_def.h"
#include "ingot/ops/op_list.h"

namespace ingot {
namespace {

constexpr double kNanosecondsPerElement = 0.3;

/// Rows of `T`, which stands for any dtype of its size.
template <class T>
void move_image(const T* x, T* y, const Shape& shape, const std::int32_t* moves) noexcept {
  const std::int64_t height = shape[2];
  const std::int64_t width = shape[3];
  const bool mirror = moves[2] != 0;
  // The columns w' that have a source.
  const std::int64_t right = moves[1];
  const std::int64_t begin = std::clamp<std::int64_t>(-right, 0, width);
  const std::int64_t end = std::clamp<std::int64_t>(width - right, begin, width);
  for (std::int64_t c = 0; c < shape[1]; ++c) {
    for (std::int64_t h = 0; h < height; ++h, y += width) {
      std::fill_n(y, width, T{});
      const std::int64_t from = h + moves[0];
      if (from < 0 || from >= height || begin == end) continue;
      const T* const row = x + (c * height + from) * width + right;
      if (mirror) {
        std::reverse_copy(row + begin, row + end, y + (width - end));
      } else {
        std::copy(row + begin, row + end, y + begin);
      }
    }
  }
}

class CropFlipKernel final : public Kernel {
 public:
  CropFlipKernel(const KernelProblem& problem, const CpuBackend& backend)
      : pool_(backend.pool()),
        type_(problem.node.output_type()),
        inputs_(problem.inputs),
        output_(problem.outputs[0]) {}
  [[nodiscard]] std::string_view name() const noexcept override { return "crop-flip"; }

  void run(const KernelContext& context) noexcept override {
    switch (dtype_size(type_.dtype)) {
      case 1: return move_all<std::uint8_t>(context);
      case 2: return move_all<std::uint16_t>(context);
      case 4: return move_all<std::uint32_t>(context);
      default: return move_all<std::uint64_t>(context);
    }
  }

 private:
  template <class T>
  void move_all(const KernelContext& context) const noexcept {
    const std::int64_t image = type_.shape[1] * type_.shape[2] * type_.shape[3];
    const T* const x = context.at<const T>(inputs_[0]);
    T* const y = context.at<T>(output_);
    const auto* const moves = context.at<const std::int32_t>(inputs_[1]);
    const double nanoseconds = static_cast<double>(type_.numel()) * kNanosecondsPerElement;
    parallel_ranges(pool_, type_.shape[0], 1, nanoseconds,
                    [&](std::int64_t first, std::int64_t last, int) {
                      for (std::int64_t n = first; n < last; ++n) {
                        move_image(x + n * image, y + n * image, type_.shape, moves + 3 * n);
                      }
                    });
  }

  ThreadPool& pool_;
  TensorType type_;
  std::vector<int> inputs_;
  int output_;
};

}  // namespace

void register_crop_flip_kernels(KernelTable& table) {
  table.register_kernel(crop_flip_op().name,
                        {.name = "crop-flip",
                         .supports = require_plain,
                         .create = [](const KernelProblem& problem,
                                      const Backend& backend) -> std::unique_ptr<Kernel> {
                           return std::make_unique<CropFlipKernel>(problem, as_cpu(backend));
                         }});
}

}  // namespace ingot
