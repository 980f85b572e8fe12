// A scalar program compiled to loops over tiles, applied to every element of a tensor.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "ingot/backends/cpu/lower_scalar.h"
#include "ingot/backends/cpu/operand_walk.h"
#include "ingot/backends/cpu/tile_ops.h"
#include "ingot/ir/target.h"

namespace ingot {

/// A tensor that a MapProgram reads or writes.
struct MapTensor {
  TensorType type;
  Layout layout;
};

class MapProgram {
 public:
  static constexpr int kMaxValues = 96;
  static constexpr int kMaxOperands = 32;
  static constexpr int kMaxOutputs = 16;

  /// Whether the program fits: its size, and operands that broadcast to the result in layouts that
  /// can be read along the result's.
  static Support check(const LoweredProgram& lowered, std::span<const MapTensor> operands,
                       const MapTensor& result);
  /// Each output has `result`'s shape and layout and its own dtype. check() has said yes. Operands
  /// that need padding (see OperandWalk) are bound as padded copies.
  MapProgram(const LoweredProgram& lowered, std::span<const MapTensor> operands,
             const MapTensor& result);

  /// Positions of memory, padding included.
  [[nodiscard]] std::int64_t size() const noexcept { return size_; }
  /// Bytes of scratch memory that each thread needs, a multiple of 64.
  [[nodiscard]] std::int64_t frame_bytes() const noexcept { return frame_bytes_; }
  /// Rough time in nanoseconds for one position.
  [[nodiscard]] double cost() const noexcept { return cost_; }
  /// Whether an operand may share its memory with an output.
  [[nodiscard]] bool in_place(int operand, int output) const noexcept;
  /// Whether an operand is read at the output's own positions, so that a part of it will do for a
  /// part of the output.
  [[nodiscard]] bool reads_along(int operand) const noexcept;
  /// Whether an output is an operand as it was loaded.
  [[nodiscard]] bool is_loaded(int output) const noexcept;
  /// Whether zeros in the operands of the result's shape give zeros.
  [[nodiscard]] bool keeps_zero() const noexcept { return keeps_zero_; }

  /// The state of one thread.
  struct Frame {
    std::array<TileArg, kMaxValues> values;
    std::array<const std::byte*, kMaxOperands> operands;
    std::array<std::byte*, kMaxOutputs> outputs;
    std::array<bool, kMaxOutputs> direct;
    /// Of each repeating operand: which repetition its tile holds, and how much of it.
    std::array<std::pair<std::int64_t, std::int64_t>, kMaxOperands> repeated;
    /// An operand of which a stretch alone is bound (-1: none), and the position where it begins.
    std::pair<int, std::int64_t> part;
    std::byte* memory;
  };

  /// Binds a frame: addresses of the operands and outputs (null: the output is only read through
  /// output()), frame_bytes() of memory.
  /// No operand is bound in part.
  void bind(Frame& frame, std::span<const std::byte* const> operands,
            std::span<std::byte* const> outputs, std::byte* memory) const noexcept;
  /// Computes positions [begin, end) and writes the outputs.
  void run(Frame& frame, std::int64_t begin, std::int64_t end) const noexcept;

  /// The longest tile from `begin` on that ends by `end`.
  [[nodiscard]] std::int64_t tile(std::int64_t begin, std::int64_t end) const noexcept;
  /// Computes one tile given by tile(); outputs with an address are written.
  void evaluate(Frame& frame, std::int64_t begin, std::int64_t n) const noexcept;
  /// After evaluate: the tile of an output, in the lane of its dtype.
  [[nodiscard]] const TileArg& output(const Frame& frame, int i) const noexcept {
    return frame.values[static_cast<std::size_t>(outputs_[static_cast<std::size_t>(i)].value)];
  }

 private:
  /// How an operand's tile comes about: its own memory, one element, a stretch of a row (one
  /// element or contiguous), a short run repeated, or element by element.
  enum class LoadKind : std::uint8_t { linear, splat, row, repeated, gathered };
  struct Load {
    int value;
    int operand;
    Lane lane;
    ConvertFn convert;  // null: same bytes
    std::size_t element;
    OperandWalk walk;
    LoadKind kind = LoadKind::linear;
    std::int64_t slot = 0;  // offset of its tile in the frame
    std::int64_t tail = 0;  // of its copy when the tile is the last, partial one
  };
  struct Constant {
    int value;
    alignas(8) std::array<std::byte, 8> bits;
  };
  struct Instr {
    TileFn fn;
    int value;
    int arity;
    std::array<int, 3> args;
    std::int64_t slot = 0;
    int output = -1;  // may write straight to this output's memory
  };
  struct Output {
    int value;
    ConvertFn convert;
    std::size_t element;
    std::uint32_t read_later = 0;  // operands read after a direct write, one bit each
  };
  void assign_slots();
  void find_direct_outputs();
  void choose_loads();
  void load_one(Frame& frame, std::size_t index, std::int64_t begin, std::int64_t n,
                bool partial) const noexcept;
  void store(Frame& frame, std::int64_t begin, std::int64_t n) const noexcept;
  void prefetch(const Frame& frame, std::int64_t begin, std::int64_t n, std::int64_t part,
                std::int64_t parts) const noexcept;
  void load(Frame& frame, std::int64_t begin, std::int64_t n, bool partial) const noexcept;

  std::int64_t size_ = 0;
  std::int64_t tile_ = 0;
  std::int64_t row_ = 0;  // tiles do not cross multiples of it
  std::int64_t frame_bytes_ = 0;
  std::int64_t staging_ = 0;
  double cost_ = 0;
  bool keeps_zero_ = false;
  bool streams_ = false;     // its operands come from memory rather than a cache
  std::vector<Lane> lanes_;  // of each value
  std::vector<Load> loads_;
  std::vector<Constant> constants_;
  std::vector<Instr> instrs_;
  std::vector<Output> outputs_;
};

}  // namespace ingot
