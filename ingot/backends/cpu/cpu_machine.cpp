#include "ingot/backends/cpu/cpu_machine.h"

#include <fmt/core.h>
#ifdef __linux__
#include <unistd.h>
#endif
#ifdef INGOT_HAVE_ONEDNN
#include <oneapi/dnnl/dnnl.h>
#endif

#include "ingot/base/env.h"
#include "ingot/base/error.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ingot/backends/cpu/cpu_machine.cpp"
#include "ingot/backends/cpu/simd_targets.h"
// clang-format off: foreach_target must come first
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ingot::HWY_NAMESPACE {

std::int64_t target_bits() { return HWY_TARGET; }
std::int64_t f32_lanes() {
  const hwy::HWY_NAMESPACE::ScalableTag<float> d;
  return static_cast<std::int64_t>(hwy::HWY_NAMESPACE::Lanes(d));
}

}  // namespace ingot::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#ifdef INGOT_HAVE_ONEDNN
// The one function needed of the OpenMP runtime; its header is not part of every compiler.
extern "C" void omp_set_num_threads(int threads);
#endif

namespace ingot {
namespace {

HWY_EXPORT(target_bits);
HWY_EXPORT(f32_lanes);

/// oneDNN's x86 kernels alone come in several instruction sets.
void limit_onednn([[maybe_unused]] SimdLimit limit) {
#if defined(INGOT_HAVE_ONEDNN) && HWY_ARCH_X86
  const dnnl_cpu_isa_t isa = limit == SimdLimit::avx2 ? dnnl_cpu_isa_avx2 : dnnl_cpu_isa_sse41;
  if (dnnl_set_max_cpu_isa(isa) != dnnl_success) {
    throw user_error(
        ErrorCode::invalid_argument,
        fmt::format("environment variable \"INGOT_SIMD\": must be \"best\" where oneDNN was used "
                    "before the first CPU backend was made, got \"{}\"",
                    env_variable("INGOT_SIMD").choices[static_cast<std::size_t>(limit)]));
  }
#endif
}

}  // namespace

CacheSizes read_cache_sizes() {
  CacheSizes sizes;
#if defined(_SC_LEVEL1_DCACHE_SIZE)
  const auto read = [](int key, std::int64_t& size) {
    const long value = sysconf(key);
    if (value > 0) size = value;
  };
  read(_SC_LEVEL1_DCACHE_SIZE, sizes.l1);
  read(_SC_LEVEL2_CACHE_SIZE, sizes.l2);
  read(_SC_LEVEL3_CACHE_SIZE, sizes.l3);
#endif
  return sizes;
}

void limit_simd(SimdLimit limit) {
  if (limit == SimdLimit::best) return;
  limit_onednn(limit);
  // Better targets have lower bits, and each architecture has bits of its own. Not DisableTargets:
  // after it each call of SupportedTargets dispatches to the best target until the next one.
  const std::int64_t allowed = limit == SimdLimit::baseline
                                   ? std::int64_t{HWY_STATIC_TARGET}
                                   : ~static_cast<std::int64_t>(HWY_AVX2 - 1);
  const std::int64_t targets = hwy::SupportedTargets() & allowed;
  hwy::SetSupportedTargetsForTest(targets == 0 ? std::int64_t{HWY_STATIC_TARGET} : targets);
}

void limit_simd() {
  // A first call that throws does not count.
  static const bool done = [] {
    limit_simd(static_cast<SimdLimit>(env_choice("INGOT_SIMD")));
    return true;
  }();
  (void)done;
}

std::string simd_target_name() { return hwy::TargetName(HWY_DYNAMIC_DISPATCH(target_bits)()); }

std::string simd_targets() {
  std::string names;
  // From the simplest on: better targets have lower bits.
  for (int bit = 62; bit >= 0; --bit) {
    const std::int64_t target = hwy::SupportedTargets() & (std::int64_t{1} << bit);
    if (target == 0 || target == HWY_EMU128 || target == HWY_SCALAR) continue;
    names += names.empty() ? "" : " ";
    names += hwy::TargetName(target);
  }
  return names.empty() ? "none beyond the baseline" : names;
}

int simd_f32_lanes() { return static_cast<int>(HWY_DYNAMIC_DISPATCH(f32_lanes)()); }

std::string highway_version() { return fmt::format("{}.{}.{}", HWY_MAJOR, HWY_MINOR, HWY_PATCH); }

std::string onednn_version() {
#ifdef INGOT_HAVE_ONEDNN
  const dnnl_version_t* version = dnnl_version();
  return fmt::format("{}.{}.{}", version->major, version->minor, version->patch);
#else
  return {};
#endif
}

void limit_library_threads() {
#ifdef INGOT_HAVE_ONEDNN
  omp_set_num_threads(1);
#endif
}

}  // namespace ingot
#endif  // HWY_ONCE
