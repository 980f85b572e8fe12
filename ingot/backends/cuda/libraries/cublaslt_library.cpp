#include "ingot/backends/cuda/libraries/cublaslt_library.h"

#include <fmt/core.h>

#include <array>

#include "ingot/backends/cuda/driver/library.h"
#include "ingot/backends/cuda/libraries/cublaslt.h"
#include "ingot/base/error.h"

namespace ingot::cuda {
namespace {

const LoadedCublasLt& loaded() {
  static constexpr std::array<std::string_view, 2> kNames{"libcublasLt.so.13", "libcublasLt.so.12"};
  static const LoadedCublasLt instance = load_cublaslt(kNames);
  return instance;
}

}  // namespace

LoadedCublasLt load_cublaslt(std::span<const std::string_view> file_names) {
  LoadedCublasLt result;
  const Library library(file_names);
  if (!library.loaded()) {
    result.trouble = fmt::format("no cuBLASLt ({})", library.detail());
    return result;
  }
#define INGOT_CUBLASLT(name) \
  library.find(result.functions.name, "cublasLt" #name, "cuBLASLt", result.trouble);
#include "ingot/backends/cuda/libraries/cublaslt.inc"
#undef INGOT_CUBLASLT
  return result;
}

const CublasLtFunctions& LoadedCublasLt::require() const {
  if (trouble.empty()) return functions;
  throw missing_library("cublasLt", trouble, "nvidia-cublas");
}

const std::string& cublaslt_trouble() { return loaded().trouble; }
const CublasLtFunctions& cublaslt() { return loaded().require(); }

void check(const CublasLtFunctions& library, cublasStatus_t status, std::string_view what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(
      ErrorKind::internal, ErrorCode::internal,
      fmt::format("cublasLt: {} must succeed, got {}", what, library.GetStatusString(status)));
}

void check(cublasStatus_t status, std::string_view what) { check(cublaslt(), status, what); }

}  // namespace ingot::cuda
