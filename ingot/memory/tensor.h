// A reference-counted, pooled or wrapped block of device memory with dtype and shape.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "ingot/base/host_view.h"
#include "ingot/base/shape.h"
#include "ingot/memory/buffer.h"
#include "ingot/memory/buffer_pool.h"

namespace ingot {

class Tensor;
class TensorRef;

namespace detail {
struct TensorSlot;

/// Which Tensor a handle means: a slot of a pool in one of its generations.
struct TensorIdentity {
  TensorSlot* slot = nullptr;
  const std::string* name = nullptr;
  std::uint32_t generation = 0;

  /// Throws use_after_release when the generation has ended.
  void check() const;
};
}  // namespace detail

/// A handle on a Tensor. Copies share it; the last one gives the memory back, which the pool reuses
/// once the device has finished with it. Handles may be copied and released in any thread; one
/// handle is used by one thread at a time.
///
/// Using a handle after its release(), or after somebody released references that were not his,
/// throws: `tensor "x": must not be used after its release, got a handle of generation 3`. Using an
/// empty handle throws `tensor: must have memory, got an empty handle`.
class Tensor {
 public:
  Tensor() = default;
  ~Tensor() { drop(); }
  Tensor(const Tensor& other) noexcept;
  Tensor(Tensor&& other) noexcept;
  Tensor& operator=(const Tensor& other) noexcept;
  Tensor& operator=(Tensor&& other) noexcept;

  /// Uninitialised memory from the pool. `name` shows in errors and reports. Throws a user Error
  /// for a negative dimension, out_of_memory when the device has no room.
  static Tensor allocate(BufferPool& pool, const TensorType& type, std::string_view name);
  /// Memory of the caller on the pool's device, packed row-major, never freed here. `bytes` may
  /// exceed what `type` needs; less is an Error: `tensor "x": f32[32,3,32,32] needs 393216 bytes,
  /// got a buffer of 1024`. `release` runs once, in some thread, after the last handle has gone and
  /// the device has finished; not when wrap throws.
  static Tensor wrap(BufferPool& pool, void* data, std::size_t bytes, const TensorType& type,
                     std::string_view name, ReleaseCallback release = {});

  [[nodiscard]] bool empty() const noexcept { return identity_.slot == nullptr; }
  [[nodiscard]] const TensorType& type() const;
  [[nodiscard]] const std::string& name() const;
  /// Distinguishes the Tensors that use one control block after another; 0 when empty.
  [[nodiscard]] std::uint32_t generation() const noexcept { return identity_.generation; }
  [[nodiscard]] void* data() const;
  /// Packed bytes of type().
  [[nodiscard]] std::size_t bytes() const;
  /// Bytes behind data(), at least bytes().
  [[nodiscard]] std::size_t capacity() const;
  [[nodiscard]] Device& device() const;
  [[nodiscard]] bool external() const;
  /// References to the Tensor, this handle's included; a snapshot.
  [[nodiscard]] std::uint32_t references() const;

  /// The elements, once the recorded uses are done. Error unsupported when the host cannot address
  /// the device's memory.
  [[nodiscard]] HostView host() const;
  /// Blocking copies after the recorded uses are done; `source` and `target` have exactly bytes()
  /// bytes, a HostTensor exactly type(); else a user Error.
  void copy_from_host(std::span<const std::byte> source) const;
  void copy_from_host(const HostTensor& source) const;
  void copy_to_host(std::span<std::byte> target) const;
  [[nodiscard]] HostTensor to_host() const;

  /// The device uses the memory until `event`; the pool takes it back only afterwards.
  void record_use(const Event& event) const;

  /// Gives up this handle's reference; the handle cannot be used afterwards.
  void release();
  /// Adds a reference that no handle owns, for code that counts by hand.
  [[nodiscard]] TensorRef retain() const;

 private:
  friend class TensorRef;
  Tensor(std::shared_ptr<detail::PoolCore> core, detail::TensorSlot& slot) noexcept;
  /// Checks that the handle may be used.
  detail::TensorSlot& slot() const;
  void drop() noexcept;

  std::shared_ptr<detail::PoolCore> core_;
  detail::TensorIdentity identity_;
  bool owns_ = false;
};

/// A reference counted by hand: a plain value that may be copied and passed through other
/// languages. Its functions are atomic and check the generation. Valid while the pool or any
/// reference to the Tensor exists.
class TensorRef {
 public:
  TensorRef() = default;

  void retain() const;
  void release() const;
  /// A handle with a reference of its own.
  [[nodiscard]] Tensor tensor() const;

 private:
  friend class Tensor;
  TensorRef(detail::PoolCore* core, const detail::TensorIdentity& identity)
      : core_(core), identity_(identity) {}

  detail::PoolCore* core_ = nullptr;
  detail::TensorIdentity identity_;
};

}  // namespace ingot
