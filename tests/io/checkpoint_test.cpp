#include "ingot/io/checkpoint.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "ingot/io/file.h"
#include "ingot/io/safetensors.h"
#include "tests/io/support/python.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace ingot::io {
namespace {

namespace fs = std::filesystem;
using testing_support::error_of;
using testing_support::expect_user_error;
using testing_support::TempDir;

HostTensor floats(std::vector<double> values) {
  return {{DType::f32, {static_cast<std::int64_t>(values.size())}}, values};
}

Checkpoint example(double value) {
  Checkpoint checkpoint;
  checkpoint.model = {{"fc.weight", floats({value, 2, 3})}, {"fc.bias", floats({-value})}};
  checkpoint.optimizer = {{"step", HostTensor({DType::i64, {}}, std::vector<double>{7})}};
  checkpoint.state = Json::object({{"epoch", 3}});
  return checkpoint;
}

int entries(const fs::path& folder) {
  return static_cast<int>(std::distance(fs::directory_iterator(folder), {}));
}

TEST(Checkpoint, RoundTripsAndReplaces) {
  TempDir folder;
  const fs::path run = folder / "deep" / "run";
  for (const double value : {1.0, 5.0}) {
    const Checkpoint written = example(value);
    write_checkpoint(run, written);
    const Checkpoint read = read_checkpoint(run);
    EXPECT_EQ(read.model, written.model);
    EXPECT_EQ(read.optimizer, written.optimizer);
    EXPECT_EQ(read.state.i64_at("epoch"), 3);
    EXPECT_EQ(read_checkpoint_state(run), read.state);
    EXPECT_EQ(SafetensorsFile(run / "model.safetensors").tensor("fc.weight"),
              floats({value, 2, 3}));
    EXPECT_EQ(entries(run), 5);  // checkpoint-K, current, three links
  }
}

TEST(Checkpoint, CrashWhileWritingLeavesTheOldOne) {
  TempDir folder;
  write_checkpoint(folder.path(), example(1));
  // What a crash leaves behind: files that nothing points to yet.
  fs::create_directory(folder / "checkpoint-2");
  write_file_atomically(folder / "checkpoint-2" / "model.safetensors", "half");
  EXPECT_EQ(read_checkpoint(folder.path()).model, example(1).model);
  write_checkpoint(folder.path(), example(2));
  EXPECT_EQ(read_checkpoint(folder.path()).model, example(2).model);
  EXPECT_EQ(entries(folder.path()), 5);
}

TEST(Checkpoint, ACopyOfTheFilesAloneIsRead) {
  TempDir folder;
  write_checkpoint(folder / "a", example(1));
  fs::create_directory(folder / "b");
  for (const char* file : {"model.safetensors", "optimizer.safetensors", "state.json"}) {
    fs::copy_file(folder / "a" / file, folder / "b" / file);
  }
  EXPECT_EQ(read_checkpoint(folder / "b").model, example(1).model);
  write_checkpoint(folder / "b", example(2));
  EXPECT_EQ(read_checkpoint(folder / "b").model, example(2).model);
  EXPECT_EQ(SafetensorsFile(folder / "b" / "model.safetensors").tensor("fc.bias"), floats({-2}));
}

TEST(Checkpoint, MixedFilesAreRefused) {
  TempDir folder;
  write_checkpoint(folder / "a", example(1));
  write_checkpoint(folder / "b", example(2));
  fs::copy_file(folder / "b" / "model.safetensors", folder / "a" / "current" / "model.safetensors",
                fs::copy_options::overwrite_existing);
  const std::string text = error_of([&] { read_checkpoint(folder / "a"); });
  const std::string path = (folder / "a" / "checkpoint-1" / "model.safetensors").string();
  EXPECT_TRUE(text.starts_with("checkpoint \"" + path +
                               "\": must be the file that state.json describes ({\"bytes\":"))
      << text;
}

TEST(Checkpoint, PythonReadsTheTensors) {
  const std::string python = testing_support::safetensors_python();
  if (python.empty()) {
    GTEST_SKIP() << "no python3 has the package safetensors; scripts/setup.sh test gets it";
  }
  TempDir folder;
  write_checkpoint(folder.path(), example(1));
  const std::string script =
      "import sys; from safetensors.numpy import load_file;"
      "model = load_file(sys.argv[1] + \"/model.safetensors\");"
      "assert sorted(model) == [\"fc.bias\", \"fc.weight\"], model;"
      "assert model[\"fc.weight\"].tolist() == [1, 2, 3], model;"
      "assert load_file(sys.argv[1] + \"/optimizer.safetensors\")[\"step\"] == 7";
  const std::string command =
      "'" + python + "' -c '" + script + "' '" + folder.path().string() + "'";
  EXPECT_EQ(std::system(command.c_str()), 0);
}

TEST(Checkpoint, Errors) {
  TempDir folder;
  const std::string name = folder.path().string();
  expect_user_error(ErrorCode::not_found,
                    "checkpoint \"" + name + "\": must hold state.json, got no such file",
                    [&] { read_checkpoint(folder.path()); });
  write_file_atomically(folder / "state.json", "{\"format\": \"other\", \"version\": 1}");
  expect_user_error(
      ErrorCode::invalid_data,
      "checkpoint \"" + name + "/state.json\": format must be \"ingot-checkpoint\", got \"other\"",
      [&] { read_checkpoint(folder.path()); });
  write_file_atomically(folder / "state.json",
                        "{\"format\": \"ingot-checkpoint\", \"version\": 2}");
  expect_user_error(ErrorCode::invalid_data,
                    "checkpoint \"" + name + "/state.json\": version must be 1, got 2",
                    [&] { read_checkpoint_state(folder.path()); });
}

}  // namespace
}  // namespace ingot::io
