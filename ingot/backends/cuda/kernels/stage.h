// Generated work: what a kernel of this backend is made of.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ingot/backends/cuda/driver/cuda_device.h"
#include "ingot/base/dtype.h"
#include "ingot/runtime/program.h"

namespace ingot::cuda {

/// Threads of a block; device/prelude.inc has the same.
inline constexpr int kThreads = 512;

/// Bytes of a ticket; see Stage::tickets.
inline constexpr std::int64_t kTicketBytes = 8;

/// How the units of a stage are given to blocks.
enum class Mode : std::uint8_t {
  grid,    ///< over all blocks
  item,    ///< unit ranges of one item of the batch belong to one block
  single,  ///< all to block 0
};

/// A stage reads or writes a slot, or a range of its launch's workspace.
struct Access {
  int slot = -1;  ///< -1: the workspace
  bool write = false;
  bool by_item = false;         ///< units of item b touch the b-th part alone
  std::int64_t item_bytes = 0;  ///< of the workspace by item: size of such a part
};

/// Work that a vendor's library does, in place of a generated body. Immutable; one may serve
/// several stages.
class LibraryCall {
 public:
  LibraryCall() = default;
  virtual ~LibraryCall() = default;
  LibraryCall(const LibraryCall&) = delete;
  LibraryCall& operator=(const LibraryCall&) = delete;

  /// Puts the work on the stream, which may be captured. `memory` is that of the stage's accesses,
  /// in order. Errors: internal, with what the library said.
  virtual void enqueue(CUstream stream, std::span<std::byte* const> memory) const = 0;
};

/// Work in units that blocks take in any order, each by a whole block. `body` is the inside of
/// `void(const Params& P, i64 step, int unit, char* smem)`; it names slot k as @k@, the workspace
/// as
/// @W@ and tickets as @T@, all of type char*, and the lowered Node's id as @N@. In mode item,
/// `unit` may count from the item's own first unit, with the names of slots that are touched by
/// item standing for the item's part. What slots stand for may use P, step, item, local and go, so
/// text inside a struct needs these as members. smem is free for use, and every thread gets to the
/// end.
struct Stage {
  std::string what;  ///< for reports: op "node"
  std::string body;
  /// Types that the body needs at namespace scope.
  std::string types = {};
  Mode mode = Mode::grid;
  std::int64_t units = 1;
  std::int64_t units_per_item = 0;  ///< mode item: units = items * units_per_item
  int shared_bytes = 0;
  /// Threads, in whole warps, that the body has work for. With fewer than kThreads it uses no smem
  /// and waits for no other warp, so that any warps can be those, counted by threadIdx.x from 0.
  int threads_used = kThreads;
  /// Counters of type u64 by which blocks find out who comes last; zero when the stage begins, and
  /// it leaves them so.
  int tickets = 0;
  /// Of a block, and blocks to a cluster: other than these only in a kernel of its own, which then
  /// has one block a unit.
  int threads = kThreads;
  int cluster = 1;
  /// Blocks of such a kernel that are to fit a multiprocessor.
  int blocks_at_once = 1;
  /// Whether the body of such a kernel calls take_turn() itself, before it touches memory.
  bool takes_turn = false;
  std::vector<Access> accesses;
  bool commit = false;  ///< changes variables: called off after a failure
  double flops = 0;
  double flops_of_cycle = kVectorFlops;  ///< at most, of a multiprocessor
  double bytes = 0;
  /// Expected cycles of one unit on one multiprocessor, where the kernel knows better than flops
  /// and bytes tell; 0: not known.
  double unit_cycles = 0;
  /// Does the work instead of `body`; only where the request allows it.
  std::shared_ptr<const LibraryCall> library = {};
};

/// What is to be done with each element of a slot once it is known. Whoever stores the elements may
/// do it on the spot.
struct Update {
  int slot = -1;  ///< f32; each of its elements is stored once
  /// The inside of `void(const Params& P, i64 step, i64 i, float value, bool go)`, which stores
  /// nothing without `go`. It finds what `loads` read in variables of their names.
  std::string body;
  /// Each the type, the name and the text of a value that may be read before `value` is known.
  struct Load {
    std::string type, name, text;
  };
  std::vector<Load> loads = {};
  std::vector<Access> accesses;  ///< besides the slot
};

/// What a kernel is asked for.
struct StageRequest {
  const Launch& launch;
  Mode mode = Mode::grid;
  /// Size of the batch when mode is item; in mode grid, other than 0 where the work may be cut by
  /// items first, each in units for several blocks.
  std::int64_t items = 0;
  /// With items: operands whose axis 0 is the batch; and whether the results sum over it.
  std::vector<bool> item_inputs = {};
  bool reduced = false;
  int multiprocessors = 132;  ///< to which the work should be cut
  /// Slots whose Updates are done elsewhere.
  std::vector<int> updated = {};
  bool library = false;  ///< whether a stage may be a library's: each is a node of its own
};

/// "float", "bf16", ...: the type in memory.
std::string_view storage_type(DType dtype);
/// "float", "double", "i64" or "bool": the type in registers.
std::string_view compute_type(DType dtype);
/// `((const float*)@3@)`
std::string pointer_to(int slot, DType dtype, bool writable = false);
/// A statement that stores `value` as element `at` of the slot, in a form that a step can extend
/// by what else is to be done with the element (see Update). `at` and `value` are evaluated once.
/// With `early`, the variable early_ has what early_load() gave for the same place.
std::string store_text(int slot, DType dtype, const std::string& at, const std::string& value,
                       bool early = false);
/// Stores the array `values` of n floats as elements from `at` on, which is a multiple of n.
std::string store_row_text(int slot, const std::string& at, const std::string& values, int n);
/// The type of what a store to the slot needs besides the value, and an expression that reads it.
std::string early_type(int slot);
std::string early_load(int slot, const std::string& at);

}  // namespace ingot::cuda
