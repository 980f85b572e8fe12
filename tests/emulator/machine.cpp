#include "tests/emulator/machine.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <queue>
#include <string_view>

#include "tests/emulator/blob.h"

namespace ingot::emulator {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kAlignment = 256;

std::atomic<CUresult> sticky{CUDA_SUCCESS};

bool late_order() {
  const char* order = std::getenv("INGOT_EMULATOR_ORDER");
  return order != nullptr && std::string_view(order) == "late";
}

bool must_fail(std::string_view kernel) {
  const char* name = std::getenv("INGOT_EMULATOR_FAIL");
  return name != nullptr && kernel == name;
}

CUresult run_kernel(const Launch& launch, void** arguments) {
  GridLaunch grid = launch.grid;
  grid.kernel = launch.function->call;
  grid.arguments = arguments;
  if (must_fail(launch.function->name)) return CUDA_ERROR_ILLEGAL_ADDRESS;
  const std::string trouble = run_grid(grid);
  if (trouble.empty()) return CUDA_SUCCESS;
  std::fprintf(stderr, "emulator: %s: %s\n", launch.function->name.c_str(), trouble.c_str());
  return CUDA_ERROR_LAUNCH_FAILED;
}

}  // namespace

int multiprocessors() {
  const char* count = std::getenv("INGOT_EMULATOR_PROCESSORS");
  return count == nullptr ? 4 : std::atoi(count);
}

CUresult failure() { return sticky.load(); }

Module::~Module() {
  if (library != nullptr) dlclose(library);
}

Memory& Memory::instance() {
  static Memory memory;
  return memory;
}

void* Memory::allocate(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (used_ + bytes > kMemoryBytes) return nullptr;
  const std::size_t room = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  const std::size_t mapped = (room + kPage - 1) / kPage * kPage + kPage;
  void* start = mmap(nullptr, mapped, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) return nullptr;
  char* end = static_cast<char*>(start) + mapped - kPage;
  mprotect(end, kPage, PROT_NONE);
  void* data = end - room;
  std::memset(data, 0xff, room);
  areas_[data] = {start, mapped, bytes};
  used_ += bytes;
  return data;
}

bool Memory::free(void* data) {
  const std::lock_guard lock(mutex_);
  const auto it = areas_.find(data);
  if (it == areas_.end()) return false;
  munmap(it->second.start, it->second.mapped);
  used_ -= it->second.bytes;
  areas_.erase(it);
  return true;
}

std::size_t Memory::used() {
  const std::lock_guard lock(mutex_);
  return used_;
}

namespace {

CUresult run_node(const Node& node) {
  if (node.work) return node.work();
  std::memmove(node.copy.to, node.copy.from, node.copy.bytes);
  return CUDA_SUCCESS;
}

CUresult submit(CUstream handle, Node node) {
  if (const CUresult bad = failure(); bad != CUDA_SUCCESS) return bad;
  auto* stream = reinterpret_cast<Stream*>(handle);
  if (stream != nullptr && stream->capture != nullptr) {
    std::vector<Node>& nodes = stream->capture->nodes;
    node.after = stream->last;
    nodes.push_back(std::move(node));
    stream->last = {nodes.size() - 1};
    return CUDA_SUCCESS;
  }
  if (const CUresult result = run_node(node); result != CUDA_SUCCESS) sticky = result;
  return CUDA_SUCCESS;
}

}  // namespace

CUresult submit(CUstream stream, Work work) { return submit(stream, Node{std::move(work), {}}); }

CUresult submit_copy(CUstream stream, const CopyWork& copy) {
  return submit(stream, Node{{}, {}, copy, false});
}

bool fits_at_once(const Launch& launch) {
  const GridLaunch& grid = launch.grid;
  const unsigned threads = grid.block.x * grid.block.y * grid.block.z;
  const unsigned fit = std::min(kThreadsOfMultiprocessor / std::max(threads, 1u),
                                kSharedOfMultiprocessor / (grid.shared_bytes + 1024));
  return grid.grid.x * grid.grid.y * grid.grid.z <= fit * static_cast<unsigned>(multiprocessors());
}

