#include "ingot/data/synthetic.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "ingot/base/philox.h"
#include "ingot/data/random_order.h"

namespace ingot::data {
namespace {

constexpr auto kStream = static_cast<std::uint32_t>(DataStream::synthetic);
// Philox steps of the three uses of the stream.
constexpr std::uint64_t kPatternStep = 0;
constexpr std::uint64_t kTrainStep = 1;
constexpr std::uint64_t kTestStep = 2;

// Within these bounds every pixel lies in [16, 239].
constexpr double kColourRange = 40.0;
constexpr double kWaveHeight = 40.0;
constexpr std::uint32_t kNoiseRange = 64;  // noise is uniform in [-32, 31]

double uniform(std::uint64_t seed, std::uint64_t index) {
  return static_cast<double>(philox_uniform(seed, kStream, kPatternStep, index));
}

// The sines and cosines of offset + i * step.
struct Wave {
  Wave(std::int64_t size, double step, double offset) {
    for (std::int64_t i = 0; i < size; ++i) {
      sine.push_back(std::sin(offset + static_cast<double>(i) * step));
      cosine.push_back(std::cos(offset + static_cast<double>(i) * step));
    }
  }
  std::vector<double> sine;
  std::vector<double> cosine;
};

// The mean image of a class, less half the noise's range.
void fill_pattern(const SyntheticOptions& options, std::int64_t label,
                  std::span<std::uint8_t> pattern) {
  const Shape& shape = options.image_shape;
  const double angle =
      std::numbers::pi * static_cast<double>(label) / static_cast<double>(options.class_count);
  const double turns = 2.0 * std::numbers::pi * (1.0 + static_cast<double>(label % 4));
  const Wave down(shape[1], turns * std::sin(angle) / static_cast<double>(shape[1]), 0.0);
  auto pixel = pattern.begin();
  for (std::int64_t channel = 0; channel < shape[0]; ++channel) {
    const auto draw = static_cast<std::uint64_t>(label * shape[0] + channel) * 2;
    const double colour = 128.0 + kColourRange * (2.0 * uniform(options.seed, draw) - 1.0);
    const double phase = 2.0 * std::numbers::pi * uniform(options.seed, draw + 1);
    const Wave across(shape[2], turns * std::cos(angle) / static_cast<double>(shape[2]), phase);
    for (std::size_t y = 0; y < down.sine.size(); ++y) {
      for (std::size_t x = 0; x < across.sine.size(); ++x) {
        const double wave = across.sine[x] * down.cosine[y] + across.cosine[x] * down.sine[y];
        *pixel++ = static_cast<std::uint8_t>(colour + kWaveHeight * wave - kNoiseRange / 2.0 + 0.5);
      }
    }
  }
}

// Add noise: four pixels take a word and sixteen a block; an image begins at a block of its own.
void fill_image(std::uint64_t seed, std::uint64_t step, std::uint64_t sample,
                std::span<const std::uint8_t> pattern, std::span<std::uint8_t> image) {
  constexpr std::size_t kBlock = 16;
  std::uint64_t block = sample * ((image.size() + kBlock - 1) / kBlock);
  for (std::size_t begin = 0; begin < image.size(); begin += kBlock, ++block) {
    const PhiloxBlock words = philox_block(seed, kStream, step, block);
    const std::size_t count = std::min(kBlock, image.size() - begin);
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint32_t noise = (words[i / 4] >> (8 * (i % 4))) % kNoiseRange;
      image[begin + i] = static_cast<std::uint8_t>(pattern[begin + i] + noise);
    }
  }
}

Dataset make_half(const SyntheticOptions& options, Split split) {
  const Shape& shape = options.image_shape;
  const std::int64_t count = split == Split::train ? options.train_count : options.test_count;
  Dataset dataset;
  dataset.name = "synthetic";
  dataset.split = split;
  dataset.images = HostTensor({DType::u8, {count, shape[0], shape[1], shape[2]}});
  dataset.labels = HostTensor({DType::i32, {count}});
  dataset.class_count = options.class_count;
  dataset.class_names = numbered_class_names(options.class_count);
  const auto pixels = dataset.images.view().as<std::uint8_t>();
  const auto labels = dataset.labels.view().as<std::int32_t>();
  const auto image = static_cast<std::size_t>(shape.numel());
  std::vector<std::uint8_t> pattern(image);
  // Class by class, so that one pattern is in memory at a time.
  for (std::int64_t label = 0; label < std::min(options.class_count, count); ++label) {
    fill_pattern(options, label, pattern);
    for (std::int64_t sample = label; sample < count; sample += options.class_count) {
      const auto index = static_cast<std::size_t>(sample);
      labels[index] = static_cast<std::int32_t>(label);
      fill_image(options.seed, split == Split::train ? kTrainStep : kTestStep, index, pattern,
                 pixels.subspan(index * image, image));
    }
  }
  return dataset;
}

}  // namespace

DatasetPair make_synthetic(const SyntheticOptions& options) {
  return {make_half(options, Split::train), make_half(options, Split::test)};
}

}  // namespace ingot::data
