// A ring of fixed host slots that a Stream copies from or to.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "ingot/memory/device.h"

namespace ingot {

/// Slots are used in ring order: acquire (the host owns the slot), submit (the Stream uses it until
/// an Event), and free again. Nothing is allocated after construction. Thread safe.
///
/// Two uses. Feeding, `Reclaim::automatic`: a slot is free as soon as its Event is done.
/// Results, `Reclaim::manual`: a slot that was submitted stays until it was read and reclaimed.
class StagingRing {
 public:
  enum class Reclaim : std::uint8_t { automatic, manual };

  struct Slot {
    std::size_t index = 0;
    std::span<std::byte> bytes;
    std::uint64_t tag = 0;  ///< what submit was given, e.g. the step
  };

  /// `slots` >= 1 slots of `slot_bytes` >= 1, each aligned to 64 bytes; else a user Error. Throws
  /// out_of_memory.
  StagingRing(std::shared_ptr<Device> device, std::size_t slots, std::size_t slot_bytes,
              Reclaim reclaim);
  /// Waits for submitted slots.
  ~StagingRing();
  StagingRing(const StagingRing&) = delete;
  StagingRing& operator=(const StagingRing&) = delete;

  [[nodiscard]] std::size_t slots() const noexcept { return states_.size(); }
  [[nodiscard]] std::size_t slot_bytes() const noexcept { return slot_bytes_; }

  /// The next slot, or nothing while it is in use.
  [[nodiscard]] std::optional<Slot> try_acquire();
  /// The next slot; waits until it is free. With manual reclaiming another thread has to reclaim.
  [[nodiscard]] Slot acquire();
  /// The Stream uses the acquired slot until `event`.
  void submit(const Slot& slot, Event event, std::uint64_t tag = 0);

  /// The submitted slot that was acquired first, if its Event is done (manual reclaiming).
  [[nodiscard]] std::optional<Slot> try_oldest();
  /// The same, waiting for the Event; nothing when no slot is submitted.
  [[nodiscard]] std::optional<Slot> wait_oldest();
  /// Frees the oldest slot after it was read (manual reclaiming).
  void reclaim(const Slot& slot);

 private:
  enum class Phase : std::uint8_t { free, acquired, submitted };
  struct State {
    Phase phase = Phase::free;
    std::uint64_t tag = 0;
    Event event;
  };

  [[nodiscard]] Slot slot_at(std::size_t index) const noexcept;
  void expect(const Slot& slot, Phase phase, const char* action) const;
  Slot take_next();

  std::shared_ptr<Device> device_;
  std::size_t slot_bytes_;
  std::size_t total_bytes_;
  Reclaim reclaim_;
  std::byte* memory_ = nullptr;

  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable changed_;
  std::vector<State> states_;
  std::size_t next_ = 0;    // to be acquired
  std::size_t oldest_ = 0;  // to be read (manual reclaiming)
};

}  // namespace ingot
