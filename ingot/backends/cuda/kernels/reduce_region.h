// What a launch with reductions computes, apart from how the work is cut.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ingot/backends/cuda/kernels/element.h"
#include "ingot/backends/cuda/kernels/vector_walk.h"
#include "ingot/ir/target.h"

namespace ingot::cuda {

/// A reduction's components: a sum, a maximum, or the sums of (x - k) and (x - k)^2 with the first
/// term as k, from which mean and variance follow without losing a mean far from zero.
enum class ReduceKind : std::uint8_t { sum, mean, max, moments, none };
ReduceKind reduce_kind(const Node& node);

/// The loop's axes that stay and those that go.
struct ReduceAxes {
  Shape kept;
  Shape reduced;
  std::vector<int> kept_axes;
  std::vector<int> reduced_axes;
  explicit ReduceAxes(const Node& reduction);
};

/// Rows of the walk that one output sums: all of them, or those of one item where axis 0 stays,
/// too. 0: the reduction is of another form.
std::int64_t rows_of_output(const ReduceAxes& axes, const VectorWalk& walk);

class ReduceRegion {
 public:
  /// `outputs`: slots of the Node's results.
  ReduceRegion(const Node& node, std::span<const int> inputs, std::span<const int> outputs);

  [[nodiscard]] const Region& region() const noexcept { return region_; }
  [[nodiscard]] const Shape& loop() const noexcept { return loop_; }
  [[nodiscard]] const ReduceAxes& axes() const noexcept { return axes_; }
  /// Results of the loop's shape, stored on the way, and results of smaller shapes.
  [[nodiscard]] const std::vector<int>& beside() const noexcept { return beside_; }
  [[nodiscard]] const std::vector<int>& apart() const noexcept { return apart_; }
  [[nodiscard]] bool sums_only() const;
  /// One letter a component: 's' sum, 'm' maximum.
  [[nodiscard]] std::string components() const;
  [[nodiscard]] double bytes() const;

  /// All coordinates of the loop, from those of the two halves; `name` is its place in memory.
  /// With `flat`, the number of the term that the reduced coordinates are of, neighbouring axes
  /// need not be told apart for it.
  [[nodiscard]] Place place(std::string& code, const std::vector<std::string>& kept,
                            const std::vector<std::string>& reduced, const std::string& name,
                            const std::string& flat = "") const;
  /// The first term of an output: what moments are shifted by.
  std::string write_shift(std::string& code, const Node& reduction,
                          const std::vector<std::string>& kept, const std::string& name) const;
  /// Stores every reduction's outputs from the components' totals. `shifts` has the variable of
  /// each reduction's first term where it is known, and is empty where it is to be read again. With
  /// `early`, early_ is at hand (see store_text()).
  void store(std::string& code, const std::string& out, const std::vector<std::string>& kept,
             const std::vector<std::string>& totals, const std::vector<std::string>& shifts = {},
             bool early = false) const;

 private:
  [[nodiscard]] std::string merged_offset(const std::vector<std::string>& all,
                                          const std::vector<std::int64_t>& strides,
                                          const std::string& flat) const;
  void put(std::string& code, const Node& reduction, int index, const std::string& out,
           const std::string& value, bool early = false) const;

  std::vector<int> outputs_;
  Region region_;
  Shape loop_;
  ReduceAxes axes_;
  std::vector<int> beside_;
  std::vector<int> apart_;
};

/// Whether the Region is made of reductions that such kernels know.
Support supports_reductions(const Region& region);

}  // namespace ingot::cuda
