// What a backend provides for memory: Device, Stream and Event.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "ingot/memory/allocation_stats.h"

namespace ingot {

class Device;
class Stream;

enum class DeviceKind : std::uint8_t { host, cuda, metal };

struct MemoryInfo {
  std::size_t total_bytes = 0;
  std::size_t free_bytes = 0;
};

/// A point in the order of a Stream. Copying allocates nothing. The empty Event is done.
class Event {
 public:
  Event() = default;
  Event(std::shared_ptr<Stream> stream, std::uint64_t ticket)
      : stream_(std::move(stream)), ticket_(ticket) {}

  /// Whether everything enqueued before it has finished; never blocks.
  [[nodiscard]] bool done() const noexcept;
  /// Blocks the host until done. Throws what the device latched.
  void wait() const;

  [[nodiscard]] const std::shared_ptr<Stream>& stream() const noexcept { return stream_; }
  [[nodiscard]] std::uint64_t ticket() const noexcept { return ticket_; }

 private:
  std::shared_ptr<Stream> stream_;
  std::uint64_t ticket_ = 0;
};

/// Work on a Device in order. Everything above `record` only enqueues: memory named by an argument
/// stays valid and untouched until an Event recorded after the call is done. Errors of the device
/// latch and are thrown by the call that waits.
class Stream : public std::enable_shared_from_this<Stream> {
 public:
  using HostFunction = void (*)(void* context) noexcept;

  virtual ~Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  [[nodiscard]] virtual Device& device() const noexcept = 0;

  virtual void copy_to_device(void* target, const void* host_source, std::size_t bytes) = 0;
  virtual void copy_to_host(void* host_target, const void* source, std::size_t bytes) = 0;
  virtual void copy_on_device(void* target, const void* source, std::size_t bytes) = 0;
  virtual void fill(void* target, std::byte value, std::size_t bytes) = 0;
  /// Runs `function(context)` on the host in the Stream's order. It must not use the Stream.
  virtual void call_on_host(HostFunction function, void* context) = 0;
  /// Work enqueued later here begins after `event`, which may be of another Stream of the Device.
  virtual void wait_for(const Event& event) = 0;

  /// The point after everything enqueued so far.
  [[nodiscard]] Event record() { return {shared_from_this(), record_ticket()}; }
  virtual void synchronize() = 0;

 protected:
  Stream() = default;
  /// Tickets of one Stream increase.
  virtual std::uint64_t record_ticket() = 0;
  [[nodiscard]] virtual bool ticket_done(std::uint64_t ticket) noexcept = 0;
  virtual void wait_ticket(std::uint64_t ticket) = 0;

 private:
  friend class Event;
};

/// A device's memory. Thread safe. Shared, because Buffers keep it alive.
class Device {
 public:
  virtual ~Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  /// "host", "cuda:0"
  [[nodiscard]] virtual const std::string& name() const noexcept = 0;
  [[nodiscard]] virtual DeviceKind kind() const noexcept = 0;
  /// Whether the host may read and write the device's memory by its address.
  [[nodiscard]] virtual bool host_visible() const noexcept = 0;
  /// Alignment in bytes that every allocation has, a power of two of at least 64.
  [[nodiscard]] virtual std::size_t alignment() const noexcept = 0;
  [[nodiscard]] virtual MemoryInfo memory_info() const = 0;

  /// Uninitialised memory, `bytes` > 0; nullptr when there is not enough. Counted.
  [[nodiscard]] void* allocate(std::size_t bytes) noexcept;
  void free(void* data, std::size_t bytes) noexcept;
  /// Host memory that the device copies from and to asynchronously (pinned where that matters).
  [[nodiscard]] void* allocate_staging(std::size_t bytes) noexcept;
  void free_staging(void* data, std::size_t bytes) noexcept;

  // Blocking counterparts of the Stream's functions, ordered after nothing: the caller has waited
  // for whatever used the memory before.
  virtual void copy_to_device(void* target, const void* host_source, std::size_t bytes) = 0;
  virtual void copy_to_host(void* host_target, const void* source, std::size_t bytes) = 0;
  virtual void fill(void* target, std::byte value, std::size_t bytes) = 0;

  [[nodiscard]] virtual std::shared_ptr<Stream> create_stream() = 0;

  [[nodiscard]] AllocationStats& allocation_stats() noexcept { return allocation_stats_; }

 protected:
  Device() = default;
  virtual void* do_allocate(std::size_t bytes) noexcept = 0;
  virtual void do_free(void* data, std::size_t bytes) noexcept = 0;
  virtual void* do_allocate_staging(std::size_t bytes) noexcept = 0;
  virtual void do_free_staging(void* data, std::size_t bytes) noexcept = 0;

 private:
  AllocationStats allocation_stats_;
};

}  // namespace ingot
