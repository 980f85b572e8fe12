#include "ingot/backends/cpu/cpu_backend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "ingot/backends/cpu/cpu_machine.h"
#include "ingot/base/env.h"

namespace ingot {
namespace {

TEST(CpuBackend, TakesTheAskedNumberOfThreads) {
  const auto backend = make_cpu_backend({.threads = 2});
  EXPECT_EQ(backend->name(), "cpu");
  EXPECT_EQ(backend->threads(), 2);
  EXPECT_TRUE(backend->device()->host_visible());
}

TEST(CpuBackend, SaysWhatItRunsOn) {
  const auto backend = make_cpu_backend({.threads = 1});
  const auto facts = backend->facts();
  for (const std::string what : {"simd", "cores", "threads", "caches", "highway", "onednn"}) {
    const auto it = std::find_if(facts.begin(), facts.end(),
                                 [&](const auto& fact) { return fact.first == what; });
    ASSERT_NE(it, facts.end()) << what;
    EXPECT_FALSE(it->second.empty()) << what;
  }
  EXPECT_GE(backend->caches().l1, 4 << 10);
  EXPECT_GE(backend->caches().l2, backend->caches().l1);
}

TEST(CpuBackend, KeepsToTheInstructionsAskedFor) {
  const auto backend = make_cpu_backend({.threads = 1});
  const std::string asked = env_text("INGOT_SIMD");
  const std::string name = simd_target_name();
  if (asked == "best") {
    EXPECT_EQ(simd_targets().find("AVX3") != std::string::npos, name.starts_with("AVX3")) << name;
    return;
  }
  EXPECT_EQ(simd_targets().find("AVX3"), std::string::npos) << simd_targets();
  EXPECT_FALSE(name.starts_with("AVX3"));
  if (asked == "baseline") {
    EXPECT_FALSE(name.starts_with("AVX")) << name;
  } else if (simd_targets().find("AVX2") != std::string::npos) {
    EXPECT_EQ(name, "AVX2");
  }
}

}  // namespace
}  // namespace ingot
