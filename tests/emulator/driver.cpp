// The CUDA driver's functions for the emulated GPU. Everything is done when it is asked for, in
// that order, so that streams and events have little to do. Functions that Ingot calls and that are
// not here say that they are not supported; see missing.cpp.
#include <cuda.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "tests/emulator/compiler.h"
#include "tests/emulator/machine.h"

using ingot::emulator::Event;
using ingot::emulator::Function;
using ingot::emulator::Graph;
using ingot::emulator::Memory;
using ingot::emulator::Module;
using ingot::emulator::Stream;

namespace {

void* host(CUdeviceptr pointer) { return reinterpret_cast<void*>(pointer); }

CUresult move(void* to, const void* from, std::size_t bytes) {
  std::memmove(to, from, bytes);
  return CUDA_SUCCESS;
}

int context_mark = 0;

/// Whether CUDA_VISIBLE_DEVICES leaves the one GPU visible.
bool visible() {
  const char* const chosen = std::getenv("CUDA_VISIBLE_DEVICES");
  return chosen == nullptr || std::strcmp(chosen, "0") == 0;
}

ingot::emulator::Launch make_launch(CUfunction function, ingot::emulator::Index grid,
                                    ingot::emulator::Index block, unsigned shared) {
  ingot::emulator::Launch launch;
  launch.function = reinterpret_cast<Function*>(function);
  launch.grid.grid = grid;
  launch.grid.block = block;
  launch.grid.shared_bytes = shared;
  launch.grid.cluster = launch.function->cluster;
  return launch;
}

}  // namespace

extern "C" {

// -- The driver and the device.

CUresult cuInit(unsigned) {
  // Without a compiler there is nothing to run.
  static const bool works = ingot::emulator::compiler_works();
  return works && visible() ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}

CUresult cuDriverGetVersion(int* version) {
  *version = 13000;
  return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult result, const char** text) {
  switch (result) {
    case CUDA_SUCCESS: *text = "CUDA_SUCCESS"; break;
    case CUDA_ERROR_INVALID_VALUE: *text = "CUDA_ERROR_INVALID_VALUE"; break;
    case CUDA_ERROR_OUT_OF_MEMORY: *text = "CUDA_ERROR_OUT_OF_MEMORY"; break;
    case CUDA_ERROR_NO_DEVICE: *text = "CUDA_ERROR_NO_DEVICE"; break;
    case CUDA_ERROR_INVALID_IMAGE: *text = "CUDA_ERROR_INVALID_IMAGE"; break;
    case CUDA_ERROR_NOT_FOUND: *text = "CUDA_ERROR_NOT_FOUND"; break;
    case CUDA_ERROR_ILLEGAL_ADDRESS: *text = "CUDA_ERROR_ILLEGAL_ADDRESS"; break;
    case CUDA_ERROR_LAUNCH_FAILED: *text = "CUDA_ERROR_LAUNCH_FAILED"; break;
    case CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE:
      *text = "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE";
      break;
    case CUDA_ERROR_NOT_SUPPORTED: *text = "CUDA_ERROR_NOT_SUPPORTED"; break;
    default: *text = "CUDA_ERROR_UNKNOWN"; break;
  }
  return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult, const char** text) {
  *text = "of the emulated GPU";
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int* count) {
  *count = 1;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice* device, int) {
  *device = 0;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char* text, int size, CUdevice) {
  std::strncpy(text, "emulated GPU", static_cast<std::size_t>(size));
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute which, CUdevice) {
  switch (which) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = 9; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = 0; break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      *value = ingot::emulator::multiprocessors();
      break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
      *value = static_cast<int>(ingot::emulator::kSharedOfBlock);
      break;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE: *value = 50 << 20; break;
    case CU_DEVICE_ATTRIBUTE_CLOCK_RATE: *value = 1'755'000; break;
    case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE: *value = 2'619'000; break;
    case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH: *value = 6144; break;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR:
      *value = ingot::emulator::kThreadsOfMultiprocessor;
      break;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = 1024; break;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE: *value = 32; break;
    case CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH:
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING: *value = 1; break;
    default: *value = 0; break;
  }
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) {
  *context = reinterpret_cast<CUcontext>(&context_mark);
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease(CUdevice) { return CUDA_SUCCESS; }
CUresult cuCtxSetCurrent(CUcontext) { return CUDA_SUCCESS; }
CUresult cuCtxGetCurrent(CUcontext* context) { return cuDevicePrimaryCtxRetain(context, 0); }

CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return CUDA_SUCCESS;
}

