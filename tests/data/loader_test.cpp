#include "ingot/data/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <stdexcept>

#include "tests/data/support/tiny_dataset.h"
#include "tests/support/expect_error.h"

namespace ingot::data {
namespace {

using testing_support::error_of;

std::shared_ptr<const Dataset> tiny(std::int64_t count, const Shape& image = {1, 2, 2}) {
  return std::make_shared<const Dataset>(tiny_dataset(count, image, 2));
}

// A batch's content, copied out of its slot.
struct Copied {
  LoaderPosition position;
  bool last = false;
  std::vector<float> images;
  std::vector<std::int32_t> labels;
  friend bool operator==(const Copied&, const Copied&) = default;
};

Copied copy(const Batch& batch) {
  const auto images = batch.images.as<float>();
  const auto labels = batch.labels.as<std::int32_t>();
  return {
      batch.position, batch.last, {images.begin(), images.end()}, {labels.begin(), labels.end()}};
}

std::vector<Copied> take(Loader& loader, int count) {
  std::vector<Copied> batches;
  for (int i = 0; i < count; ++i) batches.push_back(copy(loader.next()));
  return batches;
}

// tiny_dataset's images carry the sample's number in their first pixel.
std::vector<int> samples_of(const Copied& batch) {
  std::vector<int> samples;
  const std::size_t image = batch.images.size() / batch.labels.size();
  for (std::size_t i = 0; i < batch.labels.size(); ++i) {
    samples.push_back(static_cast<int>(std::lround(batch.images[i * image] * 255.0f)));
  }
  return samples;
}

TEST(Loader, GivesNormalisedBatchesInOrder) {
  LoaderOptions options;
  options.batch_size = 2;
  options.shuffle = false;
  options.normalization = {{0.5f}, {0.25f}};
  Loader loader(tiny(3), options);
  EXPECT_EQ(loader.batches_per_epoch(), 2);
  EXPECT_EQ(loader.size_of_batch(0), 2);
  EXPECT_EQ(loader.size_of_batch(1), 1);
  const Batch first = loader.next();
  EXPECT_EQ(first.images.type.to_string(), "f32[2,1,2,2]");
  EXPECT_EQ(first.labels.type.to_string(), "i32[2]");
  EXPECT_FALSE(first.last);
  const Copied batch = copy(first);
  EXPECT_EQ(batch.labels, (std::vector<std::int32_t>{0, 1}));
  EXPECT_EQ(batch.images[5], (32.0f / 255.0f - 0.5f) / 0.25f);
  const Batch ragged = loader.next();
  EXPECT_EQ(ragged.size(), 1);
  EXPECT_EQ(ragged.images.type.to_string(), "f32[1,1,2,2]");
  EXPECT_TRUE(ragged.last);
  EXPECT_EQ(ragged.position, (LoaderPosition{0, 1}));
  EXPECT_EQ(loader.position(), (LoaderPosition{1, 0}));
  EXPECT_EQ(loader.next().position, (LoaderPosition{1, 0}));
}

TEST(Loader, DropsTheLastBatchWhenAsked) {
  LoaderOptions options;
  options.batch_size = 4;
  options.drop_last = true;
  Loader loader(tiny(11), options);
  EXPECT_EQ(loader.batches_per_epoch(), 2);
  for (const Copied& batch : take(loader, 6)) EXPECT_EQ(batch.labels.size(), 4u);
  EXPECT_EQ(loader.position(), (LoaderPosition{3, 0}));
}

TEST(Loader, ABatchLargerThanTheDataSetIsTheWholeOfIt) {
  LoaderOptions options;
  options.batch_size = 100;
  Loader loader(tiny(7), options);
  const Batch batch = loader.next();
  EXPECT_EQ(batch.size(), 7);
  EXPECT_TRUE(batch.last);
}

TEST(Loader, EveryEpochHasEverySampleOnceInAnotherOrder) {
  LoaderOptions options;
  options.batch_size = 8;
  Loader loader(tiny(50), options);
  std::set<std::vector<int>> orders;
  for (int epoch = 0; epoch < 5; ++epoch) {
    std::vector<int> samples;
    for (const Copied& batch : take(loader, 7)) {
      EXPECT_EQ(batch.position.epoch, epoch);
      std::ranges::copy(samples_of(batch), std::back_inserter(samples));
    }
    EXPECT_TRUE(orders.insert(samples).second);
    std::ranges::sort(samples);
    for (int i = 0; i < 50; ++i) EXPECT_EQ(samples[static_cast<std::size_t>(i)], i);
  }
}

TEST(Loader, ContentDependsOnTheSeedAndNotOnThreads) {
  const auto dataset = tiny(37, {3, 5, 4});
  const auto stream = [&](std::uint64_t seed, int workers, int prefetch, int hold) {
    LoaderOptions options;
    options.batch_size = 8;
    options.seed = seed;
    options.workers = workers;
    options.prefetch = prefetch;
    options.hold = hold;
    options.augment = random_crop_flip(2, true);
    Loader loader(dataset, options);
    return take(loader, 60);
  };
  const std::vector<Copied> reference = stream(1, 0, 1, 1);
  EXPECT_EQ(stream(1, 1, 1, 1), reference);
  EXPECT_EQ(stream(1, 1, 3, 1), reference);
  EXPECT_EQ(stream(1, 2, 5, 2), reference);
  EXPECT_EQ(stream(1, 4, 32, 1), reference);  // several epochs ahead
  EXPECT_NE(stream(2, 1, 3, 1), reference);
}

TEST(Loader, SeekContinuesExactly) {
  const auto dataset = tiny(20, {1, 4, 4});
  for (const int workers : {0, 2}) {
    LoaderOptions options;
    options.batch_size = 6;
    options.workers = workers;
    options.augment = random_crop_flip(1, true);
    Loader whole(dataset, options);
    const std::vector<Copied> reference = take(whole, 16);
    Loader moved(dataset, options);
    for (int begin = 0; begin < 12; ++begin) {
      // From a fresh Loader at first, then away from wherever the last round ended.
      moved.seek({begin / 4, begin % 4});
      EXPECT_EQ(moved.position(), (LoaderPosition{begin / 4, begin % 4}));
      const std::vector<Copied> rest = take(moved, 4);
      EXPECT_TRUE(std::equal(rest.begin(), rest.end(), reference.begin() + begin)) << begin;
    }
  }
}

TEST(Loader, BatchesLieInFixedAlignedSlotsAndStayValid) {
  LoaderOptions options;
  options.batch_size = 4;
  options.prefetch = 2;
  options.hold = 3;
  Loader loader(tiny(10, {1, 3, 3}), options);
  ASSERT_EQ(loader.slot_count(), 5);
  std::vector<std::pair<Batch, Copied>> held;
  for (int i = 0; i < 40; ++i) {
    const Batch batch = loader.next();
    EXPECT_EQ(batch.slot, i % 5);
    const Batch slot = loader.slot(batch.slot);
    EXPECT_EQ(slot.size(), 4);
    EXPECT_EQ(slot.images.data, batch.images.data);
    EXPECT_EQ(slot.labels.data, batch.labels.data);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(batch.images.data) % 64, 0u);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(batch.labels.data) % 64, 0u);
    held.emplace_back(batch, copy(batch));
    if (held.size() > 3) held.erase(held.begin());
    for (const auto& [view, content] : held) EXPECT_EQ(copy(view), content);
  }
}

