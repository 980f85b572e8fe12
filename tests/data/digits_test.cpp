#include "ingot/data/digits.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/support/encode.h"
#include "tests/support/expect_error.h"
#include "tests/support/source_dir.h"
#include "tests/support/temp_dir.h"

namespace ingot::data {
namespace {

using namespace testing_support;  // NOLINT: the encoders

TEST(Digits, CutsTheSprite) {
  const TempDir dir;
  // Each pixel tells its cell's row and column and the place in the cell.
  const auto pixel = [](std::int64_t x, std::int64_t y) { return (x * 7 + y * 13) & 0xff; };
  std::string rows;
  for (int y = 0; y < 1000; ++y) {
    for (int x = 0; x < 2000; ++x) rows += static_cast<char>(pixel(x, y));
  }
  write_file(dir / "digits.png", encode_png(2000, 1000, 8, 0, rows));
  const Dataset digits = read_digits(dir / "digits.png");
  EXPECT_EQ(digits.description(), "digits train: 5000 images u8[1,20,20], 10 classes");
  for (const std::int64_t n : {0, 1, 99, 100, 499, 500, 4321, 4999}) {
    EXPECT_EQ(digits.labels.view().get_int(n), n / 500);
    for (const std::int64_t i : {0, 19, 20, 399}) {
      EXPECT_EQ(digits.images.view().get_int(n * 400 + i),
                pixel(n % 100 * 20 + i % 20, n / 100 * 20 + i / 20));
    }
  }
  const DatasetPair pair = load_digits(dir / "digits.png", 1);
  EXPECT_EQ(pair.train.size(), 4000);
  EXPECT_EQ(pair.test.size(), 1000);
  std::vector<int> counts(10);
  for (const double label : pair.test.labels.to_doubles())
    ++counts[static_cast<std::size_t>(label)];
  EXPECT_EQ(counts, std::vector<int>(10, 100));
  EXPECT_EQ(load_digits(dir / "digits.png", 1).train.images, pair.train.images);
  EXPECT_NE(load_digits(dir / "digits.png", 2).train.images, pair.train.images);
}

TEST(Digits, RefusesOtherImages) {
  const TempDir dir;
  write_file(dir / "d.png", encode_png(2, 1, 8, 0, "ab"));
  EXPECT_EQ(error_of([&] { (void)read_digits(dir / "d.png"); }),
            fmt::format("digits \"{}\": must be 2000 x 1000 pixels, got 2 x 1",
                        (dir / "d.png").string()));
}

TEST(Digits, IsFoundOrSaysHowToGetIt) {
  const TempDir dir;
  const std::vector<std::filesystem::path> candidates = {"/no/digits.png", dir / "digits.png"};
  EXPECT_EQ(error_of([&] { (void)find_digits(candidates); }),
            fmt::format("digits: digits.png must be one of \"/no/digits.png\", \"{}\", got none of "
                        "them\n"
                        "help: scripts/fetch_digits.sh takes it from Debian's package opencv-doc; "
                        "or name a file: digits:FILE",
                        (dir / "digits.png").string()));
  write_file(dir / "digits.png", "");
  EXPECT_EQ(find_digits(candidates), dir / "digits.png");
}

// The real image, where it is at hand.
TEST(DigitsReal, HasTheKnownContent) {
  std::filesystem::path file;
  auto candidates = usual_digits_files();
  candidates.push_back(source_dir() / "build/data/digits.png");  // where `make demo` keeps it
  for (const auto& candidate : candidates) {
    if (file.empty() && std::filesystem::exists(candidate)) file = candidate;
  }
  if (const char* given = std::getenv("INGOT_TEST_DIGITS")) file = given;
  if (file.empty()) GTEST_SKIP() << "digits.png is not at hand";
  const Dataset digits = read_digits(file);
  EXPECT_EQ(digits.size(), 5000);
  const Normalization normalization = measure_normalization(digits);
  EXPECT_NEAR(normalization.mean.at(0), 0.13258, 1e-5);
  EXPECT_NEAR(normalization.stddev.at(0), 0.29085, 1e-5);
  // A one has less ink than a zero.
  const auto ink = [&](std::int64_t label) {
    double sum = 0;
    for (std::int64_t i = label * 500 * 400; i < (label + 1) * 500 * 400; ++i) {
      sum += static_cast<double>(digits.images.view().get_int(i));
    }
    return sum;
  };
  EXPECT_LT(ink(1), 0.6 * ink(0));
}

}  // namespace
}  // namespace ingot::data
