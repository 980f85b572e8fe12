#include "ingot/data/dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "ingot/data/random_order.h"
#include "tests/data/support/tiny_dataset.h"
#include "tests/support/expect_error.h"

namespace ingot::data {
namespace {

using testing_support::error_of;

TEST(Dataset, Describes) {
  const Dataset dataset = tiny_dataset(6, {3, 2, 2}, 3);
  EXPECT_EQ(dataset.description(), "tiny train: 6 images u8[3,2,2], 3 classes");
  EXPECT_EQ(dataset.image_shape(), (Shape{3, 2, 2}));
  EXPECT_NO_THROW(check_dataset(dataset));
}

TEST(Dataset, ChecksItself) {
  const Dataset good = tiny_dataset(3, {1, 2, 2}, 3);
  const auto refusal = [&](auto change) {
    Dataset dataset = good;
    change(dataset);
    return error_of([&] { check_dataset(dataset); });
  };
  EXPECT_EQ(refusal([](Dataset& d) { d.images = HostTensor({DType::i32, {3, 1, 2, 2}}); }),
            "dataset \"tiny train\": images must be u8 or f32 of a shape [N,C,H,W] that is not "
            "empty, got i32[3,1,2,2]");
  EXPECT_EQ(refusal([](Dataset& d) { d.images = HostTensor({DType::u8, {3, 2, 2}}); }),
            "dataset \"tiny train\": images must be u8 or f32 of a shape [N,C,H,W] that is not "
            "empty, got u8[3,2,2]");
  EXPECT_EQ(refusal([](Dataset& d) { d.images = HostTensor({DType::u8, {0, 1, 2, 2}}); }),
            "dataset \"tiny train\": images must be u8 or f32 of a shape [N,C,H,W] that is not "
            "empty, got u8[0,1,2,2]");
  EXPECT_EQ(refusal([](Dataset& d) { d.labels = HostTensor({DType::i32, {4}}); }),
            "dataset \"tiny train\": labels must be i32[3], got i32[4]");
  EXPECT_EQ(refusal([](Dataset& d) { d.class_names.pop_back(); }),
            "dataset \"tiny train\": class names must be as many as classes, got 2 names for 3 "
            "classes");
  EXPECT_EQ(refusal([](Dataset& d) { d.labels.view().set_int(1, -1); }),
            "dataset \"tiny train\": labels must be from 0 to 2, got -1 at index 1");
}

TEST(RandomOrder, IsAPermutationThatDependsOnItsKey) {
  std::vector<std::int64_t> order(1000);
  shuffled_order(1, DataStream::shuffle, 0, order);
  std::vector<std::int64_t> sorted = order;
  std::ranges::sort(sorted);
  for (std::int64_t i = 0; i < 1000; ++i) ASSERT_EQ(sorted[static_cast<std::size_t>(i)], i);
  std::set<std::vector<std::int64_t>> orders = {order};
  std::vector<std::int64_t> other(1000);
  shuffled_order(1, DataStream::shuffle, 0, other);
  EXPECT_EQ(other, order);
  for (const auto& [seed, stream, step] :
       {std::tuple{2, DataStream::shuffle, 0}, std::tuple{1, DataStream::split, 0},
        std::tuple{1, DataStream::shuffle, 1}}) {
    shuffled_order(static_cast<std::uint64_t>(seed), stream, static_cast<std::uint64_t>(step),
                   other);
    EXPECT_TRUE(orders.insert(other).second);
  }
}

// Each of the 24 orders of 4 elements is equally likely: chi-squared with 23 degrees of freedom.
TEST(RandomOrder, IsUniform) {
  constexpr int kDraws = 24000;
  std::vector<int> counts(256);
  std::vector<std::int64_t> order(4);
  for (std::uint64_t step = 0; step < kDraws; ++step) {
    shuffled_order(5, DataStream::shuffle, step, order);
    ++counts[static_cast<std::size_t>(order[0] << 6 | order[1] << 4 | order[2] << 2 | order[3])];
  }
  double chi_squared = 0;
  int orders = 0;
  for (const int count : counts) {
    if (count == 0) continue;
    ++orders;
    chi_squared += (count - kDraws / 24.0) * (count - kDraws / 24.0) / (kDraws / 24.0);
  }
  EXPECT_EQ(orders, 24);
  EXPECT_LT(chi_squared, 49.7);  // probability 0.001
}

// The order is part of every run's reproducibility: it must not change by accident.
TEST(RandomOrder, KnownAnswer) {
  std::vector<std::int64_t> order(8);
  shuffled_order(42, DataStream::shuffle, 3, order);
  EXPECT_EQ(order, (std::vector<std::int64_t>{2, 0, 1, 7, 3, 6, 5, 4}));
}

TEST(StratifiedSplit, KeepsSharesAndOrder) {
  const Dataset all = tiny_dataset(100, {1, 1, 1}, 4);
  const DatasetPair pair = stratified_split(all, 20, 7);
  EXPECT_EQ(pair.train.size(), 80);
  EXPECT_EQ(pair.test.size(), 20);
  EXPECT_EQ(pair.test.split, Split::test);
  std::vector<int> test_labels(4);
  std::set<std::int64_t> seen;
  for (const Dataset* half : {&pair.train, &pair.test}) {
    std::int64_t previous = -1;
    for (std::int64_t i = 0; i < half->size(); ++i) {
      const std::int64_t source = half->images.view().get_int(i);  // the pixel is the index
      EXPECT_GT(source, previous);
      previous = source;
      EXPECT_EQ(half->labels.view().get_int(i), source % 4);
      EXPECT_TRUE(seen.insert(source).second);
      if (half == &pair.test) ++test_labels[static_cast<std::size_t>(source % 4)];
    }
  }
  EXPECT_EQ(test_labels, (std::vector<int>{5, 5, 5, 5}));
  EXPECT_EQ(stratified_split(all, 20, 7).test.images, pair.test.images);
  EXPECT_NE(stratified_split(all, 20, 8).test.images, pair.test.images);
}

TEST(StratifiedSplit, RoundsByLargestRemainder) {
  // Classes of 4, 3 and 3; 4 of 10 samples are 1.6, 1.2 and 1.2.
  const DatasetPair pair = stratified_split(tiny_dataset(10, {1, 1, 1}, 3), 4, 0);
  std::vector<int> counts(3);
  for (const double label : pair.test.labels.to_doubles())
    ++counts[static_cast<std::size_t>(label)];
  EXPECT_EQ(counts, (std::vector<int>{2, 1, 1}));
}

TEST(StratifiedSplit, RefusesBadCounts) {
  const Dataset all = tiny_dataset(10, {1, 1, 1}, 2);
  EXPECT_EQ(error_of([&] { (void)stratified_split(all, 0, 0); }),
            "dataset \"tiny\": the test set must have from 1 to 9 samples, got 0");
  EXPECT_EQ(error_of([&] { (void)stratified_split(all, 10, 0); }),
            "dataset \"tiny\": the test set must have from 1 to 9 samples, got 10");
}

TEST(Normalization, MeasuresEachChannel) {
  Dataset dataset = tiny_dataset(2, {2, 1, 2}, 2);
  const std::uint8_t pixels[] = {0, 255, 51, 51, 255, 0, 51, 51};
  std::ranges::copy(pixels, dataset.images.view().as<std::uint8_t>().begin());
  const Normalization expected{{0.5f, 0.2f}, {0.5f, 1.0f}};
  EXPECT_EQ(measure_normalization(dataset), expected);

  HostTensor floats({DType::f32, {2, 2, 1, 2}});
  for (std::int64_t i = 0; i < 8; ++i) floats.view().set(i, pixels[i] / 255.0);
  dataset.images = floats;
  const Normalization measured = measure_normalization(dataset);
  EXPECT_FLOAT_EQ(measured.mean[1], 0.2f);
  EXPECT_EQ(measured.stddev, expected.stddev);
}

}  // namespace
}  // namespace ingot::data
