// The inner loops of Ingot's own matrix products, in SIMD code for the CPU at hand.
#pragma once

#include <cstdint>

namespace ingot::cpu {

/// c[m, n] = the sum over k of a[m, k] b[k, n], row-major. A transposed operand is stored with its
/// axes swapped; `lda`, `ldb`, `ldc`: elements from one stored row to the next.
template <typename T>
struct GemmArgs {
  const T* a = nullptr;
  const T* b = nullptr;
  T* c = nullptr;
  std::int64_t m = 0, n = 0, k = 0;
  std::int64_t lda = 0, ldb = 0, ldc = 0;
  bool transpose_a = false;
  bool transpose_b = false;
  /// Of gemm_panel_size() elements, for a copy of a stretch of b.
  T* panel = nullptr;
  /// Of gemm_rows_size() elements, for a copy of a stretch of a; `panels` alone needs it.
  T* row_panels = nullptr;
};

/// c[m, n] + bias[n] (null: nothing), then the larger of that and 0 (`relu`), in place.
template <typename T>
struct GemmFinish {
  T* c = nullptr;
  std::int64_t m = 0, n = 0, ldc = 0;
  const T* bias = nullptr;
  bool relu = false;
};

/// `plain`: products along rows of b, which must not be transposed. `dots`: dot products of rows of
/// a and b; b must be transposed, a must not. `panels`: any operands, copied into the order in
/// which the inner loop reads them. Every element of c is summed in the same order, however m and n
/// are cut.
template <typename T>
struct Gemm {
  void (*plain)(const GemmArgs<T>& args);
  void (*dots)(const GemmArgs<T>& args);
  void (*panels)(const GemmArgs<T>& args);
  void (*finish)(const GemmFinish<T>& args);
};
template <typename T>
Gemm<T> gemm();
template <>
Gemm<float> gemm<float>();
template <>
Gemm<double> gemm<double>();

/// Elements of k summed at a time, and of a row of a panel of b.
inline constexpr std::int64_t kGemmDepth = 512;
inline constexpr std::int64_t kGemmWidth = 48;
constexpr std::int64_t gemm_panel_size() { return kGemmDepth * kGemmWidth; }
/// Rows of a copied at a time.
inline constexpr std::int64_t kGemmRows = 128;
constexpr std::int64_t gemm_rows_size() { return kGemmDepth * kGemmRows; }

}  // namespace ingot::cpu
