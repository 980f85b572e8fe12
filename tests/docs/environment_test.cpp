// The command's page has the table of environment variables that the program has.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "ingot/base/env.h"
#include "tests/support/source_dir.h"

namespace ingot::docs {
namespace {

std::string values_of(const EnvVariable& variable) {
  std::string text;
  for (const std::string_view choice : variable.choices) {
    text += fmt::format("{}`{}`", text.empty() ? "" : ", ", choice);
  }
  const std::string_view shown = variable.default_value;
  if (variable.kind == EnvKind::integer) {
    return fmt::format("{} to {} ({})", variable.low, variable.high, shown);
  }
  if (variable.kind == EnvKind::text) return "text";
  return shown.empty() ? text : fmt::format("{} (`{}`)", text, shown);
}

TEST(CommandPage, HasEveryEnvironmentVariable) {
  std::ifstream file(testing_support::source_dir() / "docs" / "command.md");
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  std::string table = "| variable | values | what |\n|---|---|---|\n";
  for (const EnvVariable& variable : env_table()) {
    table += fmt::format("| `{}` | {} | {} |\n", variable.name, values_of(variable), variable.doc);
  }
  EXPECT_NE(page.find("\n\n" + table + "\n"), std::string::npos) << "the page must have:\n"
                                                                 << table;
}

}  // namespace
}  // namespace ingot::docs
