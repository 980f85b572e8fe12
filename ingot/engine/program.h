// The inside of an Executable: slots, kernels in order, what happens at the end of a step.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ingot/base/step_error.h"
#include "ingot/engine/compile.h"
#include "ingot/engine/executable.h"
#include "ingot/ir/graph.h"
#include "ingot/memory/buffer.h"
#include "ingot/runtime/backend.h"
#include "ingot/runtime/kernel.h"

namespace ingot {

/// Where a Value lives.
struct Slot {
  enum class Storage : std::uint8_t { feed, variable, constant, scratch };
  Storage storage = Storage::scratch;
  Value value;
  int root = -1;            ///< the slot whose memory this one shares; itself when it has its own
  std::int64_t offset = 0;  ///< in the constants' buffer or the scratch arena
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

/// Everything compile() decides. Positions: `main` launches, then `snapshots`, then `commit`
/// launches (which may overwrite variables in place), then `copies`.
struct Program {
  std::unique_ptr<Graph> graph;
  std::vector<Slot> slots;
  std::vector<int> first_slot;  ///< by node id: slot of output 0
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

/// Orders the lowered Graph, creates Kernels, decides what shares memory, plans the arena.
Program build_program(std::unique_ptr<Graph> lowered, const Backend& backend);

struct Executable::Impl {
  Program program;
  VariableStore* store = nullptr;
  std::shared_ptr<Backend> backend;
  CompileOptions options;
  Buffer constants;
  int scratch_version = -1;
  std::vector<std::byte*> addresses;  ///< by slot
  std::vector<const std::byte*> fed;  ///< by feed, in the current call
  std::vector<std::int64_t> stride;   ///< by feed: bytes from one stacked step to the next
  StepErrorLatch errors;
  StepRing ring;
  std::int64_t steps = 0;
  bool ran = false;

  Impl(Program p, VariableStore& s, const CompileOptions& o);
  ~Impl();

  void upload_constants();
  void resolve_addresses();
  void check_feeds(std::span<const Feed> given, int steps);
  void set_feed(std::size_t feed, const std::byte* data) noexcept;
  void run_once();
  void run_launches(std::vector<Launch>& launches) noexcept;
  void copy(const std::vector<SlotCopy>& list) noexcept;
  [[nodiscard]] double scalar(int slot) const noexcept;
  [[nodiscard]] bool scalars_finite() const noexcept;

  // diagnose.cpp
  [[noreturn]] void throw_data_error() const;
  [[noreturn]] void throw_numerics_error();
  void trace_numerics();
  [[nodiscard]] HostTensor slot_value(int slot) const;
};

}  // namespace ingot
