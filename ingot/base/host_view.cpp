#include "ingot/base/host_view.h"

#include <fmt/core.h>

#include <cstring>
#include <limits>

#include "ingot/base/error.h"

namespace ingot {
namespace {

template <typename T>
T load(const std::byte* data, std::int64_t index) noexcept {
  T value;
  std::memcpy(&value, data + index * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
  return value;
}

template <typename T>
void store(std::byte* data, std::int64_t index, T value) noexcept {
  std::memcpy(data + index * static_cast<std::int64_t>(sizeof(T)), &value, sizeof(T));
}

// Out-of-range doubles saturate and NaN becomes 0, so that the result is defined.
template <typename T>
T saturate(double value) noexcept {
  constexpr double low = static_cast<double>(std::numeric_limits<T>::min());
  constexpr double high = static_cast<double>(std::numeric_limits<T>::max());
  if (value != value) return 0;
  if (value <= low) return std::numeric_limits<T>::min();
  if (value >= high) return std::numeric_limits<T>::max();
  return static_cast<T>(value);
}

}  // namespace

double HostView::get(std::int64_t index) const noexcept {
  switch (type.dtype) {
    case DType::f64: return load<double>(data, index);
    case DType::f32: return static_cast<double>(load<float>(data, index));
    case DType::f16: return static_cast<double>(static_cast<float>(load<Half>(data, index)));
    case DType::bf16: return static_cast<double>(static_cast<float>(load<BFloat16>(data, index)));
    default: return static_cast<double>(get_int(index));
  }
}

void HostView::set(std::int64_t index, double value) const noexcept {
  switch (type.dtype) {
    case DType::f64: return store(data, index, value);
    case DType::f32: return store(data, index, static_cast<float>(value));
    case DType::f16: return store(data, index, Half(static_cast<float>(value)));
    case DType::bf16: return store(data, index, BFloat16(static_cast<float>(value)));
    case DType::i64: return store(data, index, saturate<std::int64_t>(value));
    case DType::i32: return store(data, index, saturate<std::int32_t>(value));
    case DType::i8: return store(data, index, saturate<std::int8_t>(value));
    case DType::u8: return store(data, index, saturate<std::uint8_t>(value));
    case DType::boolean: return store(data, index, static_cast<std::uint8_t>(value != 0.0));
  }
}

std::int64_t HostView::get_int(std::int64_t index) const noexcept {
  switch (type.dtype) {
    case DType::i64: return load<std::int64_t>(data, index);
    case DType::i32: return load<std::int32_t>(data, index);
    case DType::i8: return load<std::int8_t>(data, index);
    case DType::u8: return load<std::uint8_t>(data, index);
    case DType::boolean: return load<std::uint8_t>(data, index) != 0 ? 1 : 0;
    default: return saturate<std::int64_t>(get(index));
  }
}

void HostView::set_int(std::int64_t index, std::int64_t value) const noexcept {
  switch (type.dtype) {
    case DType::i64: return store(data, index, value);
    case DType::i32: return store(data, index, static_cast<std::int32_t>(value));
    case DType::i8: return store(data, index, static_cast<std::int8_t>(value));
    case DType::u8: return store(data, index, static_cast<std::uint8_t>(value));
    case DType::boolean: return store(data, index, static_cast<std::uint8_t>(value != 0));
    default: return set(index, static_cast<double>(value));
  }
}

HostTensor::HostTensor(TensorType type)
    : type_(type), storage_(static_cast<std::size_t>(type.bytes())) {}

HostTensor::HostTensor(TensorType type, std::span<const double> values) : HostTensor(type) {
  if (static_cast<std::int64_t>(values.size()) != type.numel()) {
    throw user_error(ErrorCode::invalid_argument,
                     fmt::format("host tensor: {} needs {} values, got {}", type.to_string(),
                                 type.numel(), values.size()));
  }
  const HostView target = view();
  for (std::size_t i = 0; i < values.size(); ++i)
    target.set(static_cast<std::int64_t>(i), values[i]);
}

std::vector<double> HostTensor::to_doubles() const {
  std::vector<double> values(static_cast<std::size_t>(type_.numel()));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = view().get(static_cast<std::int64_t>(i));
  return values;
}

}  // namespace ingot
