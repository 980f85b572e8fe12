// Copies between two strided arrays of one shape.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ingot/backends/cpu/operand_walk.h"
#include "ingot/base/thread_pool.h"

namespace ingot {

/// One axis of a copy: strides in elements.
struct CopyAxis {
  std::int64_t size;
  std::int64_t in;
  std::int64_t out;
};

/// out[sum of i_k out_k] = in[sum of i_k in_k] for all i. The axes are sorted and merged when it is
/// made, so that runs that are contiguous on both sides move as bytes.
class StridedCopy {
 public:
  StridedCopy(std::span<const CopyAxis> axes, std::size_t element_size, std::int64_t in_offset = 0,
              std::int64_t out_offset = 0);

  void run(const std::byte* in, std::byte* out, ThreadPool& pool) const noexcept;

 private:
  void run_rows(const std::byte* in, std::byte* out, std::int64_t first,
                std::int64_t last) const noexcept;

  std::array<CopyAxis, OperandWalk::kMaxAxes> axes_{};
  int rank_ = 0;
  std::size_t element_;
  std::int64_t in_offset_;
  std::int64_t out_offset_;
  std::int64_t rows_ = 1;  // positions of all axes but the last
};

}  // namespace ingot
