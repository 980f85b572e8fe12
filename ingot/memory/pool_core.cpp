#include "ingot/memory/pool_core.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <utility>

#include "ingot/base/trace.h"

namespace ingot::detail {
namespace {

// A program that makes up a new name for each Tensor must not grow without bound.
constexpr std::size_t kMaxNames = 65536;
constexpr std::size_t kListedNames = 10;
constexpr std::uint64_t kReferences = 0xffffffffu;

std::size_t packed_bytes(const TensorType& type) { return static_cast<std::size_t>(type.bytes()); }

}  // namespace

bool DeviceUses::done() const noexcept {
  return std::all_of(events.begin(), events.begin() + count,
                     [](const Event& event) { return event.done(); });
}

bool DeviceUses::add(const Event& event) {
  std::size_t kept = 0;
  Event last = event;
  for (std::size_t i = 0; i < count; ++i) {
    Event& use = events[i];
    if (use.stream() == event.stream()) {
      if (use.ticket() > last.ticket()) last = std::move(use);
    } else if (!use.done()) {
      if (kept != i) events[kept] = std::move(use);
      ++kept;
    }
  }
  const bool fits = kept < events.size();
  if (fits) events[kept++] = std::move(last);
  for (std::size_t i = kept; i < count; ++i) events[i] = Event();
  count = kept;
  return fits;
}

void DeviceUses::wait() const {
  for (std::size_t i = 0; i < count; ++i) events[i].wait();
}

bool TensorSlot::try_retain(std::uint32_t generation) noexcept {
  std::uint64_t now = state.load(std::memory_order_relaxed);
  while (now >> 32 == generation && (now & kReferences) != 0) {
    if (state.compare_exchange_weak(now, now + 1, std::memory_order_acquire)) return true;
  }
  return false;
}

PoolCore::PoolCore(std::shared_ptr<Device> device, PoolOptions options)
    : device_(std::move(device)), options_(std::move(options)) {}

PoolStats PoolCore::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

const std::string* PoolCore::intern(std::string_view name) {
  const auto known = names_.find(name);
  if (known != names_.end()) return &*known;
  if (names_.size() >= kMaxNames) return &many_names_;
  return &*names_.emplace(name).first;
}

// Room in every list a buffer can come to, so that giving back never allocates.
void PoolCore::reserve_room(int size_class) {
  const auto grow = [](auto& list, std::size_t needed) {
    if (list.capacity() < needed) list.reserve(std::max(needed, 2 * list.capacity()));
  };
  ++buffers_;
  grow(pending_, buffers_);
  if (size_class >= 0) {
    const auto index = static_cast<std::size_t>(size_class);
    grow(pooled_[index], ++created_[index]);
  }
}

Buffer PoolCore::take_pooled(int size_class) noexcept {
  std::vector<Buffer>& list = pooled_[static_cast<std::size_t>(size_class)];
  if (list.empty()) return {};
  Buffer buffer = std::move(list.back());
  list.pop_back();
  stats_.pooled_bytes -= buffer.size();
  --stats_.pooled_count;
  return buffer;
}

Error PoolCore::out_of_memory(std::size_t bytes, std::string_view name) const {
  const MemoryInfo memory = device_->memory_info();
  Error error =
      user_error(ErrorCode::out_of_memory,
                 fmt::format("tensor \"{}\": needs {} bytes on device \"{}\", got {} free "
                             "of {}",
                             name, bytes, device_->name(), memory.free_bytes, memory.total_bytes));
  const Live now = live();
  error.note(now.count == 0 ? "no tensors are live in the pool"
                            : fmt::format("live in the pool are {}: {}", now.summary, now.names));
  return error;
}

Buffer PoolCore::allocate_or_trim(std::size_t bytes, std::string_view name) {
  Buffer buffer = Buffer::try_allocate(device_, bytes);
  if (buffer.empty()) {
    wait_for_pending();
    trim();
    buffer = Buffer::try_allocate(device_, bytes);
  }
  if (buffer.empty()) throw out_of_memory(bytes, name);
  if (trace_enabled(Channel::memory)) {
    trace(Channel::memory, fmt::format("pool of device \"{}\": allocated {} bytes for \"{}\"",
                                       device_->name(), bytes, name));
  }
  return buffer;
}

Buffer PoolCore::take_buffer(std::size_t bytes, std::string_view name) {
  if (bytes > kLargestPooledSize) throw out_of_memory(bytes, name);
  device_->allocation_stats().pool_acquires.fetch_add(1);
  const int size_class = size_class_of(bytes);
  collect();
  {
    const std::lock_guard lock(mutex_);
    Buffer buffer = take_pooled(size_class);
    if (!buffer.empty()) {
      ++stats_.hits;
      return buffer;
    }
    ++stats_.misses;
    reserve_room(size_class);
  }
  // Not under the lock: a device may take long to allocate.
  try {
    return allocate_or_trim(size_class_bytes(size_class), name);
  } catch (...) {
    const std::lock_guard lock(mutex_);
    --buffers_;
    --created_[static_cast<std::size_t>(size_class)];
    throw;
  }
}

TensorSlot& PoolCore::occupy_slot(Buffer buffer, const TensorType& type, std::string_view name) {
  if (free_slots_ == nullptr) free_slots_ = &slots_.emplace_back();
  TensorSlot& slot = *free_slots_;
  slot.name = intern(name);
  free_slots_ = std::exchange(slot.next_free, nullptr);
  slot.type = type;
  slot.buffer = std::move(buffer);
  slot.keep_alive = shared_from_this();
  slot.state.fetch_add(1, std::memory_order_release);
  return slot;
}

TensorSlot& PoolCore::create(const TensorType& type, std::string_view name) {
  Buffer buffer = take_buffer(packed_bytes(type), name);
  const std::lock_guard lock(mutex_);
  TensorSlot& slot = occupy_slot(std::move(buffer), type, name);
  stats_.live_bytes += slot.buffer.size();
  stats_.requested_bytes += packed_bytes(type);
  ++stats_.live_count;
  stats_.peak_live_bytes = std::max(stats_.peak_live_bytes, stats_.live_bytes);
  return slot;
}

TensorSlot& PoolCore::adopt(Buffer external, const TensorType& type, std::string_view name) {
  const std::lock_guard lock(mutex_);
  reserve_room(-1);
  TensorSlot& slot = occupy_slot(std::move(external), type, name);
  ++stats_.external_count;
  return slot;
}

bool PoolCore::drop(TensorSlot& slot, std::uint32_t generation) noexcept {
  std::uint64_t now = slot.state.load(std::memory_order_relaxed);
  do {
    if (now >> 32 != generation || (now & kReferences) == 0) return false;
  } while (!slot.state.compare_exchange_weak(now, now - 1, std::memory_order_acq_rel));
  if ((now & kReferences) == 1) retire(slot);
  return true;
}

void PoolCore::retire(TensorSlot& slot) noexcept {
  std::shared_ptr<PoolCore> keep_alive;  // destroyed last: it may hold the only reference to this
  Buffer external;
  DeviceUses uses;
  {
    const std::lock_guard lock(mutex_);
    keep_alive = std::move(slot.keep_alive);
    uses = std::exchange(slot.uses, {});
    Buffer buffer = std::move(slot.buffer);
    if (buffer.external()) {
      --stats_.external_count;
    } else {
      stats_.live_bytes -= buffer.size();
      stats_.requested_bytes -= packed_bytes(slot.type);
      --stats_.live_count;
    }
    if (!uses.done()) {
      stats_.pending_bytes += buffer.external() ? 0 : buffer.size();
      ++stats_.pending_count;
      pending_.push_back({std::move(buffer), uses});
    } else if (buffer.external()) {
      external = std::move(buffer);
      --buffers_;
    } else {
      give_back(std::move(buffer));
    }
    // The generation ends; references are 0 already.
    slot.state.fetch_add(std::uint64_t{1} << 32, std::memory_order_release);
    slot.next_free = std::exchange(free_slots_, &slot);
  }
  external.reset();
  collect();
}

void PoolCore::give_back(Buffer buffer) noexcept {
  const auto index = static_cast<std::size_t>(size_class_of(buffer.size()));
  if (closed_) {
    --buffers_;
    --created_[index];
    return;
  }
  if (options_.poison) {
    try {
      device_->fill(buffer.data(), kPoisonByte, buffer.size());
    } catch (const Error& error) {
      report(error.what());
    }
  }
  stats_.pooled_bytes += buffer.size();
  ++stats_.pooled_count;
  pooled_[index].push_back(std::move(buffer));
}

// Gives back pending memory that the device has finished with; stops at external memory, whose
// callback has to run outside the lock.
Buffer PoolCore::collect_until_external() noexcept {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < pending_.size();) {
    if (!pending_[i].uses.done()) {
      ++i;
      continue;
    }
    Buffer buffer = std::move(pending_[i].buffer);
    if (i + 1 != pending_.size()) pending_[i] = std::move(pending_.back());
    pending_.pop_back();
    --stats_.pending_count;
    if (buffer.external()) {
      --buffers_;
      return buffer;
    }
    stats_.pending_bytes -= buffer.size();
    give_back(std::move(buffer));
  }
  return {};
}