// -- Memory.

CUresult cuMemGetInfo(std::size_t* free, std::size_t* total) {
  *total = ingot::emulator::kMemoryBytes;
  *free = *total - Memory::instance().used();
  return CUDA_SUCCESS;
}

CUresult cuMemAlloc(CUdeviceptr* pointer, std::size_t bytes) {
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  void* data = Memory::instance().allocate(bytes);
  *pointer = reinterpret_cast<CUdeviceptr>(data);
  return data == nullptr ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

CUresult cuMemFree(CUdeviceptr pointer) {
  if (pointer == 0 || Memory::instance().free(host(pointer))) return CUDA_SUCCESS;
  return CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemHostAlloc(void** data, std::size_t bytes, unsigned) {
  *data = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  return *data == nullptr ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

CUresult cuMemFreeHost(void* data) {
  std::free(data);
  return CUDA_SUCCESS;
}

CUresult cuMemHostGetDevicePointer(CUdeviceptr* pointer, void* data, unsigned) {
  *pointer = reinterpret_cast<CUdeviceptr>(data);
  return CUDA_SUCCESS;
}

CUresult cuMemcpyHtoD(CUdeviceptr to, const void* from, std::size_t bytes) {
  return move(host(to), from, bytes);
}
CUresult cuMemcpyDtoH(void* to, CUdeviceptr from, std::size_t bytes) {
  if (const CUresult bad = ingot::emulator::failure(); bad != CUDA_SUCCESS) return bad;
  return move(to, host(from), bytes);
}
CUresult cuMemcpyDtoD(CUdeviceptr to, CUdeviceptr from, std::size_t bytes) {
  return move(host(to), host(from), bytes);
}

CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, std::size_t bytes, CUstream stream) {
  return ingot::emulator::submit_copy(stream, {host(to), from, bytes});
}
CUresult cuMemcpyDtoHAsync(void* to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return ingot::emulator::submit_copy(stream, {to, host(from), bytes});
}
CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return ingot::emulator::submit_copy(stream, {host(to), host(from), bytes});
}
CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return cuMemcpyDtoDAsync(to, from, bytes, stream);
}

CUresult cuMemsetD8(CUdeviceptr to, unsigned char value, std::size_t bytes) {
  std::memset(host(to), value, bytes);
  return CUDA_SUCCESS;
}
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, std::size_t bytes, CUstream stream) {
  return ingot::emulator::submit(stream, [=] { return cuMemsetD8(to, value, bytes); });
}
CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, std::size_t count, CUstream stream) {
  return ingot::emulator::submit(stream, [=] {
    for (std::size_t i = 0; i < count; ++i) static_cast<unsigned*>(host(to))[i] = value;
    return CUDA_SUCCESS;
  });
}

// -- Streams and events.

CUresult cuStreamCreate(CUstream* stream, unsigned) {
  *stream = reinterpret_cast<CUstream>(new Stream);
  return CUDA_SUCCESS;
}
CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned flags, int) {
  return cuStreamCreate(stream, flags);
}
CUresult cuStreamDestroy(CUstream stream) {
  delete reinterpret_cast<Stream*>(stream);
  return CUDA_SUCCESS;
}
CUresult cuStreamSynchronize(CUstream) { return ingot::emulator::failure(); }
CUresult cuStreamQuery(CUstream) { return ingot::emulator::failure(); }

CUresult cuStreamWaitEvent(CUstream handle, CUevent event_handle, unsigned) {
  const auto& event = *reinterpret_cast<Event*>(event_handle);
  auto& stream = *reinterpret_cast<Stream*>(handle);
  if (event.capture == nullptr) {
    return stream.capture == nullptr ? CUDA_SUCCESS : CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
  }
  if (stream.capture != nullptr && stream.capture != event.capture) {
    return CUDA_ERROR_STREAM_CAPTURE_MERGE;
  }
  stream.capture = event.capture;
  stream.last.insert(stream.last.end(), event.last.begin(), event.last.end());
  return CUDA_SUCCESS;
}

CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void* data) {
  return ingot::emulator::submit(stream, [=] {
    function(data);
    return CUDA_SUCCESS;
  });
}

