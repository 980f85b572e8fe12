// The pool that Tensors take their memory from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "ingot/memory/device.h"

namespace ingot {

namespace detail {
class PoolCore;
}

#ifdef NDEBUG
inline constexpr bool kPoisonByDefault = false;
#else
inline constexpr bool kPoisonByDefault = true;
#endif

/// What released memory is filled with; as f32 it is about -2.7e7.
inline constexpr std::byte kPoisonByte{0xcb};

struct PoolOptions {
  /// Fill memory with kPoisonByte when it comes back, so that a stale pointer shows.
  bool poison = kPoisonByDefault;
  /// Gets one line when the pool goes while Tensors live; empty writes it to stderr.
  std::function<void(std::string_view line)> leak_sink;
};

/// Bytes are those of the size classes except where said.
struct PoolStats {
  std::size_t live_bytes = 0;  ///< in live Tensors
  std::size_t live_count = 0;
  std::size_t requested_bytes = 0;  ///< what the live Tensors asked for
  std::size_t pending_bytes = 0;    ///< released, but the device has not finished with them
  std::size_t pending_count = 0;
  std::size_t pooled_bytes = 0;  ///< free for reuse
  std::size_t pooled_count = 0;
  std::size_t external_count = 0;   ///< live Tensors on wrapped memory, not counted above
  std::size_t peak_live_bytes = 0;  ///< the largest live_bytes so far
  std::uint64_t hits = 0;           ///< requests served from pooled memory
  std::uint64_t misses = 0;         ///< requests that went to the device

  /// hits / (hits + misses), 0 before the first request.
  [[nodiscard]] double hit_rate() const noexcept {
    const std::uint64_t requests = hits + misses;
    return requests == 0 ? 0.0 : static_cast<double>(hits) / static_cast<double>(requests);
  }
};

/// Keeps released memory of one Device for reuse, in geometric size classes (size_class.h). Thread
/// safe. After warm-up, taking and giving back memory calls no allocator.
///
/// When the Device has no memory left, the pool waits for pending memory, frees what it keeps and
/// tries again; only then does it throw out_of_memory, which lists what is live.
class BufferPool {
 public:
  explicit BufferPool(std::shared_ptr<Device> device, PoolOptions options = {});
  /// Waits for pending memory, frees what is pooled and reports Tensors that outlive the pool. They
  /// stay valid; their memory is freed with them.
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  [[nodiscard]] const std::shared_ptr<Device>& device() const noexcept;
  [[nodiscard]] PoolStats stats() const;
  /// `pool of device "host": 2 tensors (1088 bytes) are live: "a" 1024 bytes, "b" 64 bytes`; empty
  /// when none is.
  [[nodiscard]] std::string leak_report() const;
  /// Takes back memory that the device has finished with and runs the release callbacks that are
  /// due. Every request and release does so too.
  void collect() noexcept;
  /// Frees the pooled memory; pending and live memory stay.
  void trim() noexcept;

 private:
  friend class Tensor;
  std::shared_ptr<detail::PoolCore> core_;
};

}  // namespace ingot