void PoolCore::collect() noexcept {
  // Each external Buffer goes at the end of the condition, which runs its callback.
  while (collect_until_external().external()) {
  }
}

void PoolCore::wait_for_pending() {
  for (;;) {
    DeviceUses uses;
    {
      const std::lock_guard lock(mutex_);
      if (pending_.empty()) return;
      uses = pending_.back().uses;
    }
    uses.wait();
    collect();
  }
}

void PoolCore::trim() noexcept {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < pooled_.size(); ++i) {
    buffers_ -= pooled_[i].size();
    created_[i] -= pooled_[i].size();
    pooled_[i].clear();
  }
  stats_.pooled_bytes = 0;
  stats_.pooled_count = 0;
}

void PoolCore::close() noexcept {
  try {
    wait_for_pending();
  } catch (const Error& error) {
    report(error.what());
  }
  trim();
  const std::lock_guard lock(mutex_);
  closed_ = true;
  if (trace_enabled(Channel::memory)) {
    trace(Channel::memory,
          fmt::format("pool of device \"{}\": {} hits, {} misses, peak {} bytes, live {} bytes",
                      device_->name(), stats_.hits, stats_.misses, stats_.peak_live_bytes,
                      stats_.live_bytes));
  }
}

void PoolCore::record_use(TensorSlot& slot, const Event& event) {
  if (event.done()) return;
  for (;;) {
    Event oldest;
    {
      const std::lock_guard lock(mutex_);
      if (slot.uses.add(event)) return;
      oldest = slot.uses.events.front();
    }
    oldest.wait();
  }
}

