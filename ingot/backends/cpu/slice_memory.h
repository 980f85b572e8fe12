// Where the Values of one slice's body lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ingot/ir/graph.h"
#include "ingot/planner/launch_memory.h"
#include "ingot/planner/report.h"
#include "ingot/runtime/kernel.h"

namespace ingot {

/// A Node of the body that a Kernel runs, with slots of the body's own.
struct SliceLaunch {
  const Node* node = nullptr;
  std::vector<int> inputs, outputs;
};

/// How the address of a slot follows from the slice and the worker.
struct SlicePlace {
  enum class Kind : std::uint8_t { operand, result, constant, arena };
  int slot = 0;
  Kind kind = Kind::arena;
  int index = 0;          ///< of the operand, result or constant
  std::int64_t step = 0;  ///< operand: bytes from slice to slice; arena: the offset
};

/// A result that shares its memory with another or with an operand, so that it is copied out.
struct SliceCopy {
  int slot = 0;
  int result = 0;
  std::int64_t bytes = 0;
};

/// Slots for every Value of a slice's body, and one worker's arena for those that no operand or
/// result holds.
class SliceMemory {
 public:
  /// `body`: of one slice, whose arguments have these batch axes.
  SliceMemory(const Graph& body, std::span<const int> operand_axes);

  [[nodiscard]] std::span<const SliceLaunch> launches() const noexcept { return launches_; }
  [[nodiscard]] std::size_t slots() const noexcept { return values_.size(); }
  /// Asks the kernels, one a launch, what they may overwrite and need besides; then places all.
  void plan(std::span<const std::unique_ptr<Kernel>> kernels, std::int64_t alignment);

  // After plan():
  [[nodiscard]] std::span<const SlicePlace> places() const noexcept { return places_; }
  [[nodiscard]] std::span<const SliceCopy> copies() const noexcept { return copies_; }
  /// Of each launch's workspace in the arena.
  [[nodiscard]] const std::vector<std::int64_t>& scratch_offsets() const noexcept {
    return scratch_offsets_;
  }
  [[nodiscard]] std::int64_t bytes() const noexcept { return bytes_; }
  /// Of one worker's arena when it is fullest.
  [[nodiscard]] std::span<const OwnerBytes> owners() const noexcept { return owners_; }
  [[nodiscard]] std::byte* constant(std::size_t index) const noexcept { return constants_[index]; }

 private:
  [[nodiscard]] int slot_of(const Value& value) const {
    return first_slot_[static_cast<std::size_t>(value.node()->id())] + value.index();
  }
  void add_node(const Node& node, std::span<const int> operand_axes);
  void place_results();

  const Graph& body_;
  std::vector<int> first_slot_;  ///< by Node id
  std::vector<LaunchValue> values_;
  std::vector<const Node*> makers_;  ///< by slot
  std::vector<SlicePlace> roots_;    ///< by slot; the arena's are placed by plan()
  std::vector<SliceLaunch> launches_;
  std::vector<SlicePlace> places_;
  std::vector<SliceCopy> copies_;
  std::vector<std::byte*> constants_;
  std::vector<std::int64_t> scratch_offsets_;
  std::int64_t bytes_ = 0;
  std::vector<OwnerBytes> owners_;
};

/// A `batch_slices` Node's operand_axes.
std::vector<int> operand_axes(const Node& region);

}  // namespace ingot