CUresult cuEventCreate(CUevent* event, unsigned) {
  *event = reinterpret_cast<CUevent>(new Event);
  return CUDA_SUCCESS;
}
CUresult cuEventDestroy(CUevent event) {
  delete reinterpret_cast<Event*>(event);
  return CUDA_SUCCESS;
}
CUresult cuEventRecord(CUevent handle, CUstream stream_handle) {
  auto& event = *reinterpret_cast<Event*>(handle);
  const auto* stream = reinterpret_cast<Stream*>(stream_handle);
  event.when = std::chrono::steady_clock::now();
  event.capture = stream == nullptr ? nullptr : stream->capture;
  event.last = stream == nullptr ? std::vector<std::size_t>{} : stream->last;
  return ingot::emulator::failure();
}
CUresult cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned flags) {
  if ((flags & CU_EVENT_RECORD_EXTERNAL) == 0) return cuEventRecord(event, stream);
  return ingot::emulator::submit(stream, [event] {
    reinterpret_cast<Event*>(event)->when = std::chrono::steady_clock::now();
    return CUDA_SUCCESS;
  });
}
CUresult cuEventQuery(CUevent) { return ingot::emulator::failure(); }
CUresult cuEventSynchronize(CUevent) { return ingot::emulator::failure(); }
CUresult cuEventElapsedTime(float* milliseconds, CUevent from, CUevent to) {
  *milliseconds = std::chrono::duration<float, std::milli>(reinterpret_cast<Event*>(to)->when -
                                                           reinterpret_cast<Event*>(from)->when)
                      .count();
  return CUDA_SUCCESS;
}

// -- Kernels.

CUresult cuModuleLoadData(CUmodule* module, const void* code) {
  auto loaded = ingot::emulator::load(code);
  if (loaded == nullptr) return CUDA_ERROR_INVALID_IMAGE;
  *module = reinterpret_cast<CUmodule>(loaded.release());
  return CUDA_SUCCESS;
}
CUresult cuModuleUnload(CUmodule module) {
  delete reinterpret_cast<Module*>(module);
  return CUDA_SUCCESS;
}
CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  Function* found = ingot::emulator::find(*reinterpret_cast<Module*>(module), name);
  *function = reinterpret_cast<CUfunction>(found);
  return found == nullptr ? CUDA_ERROR_NOT_FOUND : CUDA_SUCCESS;
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute which, int value) {
  if (which == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) {
    if (value < 0 || static_cast<unsigned>(value) > ingot::emulator::kSharedOfBlock) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    reinterpret_cast<Function*>(function)->most_shared =
        std::max(static_cast<unsigned>(value), ingot::emulator::kSharedUnasked);
  }
  return CUDA_SUCCESS;
}
CUresult cuFuncGetAttribute(int* value, CUfunction_attribute which, CUfunction) {
  *value = which == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? 1024 : 0;
  return CUDA_SUCCESS;
}
CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction, int threads,
                                                     std::size_t shared) {
  const auto by_memory =
      static_cast<int>(ingot::emulator::kSharedOfMultiprocessor / (shared + 1024));
  *blocks = std::min(ingot::emulator::kThreadsOfMultiprocessor / threads, by_memory);
  return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                        unsigned by, unsigned bz, unsigned shared, CUstream stream,
                        void** arguments, void**) {
  return launch(make_launch(function, {gx, gy, gz}, {bx, by, bz}, shared), stream, arguments);
}
CUresult cuLaunchCooperativeKernel(CUfunction function, unsigned gx, unsigned gy, unsigned gz,
                                   unsigned bx, unsigned by, unsigned bz, unsigned shared,
                                   CUstream stream, void** arguments) {
  ingot::emulator::Launch one = make_launch(function, {gx, gy, gz}, {bx, by, bz}, shared);
  one.grid.cooperative = true;
  return launch(one, stream, arguments);
}
CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** arguments,
                          void**) {
  ingot::emulator::Launch one = make_launch(
      function, {config->gridDimX, config->gridDimY, config->gridDimZ},
      {config->blockDimX, config->blockDimY, config->blockDimZ}, config->sharedMemBytes);
  for (unsigned i = 0; i < config->numAttrs; ++i) {
    const CUlaunchAttribute& attribute = config->attrs[i];
    if (attribute.id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE) {
      one.grid.cooperative = attribute.value.cooperative != 0;
    } else if (attribute.id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION) {
      // Where it fits, all blocks run at once in the end, which a step of one kernel relies on.
      one.grid.cooperative |=
          one.function->name == "step_kernel" && ingot::emulator::fits_at_once(one);
    } else if (attribute.id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) {
      one.grid.cluster = attribute.value.clusterDim.x;
    }
  }
  return launch(one, config->hStream, arguments);
}

// -- Captured graphs.

