#include "ingot/runtime/convert_layout.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "ingot/ir/bits.h"

namespace ingot {
namespace {

/// Where the elements of a tensor lie. An axis adds to the place by its own coordinate alone, so
/// one table serves all rows, a row being as many of the last axes as a short table holds.
class Places {
 public:
  Places(const Shape& shape, const Layout& layout) : shape_(shape), layout_(layout) {
    std::array<std::int64_t, Shape::kMaxRank> index{};
    row_.push_back(0);
    while (outer_axes_ > 0) {
      const auto axis = static_cast<std::size_t>(outer_axes_ - 1);
      const std::int64_t size = shape[outer_axes_ - 1];
      if (row_.size() > 1 && static_cast<std::int64_t>(row_.size()) * size > kLongestRow) break;
      std::vector<std::int64_t> longer;
      longer.reserve(row_.size() * static_cast<std::size_t>(size));
      for (index[axis] = 0; index[axis] < size; ++index[axis]) {
        const std::int64_t added = layout.offset(shape, index.data());
        for (const std::int64_t place : row_) longer.push_back(added + place);
      }
      index[axis] = 0;
      row_ = std::move(longer);
      --outer_axes_;
    }
  }

  /// Calls fn(first element, its row's place, places in the row) for every row, in order.
  template <typename Fn>
  void for_each_row(Fn&& fn) const {
    std::array<std::int64_t, Shape::kMaxRank> index{};
    const std::int64_t n = shape_.numel();
    for (std::int64_t first = 0; first < n; first += static_cast<std::int64_t>(row_.size())) {
      fn(static_cast<std::size_t>(first),
         static_cast<std::size_t>(layout_.offset(shape_, index.data())), row_);
      for (int axis = outer_axes_ - 1; axis >= 0; --axis) {
        if (++index[static_cast<std::size_t>(axis)] < shape_[axis]) break;
        index[static_cast<std::size_t>(axis)] = 0;
      }
    }
  }

 private:
  static constexpr std::int64_t kLongestRow = 1 << 14;

  const Shape& shape_;
  const Layout& layout_;
  int outer_axes_ = shape_.rank();
  std::vector<std::int64_t> row_;
};

/// Calls fn(logical byte offset, physical byte offset) for every element of kSize bytes.
template <std::size_t kSize, typename Fn>
void for_each_element(const TensorType& type, const Layout& layout, Fn&& fn) {
  const Places places(type.shape, layout);
  places.for_each_row([&](std::size_t first, std::size_t place, const auto& row) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      fn((first + i) * kSize, (place + static_cast<std::size_t>(row[i])) * kSize);
    }
  });
}

/// Calls fn(logical element, physical element) for every element.
template <typename Fn>
void for_each_bit(const Shape& shape, const Layout& layout, Fn&& fn) {
  const Places places(shape, layout);
  places.for_each_row([&](std::size_t first, std::size_t place, const auto& row) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      fn(first + i, place + static_cast<std::size_t>(row[i]));
    }
  });
}

/// Calls fn with the elements' size as a constant, which makes copying one an instruction.
template <typename Fn>
void with_size(DType dtype, Fn&& fn) {
  switch (dtype_size(dtype)) {
    case 1: return fn(std::integral_constant<std::size_t, 1>{});
    case 2: return fn(std::integral_constant<std::size_t, 2>{});
    case 4: return fn(std::integral_constant<std::size_t, 4>{});
    default: return fn(std::integral_constant<std::size_t, 8>{});
  }
}

}  // namespace

void to_physical(const HostView& logical, const Layout& layout, std::byte* physical) {
  if (layout.is_plain()) {
    std::copy_n(logical.data, logical.type.bytes(), physical);
    return;
  }
  std::fill_n(physical, layout.physical_bytes(logical.type), std::byte{0});
  if (has_bits(layout)) {
    for_each_bit(logical.type.shape, layout, [&](std::size_t from, std::size_t to) {
      const bool set = logical.data[from] != std::byte{0};
      physical[to / 8] |= static_cast<std::byte>(set ? 1U << (to % 8) : 0U);
    });
    return;
  }
  with_size(logical.type.dtype, [&](auto size) {
    for_each_element<size()>(logical.type, layout, [&](std::size_t from, std::size_t to) {
      std::memcpy(physical + to, logical.data + from, size());
    });
  });
}

void to_logical(const std::byte* physical, const Layout& layout, const HostView& logical) {
  if (layout.is_plain()) {
    std::copy_n(physical, logical.type.bytes(), logical.data);
    return;
  }
  if (has_bits(layout)) {
    for_each_bit(logical.type.shape, layout, [&](std::size_t to, std::size_t from) {
      logical.data[to] = (physical[from / 8] >> (from % 8)) & std::byte{1};
    });
    return;
  }
  with_size(logical.type.dtype, [&](auto size) {
    for_each_element<size()>(logical.type, layout, [&](std::size_t to, std::size_t from) {
      std::memcpy(logical.data + to, physical + from, size());
    });
  });
}

}  // namespace ingot
