#include "ingot/runtime/planted_kernel.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "ingot/base/planted_bug.h"
#include "ingot/ir/op_def.h"

namespace ingot {
namespace {

/// One Value in memory.
struct Weights {
  TensorType type;
  Layout layout;

  [[nodiscard]] std::size_t bytes() const {
    return static_cast<std::size_t>(layout.physical_bytes(type));
  }
  /// Where the element (o, c, i, j) lies.
  [[nodiscard]] std::size_t at(std::array<std::int64_t, 4> index) const {
    return static_cast<std::size_t>(layout.offset(type.shape, index.data())) *
           dtype_size(type.dtype);
  }

  /// Calls fn(o, c) for every pair of channels.
  template <typename Fn>
  void for_each_plane(Fn&& fn) const {
    for (std::int64_t o = 0; o < type.shape[0]; ++o) {
      for (std::int64_t c = 0; c < type.shape[1]; ++c) fn(o, c);
    }
  }

  void drop_last_tap(std::byte* data) const {
    for_each_plane([&](std::int64_t o, std::int64_t c) {
      std::fill_n(data + at({o, c, type.shape[2] - 1, type.shape[3] - 1}), dtype_size(type.dtype),
                  std::byte{0});
    });
  }

  void transpose_taps(std::byte* data) const {
    for_each_plane([&](std::int64_t o, std::int64_t c) {
      for (std::int64_t i = 0; i < type.shape[2]; ++i) {
        for (std::int64_t j = 0; j < i; ++j) {
          std::byte* const a = data + at({o, c, i, j});
          std::swap_ranges(a, a + dtype_size(type.dtype), data + at({o, c, j, i}));
        }
      }
    });
  }

  void transpose_matrices(std::byte* data) const {
    const int rank = type.shape.rank();
    const std::int64_t n = type.shape[rank - 1];
    const std::size_t size = dtype_size(type.dtype);
    for (std::int64_t m = 0; m < type.numel() / std::max<std::int64_t>(n * n, 1); ++m) {
      for (std::int64_t i = 0; i < n; ++i) {
        for (std::int64_t j = 0; j < i; ++j) {
          std::byte* const a = data + static_cast<std::size_t>((m * n + i) * n + j) * size;
          std::byte* const b = data + static_cast<std::size_t>((m * n + j) * n + i) * size;
          std::swap_ranges(a, a + size, b);
        }
      }
    }
  }
};

/// Whether the contraction slides a window over images; else it multiplies matrices.
bool is_convolution(const Node& contraction) { return contraction.op().attr_index("stride") >= 0; }
/// Whether the second operand is what the bugs are about: it is of a contraction, except where that
/// makes a weight's gradient and is told the weight's shape.
[[maybe_unused]] bool reads_weights(const Node& node) {
  return node.op().traits.contraction && node.op().attr_index("weight_shape") < 0;
}

/// Runs the right kernel on wrong weights.
class PlantedKernel final : public Kernel {
 public:
  PlantedKernel(std::unique_ptr<Kernel> kernel, const KernelProblem& problem)
      : kernel_(std::move(kernel)), slots_(problem.inputs) {
    for (const auto* list : {&problem.inputs, &problem.outputs}) {
      for (const int slot : *list) slot_count_ = std::max(slot_count_, slot + 1);
    }
    for (const Value& input : problem.node.inputs()) {
      operands_.push_back({input.type(), input.layout()});
    }
    convolution_ = is_convolution(problem.node);
  }

  void run(const KernelContext& context) noexcept override {
    const PlantedBug bug = planted_bug();
    if (!(convolution_ ? drops_or_transposes(bug) : transposes_matrices(bug))) {
      kernel_->run(context);
      return;
    }
    const Weights& weights = operands_[1];
    const auto slot = static_cast<std::size_t>(slots_[1]);
    const std::byte* const right = context.slots[slot];
    std::vector<std::byte> wrong(right, right + weights.bytes());
    if (!convolution_) {
      weights.transpose_matrices(wrong.data());
    } else if (bug == PlantedBug::dropped_conv_tap) {
      weights.drop_last_tap(wrong.data());
    } else {
      weights.transpose_taps(wrong.data());
    }
    std::vector<std::byte*> slots(context.slots, context.slots + slot_count_);
    slots[slot] = wrong.data();
    kernel_->run({slots.data(), context.scratch, context.errors});
  }

  [[nodiscard]] std::string_view name() const noexcept override { return kernel_->name(); }
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept override {
    return kernel_->scratch_bytes();
  }
  [[nodiscard]] bool in_place(int input, int output) const noexcept override {
    return kernel_->in_place(input, output);
  }

 private:
  [[nodiscard]] bool drops_or_transposes(PlantedBug bug) const {
    const Shape& shape = operands_[1].type.shape;
    if (bug == PlantedBug::dropped_conv_tap) return shape[2] * shape[3] > 1;
    return bug == PlantedBug::transposed_weight && shape[2] == shape[3];
  }
  [[nodiscard]] bool transposes_matrices(PlantedBug bug) const {
    const Shape& shape = operands_[1].type.shape;
    return bug == PlantedBug::transposed_weight && operands_[1].layout.is_plain() &&
           shape[shape.rank() - 1] == shape[shape.rank() - 2];
  }

  std::unique_ptr<Kernel> kernel_;
  std::vector<int> slots_;
  std::vector<Weights> operands_;
  int slot_count_ = 0;
  bool convolution_ = false;  ///< else a matmul
};

}  // namespace

std::unique_ptr<Kernel> with_planted_bugs(std::unique_ptr<Kernel> kernel,
                                          const KernelProblem& problem) {
  if constexpr (kPlantedBugsAvailable) {
    if (kernel->runs_itself() && reads_weights(problem.node)) {
      return std::make_unique<PlantedKernel>(std::move(kernel), problem);
    }
  }
  return kernel;
}

}  // namespace ingot
