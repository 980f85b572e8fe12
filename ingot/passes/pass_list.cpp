#include "ingot/passes/pass_list.h"

#include <array>

#include "ingot/passes/passes.h"

namespace ingot {

// The whole way from what the user built to what runs. While the user's Graph is being built, two
// rewrites have their place before this list: apply_precision (precision.h) on the forward Graph,
// then gradients() (autodiff/gradients.h) on its result; the optimizer's update follows. Each entry
// is timed (INGOT_TRACE=passes), verified after, and can be left out by name unless it is required
// (CompileOptions::disabled_passes). The engine takes the last two steps itself, the same way.
std::span<const Pass> pass_list() {
  static constexpr std::array kPasses{
      // What was written: smaller, with composites still whole for their algebra.
      Pass{"simplify", "folds constants, applies identities", simplify},
      Pass{"common_subexpressions", "computes equal Nodes once", eliminate_common_subexpressions},
      Pass{"dead_code", "drops what no fetch and no assign needs", eliminate_dead_code},

      // What the backend has kernels for.
      Pass{"lower_composites",
           "replaces composites that the backend does not claim by their bodies", lower_composites,
           true},
      Pass{"widen", "computes in f32 what the backend cannot in lower precision", widen, true},
      Pass{"simplify", "folds constants, applies identities", simplify},
      Pass{"fold_scales", "moves constant factors of channels into constant weights", fold_scales},
      Pass{"space_to_depth", "makes strided convolutions over a few channels dense",
           space_to_depth},
      Pass{"raise_reshapes", "lets channels' values broadcast where they are used", raise_reshapes},
      Pass{"common_subexpressions", "computes equal Nodes once", eliminate_common_subexpressions},
      Pass{"dead_code", "drops what no fetch and no assign needs", eliminate_dead_code},

      // How it runs.
      Pass{"fuse", "joins Nodes into Regions that run as one kernel", fuse},
      Pass{"layouts", "chooses every Value's layout, inserts reorders", assign_layouts, true},
      Pass{"fuse_pools", "joins pools to what makes their operands", fuse_pools},
      Pass{"store_masks", "stores what Regions read only to compare as one bit an element",
           store_masks},
      Pass{"batch_slices", "joins Nodes into Regions that run slice by slice of the batch",
           batch_slices},
      Pass{"fuse_updates", "joins the updates of parameters to what makes their gradients",
           fuse_updates},
      Pass{"weight_copies", "lets updates write the weights' conversions of the next step",
           weight_copies},

      // The engine's part, on the final Graph.
      Pass{"choose_kernels", "asks the backend for a Kernel for every Node", nullptr, true},
      Pass{"plan_memory", "places every Value in the arena", nullptr, true},
  };
  return kPasses;
}

}  // namespace ingot
