#include "ingot/backends/cuda/libraries/cudnn.h"

#include <fmt/core.h>

#include <array>

#include "ingot/backends/cuda/driver/library.h"
#include "ingot/base/error.h"

namespace ingot::cuda {
namespace {

const LoadedCudnn& loaded() {
  static constexpr std::array<std::string_view, 1> kNames{"libcudnn.so.9"};
  static const LoadedCudnn instance = load_cudnn(kNames);
  return instance;
}

}  // namespace

LoadedCudnn load_cudnn(std::span<const std::string_view> file_names) {
  LoadedCudnn result;
  const Library library(file_names);
  if (!library.loaded()) {
    result.trouble = fmt::format("no cuDNN 9 ({})", library.detail());
    return result;
  }
#define INGOT_CUDNN(name) \
  library.find(result.functions.name, "cudnn" #name, "cuDNN", result.trouble);
#include "ingot/backends/cuda/libraries/cudnn.inc"
#undef INGOT_CUDNN
  return result;
}

const CudnnFunctions& LoadedCudnn::require() const {
  if (trouble.empty()) return functions;
  throw missing_library("cudnn", trouble, "nvidia-cudnn-cu13");
}

const std::string& cudnn_trouble() { return loaded().trouble; }
const CudnnFunctions& cudnn() { return loaded().require(); }
std::size_t cudnn_version() { return cudnn().GetVersion(); }

void check(const CudnnFunctions& library, cudnnStatus_t status, std::string_view what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  std::array<char, 512> said{};
  library.GetLastErrorString(said.data(), said.size());
  std::string text(said.data());
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  throw Error(ErrorKind::internal, ErrorCode::internal,
              fmt::format("cudnn: {} must succeed, got {} ({})", what,
                          library.GetErrorString(status), text.empty() ? "no more said" : text));
}

void check(cudnnStatus_t status, std::string_view what) { check(cudnn(), status, what); }

CudnnHandle::CudnnHandle() { check(cudnn().Create(&handle_), "making a handle"); }
CudnnHandle::~CudnnHandle() {
  if (handle_ != nullptr) cudnn().Destroy(handle_);
}

CudnnDescriptor::CudnnDescriptor(cudnnBackendDescriptorType_t type) {
  check(cudnn().BackendCreateDescriptor(type, &raw_), "making a descriptor");
}

void CudnnDescriptor::reset() noexcept {
  if (raw_ != nullptr) cudnn().BackendDestroyDescriptor(raw_);
  raw_ = nullptr;
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                          std::int64_t count, const void* values) {
  const cudnnStatus_t status = cudnn().BackendSetAttribute(raw_, name, type, count, values);
  if (status != CUDNN_STATUS_SUCCESS) {
    check(status, fmt::format("setting attribute {}", static_cast<int>(name)));
  }
}

void CudnnDescriptor::finalize(std::string_view what) {
  check(cudnn().BackendFinalize(raw_), what);
}

std::int64_t CudnnDescriptor::get(cudnnBackendAttributeName_t name,
                                  cudnnBackendAttributeType_t type, std::int64_t room,
                                  void* values) const {
  std::int64_t count = 0;
  const cudnnStatus_t status = cudnn().BackendGetAttribute(raw_, name, type, room, &count, values);
  if (status != CUDNN_STATUS_SUCCESS) {
    check(status, fmt::format("reading attribute {}", static_cast<int>(name)));
  }
  return count;
}

}  // namespace ingot::cuda
