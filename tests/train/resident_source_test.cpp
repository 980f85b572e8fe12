// Training from a data set on the device equals training from the loader, bit for bit.
#include "ingot/nn/resident_source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "ingot/data/loader.h"
#include "ingot/data/random_order.h"
#include "ingot/data/synthetic.h"
#include "ingot/engine/compile.h"
#include "ingot/nn/layers.h"
#include "ingot/train/training_graph.h"
#include "tests/support/expect_error.h"

namespace ingot::train {
namespace {

constexpr std::uint64_t kSeed = 9;
constexpr std::int64_t kBatch = 8;

nn::Sequential net() {
  return nn::Sequential(nn::Conv2d(2, 4, 3, {.padding = 1}), nn::BatchNorm2d(4), nn::ReLU(),
                        nn::Flatten(), nn::Dropout(0.25), nn::Linear(4 * 64, 3));
}

/// 44 samples: five whole batches and one of four.
data::Dataset images() { return data::make_synthetic({{2, 8, 8}, 3, 44, 3, 5}).train; }

std::vector<HostTensor> learned(const VariableStore& store) {
  std::vector<HostTensor> values;
  for (const Segment* segment : store.segments()) {
    if (segment->role != VariableRole::dataset) values.push_back(store.read(segment->name));
  }
  return values;
}

std::vector<HostTensor> train_from_loader(const std::string& device, const data::Dataset& dataset,
                                          const data::Normalization& normalization, int epochs) {
  VariableStore store(make_backend(device), kSeed);
  const nn::Sequential model = net();
  Executable whole = compile(build_train_graph(model, {2, 8, 8}, kBatch, {}), store);
  Executable ragged = compile(build_train_graph(model, {2, 8, 8}, 4, {}), store);
  data::LoaderOptions options;
  options.batch_size = kBatch;
  options.seed = kSeed;
  options.workers = 0;
  options.normalization = normalization;
  data::Loader loader(std::shared_ptr<const data::Dataset>(std::shared_ptr<void>(), &dataset),
                      options);
  for (std::int64_t i = 0; i < epochs * loader.batches_per_epoch(); ++i) {
    const data::Batch batch = loader.next();
    Executable& step = batch.size() == kBatch ? whole : ragged;
    step.step({{"input", batch.images.data, static_cast<std::size_t>(batch.images.type.bytes())},
               {"target", batch.labels.data, static_cast<std::size_t>(batch.labels.type.bytes())}});
  }
  return learned(store);
}

/// `chunk` steps a call.
std::vector<HostTensor> train_resident(const std::string& device, const data::Dataset& dataset,
                                       const data::Normalization& normalization, int epochs,
                                       int chunk) {
  VariableStore store(make_backend(device), kSeed);
  const nn::Sequential model = net();
  nn::ResidentSource source{.images = dataset.images.type(),
                            .batch = kBatch,
                            .stride = kBatch,
                            .mean = normalization.mean,
                            .stddev = normalization.stddev};
  Executable whole = compile(build_resident_train_graph(model, source, {}), store);
  source.batch = 4;
  Executable ragged = compile(build_resident_train_graph(model, source, {}), store);
  store.write(nn::kResidentImages, dataset.images);
  store.write(nn::kResidentLabels, dataset.labels);
  std::vector<std::int64_t> order(static_cast<std::size_t>(dataset.size()));
  for (int epoch = 0; epoch < epochs; ++epoch) {
    data::shuffled_order(kSeed, data::DataStream::shuffle, static_cast<std::uint64_t>(epoch),
                         order);
    const std::vector<double> values(order.begin(), order.end());
    store.write(nn::kResidentOrder, HostTensor({DType::i32, {dataset.size()}}, values));
    store.write(nn::kResidentBatch, HostTensor({DType::i32, {}}));
    for (int done = 0; done < 5; done += chunk) whole.run_steps(std::min(chunk, 5 - done), {});
    ragged.run_steps(1, {});
  }
  EXPECT_EQ(whole.steps_run() + ragged.steps_run(), 6 * epochs);
  return learned(store);
}

TEST(ResidentSource, TrainsLikeTheLoaderBitForBit) {
  const data::Dataset dataset = images();
  const data::Normalization measured = data::measure_normalization(dataset);
  for (const char* device : {"reference", "cpu"}) {
    for (const data::Normalization& normalization : {data::Normalization{}, measured}) {
      SCOPED_TRACE(device);
      const auto want = train_from_loader(device, dataset, normalization, 2);
      EXPECT_EQ(train_resident(device, dataset, normalization, 2, 1), want);
      EXPECT_EQ(train_resident(device, dataset, normalization, 2, 3), want);
      EXPECT_EQ(train_resident(device, dataset, normalization, 2, 5), want);
    }
  }
}

TEST(ResidentSource, GivesTheSamplesOfTheOrder) {
  const data::Dataset dataset = images();
  VariableStore store(make_backend("cpu"));
  Graph graph;
  nn::ForwardContext context(graph, true);
  const auto batch = nn::next_batch(context, {.images = dataset.images.type(), .batch = 3});
  graph.fetch("images", batch.images);
  graph.fetch("labels", batch.labels);
  Executable exe = compile(graph, store);
  store.write(nn::kResidentImages, dataset.images);
  store.write(nn::kResidentLabels, dataset.labels);
  std::vector<double> order(44);
  std::iota(order.rbegin(), order.rend(), 0.0);
  store.write(nn::kResidentOrder, HostTensor({DType::i32, {44}}, order));
  exe.run_steps(4, {});  // the last one is batch 3, samples 34, 33, 32
  const HostTensor got = exe.fetched("images");
  const HostTensor labels = exe.fetched("labels");
  for (std::int64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(labels.view().get_int(i), dataset.labels.view().get_int(34 - i));
    for (std::int64_t k = 0; k < 128; ++k) {
      const auto pixel = static_cast<float>(dataset.images.view().get((34 - i) * 128 + k));
      ASSERT_EQ(static_cast<float>(got.view().get(i * 128 + k)), pixel / 255.0f);
    }
  }
  EXPECT_EQ(store.read(nn::kResidentBatch).view().get_int(0), 4);
}

TEST(ResidentSource, ABatchBeyondTheDataChangesNothing) {
  const data::Dataset dataset = images();
  VariableStore store(make_backend("cpu"));
  const nn::Sequential model = net();
  Executable exe = compile(
      build_resident_train_graph(model, {.images = dataset.images.type(), .batch = 20}, {}), store);
  store.write(nn::kResidentImages, dataset.images);
  store.write(nn::kResidentLabels, dataset.labels);
  exe.run_steps(2, {});
  const auto before = learned(store);
  const std::string text = testing_support::error_of([&] { exe.run_steps(1, {}); });
  EXPECT_NE(text.find("indices must be at least 0 and below the axis's size, got 44 at element 4"),
            std::string::npos)
      << text;
  EXPECT_EQ(learned(store), before);
}

TEST(ResidentSource, Errors) {
  using testing_support::expect_user_error;
  Graph graph;
  nn::ForwardContext context(graph, true);
  const TensorType u8{DType::u8, {10, 3, 4, 4}};
  expect_user_error(ErrorCode::invalid_shape,
                    "resident source: images must be u8 or f32 [N,C,H,W], got i32[10,3,4,4]",
                    [&] { nn::next_batch(context, {.images = {DType::i32, {10, 3, 4, 4}}}); });
  expect_user_error(ErrorCode::invalid_argument,
                    "resident source: batch must be from 1 to the 10 samples, got 11",
                    [&] { nn::next_batch(context, {.images = u8, .batch = 11}); });
  expect_user_error(
      ErrorCode::invalid_argument,
      "resident source: mean and stddev must have one number for each of 3 channels, "
      "got 2",
      [&] { nn::next_batch(context, {.images = u8, .batch = 2, .mean = {0.5f, 0.5f}}); });
}

}  // namespace
}  // namespace ingot::train