// Without augmentation u8 images go through a table; the result is the same to the bit.
TEST(Loader, TheTableEqualsTheFormula) {
  const auto dataset = tiny(9, {3, 7, 5});
  LoaderOptions options;
  options.normalization = {{0.1f, 0.2f, 0.3f}, {0.3f, 0.5f, 0.7f}};
  Loader by_table(dataset, options);
  options.augment = [](AugmentSample&) {};
  Loader by_formula(dataset, options);
  EXPECT_EQ(take(by_table, 3), take(by_formula, 3));
}

TEST(Loader, TakesF32ImagesAsTheyAre) {
  Dataset dataset = tiny_dataset(2, {1, 1, 2}, 2);
  const std::vector<double> values = {-3.5, 0.25, 8.0, 2.0};
  dataset.images = HostTensor({DType::f32, {2, 1, 1, 2}}, values);
  LoaderOptions options;
  options.shuffle = false;
  options.normalization = {{0.5f}, {2.0f}};
  Loader loader(std::make_shared<const Dataset>(dataset), options);
  EXPECT_EQ(copy(loader.next()).images, (std::vector<float>{-2.0f, -0.125f, 3.75f, 0.75f}));
}

TEST(Loader, ErrorsOfTheAugmentationComeOutAtTheirBatch) {
  LoaderOptions options;
  options.batch_size = 2;
  options.shuffle = false;
  options.augment = [](AugmentSample& sample) {
    if (sample.pixels[0] == 7.0f / 255.0f) throw std::runtime_error("sample 7");
  };
  for (const int workers : {0, 1, 3}) {
    options.workers = workers;
    Loader loader(tiny(10), options);
    take(loader, 3);
    for (int i = 0; i < 2; ++i) {
      try {
        loader.next();
        ADD_FAILURE() << "no error";
      } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "sample 7");
      }
      EXPECT_EQ(loader.position(), (LoaderPosition{0, 3}));
    }
    loader.seek({0, 4});
    EXPECT_EQ(samples_of(take(loader, 1)[0]), (std::vector<int>{8, 9}));
  }
}

