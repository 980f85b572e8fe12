// The passes that pass_list.cpp puts in order. Each builds a new Graph with the same placeholders,
// variables, fetches and assigns, in time linear in its size.
#pragma once

#include <memory>

#include "ingot/passes/pass.h"

namespace ingot {

/// Folds constants (by the reference kernels, within a small budget) and Values without elements,
/// applies algebraic identities, makes broadcasts implicit. Results equal the original ones bit for
/// bit, except that a zero may change its sign (x + 0), and that folding and pow(x, 3) round
/// differently, within the ops' tolerance.
std::unique_ptr<Graph> simplify(const Graph& graph, PassContext& context);

/// One Node for all with the same op, attributes and operands; random ops of one stream included.
std::unique_ptr<Graph> eliminate_common_subexpressions(const Graph& graph, PassContext& context);

/// Keeps what fetches and assigns need. Placeholders and variables stay: they are the Graph's
/// interface.
std::unique_ptr<Graph> eliminate_dead_code(const Graph& graph, PassContext& context);

/// Inlines composites, also those inside bodies, that the target does not claim.
std::unique_ptr<Graph> lower_composites(const Graph& graph, PassContext& context);

/// Where the target has a kernel for a Node in f32 but not in f16 or bf16: casts around it, so that
/// its results are stored as before and computed in f32.
std::unique_ptr<Graph> widen(const Graph& graph, PassContext& context);

/// Moves constant per-channel factors behind a Node with constant weights into the weights, and
/// adds up the constant offsets: a frozen batch norm becomes a bias. Rounds once where the Graph
/// rounded several times, within the ops' tolerance; see fold_scales.cpp.
std::unique_ptr<Graph> fold_scales(const Graph& graph, PassContext& context);

/// Turns strided convolutions over a few channels, and their weight gradients, into ones of stride
/// 1 over blocks of pixels, where the target asks for it; see space_to_depth.cpp. Sums the same
/// products, and some with zero.
std::unique_ptr<Graph> space_to_depth(const Graph& graph, PassContext& context);

/// In steps bound by throughput, elementwise Nodes on Values of one axis whose results take unit
/// axes work on operands that have them; see raise_reshapes.cpp.
std::unique_ptr<Graph> raise_reshapes(const Graph& graph, PassContext& context);

/// Builds `fused` Regions; see fuse.cpp for the rules.
std::unique_ptr<Graph> fuse(const Graph& graph, PassContext& context);

/// Sets the Layout of every Value and inserts `reorder` Nodes; see layouts.cpp.
std::unique_ptr<Graph> assign_layouts(const Graph& graph, PassContext& context);

/// Joins pools to what makes their operands; see fuse_pools.cpp.
std::unique_ptr<Graph> fuse_pools(const Graph& graph, PassContext& context);

/// In steps bound by throughput, where Regions read a Value only to compare it, stores what the
/// comparison gives instead, one bit an element; see store_masks.cpp.
std::unique_ptr<Graph> store_masks(const Graph& graph, PassContext& context);

/// Builds `batch_slices` Regions for a target that asks for them; see batch_slices.cpp.
std::unique_ptr<Graph> batch_slices(const Graph& graph, PassContext& context);

/// Joins updates of parameters to what makes their gradients; see fuse_updates.cpp.
std::unique_ptr<Graph> fuse_updates(const Graph& graph, PassContext& context);

/// Makes conversions of weights outlive the step, for a target that asks for it; see
/// weight_copies.h.
std::unique_ptr<Graph> weight_copies(const Graph& graph, PassContext& context);

}  // namespace ingot
