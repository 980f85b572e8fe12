#include "ingot/memory/staging_ring.h"

#include <fmt/core.h>

#include <cstdio>
#include <limits>
#include <utility>

#include "ingot/base/error.h"

namespace ingot {
namespace {

constexpr std::size_t kSlotAlignment = 64;

// SIZE_MAX, which no device has, when the bytes of all slots do not fit.
std::size_t total_bytes(std::size_t slots, std::size_t slot_bytes) noexcept {
  std::size_t total = 0;
  if (__builtin_add_overflow(slot_bytes, kSlotAlignment - 1, &total) ||
      __builtin_mul_overflow(total / kSlotAlignment * kSlotAlignment, slots, &total)) {
    return std::numeric_limits<std::size_t>::max();
  }
  return total;
}

}  // namespace

StagingRing::StagingRing(std::shared_ptr<Device> device, std::size_t slots, std::size_t slot_bytes,
                         Reclaim reclaim)
    : device_(std::move(device)),
      slot_bytes_(slot_bytes),
      total_bytes_(total_bytes(slots, slot_bytes)),
      reclaim_(reclaim) {
  if (slots == 0 || slot_bytes == 0) {
    throw user_error(ErrorCode::invalid_argument,
                     fmt::format("staging ring: needs at least 1 slot of at least 1 byte, got {} "
                                 "of {}",
                                 slots, slot_bytes));
  }
  memory_ = static_cast<std::byte*>(device_->allocate_staging(total_bytes_));
  if (memory_ == nullptr) {
    throw user_error(
        ErrorCode::out_of_memory,
        fmt::format("staging ring: needs {} bytes of host memory, got none", total_bytes_));
  }
  states_.resize(slots);
}

StagingRing::~StagingRing() {
  for (State& state : states_) {
    try {
      state.event.wait();
    } catch (const Error& error) {
      std::fprintf(stderr, "ingot: %s\n", error.what());
    }
  }
  device_->free_staging(memory_, total_bytes_);
}

StagingRing::Slot StagingRing::slot_at(std::size_t index) const noexcept {
  return {
      index, {memory_ + index * (total_bytes_ / states_.size()), slot_bytes_}, states_[index].tag};
}

void StagingRing::expect(const Slot& slot, Phase phase, const char* action) const {
  if (slot.index < states_.size() && states_[slot.index].phase == phase) return;
  throw internal_error(
      fmt::format("staging ring: slot {} cannot be {} in its phase", slot.index, action));
}

StagingRing::Slot StagingRing::take_next() {
  const std::size_t index = next_;
  next_ = (next_ + 1) % states_.size();
  states_[index] = {Phase::acquired, 0, {}};
  return slot_at(index);
}

std::optional<StagingRing::Slot> StagingRing::try_acquire() {
  const std::lock_guard lock(mutex_);
  const State& state = states_[next_];
  const bool finished =
      reclaim_ == Reclaim::automatic && state.phase == Phase::submitted && state.event.done();
  if (state.phase != Phase::free && !finished) return std::nullopt;
  return take_next();
}

StagingRing::Slot StagingRing::acquire() {
  std::unique_lock lock(mutex_);
  for (;;) {
    const std::size_t index = next_;
    const State& state = states_[index];
    if (state.phase == Phase::free) return take_next();
    if (reclaim_ == Reclaim::automatic && state.phase == Phase::submitted) {
      if (state.event.done()) return take_next();
      const Event event = state.event;
      lock.unlock();
      event.wait();
      lock.lock();
      continue;
    }
    changed_.wait(lock);
  }
}

void StagingRing::submit(const Slot& slot, Event event, std::uint64_t tag) {
  {
    const std::lock_guard lock(mutex_);
    expect(slot, Phase::acquired, "submitted");
    states_[slot.index] = {Phase::submitted, tag, std::move(event)};
  }
  changed_.notify_all();
}

std::optional<StagingRing::Slot> StagingRing::try_oldest() {
  const std::lock_guard lock(mutex_);
  const State& state = states_[oldest_];
  if (state.phase != Phase::submitted || !state.event.done()) return std::nullopt;
  return slot_at(oldest_);
}

std::optional<StagingRing::Slot> StagingRing::wait_oldest() {
  Event event;
  {
    const std::lock_guard lock(mutex_);
    const State& state = states_[oldest_];
    if (state.phase != Phase::submitted) return std::nullopt;
    event = state.event;
  }
  event.wait();
  return try_oldest();
}

void StagingRing::reclaim(const Slot& slot) {
  {
    const std::lock_guard lock(mutex_);
    expect(slot, Phase::submitted, "reclaimed");
    if (slot.index != oldest_) {
      throw internal_error(fmt::format(
          "staging ring: slots are reclaimed in order, got {} before {}", slot.index, oldest_));
    }
    states_[slot.index] = {};
    oldest_ = (oldest_ + 1) % states_.size();
  }
  changed_.notify_all();
}

}  // namespace ingot
