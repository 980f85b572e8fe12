#include "ingot/memory/tensor.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "ingot/base/error.h"
#include "ingot/memory/pool_core.h"

namespace ingot {
namespace {

[[noreturn]] void throw_released(const std::string& name, std::uint32_t generation) {
  throw user_error(
      ErrorCode::use_after_release,
      fmt::format(
          "tensor \"{}\": must not be used after its release, got a handle of generation {}", name,
          generation));
}

void check_type(const TensorType& type, std::string_view name) {
  if (std::any_of(type.shape.begin(), type.shape.end(), [](auto dim) { return dim < 0; })) {
    throw user_error(ErrorCode::invalid_shape,
                     fmt::format("tensor \"{}\": dimensions must not be negative, got {}", name,
                                 type.to_string()));
  }
}

void check_host_size(const Tensor& tensor, std::size_t bytes) {
  if (bytes == tensor.bytes()) return;
  throw user_error(ErrorCode::invalid_argument,
                   fmt::format("tensor \"{}\": {} is copied whole, {} bytes, got {}", tensor.name(),
                               tensor.type().to_string(), tensor.bytes(), bytes));
}

}  // namespace

void detail::TensorIdentity::check() const {
  if (slot == nullptr) {
    throw user_error(ErrorCode::use_after_release, "tensor: must have memory, got an empty handle");
  }
  const std::uint64_t state = slot->state.load(std::memory_order_acquire);
  if (state >> 32 != generation || static_cast<std::uint32_t>(state) == 0) {
    throw_released(*name, generation);
  }
}

Tensor::Tensor(std::shared_ptr<detail::PoolCore> core, detail::TensorSlot& slot) noexcept
    : core_(std::move(core)), identity_{&slot, slot.name, slot.generation()}, owns_(true) {}

Tensor::Tensor(const Tensor& other) noexcept
    : core_(other.core_),
      identity_(other.identity_),
      // The copy of a stale handle is stale.
      owns_(other.owns_ && identity_.slot->try_retain(identity_.generation)) {}

Tensor::Tensor(Tensor&& other) noexcept
    : core_(std::move(other.core_)),
      identity_(std::exchange(other.identity_, {})),
      owns_(std::exchange(other.owns_, false)) {}

Tensor& Tensor::operator=(const Tensor& other) noexcept {
  if (this != &other) *this = Tensor(other);
  return *this;
}

Tensor& Tensor::operator=(Tensor&& other) noexcept {
  if (this != &other) {
    drop();
    core_ = std::move(other.core_);
    identity_ = std::exchange(other.identity_, {});
    owns_ = std::exchange(other.owns_, false);
  }
  return *this;
}

void Tensor::drop() noexcept {
  if (std::exchange(owns_, false)) core_->drop(*identity_.slot, identity_.generation);
}

Tensor Tensor::allocate(BufferPool& pool, const TensorType& type, std::string_view name) {
  check_type(type, name);
  return {pool.core_, pool.core_->create(type, name)};
}

Tensor Tensor::wrap(BufferPool& pool, void* data, std::size_t bytes, const TensorType& type,
                    std::string_view name, ReleaseCallback release) {
  check_type(type, name);
  const auto needed = static_cast<std::size_t>(type.bytes());
  if (bytes < needed) {
    throw user_error(ErrorCode::invalid_feed,
                     fmt::format("tensor \"{}\": {} needs {} bytes, got a buffer of {}", name,
                                 type.to_string(), needed, bytes));
  }
  if (data == nullptr && needed > 0) {
    throw user_error(ErrorCode::invalid_feed,
                     fmt::format("tensor \"{}\": {} needs {} bytes, got a null pointer", name,
                                 type.to_string(), needed));
  }
  const std::size_t element = dtype_size(type.dtype);
  if (const std::size_t past = reinterpret_cast<std::uintptr_t>(data) % element; past != 0) {
    throw user_error(ErrorCode::invalid_feed,
                     fmt::format("tensor \"{}\": {} needs an address that is a multiple of {}, got "
                                 "one with remainder {}",
                                 name, type.to_string(), element, past));
  }
  Buffer buffer = Buffer::wrap(pool.device(), data, bytes, std::move(release));
  return {pool.core_, pool.core_->adopt(std::move(buffer), type, name)};
}

detail::TensorSlot& Tensor::slot() const {
  if (!owns_ && !empty()) throw_released(*identity_.name, identity_.generation);
  identity_.check();
  return *identity_.slot;
}

const TensorType& Tensor::type() const { return slot().type; }

const std::string& Tensor::name() const { return *slot().name; }

void* Tensor::data() const { return slot().buffer.data(); }

std::size_t Tensor::bytes() const { return static_cast<std::size_t>(slot().type.bytes()); }

std::size_t Tensor::capacity() const { return slot().buffer.size(); }

Device& Tensor::device() const {
  slot();
  return *core_->device();
}

bool Tensor::external() const { return slot().buffer.external(); }

std::uint32_t Tensor::references() const { return slot().references(); }

HostView Tensor::host() const {
  detail::TensorSlot& mine = slot();
  if (!device().host_visible()) {
    Error error = unsupported_error(
        fmt::format("tensor \"{}\": must be in host memory for a view, got device \"{}\"", name(),
                    device().name()));
    throw error.help("copy it with to_host");
  }
  core_->uses(mine).wait();
  return {mine.type, static_cast<std::byte*>(mine.buffer.data())};
}

void Tensor::copy_from_host(std::span<const std::byte> source) const {
  check_host_size(*this, source.size());
  core_->uses(slot()).wait();
  device().copy_to_device(data(), source.data(), source.size());
}

void Tensor::copy_from_host(const HostTensor& source) const {
  if (source.type() != type()) {
    throw user_error(ErrorCode::invalid_argument,
                     fmt::format("tensor \"{}\": is filled from {}, got {}", name(),
                                 type().to_string(), source.type().to_string()));
  }
  copy_from_host(source.bytes());
}

void Tensor::copy_to_host(std::span<std::byte> target) const {
  check_host_size(*this, target.size());
  core_->uses(slot()).wait();
  device().copy_to_host(target.data(), data(), target.size());
}

HostTensor Tensor::to_host() const {
  HostTensor result(type());
  copy_to_host(result.bytes());
  return result;
}

void Tensor::record_use(const Event& event) const { core_->record_use(slot(), event); }

void Tensor::release() {
  slot();
  drop();
}

TensorRef Tensor::retain() const {
  slot();
  TensorRef reference(core_.get(), identity_);
  reference.retain();
  return reference;
}

void TensorRef::retain() const {
  identity_.check();
  if (!identity_.slot->try_retain(identity_.generation)) identity_.check();
}

void TensorRef::release() const {
  identity_.check();
  if (!core_->drop(*identity_.slot, identity_.generation)) identity_.check();
}

Tensor TensorRef::tensor() const {
  retain();
  return {core_->shared_from_this(), *identity_.slot};
}

}  // namespace ingot
