// With a bug planted in the kernels, the suite must fail; without it, it must not.
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <fmt/core.h>

#include <set>

#include "ingot/base/planted_bug.h"
#include "tests/conformance/support/checks.h"

namespace ingot::conformance {
namespace {

#ifdef INGOT_PLANTED_BUGS

/// "backend op/case" of each backend check that fails.
std::set<std::string> failing_cases() {
  std::set<std::string> failing;
  for (const std::string& backend : usable_backends()) {
    for (const OpDef* op : tested_ops()) {
      for (const Case& item : all_cases(*op)) {
        testing::TestPartResultArray results;
        {
          const testing::ScopedFakeTestPartResultReporter intercept(
              testing::ScopedFakeTestPartResultReporter::INTERCEPT_ALL_THREADS, &results);
          check_backend(item, backend);
        }
        if (results.size() > 0) failing.insert(backend + " " + item.name());
      }
    }
  }
  return failing;
}

void check_found(PlantedBug bug) {
  EXPECT_EQ(failing_cases(), std::set<std::string>{}) << "cases fail without a planted bug";
  std::set<std::string> failing;
  {
    const PlantedBugScope scope(bug);
    failing = failing_cases();
  }
  EXPECT_FALSE(failing.empty()) << "the suite does not find the bug";
  for (const std::string& name : failing) fmt::print("  found by {}\n", name);
}

#endif

}  // namespace

std::vector<std::pair<std::string, void (*)()>> planted_bug_checks() {
#ifdef INGOT_PLANTED_BUGS
  return {{"dropped_conv_tap", [] { check_found(PlantedBug::dropped_conv_tap); }},
          {"transposed_weight", [] { check_found(PlantedBug::transposed_weight); }},
          {"wrong_epsilon", [] { check_found(PlantedBug::wrong_epsilon); }}};
#else
  return {};
#endif
}

}  // namespace ingot::conformance
