// Element types of tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace ingot {

/// Element type of a tensor. f64 exists on the reference and CPU backends only.
enum class DType : std::uint8_t { f64, f32, f16, bf16, i64, i32, i8, u8, boolean };

inline constexpr int kDTypeCount = 9;

/// Bytes of one element.
std::size_t dtype_size(DType dtype) noexcept;
/// "f32", "bf16", "bool", ...
std::string_view dtype_name(DType dtype) noexcept;
/// Inverse of dtype_name.
std::optional<DType> parse_dtype(std::string_view name) noexcept;

/// f64, f32, f16, bf16.
bool is_float(DType dtype) noexcept;
/// i64, i32, i8, u8 (not bool).
bool is_integer(DType dtype) noexcept;

/// IEEE 754 binary16, stored as bits; conversion rounds to nearest even.
struct Half {
  std::uint16_t bits = 0;
  Half() = default;
  explicit Half(float value) noexcept;
  explicit operator float() const noexcept;
};

/// bfloat16 (upper half of binary32), stored as bits; conversion rounds to nearest even.
struct BFloat16 {
  std::uint16_t bits = 0;
  BFloat16() = default;
  explicit BFloat16(float value) noexcept;
  explicit operator float() const noexcept;
};

}  // namespace ingot
