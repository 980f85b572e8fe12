// The table of what was checked, and the command that replays a failure.
#pragma once

#include <gtest/gtest.h>

#include <string>

namespace ingot::conformance {

/// Counts the results of tests named `op.case/check`; after each failure prints one line that
/// repeats it.
class Report : public testing::EmptyTestEventListener {
 public:
  void OnTestEnd(const testing::TestInfo& info) override;
  void OnTestProgramEnd(const testing::UnitTest& unit) override;
};

}  // namespace ingot::conformance
