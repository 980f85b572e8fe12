// Static memory planning: where each buffer of a step lies in one arena. Knows no Graph.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ingot {

/// A buffer and the time it is needed. Times are positions in the order of kernels.
struct BufferRequest {
  std::int64_t bytes = 0;
  int first_use = 0;  ///< the kernel that writes it
  int last_use = 0;   ///< the last kernel that touches it, inclusive
  std::string owner;  ///< whom reports name
  /// Index of an earlier buffer whose memory this one shares, as a view or in place; -1: none. The
  /// sharers live in one place from the first use of any to the last use of all.
  int alias_of = -1;
};

struct PlanRequest {
  std::vector<BufferRequest> buffers;
  std::int64_t alignment = 64;  ///< of every offset; a power of two
};

struct Plan {
  std::vector<std::int64_t> offsets;  ///< one a buffer
  std::int64_t arena_bytes = 0;
  /// Maximum over time of the bytes live then, each buffer rounded up to the alignment: no arena
  /// can be smaller.
  std::int64_t live_peak_bytes = 0;
};

/// The smallest of several greedy placements; a function of the request alone. O(n log n) for large
/// requests. Errors (internal): a negative size, a lifetime that ends before it begins, an alias of
/// a buffer that is not earlier, an alignment that is no power of two.
Plan make_plan(const PlanRequest& request);

}  // namespace ingot
