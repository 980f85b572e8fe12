#include "tests/emulator/grid.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "tests/emulator/fiber.h"

namespace ingot::emulator {
namespace {

constexpr std::size_t kLanes = 32;
constexpr std::size_t kBarriers = 16;
// Sweeps over all blocks in which threads only wait for memory to change.
constexpr int kMostIdleSweeps = 100'000;

struct Block;

struct Fiber {
  Thread thread;  ///< first: a Thread* is a Fiber*
  Context context;
  Block* block = nullptr;
  std::size_t index = 0;
};

struct Barrier {
  int arrived = 0;
  int wanted = 0;  ///< 0: all
  std::vector<Fiber*> waiting;
};

struct Warp {
  unsigned alive = 0;
  unsigned posted = 0;
  std::array<unsigned, kLanes> masks{};
  std::array<void*, kLanes> lanes{};
  std::array<Collective, kLanes> works{};
};

struct Cluster {
  int alive = 0;
  int arrived = 0;
  std::vector<Fiber*> waiting;
  std::vector<Block*> blocks;
};

struct Block {
  std::vector<Fiber> fibers;
  std::vector<Fiber*> ready;
  std::vector<Fiber*> running;
  std::array<Barrier, kBarriers> barriers;
  std::vector<Warp> warps;
  Cluster* cluster = nullptr;
  int alive = 0;
  std::unique_ptr<char[]> memory;
  char* shared = nullptr;
};

/// The grid that runs; there is one at a time.
class Grid {
 public:
  explicit Grid(const GridLaunch& launch) : launch_(launch) {}

  std::string run(std::optional<Stacks>& stacks);

  void wait_block(int barrier, int threads, bool stay);
  void wait_cluster();
  char* cluster_shared(const void* local, unsigned rank);
  void yield();
  void collective(unsigned mask, void* lane, Collective work);
  void fail(const char* why);
  [[noreturn]] void thread_main();

 private:
  void prepare(Block& block, Cluster& cluster, unsigned number, unsigned rank, std::size_t first);
  void run_blocks(std::vector<Block>& blocks);
  void suspend();
  void wake(Fiber* fiber) { fiber->block->ready.push_back(fiber); }
  void release_if_full(Block& block, Barrier& barrier);
  void release_cluster_if_full(Cluster& cluster);
  bool finish_collective(Block& block, Warp& warp, unsigned lane, Fiber* self);
  void end_of_thread(Fiber& fiber);
  static Fiber& here();
  [[nodiscard]] unsigned threads() const {
    return launch_.block.x * launch_.block.y * launch_.block.z;
  }

