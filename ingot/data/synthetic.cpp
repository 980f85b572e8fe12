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

constexpr double kColourRange = 40.0;
constexpr double kWaveHeight = 40.0;
constexpr std::uint32_t kNoiseRange = 64;  // noise is uniform in [-32, 31]

double uniform(std::uint64_t seed, std::uint64_t index) {
  return static_cast<double>(philox_uniform(seed, kStream, kPatternStep, index));
}

// The mean image of a class, all values within [48, 208].
void fill_pattern(const SyntheticOptions& options, std::int64_t label, std::span<double> pattern) {
  const Shape& shape = options.image_shape;
  // Waves of up to half the image's side in cycles, a different pair for each class.
  const double angle =
      std::numbers::pi * static_cast<double>(label) / static_cast<double>(options.class_count);
  const double cycles = 1.0 + static_cast<double>(label % 4);
  std::size_t i = 0;
  for (std::int64_t channel = 0; channel < shape[0]; ++channel) {
    const auto draw = static_cast<std::uint64_t>(label * shape[0] + channel) * 2;
    const double colour = kColourRange * (2.0 * uniform(options.seed, draw) - 1.0);
    const double phase = 2.0 * std::numbers::pi * uniform(options.seed, draw + 1);
    for (std::int64_t y = 0; y < shape[1]; ++y) {
      for (std::int64_t x = 0; x < shape[2]; ++x) {
        const double position =
            std::cos(angle) * static_cast<double>(x) / static_cast<double>(shape[2]) +
            std::sin(angle) * static_cast<double>(y) / static_cast<double>(shape[1]);
        const double wave = std::sin(2.0 * std::numbers::pi * cycles * position + phase);
        pattern[i++] = 128.0 + colour + kWaveHeight * wave;
      }
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
  const std::uint64_t step = split == Split::train ? kTrainStep : kTestStep;
  std::vector<double> pattern(image);
  // Class by class, so that one pattern is in memory at a time.
  for (std::int64_t label = 0; label < std::min(options.class_count, count); ++label) {
    fill_pattern(options, label, pattern);
    for (std::int64_t sample = label; sample < count; sample += options.class_count) {
      const std::size_t begin = static_cast<std::size_t>(sample) * image;
      labels[static_cast<std::size_t>(sample)] = static_cast<std::int32_t>(label);
      PhiloxBlock words{};
      for (std::size_t i = 0; i < image; ++i) {
        // Four pixels a word and sixteen a block; an image begins at a block of its own.
        if (i % 16 == 0) {
          const std::uint64_t block =
              static_cast<std::uint64_t>(sample) * ((image + 15) / 16) + i / 16;
          words = philox_block(options.seed, kStream, step, block);
        }
        const std::uint32_t byte = words[i % 16 / 4] >> (8 * (i % 4)) & 0xffu;
        const double noise = static_cast<double>(byte % kNoiseRange) - kNoiseRange / 2.0;
        pixels[begin + i] =
            static_cast<std::uint8_t>(std::clamp(std::lround(pattern[i] + noise), 1L, 255L));
      }
    }
  }
  return dataset;
}

}  // namespace

DatasetPair make_synthetic(const SyntheticOptions& options) {
  return {make_half(options, Split::train), make_half(options, Split::test)};
}

}  // namespace ingot::data
