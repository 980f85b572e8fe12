// What a Node or fused Region computes, in terms of scalar programs over whole shapes.
#pragma once

#include <array>
#include <vector>

#include "ingot/backends/cpu/map_program.h"
#include "ingot/ir/graph.h"

namespace ingot {

/// A tensor of a fused kernel: an operand or result of the Node, or a value between two stages.
struct FusedTensor {
  enum class Kind : std::uint8_t { operand, result, temporary };
  Kind kind = Kind::operand;
  int index = 0;
};

/// One program over one shape. Nodes of a smaller shape that broadcasts (a batch norm's scale
/// [1,C,1,1]) have their own stage, run first.
struct MapStage {
  MapTensor result;  ///< the shape and layout that the program runs over; its dtype means nothing
  ScalarProgram program;
  std::vector<FusedTensor> inputs;
  std::vector<MapTensor> input_tensors;
  std::vector<FusedTensor> outputs;  ///< of the program's outputs; reductions come after them
  std::vector<DType> output_types;
};

enum class ReductionKind : std::uint8_t { sum, max, moments };

/// A reduction of one program output of the last stage.
struct FusedReduction {
  ReductionKind kind = ReductionKind::sum;
  double scale = 1.0;  ///< of the sum: 1/n makes a mean
  int program_output = 0;
  /// Results of the Node; moments have two, the mean and the variance. -1: not needed.
  std::array<int, 2> results{-1, -1};
  std::array<MapTensor, 2> tensors{};
  DType dtype = DType::f32;
};

struct FusedBody {
  Support support;
  std::vector<MapStage> stages;  ///< in order of execution
  std::vector<MapTensor> temporaries;
  std::vector<FusedReduction> reductions;
  std::vector<int> reduced_axes;  ///< of the last stage's shape, sorted
};

/// Analyses a fused Region, or a Node that could be in one. The result of `producer`, a Node of the
/// body that something else runs, counts as one more operand of the Region.
FusedBody analyse_fused(const Node& node, const Node* producer = nullptr);
/// The program of a stage in terms of tile operations.
LoweredProgram lower_stage(const MapStage& stage);

/// Whether a Node can be part of a fused Region at all.
Support fusable(const Node& node);
/// An optimizer's update of one tensor: it may end a Region whose producer makes the gradient.
bool is_single_update(const Node& node) noexcept;
/// The kind of a Node that reduces.
bool is_fused_reduction(const Node& node) noexcept;

}  // namespace ingot
