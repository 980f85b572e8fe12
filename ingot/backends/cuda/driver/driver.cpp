#include "ingot/backends/cuda/driver/driver.h"

#include <fmt/core.h>

#include <array>
#include <cstdlib>

#include "ingot/backends/cuda/driver/library.h"
#include "ingot/base/error.h"
#include "ingot/base/trace.h"

namespace ingot::cuda {
namespace {

struct Loaded {
  Driver functions;
  std::string trouble;  ///< empty: usable
  std::string help;

  Loaded() {
    static constexpr std::array<std::string_view, 2> kNames{"libcuda.so.1", "libcuda.so"};
    const Library library(kNames);
    if (!library.loaded()) {
      trouble = fmt::format("no CUDA driver ({})", library.detail());
      help = "install NVIDIA's driver, or use device \"cpu\"";
      return;
    }
#define INGOT_CUDA_DRIVER(name, symbol_name)                                                \
  functions.name = reinterpret_cast<decltype(functions.name)>(library.symbol(symbol_name)); \
  if (functions.name == nullptr && trouble.empty()) {                                       \
    trouble = "a CUDA driver without " symbol_name;                                         \
    help = "Ingot needs a driver for CUDA 13 (580 or newer)";                               \
  }
#include "ingot/backends/cuda/driver/driver.inc"
#undef INGOT_CUDA_DRIVER
    if (!trouble.empty()) return;
    const CUresult result = functions.Init(0);
    int count = 0;
    if (result == CUDA_SUCCESS) functions.DeviceGetCount(&count);
    if (result == CUDA_ERROR_NO_DEVICE || (result == CUDA_SUCCESS && count == 0)) {
      const char* const visible = std::getenv("CUDA_VISIBLE_DEVICES");
      trouble = visible == nullptr
                    ? "a driver that finds no GPU"
                    : fmt::format("none that CUDA_VISIBLE_DEVICES=\"{}\" leaves visible", visible);
      help = "see nvidia-smi -L";
    } else if (result != CUDA_SUCCESS) {
      const char* text = nullptr;
      functions.GetErrorString(result, &text);
      trouble = fmt::format("a driver that did not start ({})", text == nullptr ? "" : text);
      help = "see nvidia-smi";
    }
  }
};

const Loaded& loaded() {
  static const Loaded instance;
  return instance;
}

}  // namespace

const Driver& driver() {
  const Loaded& instance = loaded();
  if (!instance.trouble.empty()) {
    Error error = unsupported_error(
        fmt::format("device \"cuda\": must have a GPU and its driver, got {}", instance.trouble));
    error.help(instance.help);
    throw error;
  }
  return instance.functions;
}

namespace {

/// Of a kernel that ran: reported by whatever asks the driver next, for good.
bool is_of_a_kernel(CUresult result) {
  switch (result) {
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_MISALIGNED_ADDRESS:
    case CUDA_ERROR_INVALID_ADDRESS_SPACE:
    case CUDA_ERROR_ILLEGAL_INSTRUCTION:
    case CUDA_ERROR_INVALID_PC:
    case CUDA_ERROR_HARDWARE_STACK_ERROR:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_LAUNCH_FAILED: return true;
    default: return false;
  }
}

}  // namespace

void check(CUresult result, std::string_view what) {
  if (result == CUDA_SUCCESS) return;
  const char* name = nullptr;
  const char* text = nullptr;
  loaded().functions.GetErrorName(result, &name);
  loaded().functions.GetErrorString(result, &text);
  const auto code =
      result == CUDA_ERROR_OUT_OF_MEMORY ? ErrorCode::out_of_memory : ErrorCode::internal;
  const auto kind = result == CUDA_ERROR_OUT_OF_MEMORY ? ErrorKind::user : ErrorKind::internal;
  Error error(kind, code,
              fmt::format("cuda: {} must succeed, got {} ({})", what, name == nullptr ? "?" : name,
                          text == nullptr ? "?" : text));
  if (is_of_a_kernel(result) && !trace_enabled(Channel::launches)) {
    error.help("a kernel failed: INGOT_TRACE=launches awaits each, so that the error names its op");
  }
  throw error;
}

}  // namespace ingot::cuda
