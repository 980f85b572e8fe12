// The emulated GPU: memory, streams, captured graphs and kernels.
#pragma once

#include <cuda.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/emulator/grid.h"

namespace ingot::emulator {

/// 4, so that what is cut for all of them stays small, or INGOT_EMULATOR_PROCESSORS.
int multiprocessors();
inline constexpr int kThreadsOfMultiprocessor = 2048;
inline constexpr unsigned kSharedOfBlock = 227 << 10;
inline constexpr unsigned kSharedOfMultiprocessor = 228 << 10;
inline constexpr unsigned kSharedUnasked = 48 << 10;
inline constexpr std::size_t kMemoryBytes = std::size_t{4} << 30;

/// Work that a stream was given.
using Work = std::function<CUresult()>;

struct CopyWork {
  void* to;
  const void* from;
  std::size_t bytes;
};

struct Node {
  Work work;  ///< empty: the copy
  std::vector<std::size_t> after;
  CopyWork copy{};
  bool is_kernel = false;
};

struct Graph {
  std::vector<Node> nodes;
};

struct Stream {
  Graph* capture = nullptr;
  bool origin = false;
  std::vector<std::size_t> last;  ///< captured nodes that the next one comes after
};

struct Event {
  std::chrono::steady_clock::time_point when;
  Graph* capture = nullptr;
  std::vector<std::size_t> last;
};

struct Function {
  std::string name;
  void (*call)(void**) = nullptr;
  std::vector<std::size_t> sizes;  ///< of the parameters, in bytes
  unsigned cluster = 1;            ///< blocks, from the kernel's text
  unsigned most_shared = kSharedUnasked;
};

struct Module {
  void* library = nullptr;
  std::vector<std::unique_ptr<Function>> functions;
  ~Module();
};

struct Launch {
  Function* function = nullptr;
  GridLaunch grid;
};

/// Device memory; every byte is 0xff when it is new. What lies behind it cannot be touched.
class Memory {
 public:
  static Memory& instance();
  void* allocate(std::size_t bytes);
  bool free(void* data);
  [[nodiscard]] std::size_t used();

 private:
  struct Area {
    void* start;
    std::size_t mapped;
    std::size_t bytes;
  };
  std::mutex mutex_;
  std::map<void*, Area> areas_;
  std::size_t used_ = 0;
};

/// Whether all blocks have room in the device together.
bool fits_at_once(const Launch& launch);
/// Does the work now, or notes it where the stream captures.
CUresult submit(CUstream stream, Work work);
CUresult submit_copy(CUstream stream, const CopyWork& copy);
CUresult launch(const Launch& launch, CUstream stream, void** arguments);
/// Gives a kernel's node another launch.
CUresult relaunch(Node& node, const Launch& launch, void** arguments);
/// In an order that the nodes' edges allow; INGOT_EMULATOR_ORDER=late: as late in the order of
/// capture as possible, so that a missing edge shows.
CUresult replay(const Graph& graph);
/// Loads what the emulated NVRTC made.
std::unique_ptr<Module> load(const void* code);
Function* find(Module& module, const char* name);

/// Once something has failed, everything does, as on a GPU.
CUresult failure();

}  // namespace ingot::emulator
