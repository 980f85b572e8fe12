// How a product is cut for tensor cores, and what that is expected to take.
#pragma once

#include <cstdint>

#include "ingot/backends/cuda/contractions/mma_problem.h"

namespace ingot::cuda {

/// A form of device/mma.inc. bk_bytes: of one line along k.
struct MmaForm {
  int bm, bn, bk_bytes;
  int warps_m, warps_n, warps_k;
  int stages;

  [[nodiscard]] int threads() const { return 32 * warps_m * warps_n * warps_k; }
  [[nodiscard]] int bk(DType dtype) const { return bk_bytes / static_cast<int>(dtype_size(dtype)); }
};

struct MmaChoice {
  MmaForm form{};
  int cluster = 1;  ///< blocks that share a tile's sum
  int parts = 1;    ///< sums of a tile that a second kernel adds
  double cycles = 0;
};

/// Shared memory of a block.
int mma_shared_bytes(const MmaForm& form, const MmaProblem& problem);
/// Whether the form's threads can copy the problem's operands.
bool fits(const MmaForm& form, const MmaProblem& problem);
std::int64_t mma_tiles(const MmaForm& form, const MmaProblem& problem);
MmaChoice choose_mma(const MmaProblem& problem, int multiprocessors);
/// Every form with every size of cluster that may be used, for those who time them; at least one.
std::vector<MmaChoice> mma_choices(const MmaProblem& problem, int multiprocessors);

}  // namespace ingot::cuda
