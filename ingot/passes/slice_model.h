// What batch slices cost and save, from shapes and cache sizes alone.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "ingot/ir/target.h"
#include "ingot/passes/batch_axes.h"

namespace ingot {

/// Slices that a batch is cut into at least, as far as it has items: enough for a few threads, and
/// for one of them to fall behind.
inline constexpr std::int64_t kMinSlices = 8;
/// Groups of slices, each the work of one task, at most: enough for the threads of a usual machine.
/// Each leaves a term of every sum over the batch.
inline constexpr std::int64_t kMaxGroups = 16;

/// Why a separable Node runs faster on the whole batch, all threads together; empty when it does
/// not.
std::string better_whole(const Node& node, const NodeBatch& batch, std::int64_t items,
                         const CacheSizes& caches);

/// What a region's Values take while it runs.
struct SliceBytes {
  double item = 0;   ///< of each item, at the fullest moment
  double fixed = 0;  ///< weights and sums, at that moment
};

/// Memory traffic that costs about as much as a dispatch of all threads.
inline constexpr std::int64_t kDispatchBytes = 64 << 10;
/// Floating-point operations above which, for each byte that would stay in a core's cache, a region
/// is bound by its arithmetic: its Nodes then run as fast one by one, cut to their own liking.
inline constexpr double kMostFlopsPerByte = 40;

/// Whether the work of a region is long beside calling its kernels once a slice.
bool outweighs_calls(std::span<const Node* const> nodes, std::int64_t slices);

/// `nodes`: of one region, in order.
SliceBytes slice_bytes(std::span<const Node* const> nodes, const GraphBatch& batch);

/// Items in a slice: the largest divisor of the batch with kMinSlices slices whose Values take at
/// most half of the second-level cache; 1 when there is none.
std::int64_t choose_items(std::int64_t batch, const SliceBytes& bytes, const CacheSizes& caches);

}  // namespace ingot
