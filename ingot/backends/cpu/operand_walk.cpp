#include "ingot/backends/cpu/operand_walk.h"

#include <algorithm>
#include <cstring>

namespace ingot {

std::vector<PhysicalAxis> physical_axes(const Shape& shape, const Layout& layout) {
  std::vector<PhysicalAxis> axes;
  for (int i = 0; i < shape.rank(); ++i) {
    const int axis = layout.order().empty() ? i : layout.order()[static_cast<std::size_t>(i)];
    const std::int64_t block = layout.block_of(axis);
    axes.push_back({axis, (shape[axis] + block - 1) / block, block, 1});
  }
  // A later block of an axis lies inside an earlier one.
  for (std::size_t i = 0; i < layout.blocks().size(); ++i) {
    const Layout::Block& block = layout.blocks()[i];
    std::int64_t step = 1;
    for (std::size_t j = i + 1; j < layout.blocks().size(); ++j) {
      if (layout.blocks()[j].axis == block.axis) step *= layout.blocks()[j].size;
    }
    axes.push_back({block.axis, block.size, step, 1});
  }
  std::int64_t stride = 1;
  for (auto it = axes.rbegin(); it != axes.rend(); ++it) {
    it->stride = stride;
    stride *= it->size;
  }
  return axes;
}

std::optional<OperandWalk> OperandWalk::make(const Shape& shape, const Layout& layout,
                                             const Shape& operand, const Layout& operand_layout) {
  OperandWalk walk;
  const int missing = shape.rank() - operand.rank();
  const std::vector<PhysicalAxis> axes = physical_axes(shape, layout);
  if (axes.size() > kMaxAxes) return std::nullopt;
  for (int axis = 0; axis < operand.rank(); ++axis) {
    const std::int64_t block = layout.block_of(axis + missing);
    const bool unblocked = operand_layout.block_of(axis) == 1;
    if (operand[axis] > 1 && unblocked && operand[axis] % block != 0) {
      if (!operand_layout.is_plain() || walk.padded_axis_ >= 0) return std::nullopt;
      walk.padded_axis_ = axis;
      walk.padded_block_ = block;
    }
  }
  const std::vector<PhysicalAxis> own = physical_axes(padded_shape(operand, walk), operand_layout);
  for (const PhysicalAxis& axis : axes) {
    const int operand_axis = axis.axis - missing;
    std::int64_t stride = 0;
    if (operand_axis >= 0 && operand[operand_axis] != 1) {
      if (operand_layout.block_of(operand_axis) == 1) {
        const auto it = std::find_if(own.begin(), own.end(),
                                     [&](const auto& o) { return o.axis == operand_axis; });
        stride = it->stride * axis.step;
      } else {
        const auto it = std::find_if(own.begin(), own.end(), [&](const auto& o) {
          return o.axis == operand_axis && o.step == axis.step && o.size == axis.size;
        });
        if (it == own.end()) return std::nullopt;
        stride = it->stride;
      }
    }
    walk.sizes_[index(walk.rank_)] = axis.size;
    walk.strides_[index(walk.rank_)] = stride;
    ++walk.rank_;
  }
  walk.merge();
  return walk;
}

void OperandWalk::merge() noexcept {
  int kept = 0;
  for (int i = 0; i < rank_; ++i) {
    const std::int64_t size = sizes_[index(i)];
    const std::int64_t stride = strides_[index(i)];
    if (size == 1) continue;
    if (kept > 0 && strides_[index(kept - 1)] == stride * size) {
      sizes_[index(kept - 1)] *= size;
      strides_[index(kept - 1)] = stride;
      continue;
    }
    sizes_[index(kept)] = size;
    strides_[index(kept)] = stride;
    ++kept;
  }
  if (kept == 0) {
    sizes_[0] = 1;
    strides_[0] = 0;
    kept = 1;
  }
  rank_ = kept;
}

std::int64_t OperandWalk::offset(std::int64_t at) const noexcept {
  std::int64_t result = 0;
  for (int i = rank_ - 1; i > 0 && at > 0; --i) {
    result += at % sizes_[index(i)] * strides_[index(i)];
    at /= sizes_[index(i)];
  }
  return result + at * strides_[0];
}

namespace {

template <class T>
void copy_run(T* out, const T* in, std::int64_t stride, std::int64_t n) noexcept {
  if (stride == 1) {
    std::copy_n(in, n, out);
  } else if (stride == 0) {
    std::fill_n(out, n, *in);
  } else {
    for (std::int64_t i = 0; i < n; ++i) out[i] = in[i * stride];
  }
}

template <class T, std::size_t kAxes>
void gather_as(T* out, const T* in, const std::array<std::int64_t, kAxes>& sizes,
               const std::array<std::int64_t, kAxes>& strides, int rank, std::int64_t at,
               std::int64_t n) noexcept {
  std::array<std::int64_t, kAxes> index{};
  std::int64_t offset = 0;
  for (int i = rank - 1; i >= 0; --i) {
    const auto k = static_cast<std::size_t>(i);
    index[k] = i == 0 ? at : at % sizes[k];
    at /= sizes[k];
    offset += index[k] * strides[k];
  }
  const auto last = static_cast<std::size_t>(rank - 1);
  const bool repeats = rank > 1 && strides[last] == 1 && strides[last - 1] == 0;
  while (n > 0) {
    if (repeats && index[last] == 0) {
      // One short run over and over, as a channel block over its pixels: copied by doubling.
      const std::int64_t left = (sizes[last - 1] - index[last - 1]) * sizes[last];
      const std::int64_t whole = std::min(n, left) / sizes[last] * sizes[last];
      if (whole > sizes[last]) {
        std::copy_n(in + offset, sizes[last], out);
        for (std::int64_t done = sizes[last]; done < whole;) {
          const std::int64_t more = std::min(done, whole - done);
          std::copy_n(out, more, out + done);
          done += more;
        }
        out += whole;
        n -= whole;
        index[last - 1] += whole / sizes[last];
        if (index[last - 1] == sizes[last - 1]) {
          index[last - 1] = 0;
          for (int i = rank - 3; i >= 0; --i) {
            const auto k = static_cast<std::size_t>(i);
            offset += strides[k];
            if (++index[k] < sizes[k]) break;
            offset -= sizes[k] * strides[k];
            index[k] = 0;
          }
        }
        continue;
      }
    }
    const std::int64_t run = std::min(n, sizes[last] - index[last]);
    copy_run(out, in + offset, strides[last], run);
    out += run;
    n -= run;
    // Back to the start of the run, then carry into the outer axes.
    offset -= index[last] * strides[last];
    index[last] = 0;
    for (int i = rank - 2; i >= 0; --i) {
      const auto k = static_cast<std::size_t>(i);
      offset += strides[k];
      if (++index[k] < sizes[k]) break;
      offset -= sizes[k] * strides[k];
      index[k] = 0;
    }
  }
}

}  // namespace

void OperandWalk::gather(void* out, const std::byte* operand, std::size_t size, std::int64_t at,
                         std::int64_t n) const noexcept {
  const auto as = [&]<class T>(T) {
    gather_as(static_cast<T*>(out), reinterpret_cast<const T*>(operand), sizes_, strides_, rank_,
              at, n);
  };
  switch (size) {
    case 1: return as(std::uint8_t{});
    case 2: return as(std::uint16_t{});
    case 4: return as(std::uint32_t{});
    default: return as(std::uint64_t{});
  }
}

bool is_padded(const Shape& shape, const Layout& layout) {
  return layout.physical_numel(shape) != shape.numel();
}

void zero_padding(std::byte* data, std::size_t element_size, const Shape& shape,
                  const Layout& layout) {
  const std::vector<PhysicalAxis> axes = physical_axes(shape, layout);
  // fn(offset, logical coordinate) for every combination of the axes that `take` selects.
  const auto walk = [&](const auto& take, const auto& fn) {
    const auto recurse = [&](const auto& self, std::size_t i, std::int64_t offset,
                             std::int64_t coordinate) -> void {
      if (i == axes.size()) return fn(offset, coordinate);
      if (!take(axes[i])) return self(self, i + 1, offset, coordinate);
      for (std::int64_t k = 0; k < axes[i].size; ++k) {
        self(self, i + 1, offset + k * axes[i].stride, coordinate + k * axes[i].step);
      }
    };
    recurse(recurse, 0, 0, 0);
  };
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] % layout.block_of(axis) == 0) continue;
    walk([&](const PhysicalAxis& a) { return a.axis == axis; },
         [&](std::int64_t start, std::int64_t coordinate) {
           if (coordinate < shape[axis]) return;
           walk([&](const PhysicalAxis& a) { return a.axis != axis; },
                [&](std::int64_t offset, std::int64_t) {
                  std::memset(data + static_cast<std::size_t>(start + offset) * element_size, 0,
                              element_size);
                });
         });
  }
}

Shape padded_shape(Shape operand, const OperandWalk& walk) {
  const int axis = walk.padded_axis();
  if (axis < 0) return operand;
  const std::int64_t block = walk.padded_block();
  operand[axis] = (operand[axis] + block - 1) / block * block;
  return operand;
}

void pad_operand(std::byte* out, const std::byte* operand, std::size_t element_size,
                 const Shape& shape, const OperandWalk& walk) noexcept {
  const int axis = walk.padded_axis();
  std::int64_t outer = 1;
  std::int64_t inner = 1;
  for (int i = 0; i < axis; ++i) outer *= shape[i];
  for (int i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
  const std::size_t row = static_cast<std::size_t>(shape[axis] * inner) * element_size;
  const std::size_t padded =
      static_cast<std::size_t>(padded_shape(shape, walk)[axis] * inner) * element_size;
  for (std::int64_t i = 0; i < outer; ++i) {
    std::memcpy(out, operand, row);
    std::memset(out + row, 0, padded - row);
    out += padded;
    operand += row;
  }
}

}  // namespace ingot
