// Feeds that lie in host memory, on their way to the device while earlier steps run.
#pragma once

#include <cuda.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ingot/backends/cuda/step/step_runner.h"

namespace ingot::cuda {

/// One feed's places: pinned on the host, and on the device. Allocates at the first copy.
class FeedRing {
 public:
  FeedRing(std::shared_ptr<CudaDevice> device, std::string name);
  ~FeedRing();
  FeedRing(const FeedRing&) = delete;
  FeedRing& operator=(const FeedRing&) = delete;

  /// That it takes on the device for a feed of `bytes`.
  [[nodiscard]] static std::int64_t device_bytes(std::int64_t bytes) noexcept {
    return kPlaces * bytes;
  }

  /// Copies `bytes` by the stream `copies`; what is enqueued on `reader` afterwards finds them at
  /// the address. `data` may be reused on return.
  const std::byte* copy(const std::byte* data, std::size_t bytes, CUstream copies, CUstream reader);
  /// What was enqueued on `reader` so far is all that reads the last copy, if there was one since
  /// the last release.
  void release(CUstream reader);

 private:
  static constexpr int kPlaces = 3;

  struct Place {
    std::unique_ptr<Pinned> host;
    Buffer device;
    CUevent copied = nullptr;
    CUevent read = nullptr;
    bool used = false;
  };

  void grow(std::size_t bytes);

  std::shared_ptr<CudaDevice> device_;
  std::string name_;
  std::size_t bytes_ = 0;
  std::array<Place, kPlaces> places_;
  std::size_t next_ = 0;
  bool pending_ = false;  ///< a copy that was not released
};

/// A ring for each feed of a step, and the stream that copies. Each is made when a feed first comes
/// from the host.
class FeedRings {
 public:
  explicit FeedRings(std::shared_ptr<CudaDevice> device) : device_(std::move(device)) {}

  /// See FeedRing::copy.
  const std::byte* copy(std::size_t feed, const std::string& name, const std::byte* data,
                        std::size_t bytes, CUstream reader);
  void release(CUstream reader);

 private:
  std::shared_ptr<CudaDevice> device_;
  StepHandles copies_;
  std::vector<std::unique_ptr<FeedRing>> rings_;  ///< by feed
};

}  // namespace ingot::cuda
