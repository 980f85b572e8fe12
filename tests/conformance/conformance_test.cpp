// Registers every check of every record; see support/checks.h. A test's name is
// op.case/check, so that --gtest_filter='conv2d.*', '*.*/gradient' and the like select.
#include <gtest/gtest.h>

#include <functional>

#include "ingot/ops/registry.h"
#include "tests/conformance/support/checks.h"
#include "tests/conformance/support/report.h"

namespace ingot::conformance {
namespace {

class Check : public testing::Test {
 public:
  explicit Check(std::function<void()> body) : body_(std::move(body)) {}
  void TestBody() override { body_(); }

 private:
  std::function<void()> body_;
};

void add_test(std::string_view op, const std::string& name, std::function<void()> body) {
  testing::RegisterTest(std::string(op).c_str(), name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                        [body = std::move(body)]() -> testing::Test* { return new Check(body); });
}

void add_case(const Case& item, std::span<const std::string> backends) {
  const OpDef& op = item.op();
  const std::string prefix = identifier(item.item().name) + "/";
  const auto add = [&](const std::string& check, void (*body)(const Case&)) {
    add_test(op.name, prefix + check, [item, body] { body(item); });
  };
  add("shape", check_shape);
  add("print", check_print);
  add("repeat", check_repeat);
  add("zero", check_zero);
  add("data", check_data);
  add("batch", check_batch);
  if (op.traits.elementwise) add("expr", check_expr);
  bool differentiable = false;
  try {
    differentiable = has_gradient_check(item);
  } catch (const Error&) {
    // The case does not build; its other checks say so.
  }
  if (differentiable) add("gradient", check_gradient);
  for (const std::string& backend : backends) {
    add_test(op.name, prefix + backend, [item, backend] { check_backend(item, backend); });
  }
}

void register_all() {
  const std::vector<std::string> backends = usable_backends();
  for (const OpDef* op : tested_ops()) {
    add_test(op->name, "record", [op] { check_record(*op); });
    add_test(op->name, "rules", [op] { check_constraints(*op); });
    add_test(op->name, "shows", [op] { check_shows(*op); });
    if (op->bad_cases != nullptr) {
      for (const BadCase& bad : op->bad_cases()) {
        add_test(op->name, "bad/" + identifier(bad.name), [op, bad] { check_bad_case(*op, bad); });
      }
    }
    for (const Case& item : all_cases(*op)) add_case(item, backends);
  }
  add_test("refusals", "list", check_refusal_list);
  for (const auto& [bug, check] : planted_bug_checks()) add_test("planted", bug, check);
}

}  // namespace
}  // namespace ingot::conformance

int main(int argc, char** argv) {
  // Two lines a test, for thousands of tests, would hide what matters.
  testing::GTEST_FLAG(brief) = true;
  testing::InitGoogleTest(&argc, argv);
  ingot::conformance::register_all();
  auto& listeners = testing::UnitTest::GetInstance()->listeners();
  listeners.Append(new ingot::conformance::Report);
  const int failed = RUN_ALL_TESTS();
  if (ingot::conformance::rewrites_refusals()) ingot::conformance::write_refusals();
  return failed;
}
