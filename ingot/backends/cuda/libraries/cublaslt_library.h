// cuBLASLt's functions, found at run time.
#pragma once

#include <cublasLt.h>

#include <span>
#include <string>
#include <string_view>

namespace ingot::cuda {

/// The functions that Ingot calls, by their names without the prefix `cublasLt`.
struct CublasLtFunctions {
// NOLINTNEXTLINE(bugprone-macro-parentheses): it declares the name
#define INGOT_CUBLASLT(name) decltype(&::cublasLt##name) name = nullptr;
#include "ingot/backends/cuda/libraries/cublaslt.inc"
#undef INGOT_CUBLASLT
};

/// The library, or why it cannot be used.
struct LoadedCublasLt {
  CublasLtFunctions functions;
  std::string trouble;  ///< empty: usable

  /// Errors: unsupported, with what is missing.
  [[nodiscard]] const CublasLtFunctions& require() const;
};

/// Tries each file name, see Library.
LoadedCublasLt load_cublaslt(std::span<const std::string_view> file_names);
/// The process's own. Loaded at the first call. Errors: as require().
const CublasLtFunctions& cublaslt();

/// Throws an internal Error `cublasLt: WHAT must succeed, got STATUS`.
void check(const CublasLtFunctions& library, cublasStatus_t status, std::string_view what);
void check(cublasStatus_t status, std::string_view what);

}  // namespace ingot::cuda
