// Counts of what Ingot asks a device for; a step must leave them alone.
#pragma once

#include <atomic>
#include <cstdint>

namespace ingot {

/// A reading of AllocationStats. Two equal readings around a piece of work prove that the work
/// neither allocated nor freed device or staging memory nor took a buffer from a pool.
struct AllocationCounts {
  std::uint64_t device_allocations = 0;   ///< Device::allocate, pool misses included
  std::uint64_t device_frees = 0;         ///< Device::free
  std::uint64_t staging_allocations = 0;  ///< Device::allocate_staging
  std::uint64_t staging_frees = 0;        ///< Device::free_staging
  std::uint64_t pool_acquires = 0;        ///< buffers taken from the device's pools, hits included

  friend bool operator==(const AllocationCounts&, const AllocationCounts&) = default;
};

/// The live counters of one Device. Thread safe.
struct AllocationStats {
  std::atomic<std::uint64_t> device_allocations{0};
  std::atomic<std::uint64_t> device_frees{0};
  std::atomic<std::uint64_t> staging_allocations{0};
  std::atomic<std::uint64_t> staging_frees{0};
  std::atomic<std::uint64_t> pool_acquires{0};
  std::atomic<std::int64_t> device_bytes{0};  ///< allocated and not freed

  [[nodiscard]] AllocationCounts counts() const noexcept {
    return {device_allocations.load(), device_frees.load(), staging_allocations.load(),
            staging_frees.load(), pool_acquires.load()};
  }
};

}  // namespace ingot
