#include "ingot/ir/layout.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <utility>

#include "ingot/base/error.h"
#include "ingot/ir/bits.h"

namespace ingot {
namespace {

constexpr std::string_view kBits = "_bits";

}  // namespace

bool has_bits(const Layout& layout) noexcept {
  return !layout.blocks().empty() && layout.blocks().back().axis == kBitAxis;
}

Layout in_bits(const Layout& layout) {
  if (has_bits(layout)) return layout;
  std::vector<Layout::Block> blocks = layout.blocks();
  blocks.push_back({kBitAxis, 8});
  return Layout(layout.order(), std::move(blocks));
}

Layout in_elements(const Layout& layout) {
  if (!has_bits(layout)) return layout;
  std::vector<Layout::Block> blocks = layout.blocks();
  blocks.pop_back();
  return Layout(layout.order(), std::move(blocks));
}

Layout::Layout(std::vector<int> order, std::vector<Block> blocks)
    : order_(std::move(order)), blocks_(std::move(blocks)) {
  bool identity = true;
  for (std::size_t i = 0; i < order_.size(); ++i) identity &= order_[i] == static_cast<int>(i);
  if (identity) order_.clear();
}

Layout Layout::parse(std::string_view tag) {
  if (tag == "plain") return {};
  const auto fail = [tag]() {
    return user_error(
        ErrorCode::invalid_graph,
        fmt::format("layout \"{}\": not a tag such as \"plain\" or \"aBcd16b\"", tag));
  };
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'h') || (c >= 'A' && c <= 'H'); };
  const auto axis_of = [](char c) { return c >= 'a' ? c - 'a' : c - 'A'; };
  std::vector<int> order;
  std::size_t at = 0;
  for (; at < tag.size() && is_letter(tag[at]); ++at) order.push_back(axis_of(tag[at]));
  std::vector<Block> blocks;
  const bool bits = tag.substr(at).ends_with(kBits);
  const std::size_t end = tag.size() - (bits ? kBits.size() : 0);
  while (at < end) {
    std::int64_t size = 0;
    for (; at < end && tag[at] >= '0' && tag[at] <= '9' && size < 4096; ++at) {
      size = size * 10 + (tag[at] - '0');
    }
    if (size < 2 || at == end || !is_letter(tag[at])) throw fail();
    blocks.push_back({axis_of(tag[at++]), size});
  }
  std::vector<int> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  if (sorted.empty()) throw fail();
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i] != static_cast<int>(i)) throw fail();
  }
  for (const Block& block : blocks) {
    if (block.axis >= static_cast<int>(order.size())) throw fail();
  }
  Layout layout(std::move(order), std::move(blocks));
  return bits ? in_bits(layout) : layout;
}

std::int64_t Layout::block_of(int axis) const noexcept {
  std::int64_t product = 1;
  for (const Block& block : blocks_) {
    if (block.axis == axis) product *= block.size;
  }
  return product;
}

std::int64_t Layout::physical_numel(const Shape& shape) const noexcept {
  std::int64_t n = 1;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const std::int64_t block = block_of(axis);
    n *= (shape[axis] + block - 1) / block * block;
  }
  return n;
}

std::int64_t Layout::physical_bytes(const TensorType& type) const noexcept {
  const std::int64_t elements = physical_numel(type.shape);
  return has_bits(*this) ? (elements + 7) / 8
                         : elements * static_cast<std::int64_t>(dtype_size(type.dtype));
}

std::int64_t Layout::offset(const Shape& shape, const std::int64_t* index) const noexcept {
  std::array<std::int64_t, Shape::kMaxRank> outer{};
  for (int axis = 0; axis < shape.rank(); ++axis)
    outer[static_cast<std::size_t>(axis)] = index[axis];
  // Peel each axis from its innermost block outwards.
  std::int64_t position = 0;
  std::int64_t stride = 1;
  for (auto block = blocks_.rbegin(); block != blocks_.rend(); ++block) {
    if (block->axis == kBitAxis) continue;
    auto& coordinate = outer[static_cast<std::size_t>(block->axis)];
    position += coordinate % block->size * stride;
    coordinate /= block->size;
    stride *= block->size;
  }
  for (int i = shape.rank() - 1; i >= 0; --i) {
    const int axis = order_.empty() ? i : order_[static_cast<std::size_t>(i)];
    position += outer[static_cast<std::size_t>(axis)] * stride;
    const std::int64_t block = block_of(axis);
    stride *= (shape[axis] + block - 1) / block;
  }
  return position;
}

std::string Layout::to_string(int rank) const {
  if (is_plain()) return "plain";
  std::string tag;
  for (int i = 0; i < rank; ++i) {
    const int axis = order_.empty() ? i : order_[static_cast<std::size_t>(i)];
    tag += static_cast<char>((block_of(axis) > 1 ? 'A' : 'a') + axis);
  }
  for (const Block& block : blocks_) {
    tag += block.axis == kBitAxis
               ? std::string(kBits)
               : fmt::format("{}{}", block.size, static_cast<char>('a' + block.axis));
  }
  return tag;
}

}  // namespace ingot
