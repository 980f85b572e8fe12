#include "ingot/memory/device.h"

namespace ingot {

bool Event::done() const noexcept { return stream_ == nullptr || stream_->ticket_done(ticket_); }

void Event::wait() const {
  if (stream_ != nullptr) stream_->wait_ticket(ticket_);
}

void* Device::allocate(std::size_t bytes) noexcept {
  void* data = do_allocate(bytes);
  if (data != nullptr) {
    allocation_stats_.device_allocations.fetch_add(1);
    allocation_stats_.device_bytes.fetch_add(static_cast<std::int64_t>(bytes));
  }
  return data;
}

void Device::free(void* data, std::size_t bytes) noexcept {
  if (data == nullptr) return;
  allocation_stats_.device_frees.fetch_add(1);
  allocation_stats_.device_bytes.fetch_sub(static_cast<std::int64_t>(bytes));
  do_free(data, bytes);
}

void* Device::allocate_staging(std::size_t bytes) noexcept {
  void* data = do_allocate_staging(bytes);
  if (data != nullptr) allocation_stats_.staging_allocations.fetch_add(1);
  return data;
}

void Device::free_staging(void* data, std::size_t bytes) noexcept {
  if (data == nullptr) return;
  allocation_stats_.staging_frees.fetch_add(1);
  do_free_staging(data, bytes);
}

}  // namespace ingot
