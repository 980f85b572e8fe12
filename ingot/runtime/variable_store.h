// The variables of a model and its optimizer, shared by all Executables of a run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ingot/base/host_view.h"
#include "ingot/ir/graph.h"
#include "ingot/memory/buffer.h"
#include "ingot/runtime/backend.h"
#include "ingot/runtime/program_stats.h"

namespace ingot {

class ThreadPool;

/// What an Executable asks of the store for one variable.
struct VariableRequest {
  std::string name;
  TensorType type;
  Layout layout;
  VariableRole role = VariableRole::parameter;
  Initializer init;
};

/// One variable's place in its arena.
struct Segment {
  std::string name;
  TensorType type;
  Layout layout;
  VariableRole role = VariableRole::parameter;
  std::byte* data = nullptr;
  std::int64_t bytes = 0;  ///< physical
  bool external = false;
  /// Changes with every write of the value: by write(), or by a step that assigns the variable.
  std::uint64_t generation = 1;
};

/// A variable's value in another dtype, in the same layout. Whoever writes the variable alone makes
/// it stale; whoever reads it makes it current before.
struct VariableCopy {
  const Segment* of = nullptr;
  DType dtype = DType::bf16;
  std::byte* data = nullptr;
  std::int64_t bytes = 0;
  std::uint64_t generation = 0;  ///< of the value that was converted

  [[nodiscard]] bool current() const noexcept { return generation == of->generation; }
  void set_current() noexcept { generation = of->generation; }
};

struct CopyRequest {
  std::string variable;
  DType dtype = DType::bf16;
};

/// Not thread safe: Executables on one store take turns.
class VariableStore {
 public:
  /// `seed` is the run's seed; it also starts the variable "rng.seed" when a Graph has it.
  explicit VariableStore(std::shared_ptr<Backend> backend, std::uint64_t seed = 0);
  ~VariableStore();
  VariableStore(const VariableStore&) = delete;
  VariableStore& operator=(const VariableStore&) = delete;

  [[nodiscard]] const std::shared_ptr<Backend>& backend() const noexcept { return backend_; }
  [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }

  /// The caller's memory becomes the variable: logical (row-major) layout, updated in place, never
  /// freed, its content kept. Before the first compile that uses the variable; the size is checked
  /// there. Errors: already in the store.
  void bind_external(std::string name, void* data, std::size_t bytes);

  /// Layouts that are already fixed, by name.
  [[nodiscard]] std::map<std::string, Layout> fixed_layouts() const;
  /// Makes room for the variables that are new (one arena a role and call) and initialises them;
  /// for known ones checks that type and layout agree.
  void prepare(const std::vector<VariableRequest>& requests);
  /// Variables in the caller's memory, which changes without a change of their generation.
  [[nodiscard]] std::set<std::string, std::less<>> external_variables() const;
  /// Copies of variables, in the order of the requests, valid as long as the store; makes room for
  /// those that are new, which are stale. Errors: internal, for external variables.
  std::vector<VariableCopy*> prepare_copies(std::span<const CopyRequest> requests);

  [[nodiscard]] bool contains(std::string_view name) const;
  /// Errors: unknown name, with candidates.
  [[nodiscard]] const Segment& segment(std::string_view name) const;
  /// For who writes the variable's memory and counts its generation.
  [[nodiscard]] Segment& segment(std::string_view name) {
    return const_cast<Segment&>(std::as_const(*this).segment(name));
  }
  /// In the order in which they were made.
  [[nodiscard]] std::vector<const Segment*> segments() const;

  /// Logical value. Blocking.
  [[nodiscard]] HostTensor read(std::string_view name) const;
  /// Errors: unknown name, another type.
  void write(std::string_view name, const HostTensor& value);

  /// Bytes of all arenas, those of copies among them, external memory apart.
  [[nodiscard]] std::int64_t bytes() const noexcept { return arena_bytes_; }
  /// All that the store allocates on its device: the arenas, by their role, the weights' copies and
  /// the scratch arena.
  [[nodiscard]] std::vector<MemoryOwner> device_memory() const;

  /// The scratch arena that all Executables share; grows to the largest request. `version` changes
  /// when it moves.
  void reserve_scratch(std::int64_t bytes);
  [[nodiscard]] std::byte* scratch() const noexcept {
    return static_cast<std::byte*>(scratch_.data());
  }
  [[nodiscard]] int scratch_version() const noexcept { return scratch_version_; }
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept {
    return static_cast<std::int64_t>(scratch_.size());
  }

 private:
  struct External {
    void* data;
    std::size_t bytes;
  };

  std::byte* add_arena(std::int64_t bytes, std::string_view owner);
  void initialise(const Segment& segment, const Initializer& init, ThreadPool* threads);

  std::shared_ptr<Backend> backend_;
  std::shared_ptr<Device> device_;
  std::uint64_t seed_;
  std::unordered_map<std::string, External> pending_externals_;
  std::vector<std::unique_ptr<Segment>> segments_;
  std::unordered_map<std::string_view, Segment*> by_name_;
  std::vector<std::unique_ptr<VariableCopy>> copies_;
  std::vector<Buffer> arenas_;
  std::vector<MemoryOwner> arena_owners_;  ///< one a role, and the copies
  std::int64_t arena_bytes_ = 0;
  Buffer scratch_;
  int scratch_version_ = 0;
};

/// A variable's start value: a function of (seed, name, element) alone.
HostTensor initial_value(const TensorType& type, const Initializer& init, std::string_view name,
                         std::uint64_t seed);

}  // namespace ingot
