// Typed access to a packed, row-major block of host memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ingot/base/shape.h"

namespace ingot {

/// A non-owning view of packed row-major elements. `get`/`set` convert through double (rounding
/// to the element type as hardware does), `get_int`/`set_int` through int64; slow by design.
struct HostView {
  TensorType type;
  std::byte* data = nullptr;

  [[nodiscard]] double get(std::int64_t index) const noexcept;
  void set(std::int64_t index, double value) const noexcept;
  [[nodiscard]] std::int64_t get_int(std::int64_t index) const noexcept;
  void set_int(std::int64_t index, std::int64_t value) const noexcept;
  [[nodiscard]] std::int64_t numel() const noexcept { return type.numel(); }

  /// The elements as T; the caller has checked the dtype.
  template <typename T>
  [[nodiscard]] std::span<T> as() const noexcept {
    return {reinterpret_cast<T*>(data), static_cast<std::size_t>(numel())};
  }
};

/// Owning counterpart of HostView, zero-initialised.
class HostTensor {
 public:
  HostTensor() = default;
  explicit HostTensor(TensorType type);
  /// Elements converted to `type.dtype`; throws a user Error unless there are type.numel().
  HostTensor(TensorType type, std::span<const double> values);

  [[nodiscard]] const TensorType& type() const noexcept { return type_; }
  [[nodiscard]] HostView view() noexcept { return {type_, storage_.data()}; }
  /// For reading only.
  [[nodiscard]] HostView view() const noexcept {
    return {type_, const_cast<std::byte*>(storage_.data())};
  }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return storage_; }
  [[nodiscard]] std::span<std::byte> bytes() noexcept { return storage_; }
  [[nodiscard]] std::vector<double> to_doubles() const;

  friend bool operator==(const HostTensor&, const HostTensor&) = default;

 private:
  TensorType type_;
  std::vector<std::byte> storage_;
};

}  // namespace ingot
