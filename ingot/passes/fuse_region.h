// From a unit of Nodes to a `fused` Region.
#pragma once

#include "ingot/passes/fuse_units.h"
#include "ingot/passes/rewriter.h"

namespace ingot {

/// Adds the Region of a unit, whose inputs were made, and maps the members' Values that are needed
/// outside. Constants of one element go into the body.
void emit_region(Rewriter& rewriter, const FusionUnits& units, int u);

}  // namespace ingot