  const GridLaunch& launch_;
  const Stacks* stacks_ = nullptr;
  Context scheduler_;
  bool progress_ = false;
  std::string trouble_;
};

Thread* current_thread = nullptr;
Grid* current_grid = nullptr;

Fiber& Grid::here() { return *reinterpret_cast<Fiber*>(current_thread); }

void Grid::suspend() { switch_context(here().context, scheduler_); }

void Grid::fail(const char* why) {
  if (trouble_.empty()) trouble_ = why;
  // The thread never goes on.
  while (true) suspend();
}

void Grid::release_if_full(Block& block, Barrier& barrier) {
  const int wanted = barrier.wanted == 0 ? block.alive : barrier.wanted;
  if (barrier.arrived == 0 || barrier.arrived < wanted) return;
  barrier.arrived = 0;
  for (Fiber* fiber : barrier.waiting) wake(fiber);
  barrier.waiting.clear();
}

void Grid::wait_block(int number, int wanted, bool stay) {
  Fiber& self = here();
  if (number < 0 || number >= static_cast<int>(kBarriers)) fail("a barrier that does not exist");
  Barrier& barrier = self.block->barriers[static_cast<std::size_t>(number)];
  if (barrier.arrived > 0 && barrier.wanted != wanted) {
    fail("threads at one barrier that want different numbers of threads");
  }
  progress_ = true;
  barrier.wanted = wanted;
  ++barrier.arrived;
  if (!stay) return release_if_full(*self.block, barrier);
  barrier.waiting.push_back(&self);
  release_if_full(*self.block, barrier);
  suspend();
}

void Grid::release_cluster_if_full(Cluster& cluster) {
  if (cluster.arrived == 0 || cluster.arrived < cluster.alive) return;
  cluster.arrived = 0;
  for (Fiber* fiber : cluster.waiting) wake(fiber);
  cluster.waiting.clear();
}

void Grid::wait_cluster() {
  Fiber& self = here();
  Cluster& cluster = *self.block->cluster;
  progress_ = true;
  ++cluster.arrived;
  cluster.waiting.push_back(&self);
  release_cluster_if_full(cluster);
  suspend();
}

char* Grid::cluster_shared(const void* local, unsigned rank) {
  const Block& own = *here().block;
  if (rank >= own.cluster->blocks.size()) fail("a block that is not in the cluster");
  return own.cluster->blocks[rank]->shared + (static_cast<const char*>(local) - own.shared);
}

void Grid::yield() {
  wake(&here());
  suspend();
}

bool Grid::finish_collective(Block& block, Warp& warp, unsigned lane, Fiber* self) {
  const unsigned need = warp.masks[lane] & warp.alive;
  if ((warp.posted & need) != need) return false;
  for (unsigned other = 0; other < kLanes; ++other) {
    if ((need >> other & 1u) == 0) continue;
    if (warp.masks[other] != warp.masks[lane]) return false;
    if (warp.works[other] != warp.works[lane]) {
      fail("lanes of a warp that do different things at once");
    }
  }
  warp.works[lane](need, warp.lanes.data());
  warp.posted &= ~need;
  const auto first = static_cast<std::size_t>(&warp - block.warps.data()) * kLanes;
  for (unsigned other = 0; other < kLanes; ++other) {
    if ((need >> other & 1u) == 0) continue;
    Fiber* fiber = &block.fibers[first + other];
    if (fiber != self) wake(fiber);
  }
  return true;
}

void Grid::collective(unsigned mask, void* lane, Collective work) {
  Fiber& self = here();
  const unsigned own = self.thread.lane;
  if ((mask >> own & 1u) == 0) fail("a lane that is not in its own mask");
  Warp& warp = self.block->warps[self.index / kLanes];
  progress_ = true;
  warp.posted |= 1u << own;
  warp.masks[own] = mask;
  warp.lanes[own] = lane;
  warp.works[own] = work;
  if (!finish_collective(*self.block, warp, own, &self)) suspend();
}

void Grid::end_of_thread(Fiber& fiber) {
  Block& block = *fiber.block;
  progress_ = true;
  --block.alive;
  --block.cluster->alive;
  Warp& warp = block.warps[fiber.index / kLanes];
  warp.alive &= ~(1u << fiber.thread.lane);
  for (Barrier& barrier : block.barriers) {
    if (barrier.wanted == 0) release_if_full(block, barrier);
  }
  release_cluster_if_full(*block.cluster);
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if ((warp.posted >> lane & 1u) != 0) finish_collective(block, warp, lane, nullptr);
  }
}

void Grid::thread_main() {
  launch_.kernel(launch_.arguments);
  end_of_thread(here());
  while (true) suspend();
}

void Grid::prepare(Block& block, Cluster& cluster, unsigned number, unsigned rank,
                   std::size_t first) {
  const unsigned count = threads();
  if (block.memory == nullptr) {
    const std::size_t bytes = launch_.shared_bytes + kFixedSharedBytes;
    block.memory = std::make_unique<char[]>(bytes + 1024);
    block.fibers.resize(count);
    block.warps.resize((count + kLanes - 1) / kLanes);
  }
  auto address = reinterpret_cast<std::size_t>(block.memory.get());
  block.shared = block.memory.get() + (1024 - address % 1024) % 1024;
  // Whatever was in it: nothing that a kernel may rely on.
  std::memset(block.shared, 0xff, launch_.shared_bytes + kFixedSharedBytes);
  block.cluster = &cluster;
  block.alive = static_cast<int>(count);
  block.ready.clear();
  cluster.alive += static_cast<int>(count);
  cluster.blocks.push_back(&block);
  for (Warp& warp : block.warps) warp = {};
  for (unsigned t = 0; t < count; ++t) {
    Fiber& fiber = block.fibers[t];
    Thread& thread = fiber.thread;
    thread.thread = {t % launch_.block.x, t / launch_.block.x % launch_.block.y,
                     t / launch_.block.x / launch_.block.y};
    thread.block = {number % launch_.grid.x, number / launch_.grid.x % launch_.grid.y,
                    number / launch_.grid.x / launch_.grid.y};
    thread.block_size = launch_.block;
    thread.grid = launch_.grid;
    thread.lane = t % kLanes;
    thread.cluster_rank = rank;
    thread.cluster_size = launch_.cluster;
    thread.fixed_shared = block.shared;
    thread.shared = block.shared + kFixedSharedBytes;
    thread.copy_count = 0;
    thread.copy_group = 0;
    fiber.block = &block;
    fiber.index = t;
    fiber.context = stacks_->start(first + t, [] { current_grid->thread_main(); });
    block.warps[t / kLanes].alive |= 1u << thread.lane;
    wake(&fiber);
  }
}

void Grid::run_blocks(std::vector<Block>& blocks) {
  int idle = 0;
  while (trouble_.empty()) {
    bool alive = false;
    bool ran = false;
    progress_ = false;
    for (Block& block : blocks) {
      // A block goes on as long as it can: what it wakes runs in the same sweep.
      do {
        block.running.swap(block.ready);
        block.ready.clear();
        const bool before = progress_;
        progress_ = false;
        for (Fiber* fiber : block.running) {
          ran = true;
          current_thread = &fiber->thread;
          switch_context(scheduler_, fiber->context);
          if (!trouble_.empty()) return;
        }
        const bool moved = progress_;
        progress_ |= before;
        if (!moved) break;
      } while (!block.ready.empty());
      alive |= block.alive > 0;
    }
    if (!alive) return;
    if (!ran) {
      trouble_ = "threads that wait for others which never come";
    } else if (!progress_ && ++idle > kMostIdleSweeps) {
      trouble_ = "blocks that wait for memory which never changes";
    } else if (progress_) {
      idle = 0;
    }
  }
}

std::string Grid::run(std::optional<Stacks>& stacks) {
  const unsigned total = launch_.grid.x * launch_.grid.y * launch_.grid.z;
  if (total % launch_.cluster != 0) return "a grid that is no whole number of clusters";
  const unsigned together = launch_.cooperative ? total : launch_.cluster;
  const std::size_t wanted = static_cast<std::size_t>(together) * threads();
  if (!stacks || stacks->count() < wanted) stacks.emplace(wanted);
  stacks_ = &*stacks;
  std::vector<Block> blocks(together);
  for (unsigned first = 0; first < total && trouble_.empty(); first += together) {
    std::vector<Cluster> clusters(together / launch_.cluster);
    for (unsigned b = 0; b < together; ++b) {
      prepare(blocks[b], clusters[b / launch_.cluster], first + b, b % launch_.cluster,
              static_cast<std::size_t>(b) * threads());
    }
    run_blocks(blocks);
  }
  return trouble_;
}

}  // namespace

std::string run_grid(const GridLaunch& launch) {
  static std::mutex one_at_a_time;
  static std::optional<Stacks> stacks;
  const std::lock_guard lock(one_at_a_time);
  Grid grid(launch);
  current_grid = &grid;
  std::string trouble = grid.run(stacks);
  current_grid = nullptr;
  current_thread = nullptr;
  return trouble;
}

const Services& services() {
  static const Services table{
      &current_thread,
      [](int barrier, int threads) { current_grid->wait_block(barrier, threads, true); },
      [](int barrier, int threads) { current_grid->wait_block(barrier, threads, false); },
      [] { current_grid->wait_cluster(); },
      [](const void* local, unsigned rank) { return current_grid->cluster_shared(local, rank); },
      [] { current_grid->yield(); },
      [](unsigned mask, void* lane, Collective work) {
        current_grid->collective(mask, lane, work);
      },
      [](const char* why) { current_grid->fail(why); },
  };
  return table;
}

}  // namespace ingot::emulator
