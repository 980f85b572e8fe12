// What kernels compiled for the CPU and the emulated driver know of one another. Included by both,
// so it includes nothing.
#pragma once

namespace ingot::emulator {

struct Index {
  unsigned x = 1;
  unsigned y = 1;
  unsigned z = 1;
};

/// A copy into shared memory that was asked for: it is made when it is waited for, so that a
/// missing wait shows.
struct Copy {
  void* to;
  const void* from;  ///< null: zeros
  unsigned bytes;
  unsigned group;
  unsigned char seen[16];  ///< at `from`, when the copy began
};
inline constexpr unsigned kMostCopies = 128;

/// The running thread of a kernel.
struct Thread {
  Index thread;  ///< threadIdx and so on
  Index block;
  Index block_size;
  Index grid;
  unsigned lane = 0;
  unsigned cluster_rank = 0;
  unsigned cluster_size = 1;
  char* shared = nullptr;        ///< the block's dynamic shared memory
  char* fixed_shared = nullptr;  ///< of `__shared__` variables
  unsigned copy_count = 0;
  unsigned copy_group = 0;
  Copy copies[kMostCopies];
};

/// Work of several lanes at once; `lanes[i]` is what lane i handed over, for the lanes in `mask`.
using Collective = void (*)(unsigned mask, void* const* lanes);

struct Services {
  Thread* const* current;
  /// Waits for `threads` threads of the block at that barrier; 0: for all that have not ended.
  void (*wait_block)(int barrier, int threads);
  /// Counts as having come, and goes on.
  void (*arrive_block)(int barrier, int threads);
  /// Waits for all threads of the cluster.
  void (*wait_cluster)();
  /// The place in another block of the cluster that `local` is in this one.
  char* (*cluster_shared)(const void* local, unsigned rank);
  /// Lets other threads run: for loops that wait for them.
  void (*yield)();
  /// The last lane of `mask` that comes does the work for all.
  void (*collective)(unsigned mask, void* lane, Collective work);
  /// Ends the grid with an error.
  void (*fail)(const char* why);
};

inline constexpr unsigned kFixedSharedBytes = 64 << 10;

}  // namespace ingot::emulator
