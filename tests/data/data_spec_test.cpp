#include "ingot/data/data_spec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "ingot/data/synthetic.h"
#include "tests/support/expect_error.h"

namespace ingot::data {
namespace {

using testing_support::error_of;

TEST(DataSpec, Parses) {
  EXPECT_EQ(parse_data_spec("digits"), (DataSpec{.kind = DataSpec::Kind::digits}));
  EXPECT_EQ(parse_data_spec("digits:/a:b.png").path, "/a:b.png");
  const DataSpec mnist = parse_data_spec("mnist:../data");
  EXPECT_EQ(mnist.kind, DataSpec::Kind::mnist);
  EXPECT_EQ(mnist.path, "../data");
  const DataSpec synthetic = parse_data_spec("synthetic:3x32x16:10");
  EXPECT_EQ(synthetic.image_shape, (Shape{3, 32, 16}));
  EXPECT_EQ(synthetic.class_count, 10);
  EXPECT_EQ(synthetic.count, 2048);
  EXPECT_EQ(parse_data_spec("synthetic:1x1x1:5000").count, 5000);
  EXPECT_EQ(parse_data_spec("synthetic:3x32x32:10:64").count, 64);
  for (const char* text :
       {"digits", "digits:x", "mnist:d", "cifar:d", "folder:d", "synthetic:3x32x32:10:64"}) {
    EXPECT_EQ(parse_data_spec(text).to_string(), text);
  }
  EXPECT_EQ(data_kinds()[1].syntax, "mnist:DIR");
}

TEST(DataSpec, Refuses) {
  const auto refusal = [](std::string_view text) {
    return error_of([&] { (void)parse_data_spec(text); });
  };
  EXPECT_EQ(refusal("minst:x"),
            "data \"minst:x\": kind must be one of digits[:FILE], mnist:DIR, cifar:DIR, "
            "folder:DIR, synthetic:SHAPE:CLASSES[:COUNT], got \"minst\"\n"
            "help: did you mean \"mnist\"?");
  EXPECT_EQ(refusal(""),
            "data \"\": kind must be one of digits[:FILE], mnist:DIR, cifar:DIR, "
            "folder:DIR, synthetic:SHAPE:CLASSES[:COUNT], got \"\"");
  EXPECT_EQ(refusal("digits:"),
            "data \"digits:\": a file must follow the colon, got nothing\n"
            "help: write digits[:FILE]");
  EXPECT_EQ(refusal("mnist"),
            "data \"mnist\": a folder must follow mnist:, got nothing\nhelp: write mnist:DIR");
  EXPECT_EQ(refusal("mnist:"),
            "data \"mnist:\": a folder must follow mnist:, got nothing\nhelp: write mnist:DIR");
  EXPECT_EQ(refusal("synthetic:3x32x32"),
            "data \"synthetic:3x32x32\": synthetic must be followed by :SHAPE:CLASSES[:COUNT], got "
            "\"3x32x32\"");
  EXPECT_EQ(refusal("synthetic"),
            "data \"synthetic\": synthetic must be followed by :SHAPE:CLASSES[:COUNT], got \"\"");
  for (const char* shape : {"32x32", "3x0x32", "3x-1x32", "3x3x3x3", "3x32x65537", "3x32xa", "x"}) {
    EXPECT_EQ(refusal("synthetic:" + std::string(shape) + ":10"),
              "data \"synthetic:" + std::string(shape) +
                  ":10\": shape must be CxHxW with sizes from 1 to 65536, got \"" + shape + "\"");
  }
  EXPECT_EQ(refusal("synthetic:1x1x1:1"),
            "data \"synthetic:1x1x1:1\": classes must be an integer from 2 to 100000, got \"1\"");
  EXPECT_EQ(refusal("synthetic:1x1x1:10:0"),
            "data \"synthetic:1x1x1:10:0\": count must be an integer from 1 to 100000000, got "
            "\"0\"");
  EXPECT_EQ(refusal("synthetic:65536x65536x65536:10"),
            "data \"synthetic:65536x65536x65536:10\": the training images must fit 34359738368 "
            "bytes, got \"576460752303423488\"");
}

TEST(Synthetic, IsBalancedNeverZeroAndKeyedByTheSeed) {
  const DatasetPair pair = load_data(parse_data_spec("synthetic:3x9x7:10:200"), 1);
  check_dataset(pair.train);
  check_dataset(pair.test);
  EXPECT_EQ(pair.train.description(), "synthetic train: 200 images u8[3,9,7], 10 classes");
  EXPECT_EQ(pair.test.size(), 50);
  EXPECT_EQ(std::ranges::count(pair.train.labels.view().as<std::int32_t>(), 3), 20);
  const auto pixels = pair.train.images.view().as<std::uint8_t>();
  EXPECT_GE(std::ranges::min(pixels), 16);
  EXPECT_LE(std::ranges::max(pixels), 239);
  EXPECT_EQ(load_data(parse_data_spec("synthetic:3x9x7:10:200"), 1).train.images,
            pair.train.images);
  EXPECT_NE(load_data(parse_data_spec("synthetic:3x9x7:10:200"), 2).train.images,
            pair.train.images);
  // A longer set begins with the shorter one.
  const DatasetPair longer = load_data(parse_data_spec("synthetic:3x9x7:10:201"), 1);
  EXPECT_TRUE(std::ranges::equal(longer.train.images.bytes().first(200 * 3 * 9 * 7),
                                 pair.train.images.bytes()));
}

// The nearest class mean of the training images tells the class of the test images.
TEST(Synthetic, ClassesCanBeLearnt) {
  for (const char* spec : {"synthetic:3x32x32:10:400", "synthetic:1x16x16:10:400"}) {
    const DatasetPair pair = load_data(parse_data_spec(spec), 3);
    const auto image = static_cast<std::size_t>(pair.train.image_shape().numel());
    std::vector<std::vector<double>> means(10, std::vector<double>(image));
    const auto train = pair.train.images.view().as<std::uint8_t>();
    for (std::size_t i = 0; i < train.size(); ++i) {
      means[i / image % 10][i % image] += static_cast<double>(train[i]) / 40.0;
    }
    const auto test = pair.test.images.view().as<std::uint8_t>();
    int right = 0;
    for (std::size_t n = 0; n < 100; ++n) {
      std::size_t best = 0;
      double best_distance = std::numeric_limits<double>::infinity();
      for (std::size_t label = 0; label < 10; ++label) {
        double distance = 0;
        for (std::size_t i = 0; i < image; ++i) {
          const double difference = test[n * image + i] - means[label][i];
          distance += difference * difference;
        }
        if (distance < best_distance) {
          best_distance = distance;
          best = label;
        }
      }
      right += best == static_cast<std::size_t>(
                           pair.test.labels.view().get_int(static_cast<std::int64_t>(n)));
    }
    EXPECT_GE(right, 99) << spec;
  }
}

}  // namespace
}  // namespace ingot::data
