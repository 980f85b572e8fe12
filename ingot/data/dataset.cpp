#include "ingot/data/dataset.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ingot/base/error.h"
#include "ingot/data/random_order.h"

namespace ingot::data {
namespace {

// How many of each class go to the test set: the share rounded down, then one more for the classes
// that lost most (the lower class at a tie) until the sum is right.
std::vector<std::int64_t> test_quota(std::span<const std::int64_t> class_sizes, std::int64_t total,
                                     std::int64_t test_count) {
  std::vector<std::int64_t> quota;
  std::vector<std::pair<std::int64_t, std::size_t>> lost;  // (minus remainder, class)
  std::int64_t given = 0;
  for (std::size_t label = 0; label < class_sizes.size(); ++label) {
    const std::int64_t share = class_sizes[label] * test_count;
    quota.push_back(share / total);
    given += quota.back();
    lost.emplace_back(-(share % total), label);
  }
  std::sort(lost.begin(), lost.end());
  for (std::size_t i = 0; given < test_count; ++i, ++given) ++quota[lost[i].second];
  return quota;
}

struct Moments {
  double sum = 0;
  double sum_of_squares = 0;
};

// Sums of one image's plane; integers are exact, and a plane is far too small for u64 to overflow.
Moments plane_moments(std::span<const std::uint8_t> pixels) {
  std::uint64_t sum = 0;
  std::uint64_t squares = 0;
  for (const std::uint32_t pixel : pixels) {
    sum += pixel;
    squares += pixel * pixel;
  }
  return {static_cast<double>(sum) / 255.0, static_cast<double>(squares) / (255.0 * 255.0)};
}

Moments plane_moments(std::span<const float> pixels) {
  Moments moments;
  for (const double pixel : pixels) {
    moments.sum += pixel;
    moments.sum_of_squares += pixel * pixel;
  }
  return moments;
}

template <typename Pixel>
std::vector<Moments> channel_moments(const Dataset& dataset) {
  const Shape shape = dataset.image_shape();
  const auto plane = static_cast<std::size_t>(shape[1] * shape[2]);
  const auto pixels = dataset.images.view().as<const Pixel>();
  std::vector<Moments> moments(static_cast<std::size_t>(shape[0]));
  for (std::size_t offset = 0, channel = 0; offset < pixels.size(); offset += plane, ++channel) {
    const Moments added = plane_moments(pixels.subspan(offset, plane));
    Moments& total = moments[channel % moments.size()];
    total.sum += added.sum;
    total.sum_of_squares += added.sum_of_squares;
  }
  return moments;
}

}  // namespace

const char* split_name(Split split) noexcept { return split == Split::train ? "train" : "test"; }

Shape Dataset::image_shape() const {
  const Shape& shape = images.type().shape;
  return {shape[1], shape[2], shape[3]};
}

std::string Dataset::description() const {
  return fmt::format("{} {}: {} images {}, {} classes", name, split_name(split), size(),
                     TensorType{images.type().dtype, image_shape()}.to_string(), class_count);
}

void check_dataset(const Dataset& dataset) {
  const auto refuse = [&](const std::string& text) {
    return user_error(ErrorCode::invalid_data, fmt::format("dataset \"{} {}\": {}", dataset.name,
                                                           split_name(dataset.split), text));
  };
  const TensorType& images = dataset.images.type();
  const TensorType& labels = dataset.labels.type();
  if ((images.dtype != DType::u8 && images.dtype != DType::f32) || images.shape.rank() != 4 ||
      images.numel() == 0) {
    throw refuse("images must be u8 or f32 of a shape [N,C,H,W] that is not empty, got " +
                 images.to_string());
  }
  if (const TensorType needed{DType::i32, {images.shape[0]}}; labels != needed) {
    throw refuse(fmt::format("labels must be {}, got {}", needed.to_string(), labels.to_string()));
  }
  if (static_cast<std::int64_t>(dataset.class_names.size()) != dataset.class_count) {
    throw refuse(fmt::format("class names must be as many as classes, got {} names for {} classes",
                             dataset.class_names.size(), dataset.class_count));
  }
  const auto values = dataset.labels.view().as<const std::int32_t>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] < 0 || values[i] >= dataset.class_count) {
      throw refuse(fmt::format("labels must be from 0 to {}, got {} at index {}",
                               dataset.class_count - 1, values[i], i));
    }
  }
}