TEST(Loader, EndsCleanlyAtAnyMoment) {
  const auto dataset = tiny(64, {1, 16, 16});
  for (int i = 0; i < 60; ++i) {
    LoaderOptions options;
    options.batch_size = 4;
    options.workers = 1 + i % 4;
    options.prefetch = 1 + i % 5;
    options.augment = random_crop_flip(2, true);
    Loader loader(dataset, options);
    take(loader, i % 7);
    if (i % 3 == 0) loader.seek({1, 2});
  }
}

TEST(Loader, RefusesImpossibleOptions) {
  const auto dataset = tiny(10, {3, 2, 2});
  const auto refusal = [&](auto change) {
    LoaderOptions options;
    change(options);
    return error_of([&] { const Loader loader(dataset, options); });
  };
  EXPECT_EQ(refusal([](LoaderOptions& o) { o.batch_size = 0; }),
            "loader \"tiny train\": batch size must be from 1 to 2147483648, got 0");
  EXPECT_EQ(refusal([](LoaderOptions& o) {
              o.batch_size = 11;
              o.drop_last = true;
            }),
            "loader \"tiny train\": batch size must be from 1 to 10, got 11");
  EXPECT_EQ(refusal([](LoaderOptions& o) { o.workers = -1; }),
            "loader \"tiny train\": workers must be from 0 to 256, got -1");
  EXPECT_EQ(refusal([](LoaderOptions& o) { o.prefetch = 0; }),
            "loader \"tiny train\": prefetch must be from 1 to 1024, got 0");
  EXPECT_EQ(refusal([](LoaderOptions& o) { o.hold = 0; }),
            "loader \"tiny train\": hold must be from 1 to 1024, got 0");
  EXPECT_EQ(refusal([](LoaderOptions& o) { o.normalization = {{0.5f}, {0.5f}}; }),
            "loader \"tiny train\": normalization must have a mean and a stddev for each of 3 "
            "channels, got 1 and 1");
  EXPECT_EQ(
      refusal([](LoaderOptions& o) { o.normalization = {{0, 0, 0}, {1, 0, 1}}; }),
      "loader \"tiny train\": normalization must be finite with a positive stddev, got mean 0 "
      "and stddev 0");
  EXPECT_EQ(error_of([] { const Loader loader(nullptr, {}); }),
            "loader: a data set must be given, got none");
  Loader loader(dataset, {});
  EXPECT_EQ(error_of([&] { loader.seek({0, 1}); }),
            "loader \"tiny train\": position must have a batch from 0 to 0 of an epoch from 0, got "
            "batch 1 of epoch 0");
  EXPECT_EQ(error_of([&] { loader.seek({-1, 0}); }),
            "loader \"tiny train\": position must have a batch from 0 to 0 of an epoch from 0, got "
            "batch 0 of epoch -1");
}

}  // namespace
}  // namespace ingot::data
