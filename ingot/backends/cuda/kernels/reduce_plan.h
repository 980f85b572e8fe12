// Sums and maxima of generated terms: how work is cut, and its text.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/backends/cuda/kernels/element.h"

namespace ingot::cuda {

/// Writes an output from the totals; gets the flat output and its coordinates.
using StoreFn = std::function<void(std::string& code, const std::string& out,
                                   const std::vector<std::string>& kept,
                                   const std::vector<std::string>& totals)>;

/// Totals over `reduced` for each element of `kept`; each output has several components.
struct ReducePlan {
  Shape kept;
  Shape reduced;
  /// Whether neighbouring lanes should take neighbours along `reduced` (or along `kept`).
  bool reduced_fast = true;
  /// One letter a component: 's' sum, 'm' maximum.
  std::string components;
  /// Writes one term; gets the names of the coordinates, and of the flat output, and returns the
  /// components' variables.
  std::function<std::vector<std::string>(std::string& code, const std::string& out,
                                         const std::vector<std::string>& kept,
                                         const std::vector<std::string>& reduced)>
      term;
  /// Stores an output from its components' totals.
  StoreFn store;
  double flops_per_term = 1;
  /// The slot of the only result, when `store` stores its element `out` with early_ at hand; or -1.
  int early_slot = -1;
};

/// The coordinate of terms along the first reduced axis where each split is one place of it.
inline constexpr std::string_view kSplitPlace = "(u32)split";

/// Parts into which a sum is cut; at most this many floats of workspace an output and component.
std::int64_t reduce_splits(std::int64_t outputs, std::int64_t length, int multiprocessors);

/// Adds parts that lie in the workspace as [component][split][output]. `early_slot` as in a plan.
Stage add_parts(const Stage& whole, const Shape& kept, std::int64_t splits,
                const std::string& components, const StoreFn& store, int early_slot = -1);

/// One stage, or partial sums in the workspace and a stage that adds them. `splits` > 1 cuts
/// `reduced` (row-major) into that many parts of equal length, the last one shorter.
/// `items_are_splits`: the splits are the batch's items. Accesses are those of `whole`, with the
/// workspace's added.
std::vector<Stage> reduce_stages(const StageRequest& request, const ReducePlan& plan,
                                 std::int64_t splits, const Stage& whole);

}  // namespace ingot::cuda
