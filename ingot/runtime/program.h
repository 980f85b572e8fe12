// What compile() makes of a Graph: slots, kernels in order, what happens at the end of a step.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ingot/ir/graph.h"
#include "ingot/ir/target.h"
#include "ingot/runtime/kernel.h"
#include "ingot/runtime/program_stats.h"

namespace ingot {

/// Where a Value lives.
struct Slot {
  enum class Storage : std::uint8_t { feed, variable, constant, copy, scratch };
  Storage storage = Storage::scratch;
  Value value;
  int root = -1;            ///< the slot whose memory this one shares; itself when it has its own
  std::int64_t offset = 0;  ///< in the constants' buffer or the scratch arena; of a copy: which one
  int first = -1;           ///< position of its writer
  int last = -1;            ///< position of its last reader

  [[nodiscard]] std::int64_t bytes() const { return value.layout().physical_bytes(value.type()); }
};

/// One Kernel at its position.
struct Launch {
  const Node* node = nullptr;
  std::unique_ptr<Kernel> kernel;
  std::vector<int> inputs;
  std::vector<int> outputs;
  std::int64_t scratch_offset = 0;
  double seconds = 0;  ///< total, with INGOT_TRACE=kernels
};

struct SlotCopy {
  int from = -1;
  int to = -1;
  int predicate = -1;  ///< slot of a bool, -1: always
};

struct BoundFeed {
  std::string name;
  TensorType type;
  int slot = -1;
  std::vector<int> slots;  ///< the slot and its views
};

struct BoundFetch {
  std::string name;
  int slot = -1;
  int ring_index = -1;  ///< scalars only
};

/// A slot in the memory of a variable's copy.
struct BoundCopy {
  int slot = -1;  ///< a root
  std::string variable;
  DType dtype = DType::bf16;
};

/// Everything compile() decides. Positions: `main` launches, then `snapshots`, then `commit`
/// launches (which may overwrite variables in place), then `copies`. Before a step for which some
/// of `kept` is stale run the `refresh` launches; a step leaves all of `kept` current.
struct Program {
  StepForm form = StepForm::latency;
  std::unique_ptr<Graph> graph;
  std::vector<Slot> slots;
  std::vector<int> first_slot;  ///< by node id: slot of output 0
  std::vector<BoundCopy> kept;
  std::vector<Launch> refresh;
  std::vector<Launch> main;
  std::vector<SlotCopy> snapshots;
  std::vector<Launch> commit;
  std::vector<SlotCopy> copies;
  std::vector<BoundFeed> feeds;
  std::vector<BoundFetch> fetches;
  std::int64_t arena_bytes = 0;
  std::int64_t constant_bytes = 0;
  ProgramStats stats;

  [[nodiscard]] int slot_of(const Value& value) const {
    return first_slot[static_cast<std::size_t>(value.node()->id())] + value.index();
  }
  [[nodiscard]] int root_of(int slot) const {
    while (slots[static_cast<std::size_t>(slot)].root != slot) {
      slot = slots[static_cast<std::size_t>(slot)].root;
    }
    return slot;
  }
};

}  // namespace ingot
