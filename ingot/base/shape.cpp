#include "ingot/base/shape.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>

#include "ingot/base/error.h"

namespace ingot {

Shape::Shape(std::initializer_list<std::int64_t> dims)
    : Shape(std::span<const std::int64_t>(dims.begin(), dims.size())) {}

Shape::Shape(std::span<const std::int64_t> dims) {
  for (const std::int64_t dim : dims) push_back(dim);
}

void Shape::push_back(std::int64_t dim) {
  if (rank_ == kMaxRank) {
    throw user_error(ErrorCode::invalid_shape,
                     fmt::format("shape: at most {} dimensions, got more", kMaxRank));
  }
  dims_[static_cast<std::size_t>(rank_++)] = dim;
}

std::int64_t Shape::numel() const noexcept {
  if (std::find(begin(), end(), 0) != end()) return 0;
  std::int64_t n = 1;
  for (const std::int64_t dim : *this) {
    if (__builtin_mul_overflow(n, dim, &n)) return std::numeric_limits<std::int64_t>::max();
  }
  return n;
}

std::array<std::int64_t, Shape::kMaxRank> Shape::strides() const noexcept {
  std::array<std::int64_t, kMaxRank> result{};
  std::int64_t stride = 1;
  for (int axis = rank_ - 1; axis >= 0; --axis) {
    result[static_cast<std::size_t>(axis)] = stride;
    stride *= (*this)[axis];
  }
  return result;
}

std::string Shape::to_string() const {
  std::string text = "[";
  for (int axis = 0; axis < rank_; ++axis) {
    if (axis > 0) text += ',';
    text += std::to_string((*this)[axis]);
  }
  return text + "]";
}

bool operator==(const Shape& a, const Shape& b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

std::int64_t TensorType::bytes() const noexcept {
  std::int64_t size = 0;
  if (__builtin_mul_overflow(numel(), static_cast<std::int64_t>(dtype_size(dtype)), &size)) {
    return std::numeric_limits<std::int64_t>::max();
  }
  return size;
}

std::string TensorType::to_string() const {
  return std::string(dtype_name(dtype)) + shape.to_string();
}

}  // namespace ingot