CUresult cuStreamBeginCapture(CUstream handle, CUstreamCaptureMode) {
  auto& stream = *reinterpret_cast<Stream*>(handle);
  if (stream.capture != nullptr) return CUDA_ERROR_ILLEGAL_STATE;
  stream.capture = new Graph;
  stream.origin = true;
  stream.last.clear();
  return CUDA_SUCCESS;
}
CUresult cuStreamEndCapture(CUstream handle, CUgraph* graph) {
  auto& stream = *reinterpret_cast<Stream*>(handle);
  if (stream.capture == nullptr || !stream.origin) return CUDA_ERROR_ILLEGAL_STATE;
  *graph = reinterpret_cast<CUgraph>(stream.capture);
  stream = {};
  return CUDA_SUCCESS;
}
CUresult cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus* status) {
  const auto* stream = reinterpret_cast<Stream*>(handle);
  *status = stream != nullptr && stream->capture != nullptr ? CU_STREAM_CAPTURE_STATUS_ACTIVE
                                                            : CU_STREAM_CAPTURE_STATUS_NONE;
  return CUDA_SUCCESS;
}
CUresult cuStreamGetCaptureInfo(CUstream handle, CUstreamCaptureStatus* status, cuuint64_t*,
                                CUgraph* graph, const CUgraphNode** nodes, const CUgraphEdgeData**,
                                std::size_t* count) {
  const auto* stream = reinterpret_cast<Stream*>(handle);
  cuStreamIsCapturing(handle, status);
  if (*status == CU_STREAM_CAPTURE_STATUS_NONE) return CUDA_SUCCESS;
  // Valid until the thread asks again.
  thread_local std::vector<CUgraphNode> handles;
  handles.clear();
  for (const std::size_t node : stream->last) {
    handles.push_back(reinterpret_cast<CUgraphNode>(node + 1));
  }
  if (graph != nullptr) *graph = reinterpret_cast<CUgraph>(stream->capture);
  if (nodes != nullptr) *nodes = handles.data();
  if (count != nullptr) *count = handles.size();
  return CUDA_SUCCESS;
}
CUresult cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph graph, unsigned long long) {
  *exec = reinterpret_cast<CUgraphExec>(new Graph(*reinterpret_cast<Graph*>(graph)));
  return CUDA_SUCCESS;
}
CUresult cuGraphUpload(CUgraphExec, CUstream) { return CUDA_SUCCESS; }
CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream) {
  const auto* graph = reinterpret_cast<Graph*>(exec);
  return ingot::emulator::submit(stream, [graph] { return ingot::emulator::replay(*graph); });
}
CUresult cuGraphExecDestroy(CUgraphExec exec) {
  delete reinterpret_cast<Graph*>(exec);
  return CUDA_SUCCESS;
}
CUresult cuGraphExecMemcpyNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                        const CUDA_MEMCPY3D* copy, CUcontext) {
  auto& nodes = reinterpret_cast<Graph*>(exec)->nodes;
  const std::size_t index = reinterpret_cast<std::size_t>(node) - 1;
  if (index >= nodes.size() || nodes[index].work || copy->Height > 1 || copy->Depth > 1) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const bool from_host = copy->srcMemoryType == CU_MEMORYTYPE_HOST;
  const bool to_host = copy->dstMemoryType == CU_MEMORYTYPE_HOST;
  nodes[index].copy = {to_host ? copy->dstHost : host(copy->dstDevice),
                       from_host ? copy->srcHost : host(copy->srcDevice), copy->WidthInBytes};
  return CUDA_SUCCESS;
}
CUresult cuGraphExecKernelNodeSetParams(CUgraphExec exec, CUgraphNode handle,
                                        const CUDA_KERNEL_NODE_PARAMS* params) {
  auto& nodes = reinterpret_cast<Graph*>(exec)->nodes;
  const std::size_t index = reinterpret_cast<std::size_t>(handle) - 1;
  if (index >= nodes.size()) return CUDA_ERROR_INVALID_VALUE;
  return ingot::emulator::relaunch(
      nodes[index],
      make_launch(params->func, {params->gridDimX, params->gridDimY, params->gridDimZ},
                  {params->blockDimX, params->blockDimY, params->blockDimZ},
                  params->sharedMemBytes),
      params->kernelParams);
}
CUresult cuGraphDestroy(CUgraph graph) {
  delete reinterpret_cast<Graph*>(graph);
  return CUDA_SUCCESS;
}
CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode*, std::size_t* count) {
  *count = reinterpret_cast<Graph*>(graph)->nodes.size();
  return CUDA_SUCCESS;
}

}  // extern "C"
