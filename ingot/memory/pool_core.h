// What BufferPool and Tensor share: slots of Tensors, free lists, statistics.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/base/shape.h"
#include "ingot/memory/buffer.h"
#include "ingot/memory/buffer_pool.h"
#include "ingot/memory/size_class.h"

namespace ingot::detail {

/// The last uses of a Tensor by Streams, at most one for each, oldest first.
struct DeviceUses {
  std::array<Event, 4> events;
  std::size_t count = 0;

  [[nodiscard]] bool done() const noexcept;
  void wait() const;
  /// Forgets what is done or covered by a later point of the same Stream; false when `event` still
  /// finds no room.
  bool add(const Event& event);
};

/// The control block of one Tensor after another. `state` holds the generation (upper 32 bits) and
/// the number of references; a handle of another generation is stale. The other fields are written
/// under the pool's lock before the first reference exists; `uses` is always under that lock.
struct TensorSlot {
  std::atomic<std::uint64_t> state{std::uint64_t{1} << 32};
  TensorType type;
  Buffer buffer;
  const std::string* name = nullptr;
  DeviceUses uses;
  std::shared_ptr<PoolCore> keep_alive;  // while referenced
  TensorSlot* next_free = nullptr;

  [[nodiscard]] std::uint32_t generation() const noexcept {
    return static_cast<std::uint32_t>(state.load(std::memory_order_acquire) >> 32);
  }
  [[nodiscard]] std::uint32_t references() const noexcept {
    return static_cast<std::uint32_t>(state.load(std::memory_order_acquire));
  }
  /// Adds a reference unless the generation has ended.
  [[nodiscard]] bool try_retain(std::uint32_t generation) noexcept;
};

class PoolCore : public std::enable_shared_from_this<PoolCore> {
 public:
  PoolCore(std::shared_ptr<Device> device, PoolOptions options);

  [[nodiscard]] const std::shared_ptr<Device>& device() const noexcept { return device_; }
  [[nodiscard]] PoolStats stats() const;

  /// A slot with one reference on pooled memory for `type`. Throws out_of_memory.
  TensorSlot& create(const TensorType& type, std::string_view name);
  /// A slot with one reference on external memory.
  TensorSlot& adopt(Buffer external, const TensorType& type, std::string_view name);
  /// Drops a reference unless the generation has ended; returns whether there was one.
  bool drop(TensorSlot& slot, std::uint32_t generation) noexcept;

  void record_use(TensorSlot& slot, const Event& event);
  [[nodiscard]] DeviceUses uses(const TensorSlot& slot) const;

  void collect() noexcept;
  void trim() noexcept;
  /// The pool object goes: nothing is kept from now on.
  void close() noexcept;
  /// `2 tensors (1088 bytes)` and `"a" 1024 bytes, ...`, largest first; empty when none is live.
  struct Live {
    std::size_t count = 0;
    std::string summary;
    std::string names;
  };
  [[nodiscard]] Live live() const;
  /// Writes a line to the leak sink or to stderr.
  void report(std::string_view line) const noexcept;

 private:
  struct Pending {
    Buffer buffer;
    DeviceUses uses;
  };
  struct NameHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const noexcept {
      return std::hash<std::string_view>()(name);
    }
  };

  Buffer take_buffer(std::size_t bytes, std::string_view name);
  Buffer allocate_or_trim(std::size_t bytes, std::string_view name);
  Buffer collect_until_external() noexcept;
  void wait_for_pending();
  void retire(TensorSlot& slot) noexcept;
  // The following are called under the lock.
  TensorSlot& occupy_slot(Buffer buffer, const TensorType& type, std::string_view name);
  const std::string* intern(std::string_view name);
  void give_back(Buffer buffer) noexcept;
  Buffer take_pooled(int size_class) noexcept;
  void reserve_room(int size_class);

  [[nodiscard]] Error out_of_memory(std::size_t bytes, std::string_view name) const;

  const std::shared_ptr<Device> device_;
  const PoolOptions options_;

  mutable std::mutex mutex_;  // guards everything below
  std::deque<TensorSlot> slots_;
  TensorSlot* free_slots_ = nullptr;
  std::array<std::vector<Buffer>, kSizeClassCount> pooled_;
  std::array<std::size_t, kSizeClassCount> created_{};  // buffers ever made in a class
  std::vector<Pending> pending_;
  std::size_t buffers_ = 0;  // every buffer that may become pending
  // Names outlive their Tensors, so that a stale handle can be named.
  std::unordered_set<std::string, NameHash, std::equal_to<>> names_;
  const std::string many_names_ = "(one of too many names)";
  PoolStats stats_;
  bool closed_ = false;
};

}  // namespace ingot::detail
