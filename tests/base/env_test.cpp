#include "ingot/base/env.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <set>
#include <string>

#include "ingot/base/error.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

// Sets one variable of this process for a scope.
class ScopedEnv {
 public:
  ScopedEnv(const char* name, const char* value) : name_(name) {
    const char* old = std::getenv(name);
    had_ = old != nullptr;
    if (had_) old_ = old;
    setenv(name, value, 1);
  }
  ~ScopedEnv() {
    if (had_) {
      setenv(name_, old_.c_str(), 1);
    } else {
      unsetenv(name_);
    }
  }
  ScopedEnv(const ScopedEnv&) = delete;
  ScopedEnv& operator=(const ScopedEnv&) = delete;

 private:
  const char* name_;
  bool had_ = false;
  std::string old_;
};

void expect_bad_value(const std::string& text, FunctionRef<void()> action) {
  testing_support::expect_user_error(ErrorCode::invalid_argument, text, action);
}

TEST(Env, TableIsDocumentedAndItsDefaultsParse) {
  std::set<std::string_view> names;
  for (const EnvVariable& variable : env_table()) {
    EXPECT_TRUE(variable.name.starts_with("INGOT_"));
    EXPECT_TRUE(names.insert(variable.name).second);
    EXPECT_FALSE(variable.doc.empty());
    EXPECT_EQ(&env_variable(variable.name), &variable);
    const ScopedEnv unset(std::string(variable.name).c_str(), "");
    EXPECT_NO_THROW(check_environment());
  }
}

TEST(Env, Integer) {
  const ScopedEnv set("INGOT_THREADS", "3");
  EXPECT_EQ(env_integer("INGOT_THREADS"), 3);
  EXPECT_EQ(parse_env_integer(env_variable("INGOT_THREADS"), ""), 0);
  for (const char* bad : {"two", "-1", "1025", "2x", "99999999999999999999", " 2"}) {
    expect_bad_value(
        "environment variable \"INGOT_THREADS\": must be an integer from 0 to 1024, got \"" +
            std::string(bad) + "\"",
        [&] { parse_env_integer(env_variable("INGOT_THREADS"), bad); });
  }
}

TEST(Env, Choice) {
  const ScopedEnv set("INGOT_FALLBACK", "error");
  const EnvVariable& variable = env_variable("INGOT_FALLBACK");
  EXPECT_EQ(variable.choices[env_choice("INGOT_FALLBACK")], "error");
  EXPECT_EQ(variable.choices[parse_env_choice(variable, "")], "warn");
  expect_bad_value(
      "environment variable \"INGOT_FALLBACK\": value must be one of \"warn\", \"error\", "
      "got \"eror\"\nhelp: did you mean \"error\"?",
      [&] { parse_env_choice(variable, "eror"); });
  expect_bad_value(
      "environment variable \"INGOT_FALLBACK\": value must be one of \"warn\", \"error\", "
      "got \"silently\"",
      [&] { parse_env_choice(variable, "silently"); });
}

TEST(Env, LimitOfTheVectorInstructions) {
  const EnvVariable& variable = env_variable("INGOT_SIMD");
  EXPECT_EQ(variable.choices[parse_env_choice(variable, "")], "best");
  expect_bad_value(
      "environment variable \"INGOT_SIMD\": value must be one of \"best\", \"avx2\", \"baseline\", "
      "got \"avx3\"\nhelp: did you mean \"avx2\"?",
      [&] { parse_env_choice(variable, "avx3"); });
}

TEST(Env, List) {
  const EnvVariable& variable = env_variable("INGOT_TRACE");
  EXPECT_TRUE(parse_env_list(variable, "").empty());
  const EnvList list = parse_env_list(variable, "passes:fuse,kernels,memory:a:b");
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(variable.choices[list[0].first], "passes");
  EXPECT_EQ(list[0].second, "fuse");
  EXPECT_EQ(variable.choices[list[1].first], "kernels");
  EXPECT_EQ(list[1].second, "");
  EXPECT_EQ(list[2].second, "a:b");
  expect_bad_value(
      "environment variable \"INGOT_TRACE\": channel must be one of \"passes\", \"regions\", "
      "\"dispatch\", \"numerics\", \"memory\", \"kernels\", \"launches\", got \"kernel\"\n"
      "help: did you mean \"kernels\"?",
      [&] { parse_env_list(variable, "passes,kernel:x"); });
  EXPECT_THROW(parse_env_list(variable, "passes,,memory"), Error);
  const ScopedEnv set("INGOT_TRACE", "regions");
  EXPECT_EQ(env_list("INGOT_TRACE").size(), 1u);
}

TEST(Env, FlagAndText) {
  const EnvVariable flag{.name = "INGOT_X", .kind = EnvKind::flag, .default_value = "0"};
  EXPECT_FALSE(parse_env_flag(flag, ""));
  EXPECT_TRUE(parse_env_flag(flag, "1"));
  expect_bad_value("environment variable \"INGOT_X\": must be 0 or 1, got \"yes\"",
                   [&] { parse_env_flag(flag, "yes"); });
  const ScopedEnv set("INGOT_FALLBACK", "");
  EXPECT_EQ(env_text("INGOT_FALLBACK"), "warn");
}

TEST(Env, CheckFindsAMalformedValue) {
  const ScopedEnv set("INGOT_THREADS", "many");
  expect_bad_value(
      "environment variable \"INGOT_THREADS\": must be an integer from 0 to 1024, got "
      "\"many\"",
      [] { check_environment(); });
}

TEST(Env, MissingRowIsABugOfIngot) {
  testing_support::expect_error(
      ErrorKind::internal, ErrorCode::internal,
      "environment variable \"INGOT_NOT_THERE\": must be in the table\n"
      "help: this is a bug in Ingot; please report it with the graph that caused it",
      [] { env_integer("INGOT_NOT_THERE"); });
}

TEST(Env, UnknownVariablesGetCandidates) {
  const ScopedEnv misspelt("INGOT_THREAD", "2");
  const ScopedEnv other("INGOT_ZZZZZZZZZZZZZZZZZZ", "2");
  const std::vector<UnknownEnvVariable> unknown = unknown_env_variables();
  ASSERT_EQ(unknown.size(), 2u);
  EXPECT_EQ(unknown[0].name, "INGOT_THREAD");
  EXPECT_TRUE(unknown[0].candidates.starts_with("\"INGOT_THREADS\"")) << unknown[0].candidates;
  EXPECT_EQ(unknown[1].name, "INGOT_ZZZZZZZZZZZZZZZZZZ");
  EXPECT_EQ(unknown[1].candidates, "");
}

}  // namespace
}  // namespace ingot
