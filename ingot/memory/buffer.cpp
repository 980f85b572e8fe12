#include "ingot/memory/buffer.h"

#include <fmt/core.h>

#include <utility>

#include "ingot/base/error.h"

namespace ingot {

Buffer::Buffer(Buffer&& other) noexcept { take(other); }

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    reset();
    take(other);
  }
  return *this;
}

void Buffer::take(Buffer& other) noexcept {
  device_ = std::move(other.device_);
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  external_ = std::exchange(other.external_, false);
  release_ = std::exchange(other.release_, nullptr);
}

Buffer Buffer::try_allocate(std::shared_ptr<Device> device, std::size_t bytes) noexcept {
  Buffer buffer;
  if (bytes > 0) buffer.data_ = device->allocate(bytes);
  if (buffer.data_ != nullptr) buffer.size_ = bytes;
  buffer.device_ = std::move(device);
  return buffer;
}

Buffer Buffer::allocate(std::shared_ptr<Device> device, std::size_t bytes, std::string_view name) {
  Buffer buffer = try_allocate(std::move(device), bytes);
  if (buffer.empty() && bytes > 0) {
    const Device& asked = *buffer.device_;
    const MemoryInfo memory = asked.memory_info();
    throw user_error(
        ErrorCode::out_of_memory,
        fmt::format("buffer \"{}\": needs {} bytes on device \"{}\", got {} free of {}", name,
                    bytes, asked.name(), memory.free_bytes, memory.total_bytes));
  }
  return buffer;
}

Buffer Buffer::wrap(std::shared_ptr<Device> device, void* data, std::size_t bytes,
                    ReleaseCallback release) noexcept {
  Buffer buffer;
  buffer.device_ = std::move(device);
  buffer.data_ = data;
  buffer.size_ = bytes;
  buffer.external_ = true;
  buffer.release_ = std::move(release);
  return buffer;
}

void Buffer::reset() noexcept {
  if (external_) {
    if (release_) release_(data_);
  } else if (data_ != nullptr) {
    device_->free(data_, size_);
  }
  data_ = nullptr;
  size_ = 0;
  external_ = false;
  release_ = nullptr;
  device_.reset();
}

}  // namespace ingot
