// Physical layouts of logical tensors.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/base/shape.h"

namespace ingot {

/// How a logical shape lies in memory: an order of the (possibly blocked) outer axes, then inner
/// blocks. The default is plain row-major. Written as oneDNN writes it: "aBcd16b" is NCHW with
/// channels in blocks of 16. A blocked axis is padded with zeros to a multiple of its block.
class Layout {
 public:
  struct Block {
    int axis;
    std::int64_t size;
    friend bool operator==(const Block&, const Block&) = default;
  };

  Layout() = default;
  /// `order`: permutation of the axes, outermost first (empty: identity).
  Layout(std::vector<int> order, std::vector<Block> blocks);
  /// Channels (axis 1) in blocks of `size`; plain order otherwise.
  static Layout channels_blocked(std::int64_t size) { return Layout({}, {{1, size}}); }
  /// "plain", or a tag such as "aBcd16b". Errors: user, invalid_graph.
  static Layout parse(std::string_view tag);

  [[nodiscard]] bool is_plain() const noexcept { return order_.empty() && blocks_.empty(); }
  [[nodiscard]] const std::vector<int>& order() const noexcept { return order_; }
  [[nodiscard]] const std::vector<Block>& blocks() const noexcept { return blocks_; }
  /// Product of the block sizes on an axis.
  [[nodiscard]] std::int64_t block_of(int axis) const noexcept;
  /// Elements in memory, padding included.
  [[nodiscard]] std::int64_t physical_numel(const Shape& shape) const noexcept;
  [[nodiscard]] std::int64_t physical_bytes(const TensorType& type) const noexcept;
  /// Position in memory of the element with the given logical coordinates.
  [[nodiscard]] std::int64_t offset(const Shape& shape, const std::int64_t* index) const noexcept;
  /// Tag for a tensor of the given rank ("plain" when is_plain()).
  [[nodiscard]] std::string to_string(int rank) const;

  friend bool operator==(const Layout&, const Layout&) = default;

 private:
  std::vector<int> order_;
  std::vector<Block> blocks_;
};

}  // namespace ingot