namespace {

CUresult check_launch(const Launch& launch) {
  const GridLaunch& grid = launch.grid;
  const unsigned threads = grid.block.x * grid.block.y * grid.block.z;
  const unsigned blocks = grid.grid.x * grid.grid.y * grid.grid.z;
  if (threads == 0 || threads > 1024 || blocks == 0 || grid.grid.y > 65535 || grid.grid.z > 65535 ||
      grid.shared_bytes > launch.function->most_shared || grid.cluster == 0 ||
      blocks % grid.cluster != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (grid.cooperative && !fits_at_once(launch)) return CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
  return CUDA_SUCCESS;
}

/// The kernel with its parameters as they are now.
Work work_of(const Launch& launch, void** arguments) {
  std::vector<std::vector<std::byte>> kept;
  for (std::size_t i = 0; i < launch.function->sizes.size(); ++i) {
    const auto* from = static_cast<const std::byte*>(arguments[i]);
    kept.emplace_back(from, from + launch.function->sizes[i]);
  }
  return [launch, kept = std::move(kept)]() mutable {
    std::vector<void*> pointers;
    for (auto& parameter : kept) pointers.push_back(parameter.data());
    return run_kernel(launch, pointers.data());
  };
}

}  // namespace

CUresult launch(const Launch& launch, CUstream stream, void** arguments) {
  if (const CUresult bad = check_launch(launch); bad != CUDA_SUCCESS) return bad;
  return submit(stream, Node{work_of(launch, arguments), {}, {}, true});
}

CUresult relaunch(Node& node, const Launch& launch, void** arguments) {
  if (!node.is_kernel) return CUDA_ERROR_INVALID_VALUE;
  if (const CUresult bad = check_launch(launch); bad != CUDA_SUCCESS) return bad;
  node.work = work_of(launch, arguments);
  return CUDA_SUCCESS;
}

CUresult replay(const Graph& graph) {
  const std::size_t count = graph.nodes.size();
  std::vector<std::size_t> waits(count, 0);
  std::vector<std::vector<std::size_t>> next(count);
  std::vector<std::size_t> ready;
  for (std::size_t i = 0; i < count; ++i) {
    waits[i] = graph.nodes[i].after.size();
    for (const std::size_t before : graph.nodes[i].after) next[before].push_back(i);
    if (waits[i] == 0) ready.push_back(i);
  }
  const bool late = late_order();
  const auto worse = [late](std::size_t a, std::size_t b) { return late ? a < b : a > b; };
  std::priority_queue queue(worse, std::move(ready));
  while (!queue.empty()) {
    const std::size_t node = queue.top();
    queue.pop();
    if (const CUresult result = run_node(graph.nodes[node]); result != CUDA_SUCCESS) return result;
    for (const std::size_t after : next[node]) {
      if (--waits[after] == 0) queue.push(after);
    }
  }
  return CUDA_SUCCESS;
}

std::unique_ptr<Module> load(const void* code) {
  const std::string_view library = from_blob(code);
  if (library.empty()) return nullptr;
  // A name that no library has had: the loader takes equal names for the same library.
  std::string path = (std::filesystem::temp_directory_path() / "ingot-kernels-XXXXXX").string();
  const int file = mkstemp(path.data());
  if (file < 0) return nullptr;
  close(file);
  std::ofstream(path, std::ios::binary) << library;
  auto module = std::make_unique<Module>();
  module->library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  unlink(path.c_str());
  if (module->library == nullptr) {
    std::fprintf(stderr, "emulator: %s\n", dlerror());
    return nullptr;
  }
  const auto attach =
      reinterpret_cast<void (*)(const Services*)>(dlsym(module->library, "ingot_emulator_attach"));
  attach(&services());
  return module;
}

Function* find(Module& module, const char* name) {
  const std::string text(name);
  auto function = std::make_unique<Function>();
  function->name = text;
  function->call =
      reinterpret_cast<void (*)(void**)>(dlsym(module.library, ("ingot_call_" + text).c_str()));
  const auto sizes = reinterpret_cast<unsigned (*)(unsigned*)>(
      dlsym(module.library, ("ingot_sizes_" + text).c_str()));
  const auto cluster =
      reinterpret_cast<unsigned (*)()>(dlsym(module.library, ("ingot_cluster_" + text).c_str()));
  if (function->call == nullptr || sizes == nullptr || cluster == nullptr) return nullptr;
  function->cluster = cluster();
  unsigned bytes[256];
  const unsigned count = sizes(bytes);
  function->sizes.assign(bytes, bytes + count);
  module.functions.push_back(std::move(function));
  return module.functions.back().get();
}

}  // namespace ingot::emulator
