// Static shapes and tensor types.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "ingot/base/dtype.h"

namespace ingot {

/// A static shape of rank 0 to 8, row-major. Dimensions are non-negative in every checked Graph;
/// Shape itself does not check them, so that op inference can name the op in the error.
class Shape {
 public:
  static constexpr int kMaxRank = 8;

  Shape() = default;
  /// Throws Error (user) when more than kMaxRank dimensions are given.
  Shape(std::initializer_list<std::int64_t> dims);
  explicit Shape(std::span<const std::int64_t> dims);
  explicit Shape(const std::vector<std::int64_t>& dims)
      : Shape(std::span<const std::int64_t>(dims)) {}

  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] std::int64_t operator[](int axis) const noexcept {
    return dims_[static_cast<std::size_t>(axis)];
  }
  std::int64_t& operator[](int axis) noexcept { return dims_[static_cast<std::size_t>(axis)]; }
  [[nodiscard]] std::span<const std::int64_t> dims() const noexcept {
    return {dims_.data(), static_cast<std::size_t>(rank_)};
  }
  [[nodiscard]] const std::int64_t* begin() const noexcept { return dims_.data(); }
  [[nodiscard]] const std::int64_t* end() const noexcept { return dims_.data() + rank_; }
  [[nodiscard]] std::vector<std::int64_t> to_vector() const { return {begin(), end()}; }

  /// Product of the dimensions (1 for rank 0). Saturates at INT64_MAX on overflow.
  [[nodiscard]] std::int64_t numel() const noexcept;
  /// Row-major strides in elements.
  [[nodiscard]] std::array<std::int64_t, kMaxRank> strides() const noexcept;
  /// "[32,3,32,32]"
  [[nodiscard]] std::string to_string() const;

  void push_back(std::int64_t dim);

  friend bool operator==(const Shape& a, const Shape& b) noexcept;

 private:
  std::array<std::int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

/// dtype and shape of a Value or a Tensor.
struct TensorType {
  DType dtype = DType::f32;
  Shape shape;

  [[nodiscard]] std::int64_t numel() const noexcept { return shape.numel(); }
  /// Packed size in bytes.
  [[nodiscard]] std::int64_t bytes() const noexcept;
  /// "f32[32,3,32,32]"
  [[nodiscard]] std::string to_string() const;

  friend bool operator==(const TensorType&, const TensorType&) = default;
};

}  // namespace ingot
