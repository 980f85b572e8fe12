// cuDNN 9's graph API, found at run time.
#pragma once

#include <cudnn.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ingot::cuda {

/// The functions that Ingot calls, by their names without the prefix `cudnn`.
struct CudnnFunctions {
// NOLINTNEXTLINE(bugprone-macro-parentheses): it declares the name
#define INGOT_CUDNN(name) decltype(&::cudnn##name) name = nullptr;
#include "ingot/backends/cuda/libraries/cudnn.inc"
#undef INGOT_CUDNN
};

/// The library, or why it cannot be used.
struct LoadedCudnn {
  CudnnFunctions functions;
  std::string trouble;  ///< empty: usable

  /// Errors: unsupported, with what is missing.
  [[nodiscard]] const CudnnFunctions& require() const;
};
/// Tries each file name, see Library.
LoadedCudnn load_cudnn(std::span<const std::string_view> file_names);

/// Why cuDNN cannot be used; empty when it can. Loads the library, but none of its engines.
const std::string& cudnn_trouble();
/// The process's own. Loaded at the first call. Errors: as LoadedCudnn::require().
const CudnnFunctions& cudnn();
/// 91900 for 9.19.0.
std::size_t cudnn_version();

/// Throws an internal Error `cudnn: WHAT must succeed, got STATUS (what the library said)`.
void check(const CudnnFunctions& library, cudnnStatus_t status, std::string_view what);
void check(cudnnStatus_t status, std::string_view what);

/// A handle for the current context. Not for use by two threads at once.
class CudnnHandle {
 public:
  CudnnHandle();
  ~CudnnHandle();
  CudnnHandle(const CudnnHandle&) = delete;
  CudnnHandle& operator=(const CudnnHandle&) = delete;
  [[nodiscard]] cudnnHandle_t get() const noexcept { return handle_; }

 private:
  cudnnHandle_t handle_ = nullptr;
};

/// A descriptor of the graph API; attributes are set, then it is finalized.
class CudnnDescriptor {
 public:
  CudnnDescriptor() = default;
  explicit CudnnDescriptor(cudnnBackendDescriptorType_t type);
  ~CudnnDescriptor() { reset(); }
  CudnnDescriptor(CudnnDescriptor&& other) noexcept : raw_(other.raw_) { other.raw_ = nullptr; }
  CudnnDescriptor& operator=(CudnnDescriptor&& other) noexcept {
    if (this != &other) {
      reset();
      raw_ = other.raw_;
      other.raw_ = nullptr;
    }
    return *this;
  }

  [[nodiscard]] cudnnBackendDescriptor_t raw() const noexcept { return raw_; }

  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count,
           const void* values);
  void set(cudnnBackendAttributeName_t name, std::int64_t value) {
    set(name, CUDNN_TYPE_INT64, 1, &value);
  }
  void set(cudnnBackendAttributeName_t name, std::span<const std::int64_t> values) {
    set(name, CUDNN_TYPE_INT64, static_cast<std::int64_t>(values.size()), values.data());
  }
  void set(cudnnBackendAttributeName_t name, float value) {
    set(name, CUDNN_TYPE_FLOAT, 1, &value);
  }
  void set(cudnnBackendAttributeName_t name, cudnnDataType_t value) {
    set(name, CUDNN_TYPE_DATA_TYPE, 1, &value);
  }
  void set(cudnnBackendAttributeName_t name, const CudnnDescriptor& value) {
    set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, static_cast<const void*>(&value.raw_));
  }
  /// `what` is for the error's text.
  void finalize(std::string_view what);

  /// The attribute's value.
  template <typename T>
  [[nodiscard]] T get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type) const {
    T value{};
    get(name, type, 1, &value);
    return value;
  }
  /// How many values there are; writes at most `room`.
  std::int64_t get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                   std::int64_t room, void* values) const;

 private:
  void reset() noexcept;

  cudnnBackendDescriptor_t raw_ = nullptr;
};

}  // namespace ingot::cuda