std::vector<std::string> numbered_class_names(std::int64_t class_count) {
  std::vector<std::string> names;
  for (std::int64_t label = 0; label < class_count; ++label) names.push_back(std::to_string(label));
  return names;
}

Dataset subset(const Dataset& dataset, std::span<const std::int64_t> indices, Split split) {
  Shape shape = dataset.images.type().shape;
  shape[0] = static_cast<std::int64_t>(indices.size());
  Dataset result;
  result.name = dataset.name;
  result.split = split;
  result.images = HostTensor({dataset.images.type().dtype, shape});
  result.labels = HostTensor({DType::i32, {shape[0]}});
  result.class_count = dataset.class_count;
  result.class_names = dataset.class_names;
  const std::size_t image_bytes =
      dataset.images.bytes().size() / static_cast<std::size_t>(dataset.size());
  const auto from = dataset.labels.view().as<const std::int32_t>();
  const auto to = result.labels.view().as<std::int32_t>();
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const auto index = static_cast<std::size_t>(indices[i]);
    std::memcpy(result.images.bytes().data() + i * image_bytes,
                dataset.images.bytes().data() + index * image_bytes, image_bytes);
    to[i] = from[index];
  }
  return result;
}

DatasetPair stratified_split(const Dataset& all, std::int64_t test_count, std::uint64_t seed) {
  check_dataset(all);
  if (test_count <= 0 || test_count >= all.size()) {
    throw user_error(ErrorCode::invalid_argument,
                     fmt::format("dataset \"{}\": the test set must have from 1 to {} samples, got "
                                 "{}",
                                 all.name, all.size() - 1, test_count));
  }
  std::vector<std::vector<std::int64_t>> members(static_cast<std::size_t>(all.class_count));
  const auto labels = all.labels.view().as<const std::int32_t>();
  for (std::size_t i = 0; i < labels.size(); ++i) {
    members[static_cast<std::size_t>(labels[i])].push_back(static_cast<std::int64_t>(i));
  }
  std::vector<std::int64_t> sizes;
  for (const auto& indices : members) sizes.push_back(static_cast<std::int64_t>(indices.size()));
  const std::vector<std::int64_t> quota = test_quota(sizes, all.size(), test_count);

  std::vector<std::int64_t> train;
  std::vector<std::int64_t> test;
  std::vector<std::int64_t> order;
  for (std::size_t label = 0; label < members.size(); ++label) {
    order.resize(members[label].size());
    shuffled_order(seed, DataStream::split, label, order);
    for (std::size_t i = 0; i < order.size(); ++i) {
      const bool to_test = static_cast<std::int64_t>(i) < quota[label];
      (to_test ? test : train).push_back(members[label][static_cast<std::size_t>(order[i])]);
    }
  }
  std::sort(train.begin(), train.end());
  std::sort(test.begin(), test.end());
  return {subset(all, train, Split::train), subset(all, test, Split::test)};
}

Normalization measure_normalization(const Dataset& dataset) {
  check_dataset(dataset);
  const std::vector<Moments> moments = dataset.images.type().dtype == DType::u8
                                           ? channel_moments<std::uint8_t>(dataset)
                                           : channel_moments<float>(dataset);
  const double count = static_cast<double>(dataset.images.type().numel()) /
                       static_cast<double>(dataset.image_shape()[0]);
  Normalization result;
  for (const Moments& total : moments) {
    const double mean = total.sum / count;
    const double variance = total.sum_of_squares / count - mean * mean;
    // Cancellation leaves a constant channel a variance of rounding errors instead of zero.
    const bool constant = variance <= 1e-12 * std::max(1.0, mean * mean);
    result.mean.push_back(static_cast<float>(mean));
    result.stddev.push_back(constant ? 1.0f : static_cast<float>(std::sqrt(variance)));
  }
  return result;
}

}  // namespace ingot::data
