#include "ingot/backends/cpu/strided_copy.h"

#include <algorithm>
#include <cstring>

#include "ingot/backends/cpu/parallel.h"

namespace ingot {
namespace {

template <class T>
void copy_row(std::byte* out, const std::byte* in, const CopyAxis& axis) noexcept {
  auto* to = reinterpret_cast<T*>(out);
  const auto* from = reinterpret_cast<const T*>(in);
  if (axis.out == 1) {
    for (std::int64_t i = 0; i < axis.size; ++i) to[i] = from[i * axis.in];
  } else if (axis.in == 1) {
    for (std::int64_t i = 0; i < axis.size; ++i) to[i * axis.out] = from[i];
  } else {
    for (std::int64_t i = 0; i < axis.size; ++i) to[i * axis.out] = from[i * axis.in];
  }
}

}  // namespace

StridedCopy::StridedCopy(std::span<const CopyAxis> axes, std::size_t element_size,
                         std::int64_t in_offset, std::int64_t out_offset)
    : element_(element_size), in_offset_(in_offset), out_offset_(out_offset) {
  for (const CopyAxis& axis : axes) {
    if (axis.size != 1) axes_[static_cast<std::size_t>(rank_++)] = axis;
  }
  const auto begin = axes_.begin();
  std::sort(begin, begin + rank_,
            [](const CopyAxis& a, const CopyAxis& b) { return a.out > b.out; });
  int kept = 0;
  for (int i = 0; i < rank_; ++i) {
    const CopyAxis axis = axes_[static_cast<std::size_t>(i)];
    if (kept > 0) {
      CopyAxis& outer = axes_[static_cast<std::size_t>(kept - 1)];
      if (outer.in == axis.in * axis.size && outer.out == axis.out * axis.size) {
        outer = {outer.size * axis.size, axis.in, axis.out};
        continue;
      }
    }
    axes_[static_cast<std::size_t>(kept++)] = axis;
  }
  rank_ = kept;
  if (rank_ == 0) axes_[static_cast<std::size_t>(rank_++)] = {1, 1, 1};
  for (int i = 0; i + 1 < rank_; ++i) rows_ *= axes_[static_cast<std::size_t>(i)].size;
}

void StridedCopy::run(const std::byte* in, std::byte* out, ThreadPool& pool) const noexcept {
  const CopyAxis& inner = axes_[static_cast<std::size_t>(rank_ - 1)];
  const double cost = static_cast<double>(rows_) * (4.0 + 0.4 * static_cast<double>(inner.size));
  parallel_ranges(pool, rows_, 1, cost, [&](std::int64_t first, std::int64_t last, int) {
    run_rows(in, out, first, last);
  });
}

void StridedCopy::run_rows(const std::byte* in, std::byte* out, std::int64_t first,
                           std::int64_t last) const noexcept {
  const CopyAxis& inner = axes_[static_cast<std::size_t>(rank_ - 1)];
  const auto bytes = static_cast<std::int64_t>(element_);
  std::array<std::int64_t, OperandWalk::kMaxAxes> index{};
  std::int64_t from = in_offset_;
  std::int64_t to = out_offset_;
  std::int64_t rest = first;
  for (int i = rank_ - 2; i >= 0; --i) {
    const auto k = static_cast<std::size_t>(i);
    index[k] = rest % axes_[k].size;
    rest /= axes_[k].size;
    from += index[k] * axes_[k].in;
    to += index[k] * axes_[k].out;
  }
  for (std::int64_t row = first; row < last; ++row) {
    std::byte* target = out + to * bytes;
    const std::byte* source = in + from * bytes;
    if (inner.in == 1 && inner.out == 1) {
      std::memcpy(target, source, static_cast<std::size_t>(inner.size) * element_);
    } else {
      switch (element_) {
        case 1: copy_row<std::uint8_t>(target, source, inner); break;
        case 2: copy_row<std::uint16_t>(target, source, inner); break;
        case 4: copy_row<std::uint32_t>(target, source, inner); break;
        default: copy_row<std::uint64_t>(target, source, inner);
      }
    }
    for (int i = rank_ - 2; i >= 0; --i) {
      const auto k = static_cast<std::size_t>(i);
      from += axes_[k].in;
      to += axes_[k].out;
      if (++index[k] < axes_[k].size) break;
      from -= axes_[k].in * axes_[k].size;
      to -= axes_[k].out * axes_[k].size;
      index[k] = 0;
    }
  }
}

}  // namespace ingot