DeviceUses PoolCore::uses(const TensorSlot& slot) const {
  const std::lock_guard lock(mutex_);
  return slot.uses;
}

PoolCore::Live PoolCore::live() const {
  struct Group {
    std::size_t count = 0;
    std::size_t bytes = 0;
  };
  std::map<std::string_view, Group> groups;
  Live result;
  std::size_t bytes = 0;
  {
    const std::lock_guard lock(mutex_);
    for (const TensorSlot& slot : slots_) {
      if (slot.references() == 0) continue;
      Group& group = groups[*slot.name];
      ++group.count;
      group.bytes += packed_bytes(slot.type);
      ++result.count;
      bytes += packed_bytes(slot.type);
    }
  }
  std::vector<std::pair<std::string_view, Group>> sorted(groups.begin(), groups.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second.bytes > b.second.bytes; });
  result.summary = fmt::format("{} {} ({} bytes)", result.count,
                               result.count == 1 ? "tensor" : "tensors", bytes);
  for (std::size_t i = 0; i < std::min(sorted.size(), kListedNames); ++i) {
    const auto& [name, group] = sorted[i];
    result.names +=
        fmt::format("{}{}\"{}\" {} bytes", i == 0 ? "" : ", ",
                    group.count == 1 ? "" : fmt::format("{} x ", group.count), name, group.bytes);
  }
  if (sorted.size() > kListedNames) {
    result.names += fmt::format(" and {} more names", sorted.size() - kListedNames);
  }
  return result;
}

void PoolCore::report(std::string_view line) const noexcept {
  if (options_.leak_sink) {
    options_.leak_sink(line);
  } else {
    std::fprintf(stderr, "ingot: %.*s\n", static_cast<int>(line.size()), line.data());
  }
}

}  // namespace ingot::detail
