// C++ text for one element of Values: what fused chains, prologues and epilogues are written with.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "ingot/backends/cuda/kernels/stage.h"
#include "ingot/ir/graph.h"
#include "ingot/ir/scalar.h"

namespace ingot::cuda {

/// What a launch computes: a Node, or the body of a fused Region.
struct Region {
  /// In the order of the Node's outputs, in terms of the body where there is one.
  std::vector<Value> results;
  std::unordered_map<Value, int, ValueHash> operands;  ///< slots
  std::vector<const Node*> reductions;
  const Node* producer = nullptr;  ///< what is neither pointwise nor a reduction
  bool is_body = false;            ///< of a Region: its Nodes have ids of their own
};
Region region_of(const Node& node, std::span<const int> inputs);

/// Where an element is computed: a shape with a variable for each coordinate and for the place in
/// memory of a Value of that shape in `layout`. Empty names where they are not known.
struct Place {
  Shape shape;
  std::vector<std::string> coordinates;
  std::string flat;
  Layout layout = {};
};

/// `const u32 p0 = ...` for every axis of `dims` from the flat index `index`; returns the names.
std::vector<std::string> write_decode(std::string& code, const std::string& prefix,
                                      const std::string& index, const Shape& dims);
/// Sum of coordinates times strides; "0" for none.
std::string offset_text(std::span<const std::string> coordinates,
                        std::span<const std::int64_t> strides);
/// Strides of `shape` as it broadcasts to `to` (0 along repeated axes). The layout has such
/// strides.
std::vector<std::int64_t> broadcast_strides(const Shape& shape, const Shape& to,
                                            const Layout& layout = {});

/// Appends to `code` what gives elements at one place.
class ElementWriter {
 public:
  ElementWriter(std::string& code, const Region& region, Place place)
      : code_(code), region_(region), place_(std::move(place)) {}

  /// The variable that holds the Value's element.
  std::string value(const Value& value);
  /// Gives the Value's element, computed elsewhere, a variable.
  void bind(const Value& value, std::string variable) { known_[value] = std::move(variable); }
  [[nodiscard]] const Place& place() const noexcept { return place_; }

 private:
  std::string load(const Value& value, int slot);
  std::string pointwise(const Node& node);
  std::optional<std::string> above_zero(const Node& node);
  std::string fresh();

  std::string& code_;
  const Region& region_;
  Place place_;
  std::unordered_map<Value, std::string, ValueHash> known_;
  int count_ = 0;
};

/// The program on variables of the given types; returns the outputs' variables. Names begin with
/// `prefix`.
std::vector<std::string> write_program(std::string& code, const ScalarProgram& program,
                                       std::span<const std::string> inputs,
                                       std::span<const DType> types, const std::string& prefix);
/// `expression` of one dtype converted to another as the op cast does.
std::string convert_text(const std::string& expression, DType from, DType to);
/// A literal of a compute type.
std::string literal(double value, DType dtype);
/// The one element of a constant Node.
std::string constant_text(const Value& constant);

}  // namespace ingot::cuda
