// How operands that broadcast or lie in different layouts are read along a kernel's memory order.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "ingot/ir/layout.h"

namespace ingot {

/// One axis of memory: a logical axis, or one of the parts that blocks split it into.
struct PhysicalAxis {
  int axis = 0;
  std::int64_t size = 1;    ///< padding included
  std::int64_t step = 1;    ///< logical coordinates that one step moves
  std::int64_t stride = 1;  ///< elements of memory that one step moves
};

/// The axes of memory, outermost first.
std::vector<PhysicalAxis> physical_axes(const Shape& shape, const Layout& layout);

/// Reads an operand in the order of another tensor's memory: axes with strides, neighbours merged
/// where one stride describes both. Stride 0 repeats.
class OperandWalk {
 public:
  static constexpr int kMaxAxes = 16;

  /// How `operand` in `operand_layout`, broadcast to `shape`, is read in the memory order of
  /// `shape` in `layout`. Nothing when blocks of the two do not match. Where `layout` pads an axis
  /// that the operand has without padding, the walk is over a copy padded by pad_operand.
  static std::optional<OperandWalk> make(const Shape& shape, const Layout& layout,
                                         const Shape& operand, const Layout& operand_layout);

  /// The operand's elements lie exactly in the order of the walk.
  [[nodiscard]] bool linear() const noexcept { return rank_ == 1 && strides_[0] == 1; }
  /// One element stands for all.
  [[nodiscard]] bool splat() const noexcept { return rank_ == 1 && strides_[0] == 0; }
  /// Length and stride of the innermost run.
  [[nodiscard]] std::int64_t run() const noexcept { return sizes_[index(rank_ - 1)]; }
  [[nodiscard]] std::int64_t run_stride() const noexcept { return strides_[index(rank_ - 1)]; }
  /// Length of the stretch over which a contiguous run repeats, such as a block of channels over an
  /// image; 0 when the walk does not end so.
  [[nodiscard]] std::int64_t repeated() const noexcept {
    const bool repeats =
        rank_ >= 2 && strides_[index(rank_ - 1)] == 1 && strides_[index(rank_ - 2)] == 0;
    return repeats ? sizes_[index(rank_ - 1)] * sizes_[index(rank_ - 2)] : 0;
  }
  /// Offset in elements of position `at` of the walk.
  [[nodiscard]] std::int64_t offset(std::int64_t at) const noexcept;
  /// Copies positions [at, at + n) of an operand of elements of `size` bytes to `out`.
  void gather(void* out, const std::byte* operand, std::size_t size, std::int64_t at,
              std::int64_t n) const noexcept;

  /// The axis that must be padded in a copy, -1 when none; its block.
  [[nodiscard]] int padded_axis() const noexcept { return padded_axis_; }
  [[nodiscard]] std::int64_t padded_block() const noexcept { return padded_block_; }

 private:
  static std::size_t index(int i) noexcept { return static_cast<std::size_t>(i); }
  void merge() noexcept;

  std::array<std::int64_t, kMaxAxes> sizes_{};
  std::array<std::int64_t, kMaxAxes> strides_{};
  int rank_ = 0;
  int padded_axis_ = -1;
  std::int64_t padded_block_ = 1;
};

/// Whether the layout has padding for this shape.
bool is_padded(const Shape& shape, const Layout& layout);
/// Sets the padding of a tensor to zero.
void zero_padding(std::byte* data, std::size_t element_size, const Shape& shape,
                  const Layout& layout);

/// The shape of the padded copy that a walk reads.
Shape padded_shape(Shape operand, const OperandWalk& walk);
/// Copies a plain operand with zeros behind each row of the padded axis.
void pad_operand(std::byte* out, const std::byte* operand, std::size_t element_size,
                 const Shape& shape, const OperandWalk& walk) noexcept;

}  // namespace ingot
