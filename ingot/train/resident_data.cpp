#include "ingot/train/resident_data.h"

#include <algorithm>

#include "ingot/data/augment.h"
#include "ingot/data/random_order.h"

namespace ingot::train {

bool fits_on_device(const data::Dataset& dataset, const Device& device) {
  const auto bytes =
      static_cast<std::size_t>(dataset.images.type().bytes() + dataset.labels.type().bytes());
  return bytes <= device.memory_info().free_bytes / 4;
}

ResidentData::ResidentData(const data::Dataset& dataset, const TrainerOptions& options)
    : dataset_(dataset),
      batch_size_(std::min(options.batch_size, dataset.size())),
      seed_(options.seed),
      augment_(options.augment),
      normalization_(options.normalization),
      order_(static_cast<std::size_t>(dataset.size())) {}

std::int64_t ResidentData::batches_per_epoch() const noexcept {
  return (dataset_.size() + batch_size_ - 1) / batch_size_;
}

std::int64_t ResidentData::size_of_batch(std::int64_t batch) const noexcept {
  return std::min(batch_size_, dataset_.size() - batch * batch_size_);
}

nn::ResidentSource ResidentData::source(std::int64_t batch_size) const {
  return {.images = dataset_.images.type(),
          .batch = batch_size,
          .stride = batch_size_,
          .mean = normalization_.mean,
          .stddev = normalization_.stddev,
          .moves = augment_ != AugmentOptions{}};
}

void ResidentData::upload(VariableStore& store) const {
  store.write(nn::kResidentImages, dataset_.images);
  store.write(nn::kResidentLabels, dataset_.labels);
}

void ResidentData::begin_epoch(VariableStore& store, std::int64_t epoch, std::int64_t first_batch) {
  data::shuffled_order(seed_, data::DataStream::shuffle, static_cast<std::uint64_t>(epoch), order_);
  HostTensor order({DType::i32, {dataset_.size()}});
  std::ranges::transform(order_, order.view().as<std::int32_t>().begin(),
                         [](std::int64_t i) { return static_cast<std::int32_t>(i); });
  store.write(nn::kResidentOrder, order);
  HostTensor batch({DType::i32, {}});
  batch.view().set_int(0, first_batch);
  store.write(nn::kResidentBatch, batch);
  if (augment_ == AugmentOptions{}) return;
  HostTensor moves({DType::i32, {dataset_.size(), 3}});
  auto* row = moves.view().as<std::int32_t>().data();
  for (std::int64_t i = 0; i < dataset_.size(); ++i, row += 3) {
    data::AugmentRandom random(seed_, epoch, i);
    const data::Move move = data::draw_move(random, augment_.shift, augment_.flip);
    row[0] = static_cast<std::int32_t>(move.down);
    row[1] = static_cast<std::int32_t>(move.right);
    row[2] = move.mirror ? 1 : 0;
  }
  store.write(nn::kResidentMoves, moves);
}

}  // namespace ingot::train
