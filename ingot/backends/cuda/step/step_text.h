// What the texts of both forms of a step are made of.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "ingot/backends/cuda/step/step_source.h"

namespace ingot::cuda {

/// What every text begins with: intrinsics, prelude, and the bodies' templates.
std::string text_header();
/// What follows where a kernel may use tensor cores.
std::string mma_header();
/// The struct of a kernel's parameters.
std::string params_struct(const std::string& name, std::size_t pointers, std::size_t feeds);
/// The loop over a stage's units; `units` is the text of init; condition; step.
std::string unit_loop(const std::string& units, const std::string& call, const Stage& stage);

/// Where a block keeps a slot, or its item's part of one, in shared memory.
struct LocalPlace {
  std::int64_t offset = 0;
  std::int64_t item_bytes = 0;  ///< 0: all of it
  bool through = false;         ///< what is stored goes to global memory, too
};
using LocalPlaces = std::unordered_map<int, LocalPlace>;  ///< by root

/// Gives the names in stages' texts their meaning, collecting a kernel's pointers.
class Binder {
 public:
  Binder(const Program& program, bool stacked) : program_(program), stacked_(stacked) {}

  /// Slots that lie in shared memory, `local`, until told otherwise.
  void set_locals(LocalPlaces locals) { locals_ = std::move(locals); }

  /// What stores to a slot (a root) also calls.
  struct Sink {
    std::string function;  ///< void(P, step, i, value, go, early); also NAME_load, NAME_early
    bool stored = true;    ///< whether the element is needed besides
  };
  void add_sink(int root, Sink sink) { sinks_[root] = std::move(sink); }

  /// `text` with @slot@, @W@, @T@, @N@ and what store_text() wrote replaced.
  std::string bind(const std::string& text, const PlacedStage& placed);
  /// Items of the batch, of which item stages see their own alone.
  void set_items(std::int64_t items) { items_ = items; }
  /// Whether the stage's units count from the item's own first.
  static bool sees_one_item(const Stage& stage);
  /// The pointer of a slot that is not in shared memory.
  std::string global_text(int slot);

  [[nodiscard]] const std::vector<Pointer>& pointers() const noexcept { return pointers_; }
  /// Where the tickets of all bound texts end.
  [[nodiscard]] std::int64_t ticket_bytes() const noexcept { return ticket_bytes_; }

 private:
  std::string slot_text(int slot, const Stage& stage, bool global = false);
  std::string workspace_text(const PlacedStage& placed);
  std::string ticket_text(const PlacedStage& placed);
  std::string store(const std::string& parts, const Stage& stage);
  std::string early(const std::string& parts);
  std::size_t index_of(const Pointer& pointer);

  const Program& program_;
  bool stacked_;  ///< feeds of several steps lie one after the other
  std::int64_t items_ = 0;
  std::vector<Pointer> pointers_;
  std::int64_t ticket_bytes_ = 0;
  LocalPlaces locals_;
  std::unordered_map<int, Sink> sinks_;
};

}  // namespace ingot::cuda
