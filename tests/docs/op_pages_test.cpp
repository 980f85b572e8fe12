#include "tests/docs/support/op_pages.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/support/source_dir.h"

namespace ingot::docs {
namespace {

// UPDATE_DOCS=1 (`make docs`) writes the pages instead of comparing them.
TEST(OpPages, AreUpToDate) {
  const std::filesystem::path source = testing_support::source_dir();
  ASSERT_FALSE(source.empty());
  const std::filesystem::path folder = source / "docs" / "ops";
  const bool update = std::getenv("UPDATE_DOCS") != nullptr;
  if (update) {
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
  }
  const auto pages = op_pages();
  for (const auto& [name, text] : pages) {
    if (update) std::ofstream(folder / name) << text;
    std::ifstream file(folder / name);
    const std::string found{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(found, text) << "docs/ops/" << name << " is out of date: run `make docs`";
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    EXPECT_TRUE(pages.contains(entry.path().filename().string()))
        << entry.path() << " belongs to no op: run `make docs`";
  }
}

TEST(OpPages, SayWhatTheRecordsSay) {
  const auto pages = op_pages();
  EXPECT_EQ(pages.at("relu.md"),
            "# relu\n\nmax(x, 0).\n\n```\nmax(x, 0)\n```\n\n"
            "## Operands\n\n| name | what |\n|---|---|\n| `x` | any shape |\n\n"
            "## Results\n\n| name | what |\n|---|---|\n| `y` | the operands' broadcast shape |\n\n"
            "## Rules\n\n| id | rule | help |\n|---|---|---|\n"
            "| C2 | operands must be floating point |  |\n\n"
            "## Gradient\n\nWith `y` the result and `g` its gradient:\n\n"
            "| operand | gradient |\n|---|---|\n| `x` | `select(y > 0, g, 0)` |\n\n"
            "## Facts\n\n- Elementwise; operands broadcast as NumPy's do.\n");
  EXPECT_NE(pages.at("README.md").find("| [conv2d](conv2d.md) |"), std::string::npos);
}

}  // namespace
}  // namespace ingot::docs
