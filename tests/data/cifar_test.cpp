#include "ingot/data/cifar.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace ingot::data {
namespace {

using testing_support::error_of;
using testing_support::TempDir;

constexpr const char* kHelp =
    "\nhelp: CIFAR-10's binary version is data_batch_1.bin to data_batch_5.bin and test_batch.bin "
    "in one folder, each plain or with the suffix .gz";

/// Records whose pixels count up from the label.
void write_batch(const std::filesystem::path& path, const std::vector<int>& labels) {
  std::ofstream file(path, std::ios::binary);
  for (const int label : labels) {
    file.put(static_cast<char>(label));
    for (int i = 0; i < 3072; ++i) file.put(static_cast<char>((label + i) % 256));
  }
}

TEST(Cifar, ReadsAFolder) {
  const TempDir dir;
  write_batch(dir / "data_batch_1.bin", {3, 9});
  write_batch(dir / "data_batch_2.bin", {0});
  write_batch(dir / "test_batch.bin", {7});
  const DatasetPair pair = load_cifar10(dir.path());
  EXPECT_EQ(pair.train.description(), "cifar10 train: 3 images u8[3,32,32], 10 classes");
  EXPECT_EQ(pair.test.description(), "cifar10 test: 1 images u8[3,32,32], 10 classes");
  EXPECT_EQ(pair.train.labels.view().get_int(1), 9);
  EXPECT_EQ(pair.train.images.view().get_int(3072 + 5), 14);
  EXPECT_EQ(pair.train.class_names[9], "truck");
}

TEST(Cifar, Errors) {
  const TempDir dir;
  const std::string folder = dir.path().string();
  EXPECT_EQ(error_of([&] { (void)load_cifar10(dir / "no"); }),
            fmt::format("cifar \"{}/no\": must be a folder, got nothing there{}", folder, kHelp));
  EXPECT_EQ(error_of([&] { (void)load_cifar10(dir.path()); }),
            fmt::format("cifar \"{}\": must hold data_batch_1.bin or data_batch_1.bin.gz, got "
                        "neither{}",
                        folder, kHelp));
  std::ofstream(dir / "data_batch_1.bin") << "abc";
  EXPECT_EQ(error_of([&] { (void)load_cifar10(dir.path()); }),
            fmt::format("cifar \"{}/data_batch_1.bin\": must have a positive multiple of 3073 "
                        "bytes, got 3",
                        folder));
  write_batch(dir / "data_batch_1.bin", {1, 10});
  EXPECT_EQ(error_of([&] { (void)load_cifar10(dir.path()); }),
            "dataset \"cifar10 train\": labels must be from 0 to 9, got 10 at index 1");
}

}  // namespace
}  // namespace ingot::data
