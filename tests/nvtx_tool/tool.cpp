// A tool that listens through NVTX, as a profiler does: it keeps the ranges of all threads in
// order.
#include <nvtx3/nvToolsExt.h>

#include <mutex>
#include <string>

namespace {

struct Log {
  std::mutex mutex;
  std::string text;
};

Log& log() {
  static Log instance;
  return instance;
}

int push(const char* name) {
  const std::lock_guard lock(log().mutex);
  log().text += '(';
  log().text += name;
  return 0;
}

int pop() {
  const std::lock_guard lock(log().mutex);
  log().text += ')';
  return 0;
}

}  // namespace

extern "C" {

/// "(outer(inner))" and so on, until now.
__attribute__((visibility("default"))) const char* ingot_nvtx_tool_log() {
  const std::lock_guard lock(log().mutex);
  return log().text.c_str();
}

/// NVTX's own way to ask a tool in; see nvtx3/nvtxDetail/nvtxTypes.h.
__attribute__((visibility("default"))) int InitializeInjectionNvtx2(
    NvtxGetExportTableFunc_t export_table) {
  const auto* const callbacks =
      static_cast<const NvtxExportTableCallbacks*>(export_table(NVTX_ETID_CALLBACKS));
  NvtxFunctionTable functions = nullptr;
  unsigned size = 0;
  if (callbacks == nullptr ||
      callbacks->GetModuleFunctionTable(NVTX_CB_MODULE_CORE, &functions, &size) == 0) {
    return 0;
  }
  *functions[NVTX_CBID_CORE_RangePushA] = reinterpret_cast<NvtxFunctionPointer>(push);
  *functions[NVTX_CBID_CORE_RangePop] = reinterpret_cast<NvtxFunctionPointer>(pop);
  return 1;
}

}  // extern "C"
