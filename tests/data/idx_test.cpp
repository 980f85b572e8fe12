#include "ingot/data/idx.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <initializer_list>
#include <numeric>

#include "tests/support/encode.h"
#include "tests/support/expect_error.h"
#include "tests/support/source_dir.h"
#include "tests/support/temp_dir.h"

namespace ingot::data {
namespace {

using namespace testing_support;  // NOLINT: the encoders

std::string idx(std::initializer_list<std::uint32_t> dims, std::string_view elements) {
  return encode_idx(std::span(dims.begin(), dims.size()), elements);
}

std::string refusal(std::string_view content, int rank) {
  return error_of([&] { (void)parse_idx(bytes_of(content), rank, "f"); });
}

TEST(Idx, Parses) {
  const HostTensor images = parse_idx(bytes_of(idx({2, 1, 3}, "abcdef")), 3, "f");
  EXPECT_EQ(images.type().to_string(), "u8[2,1,3]");
  EXPECT_EQ(images.view().get_int(4), 'e');
  EXPECT_EQ(parse_idx(bytes_of(idx({3}, "\1\2\3")), 1, "f").type().to_string(), "u8[3]");
}

TEST(Idx, RefusesDamage) {
  EXPECT_EQ(refusal("", 3), "idx \"f\": must have a header of 16 bytes, got 0 bytes");
  EXPECT_EQ(refusal(idx({5}, "abc"), 3), "idx \"f\": must have a header of 16 bytes, got 11 bytes");
  EXPECT_EQ(refusal(idx({5}, "abcdefghij"), 3),
            "idx \"f\": must begin with 0x00000803 (u8, 3 dimensions), got 0x00000801");
  EXPECT_EQ(refusal(idx({1, 1, 1}, "a"), 1),
            "idx \"f\": must begin with 0x00000801 (u8, 1 dimension), got 0x00000803");
  EXPECT_EQ(refusal(idx({3}, "ab"), 1), "idx \"f\": u8[3] needs 3 bytes after the header, got 2");
  EXPECT_EQ(refusal(idx({3}, "abcd"), 1), "idx \"f\": u8[3] needs 3 bytes after the header, got 4");
  EXPECT_EQ(refusal(idx({3, 0, 2}, ""), 3), "idx \"f\": dimensions must be positive, got [3,0,2]");
  // 2^96 elements do not fit 64 bits.
  EXPECT_EQ(refusal(idx({~0u, ~0u, ~0u}, "a"), 3),
            "idx \"f\": u8[4294967295,4294967295,4294967295] needs 9223372036854775807 bytes after "
            "the header, got 1");
}

class Mnist : public testing::Test {
 protected:
  void SetUp() override {
    put("train-images-idx3-ubyte", idx({3, 2, 2}, "abcdefghijkl"));
    put("train-labels-idx1-ubyte", idx({3}, std::string_view("\0\x09\x05", 3)));
    put("t10k-images-idx3-ubyte.gz", gzip_stored(idx({1, 2, 2}, "wxyz")));
    put("t10k-labels-idx1-ubyte.gz", gzip_stored(idx({1}, "\7")));
  }
  void put(const std::string& name, std::string_view content) { write_file(dir_ / name, content); }
  std::string refusal() {
    return error_of([&] { (void)load_mnist(dir_.path()); });
  }
  std::string path(const std::string& name) { return (dir_ / name).string(); }

  static constexpr std::string_view kHelp =
      "\nhelp: MNIST is the files train-images-idx3-ubyte, train-labels-idx1-ubyte, "
      "t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte in one folder, each plain or with the "
      "suffix .gz";
  TempDir dir_;
};

TEST_F(Mnist, LoadsPlainAndCompressed) {
  const DatasetPair pair = load_mnist(dir_.path());
  EXPECT_EQ(pair.train.description(), "mnist train: 3 images u8[1,2,2], 10 classes");
  EXPECT_EQ(pair.test.description(), "mnist test: 1 images u8[1,2,2], 10 classes");
  EXPECT_EQ(pair.train.labels.to_doubles(), (std::vector<double>{0, 9, 5}));
  EXPECT_EQ(pair.train.images.view().get_int(11), 'l');
  EXPECT_EQ(pair.test.images.view().get_int(0), 'w');
  EXPECT_EQ(pair.test.labels.view().get_int(0), 7);
  EXPECT_EQ(pair.train.class_names[9], "9");
}

TEST_F(Mnist, SaysWhatIsMissing) {
  EXPECT_EQ(error_of([&] { (void)load_mnist(dir_ / "no"); }),
            fmt::format("mnist \"{}\": must be a folder, got nothing there{}", path("no"), kHelp));
  EXPECT_EQ(error_of([&] { (void)load_mnist(dir_ / "train-images-idx3-ubyte"); }),
            fmt::format("mnist \"{}\": must be a folder, got a file{}",
                        path("train-images-idx3-ubyte"), kHelp));
  std::filesystem::remove(dir_ / "t10k-labels-idx1-ubyte.gz");
  EXPECT_EQ(refusal(), fmt::format("mnist \"{}\": must hold t10k-labels-idx1-ubyte or "
                                   "t10k-labels-idx1-ubyte.gz, got neither{}",
                                   dir_.path().string(), kHelp));
}

TEST_F(Mnist, SaysWhatIsWrong) {
  put("train-labels-idx1-ubyte", idx({2}, "\1\2"));
  EXPECT_EQ(refusal(), fmt::format("idx \"{}\": must have one label for each of the 3 images of "
                                   "\"train-images-idx3-ubyte\", got 2 labels",
                                   path("train-labels-idx1-ubyte")));
  put("train-labels-idx1-ubyte", idx({3}, "\1\2\x0a"));
  EXPECT_EQ(refusal(),
            fmt::format("dataset \"mnist train\": labels must be from 0 to 9, got 10 at index 2\n"
                        "note: the labels are those of \"{}\"",
                        path("train-labels-idx1-ubyte")));
  put("train-labels-idx1-ubyte", idx({3}, "\1\2"));
  EXPECT_EQ(refusal(), fmt::format("idx \"{}\": u8[3] needs 3 bytes after the header, got 2",
                                   path("train-labels-idx1-ubyte")));
}

// The real files, where they are at hand.
TEST(MnistReal, HasTheKnownContent) {
  const char* given = std::getenv("INGOT_TEST_MNIST");
  const std::filesystem::path folder =
      given != nullptr ? std::filesystem::path(given) : source_dir() / "../shared/data/mnist";
  if (!std::filesystem::is_directory(folder)) GTEST_SKIP() << "MNIST is not at hand";
  const DatasetPair pair = load_mnist(folder);
  EXPECT_EQ(pair.train.description(), "mnist train: 60000 images u8[1,28,28], 10 classes");
  EXPECT_EQ(pair.test.description(), "mnist test: 10000 images u8[1,28,28], 10 classes");
  const auto labels = pair.train.labels.view().as<std::int32_t>();
  EXPECT_EQ(std::vector<std::int32_t>(labels.begin(), labels.begin() + 5),
            (std::vector<std::int32_t>{5, 0, 4, 1, 9}));
  // The mean and standard deviation that everybody uses for MNIST.
  const Normalization normalization = measure_normalization(pair.train);
  EXPECT_NEAR(normalization.mean.at(0), 0.1307, 1e-4);
  EXPECT_NEAR(normalization.stddev.at(0), 0.3081, 1e-4);
}

}  // namespace
}  // namespace ingot::data
