#include "tests/conformance/support/report.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <vector>

#include "tests/conformance/support/op_case.h"

namespace ingot::conformance {
namespace {

/// "gradient" of "plain/gradient" and of "bad/gradient/rank".
std::string check_of(const testing::TestInfo& info) {
  const std::string name = info.name();
  const std::size_t slash = name.find('/');
  if (slash == std::string::npos) return name;
  const std::string first = name.substr(0, slash);
  return first == "bad" ? "errors" : name.substr(slash + 1);
}

}  // namespace

void Report::OnTestEnd(const testing::TestInfo& info) {
  if (!info.result()->Failed()) return;
  fmt::print("replay: CONFORMANCE_SEED={} test_conformance --gtest_filter='{}.{}'\n", seed(),
             info.test_suite_name(), info.name());
}

void Report::OnTestProgramEnd(const testing::UnitTest& unit) {
  // [op][check] -> (passed, run)
  std::map<std::string, std::map<std::string, std::pair<int, int>>> counts;
  std::vector<std::string> checks;
  for (int s = 0; s < unit.total_test_suite_count(); ++s) {
    const testing::TestSuite& suite = *unit.GetTestSuite(s);
    for (int t = 0; t < suite.total_test_count(); ++t) {
      const testing::TestInfo& info = *suite.GetTestInfo(t);
      if (!info.should_run() || info.result()->Skipped()) continue;
      const std::string check = check_of(info);
      auto& [passed, run] = counts[suite.name()][check];
      passed += info.result()->Passed() ? 1 : 0;
      ++run;
      if (std::find(checks.begin(), checks.end(), check) == checks.end()) checks.push_back(check);
    }
  }
  if (counts.empty()) return;
  // scripts/verify.py shows what follows this line.
  fmt::print("conformance: cases that passed, by op and check\n");
  std::string header = fmt::format("{:26}", "op");
  for (const std::string& check : checks) header += fmt::format(" {:>9}", check);
  fmt::print("{}\n", header);
  std::map<std::string, std::pair<int, int>> totals;
  const auto cell = [](const std::pair<int, int>& count) {
    if (count.second == 0) return std::string("-");
    return count.first == count.second ? std::to_string(count.second)
                                       : fmt::format("{}/{}!", count.first, count.second);
  };
  for (auto& [op, row] : counts) {
    std::string line = fmt::format("{:26}", op);
    for (const std::string& check : checks) {
      line += fmt::format(" {:>9}", cell(row[check]));
      totals[check].first += row[check].first;
      totals[check].second += row[check].second;
    }
    fmt::print("{}\n", line);
  }
  std::string line = fmt::format("{:26}", fmt::format("{} ops", counts.size()));
  for (const std::string& check : checks) line += fmt::format(" {:>9}", cell(totals[check]));
  fmt::print("{}\n", line);
}

}  // namespace ingot::conformance
