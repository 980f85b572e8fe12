// Tensors as rows of neighbouring channels, of which a thread takes a vector: how the work is cut
// and how operands are read 16 bytes at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "ingot/backends/cuda/kernels/element.h"
#include "ingot/ir/bits.h"
#include "ingot/ir/target.h"

namespace ingot::cuda {

/// How an operand meets the elements of a vector.
enum class Reach : std::uint8_t {
  whole,    ///< it has the walk's shape and layout
  bits,     ///< the same as bits: a vector is a byte
  channel,  ///< one element a channel
  image,    ///< neighbouring channels are neighbours, rows share them
  row,      ///< one element for the whole vector
  scalar,   ///< one element for all
  apart,    ///< it lies otherwise: its elements are read one by one
  none,     ///< it cannot be read
};

/// The axis whose neighbours are neighbours in memory, where there is one ("acdb", "acdB8b",
/// plain).
std::optional<int> inner_axis(const Layout& layout, const Shape& shape);

/// A shape and layout cut into blocks. Threads of a block are `tx` vectors of channels side by side
/// by `ty` rows.
class VectorWalk {
 public:
  /// None when the layout has no such axis or its channels do not divide into vectors. `flat`:
  /// every operand is whole or a scalar, so that rows may be of any length.
  static std::optional<VectorWalk> of(const Shape& shape, const Layout& layout, int vector,
                                      bool flat);

  [[nodiscard]] Reach reach(const Value& value) const;
  [[nodiscard]] bool is_whole(const Value& value) const {
    return value.shape() == shape && value.layout() == layout;
  }
  /// Whether it lies as what is whole does, as bits; a byte holds one vector.
  [[nodiscard]] bool has_bits_of(const Value& value) const {
    return vector == 8 && value.shape() == shape && value.layout() == in_bits(layout);
  }
  /// Whether the vectors hold channels that exist in memory alone.
  [[nodiscard]] bool is_padded() const noexcept { return channels != padded; }
  [[nodiscard]] std::int64_t groups() const noexcept { return padded / vector; }
  [[nodiscard]] std::int64_t row_blocks(std::int64_t unroll) const;
  /// Channels of a block, those beyond the last one included.
  [[nodiscard]] std::int64_t block_channels() const noexcept { return tx * vector; }
  /// Cuts the channels into columns of at most `most` vectors.
  void narrow(std::int64_t most);

  Shape shape;
  Layout layout;
  int axis = 0;            ///< of the channels
  std::vector<int> outer;  ///< the other axes, outermost first
  std::int64_t rows = 0;
  std::int64_t channels = 0;
  std::int64_t padded = 0;  ///< channels in memory
  int vector = 0;           ///< channels of a thread
  std::int64_t tx = 1, ty = 1;
  std::int64_t columns = 1;  ///< blocks side by side
  bool flat = false;         ///< rows and channels are not the shape's
};

/// The layout of the Region's operands and results of `shape`; bits lie as the others do.
Layout layout_of(const Region& region, const Shape& shape);
/// Elements of 16-bit types come eight at a time, others four. Over the Region's Values of `shape`.
int vector_of(const Region& region, const Shape& shape);
/// Types that Lane in device/vector.inc has.
bool has_lane(DType dtype);

/// Whether the Region's operands and whole results can be read and written along the walk, and
/// whether that pays: plain tensors of few elements are left to kernels that take a batch by item.
Support supports_walk(const Region& region, const VectorWalk& walk);

/// Writes what reads a Region's operands along a walk. Texts use u32 c (the thread's first
/// channel), row and the vector's element e.
class VectorReader {
 public:
  VectorReader(const Region& region, const VectorWalk& walk, const std::vector<Value>& wanted);

  /// Constants of the thread, computed once: scalars, channels' values and what only these make.
  void write_constants(std::string& code) const;
  /// Declares the words of `unroll` rows.
  void write_declarations(std::string& code, int unroll) const;
  /// Loads row `row` into number q.
  void write_loads(std::string& code) const;
  /// A writer for element e of the row in number q; `padded` channels are left to the caller.
  [[nodiscard]] ElementWriter element(std::string& code) const;
  /// Rows that a thread has under way at once, as far as registers reach beside `totals` vectors.
  [[nodiscard]] int rows_at_once(int totals) const;
  /// Blocks that fit a multiprocessor at once: no more should share the rows, since each begins
  /// with what its channels need.
  [[nodiscard]] int blocks_at_once(int totals) const;

 private:
  struct Operand {
    Value value;
    int slot;
    Reach reach;
    std::string name;
  };
  [[nodiscard]] bool is_constant(const Value& value) const;
  [[nodiscard]] int row_words() const;
  [[nodiscard]] int registers(int rows, int totals) const;
  void collect(const Value& value);
  void write_channel_load(std::string& code, const Operand& operand) const;
  [[nodiscard]] std::vector<std::string> coordinates() const;
  [[nodiscard]] std::string offset(const Operand& operand) const;

  const Region& region_;
  const VectorWalk& walk_;
  std::vector<Operand> operands_;
  std::vector<Value> constants_;  ///< computed once a thread, in order
  std::unordered_map<Value, bool, ValueHash> seen_;
  /// Constants of each channel that rows are computed from, and so stay in registers.
  std::unordered_set<Value, ValueHash> staying_;
};

/// `const u32 tx = ...`: the thread's place; then `if (live) {` is the caller's. `slices`: blocks
/// among which the rows of a column are dealt out.
void write_place(std::string& code, const VectorWalk& walk, std::int64_t slices);
/// Address text of the walk's words at `row`.
std::string vector_address(const VectorWalk& walk, int slot, DType dtype, bool writable);
/// Words of one vector.
int words_of(const VectorWalk& walk, DType dtype);
/// Puts `value`, element e of a whole result, into words `name`.
void write_set(std::string& code, const VectorWalk& walk, const std::string& name, DType dtype,
               const std::string& value);

/// A Region's result that a walk stores: its vector is declared, then each element is set, then it
/// goes to `row`.
class VectorResult {
 public:
  VectorResult(const VectorWalk& walk, const Value& value, int slot, std::string name)
      : walk_(walk), value_(value), slot_(slot), name_(std::move(name)) {}

  void write_declaration(std::string& code) const;
  void write_element(std::string& code, ElementWriter& writer) const;
  void write_store(std::string& code) const;

 private:
  const VectorWalk& walk_;
  Value value_;
  int slot_;
  std::string name_;
};

/// Bytes in memory, padding included.
double bytes_of(const Value& value);

}  // namespace ingot::cuda
