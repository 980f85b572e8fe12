#include "ingot/train/kernel_cache.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "ingot/io/file.h"
#include "ingot/io/json.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace ingot::train {
namespace {

using testing_support::TempDir;

void add(const KernelCache& cache, const std::string& problem, std::string_view kernel) {
  cache.backend_options(1).choices->set(problem, kernel);
}

KernelChoices::Map kept(const std::filesystem::path& file) {
  return KernelCache(Tune::quick, "cpu", file).backend_options(1).choices->all();
}

TEST(KernelCache, KeepsChoices) {
  const TempDir folder;
  const auto file = folder.path() / "new" / "kernels.json";
  KernelCache cache(Tune::quick, "cpu", file);
  EXPECT_EQ(cache.backend_options(3).threads, 3);
  EXPECT_EQ(cache.backend_options(3).tune, Tune::quick);
  cache.save();
  EXPECT_FALSE(std::filesystem::exists(file)) << "nothing was chosen";
  add(cache, "a", "x");
  cache.save();
  EXPECT_EQ(io::read_text_file(file),
            "{\n  \"version\": 1,\n  \"kernels\": {\n    \"a\": \"x\"\n  }\n}\n");
  EXPECT_EQ(kept(file), (KernelChoices::Map{{"a", "x"}}));
  EXPECT_TRUE(cache.warnings().empty());
}

TEST(KernelCache, KeepsWhatOthersWroteMeanwhile) {
  const TempDir folder;
  const auto file = folder.path() / "kernels.json";
  KernelCache one(Tune::quick, "cpu", file);
  KernelCache two(Tune::quick, "cpu", file);
  add(one, "a", "x");
  add(one, "b", "x");
  one.save();
  add(two, "b", "y");
  two.save();
  EXPECT_EQ(kept(file), (KernelChoices::Map{{"a", "x"}, {"b", "y"}}));
}

TEST(KernelCache, OffReadsAndWritesNothing) {
  const TempDir folder;
  const auto file = folder.path() / "kernels.json";
  std::ofstream(file) << "broken";
  KernelCache cache(Tune::off, "reference", file);
  add(cache, "a", "x");
  cache.save();
  EXPECT_TRUE(cache.warnings().empty());
  EXPECT_EQ(io::read_text_file(file), "broken");
}

TEST(KernelCache, ABrokenFileIsAWarningAndWrittenAnew) {
  const TempDir folder;
  const auto file = folder.path() / "kernels.json";
  const std::string start =
      "kernel choices \"" + file.string() + "\" are not used, and are written anew: ";
  const std::pair<const char*, const char*> cases[] = {
      {"{\"version\": 1}", "json: must have key \"kernels\", got an object of 1 key"},
      {"{\"version\": 2, \"kernels\": {}}", "must be of version 1, got 2"},
      {"{\"version\": 1, \"kernels\": {\"a\": 3}}", "json: must be a string, got 3"},
      {"[]", "json: must have key \"version\", got an array of 0 values"},
  };
  for (const auto& [text, reason] : cases) {
    std::ofstream(file) << text;
    KernelCache cache(Tune::full, "cpu", file);
    ASSERT_EQ(cache.warnings().size(), 1u);
    EXPECT_EQ(cache.warnings()[0], start + reason);
    add(cache, "a", "x");
    cache.save();
    EXPECT_EQ(kept(file), (KernelChoices::Map{{"a", "x"}}));
  }
  std::ofstream(file) << "{";
  EXPECT_EQ(KernelCache(Tune::full, "cpu", file).warnings()[0],
            start +
                "json \"choices of kernels\": must be well-formed JSON, got the end of the text "
                "at line 1, column 2");
}

TEST(KernelCache, AFileThatCannotBeWrittenIsAWarning) {
  const TempDir folder;
  std::ofstream(folder.path() / "file") << "";
  const auto file = folder.path() / "file" / "kernels.json";
  KernelCache cache(Tune::quick, "cpu", file);
  add(cache, "a", "x");
  cache.save();
  cache.save();
  ASSERT_EQ(cache.warnings().size(), 1u);
  EXPECT_EQ(cache.warnings()[0], "kernel choices \"" + file.string() + "\" are not kept: file \"" +
                                     file.parent_path().string() +
                                     "\": must be a folder, got not a directory");
}

TEST(KernelCache, WithoutAFolderNothingIsKept) {
  const KernelCache cache(Tune::quick, "cpu", {});
  ASSERT_EQ(cache.warnings().size(), 1u);
  EXPECT_EQ(cache.warnings()[0],
            "kernel choices are not kept: INGOT_TUNE_DIR, XDG_CACHE_HOME or HOME must be set");
}

TEST(KernelCache, OtherDevicesAreNotTuned) {
  testing_support::expect_user_error(
      ErrorCode::invalid_argument,
      "tune \"quick\": device must be \"cpu\" or \"cuda\", where kernels are chosen by timing, got "
      "\"reference\"",
      [] { KernelCache(Tune::quick, "reference", {}); });
}

TEST(Tune, HasNames) {
  for (const Tune tune : {Tune::off, Tune::quick, Tune::full}) {
    EXPECT_EQ(parse_tune(tune_name(tune)), tune);
  }
  testing_support::expect_user_error(
      ErrorCode::invalid_argument,
      "tune \"fast\": must be \"off\", \"quick\" or \"full\", got no such name",
      [] { parse_tune("fast"); });
}

}  // namespace
}  // namespace ingot::train
