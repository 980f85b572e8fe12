// A block of device memory, owned or wrapped.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>

#include "ingot/memory/device.h"

namespace ingot {

/// Told once that Ingot and the device have finished with an external buffer. It must not throw.
using ReleaseCallback = std::function<void(void* data)>;

/// Owns one allocation of a Device, or refers to external memory, which is never freed here.
/// Move-only; the moved-from Buffer is empty.
class Buffer {
 public:
  Buffer() = default;
  ~Buffer() { reset(); }
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;

  /// Uninitialised memory; zero bytes give an empty Buffer. Throws Error out_of_memory, which calls
  /// the buffer by `name`: `buffer "gradients": needs 1024 bytes on device "host", got ...`.
  static Buffer allocate(std::shared_ptr<Device> device, std::size_t bytes, std::string_view name);
  /// The same, but an empty Buffer when there is not enough memory.
  static Buffer try_allocate(std::shared_ptr<Device> device, std::size_t bytes) noexcept;
  /// External memory of the device; `release` (may be empty) runs when the Buffer goes.
  static Buffer wrap(std::shared_ptr<Device> device, void* data, std::size_t bytes,
                     ReleaseCallback release = {}) noexcept;

  [[nodiscard]] bool empty() const noexcept { return data_ == nullptr; }
  [[nodiscard]] void* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool external() const noexcept { return external_; }
  [[nodiscard]] const std::shared_ptr<Device>& device() const noexcept { return device_; }

  /// Frees or lets go of the memory.
  void reset() noexcept;

 private:
  void take(Buffer& other) noexcept;

  std::shared_ptr<Device> device_;
  void* data_ = nullptr;
  std::size_t size_ = 0;
  bool external_ = false;
  ReleaseCallback release_;
};

}  // namespace ingot
