#include "ingot/data/fill_batch.h"

#include <algorithm>
#include <utility>

namespace ingot::data {
namespace {

constexpr std::size_t kU8Values = 256;

float u8_value(std::size_t pixel) noexcept { return static_cast<float>(pixel) / 255.0f; }

}  // namespace

BatchFiller::BatchFiller(const Dataset& dataset, const Normalization& normalization,
                         Augment augment, std::uint64_t seed)
    : dataset_(&dataset),
      augment_(std::move(augment)),
      seed_(seed),
      channels_(static_cast<std::size_t>(dataset.image_shape()[0])),
      plane_(static_cast<std::size_t>(dataset.image_shape()[1] * dataset.image_shape()[2])),
      mean_(normalization.mean),
      stddev_(normalization.stddev) {
  mean_.resize(channels_, 0.0f);
  stddev_.resize(channels_, 1.0f);
  for (std::size_t channel = 0; channel < channels_; ++channel) {
    for (std::size_t pixel = 0; pixel < kU8Values; ++pixel) {
      table_.push_back((u8_value(pixel) - mean_[channel]) / stddev_[channel]);
    }
  }
}

// The image as f32, before augmentation and normalisation.
void BatchFiller::load(std::size_t index, std::span<float> out) const {
  if (dataset_->images.type().dtype == DType::u8) {
    const auto pixels = dataset_->images.view().as<const std::uint8_t>();
    std::ranges::transform(pixels.subspan(index * out.size(), out.size()), out.begin(), u8_value);
  } else {
    const auto pixels = dataset_->images.view().as<const float>();
    std::ranges::copy(pixels.subspan(index * out.size(), out.size()), out.begin());
  }
}

void BatchFiller::normalize(std::span<float> image) const noexcept {
  for (std::size_t channel = 0; channel < channels_; ++channel) {
    for (float& pixel : image.subspan(channel * plane_, plane_)) {
      pixel = (pixel - mean_[channel]) / stddev_[channel];
    }
  }
}

void BatchFiller::fill(std::span<const std::int64_t> indices, std::int64_t epoch,
                       std::span<float> images, std::span<std::int32_t> labels,
                       std::span<float> scratch) const {
  const Shape shape = dataset_->image_shape();
  const std::size_t image = channels_ * plane_;
  const auto source_labels = dataset_->labels.view().as<const std::int32_t>();
  // Both steps at once by table; the values are those of load and normalize.
  const bool by_table = !augment_ && dataset_->images.type().dtype == DType::u8;
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const auto index = static_cast<std::size_t>(indices[i]);
    const std::span<float> out = images.subspan(i * image, image);
    labels[i] = source_labels[index];
    if (by_table) {
      const std::uint8_t* pixel =
          dataset_->images.view().as<const std::uint8_t>().data() + index * image;
      for (std::size_t channel = 0, k = 0; channel < channels_; ++channel) {
        const float* values = table_.data() + channel * kU8Values;
        for (const std::size_t end = k + plane_; k < end; ++k) out[k] = values[pixel[k]];
      }
      continue;
    }
    load(index, out);
    if (augment_) {
      AugmentSample sample{out,      scratch,  shape[0],
                           shape[1], shape[2], AugmentRandom(seed_, epoch, indices[i])};
      augment_(sample);
    }
    normalize(out);
  }
}

}  // namespace ingot::data
