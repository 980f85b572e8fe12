#include "ingot/train/trainer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "ingot/data/synthetic.h"
#include "ingot/io/checkpoint.h"
#include "ingot/nn/layers.h"
#include "ingot/nn/models/models.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace ingot::train {
namespace {

using testing_support::expect_user_error;
using testing_support::TempDir;

data::DatasetPair images(std::int64_t count = 64, std::int64_t test_count = 20) {
  return data::make_synthetic({{2, 8, 8}, 3, count, test_count, 5});
}

struct NetOptions {
  double dropout = 0.25;
  double momentum = 0.1;
};

nn::Sequential net(const NetOptions& options = {}) {
  return nn::Sequential(
      nn::Conv2d(2, 4, 3, {.padding = 1}), nn::BatchNorm2d(4, {.momentum = options.momentum}),
      nn::ReLU(), nn::MaxPool2d(2), nn::Flatten(), nn::Dropout(options.dropout), nn::Linear(64, 3));
}

TrainerOptions base_options() {
  TrainerOptions options;
  options.device = "reference";
  options.batch_size = 16;
  options.learning_rate = 0.05;
  options.seed = 3;
  options.loader_workers = 0;
  return options;
}

using Variables = std::map<std::string, HostTensor>;

Variables variables_of(Trainer& trainer) {
  Variables all;
  for (const Segment* segment : trainer.variables().segments()) {
    if (segment->role == VariableRole::dataset) continue;
    all.emplace(segment->name, trainer.variables().read(segment->name));
  }
  return all;
}

/// The variables after `epochs` epochs from the start.
Variables train(const TrainerOptions& options, const data::DatasetPair& data,
                const NetOptions& net_options = {}) {
  Trainer trainer(net(net_options), options);
  trainer.fit(data.train);
  return variables_of(trainer);
}

TEST(Trainer, LearnsSyntheticImages) {
  TrainerOptions options = base_options();
  options.epochs = 6;
  Trainer trainer(net({.dropout = 0.0}), options);
  std::vector<EpochReport> epochs;
  const data::DatasetPair data = images(96, 30);
  const FitReport report =
      trainer.fit(data, {.on_epoch = [&](const EpochReport& e) { epochs.push_back(e); }});
  ASSERT_EQ(epochs.size(), 6u);
  EXPECT_EQ(report.steps, 36);
  EXPECT_EQ(trainer.step(), 36);
  EXPECT_EQ(trainer.variables().read("step").view().get_int(0), 36);
  EXPECT_LT(epochs.back().train.loss, 0.5 * epochs.front().train.loss);
  EXPECT_GE(epochs.back().test.accuracy, 0.9);
  EXPECT_EQ(epochs.back().train.samples, 96);
  EXPECT_EQ(epochs.back().test.samples, 30);
  EXPECT_GT(report.steps_per_second, 0);
  EXPECT_GT(report.time_to_first_step_seconds, 0);
}

// 22 = 16 + 6 samples: one by one they give the same sums.
TEST(Trainer, RaggedLastBatchCountsEverySample) {
  const data::DatasetPair data = images(22, 21);
  TrainerOptions options = base_options();
  options.epochs = 2;
  Trainer trainer(net(), options);
  const FitReport report = trainer.fit(data);
  EXPECT_EQ(report.steps, 4);
  EXPECT_EQ(report.epochs[0].train.samples, 22);
  const Metrics whole = trainer.evaluate(data.test);
  EXPECT_EQ(whole.samples, 21);
  Metrics sum;
  std::int64_t correct = 0;
  const Predictions predictions = trainer.predict(data.test.images);
  const auto labels = data.test.labels.view().as<std::int32_t>();
  for (std::int64_t i = 0; i < 21; ++i) {
    const std::int64_t index[] = {i};
    const Metrics one = trainer.evaluate(data::subset(data.test, index, data::Split::test));
    sum.loss += one.loss / 21;
    sum.accuracy += one.accuracy / 21;
    const auto at = static_cast<std::size_t>(i);
    correct += predictions.classes[at] == labels[at] ? 1 : 0;
  }
  EXPECT_NEAR(whole.loss, sum.loss, 1e-5);
  EXPECT_NEAR(whole.accuracy, sum.accuracy, 1e-12);
  EXPECT_NEAR(whole.accuracy * 21, static_cast<double>(correct), 1e-9);
  EXPECT_EQ(predictions.logits.type(), (TensorType{DType::f32, {21, 3}}));
}

TEST(Trainer, StopsBetweenStepsAndContinues) {
  const data::DatasetPair data = images();
  TrainerOptions options = base_options();
  options.epochs = 2;
  std::atomic<bool> stop = false;
  Trainer trainer(net(), options);
  FitCallbacks callbacks;
  callbacks.stop = &stop;
  callbacks.interval_seconds = 0;
  callbacks.on_interval = [&](const Progress& p) {
    EXPECT_EQ(p.batches, 4);
    EXPECT_EQ(p.train.samples, 16 * p.batch);
    if (p.step == 3) stop = true;
  };
  EXPECT_TRUE(trainer.fit(data.train, callbacks).stopped);
  EXPECT_EQ(trainer.step(), 3);
  stop = false;
  const FitReport rest = trainer.fit(data.train, callbacks);
  EXPECT_FALSE(rest.stopped);
  EXPECT_EQ(rest.steps, 5);
  EXPECT_EQ(rest.epochs[0].train.samples, 64);
  EXPECT_EQ(variables_of(trainer), train(options, data));
}

TEST(Trainer, SameSeedSameWeights) {
  const data::DatasetPair data = images();
  EXPECT_EQ(train(base_options(), data), train(base_options(), data));
}

/// Changing only this must change a weight by step 2.
struct Knob {
  const char* name;
  void (*change)(TrainerOptions&, NetOptions&);
};

optim::SGD& sgd(TrainerOptions& o) { return std::get<optim::SGD>(o.optimizer); }

const Knob kKnobs[] = {
    {"learning_rate", [](TrainerOptions& o, NetOptions&) { o.learning_rate = 0.06; }},
    {"momentum", [](TrainerOptions& o, NetOptions&) { sgd(o).momentum = 0.8; }},
    {"nesterov", [](TrainerOptions& o, NetOptions&) { sgd(o).nesterov = true; }},
    {"weight_decay", [](TrainerOptions& o, NetOptions&) { sgd(o).weight_decay = 1e-3; }},
    {"dampening", [](TrainerOptions& o, NetOptions&) { sgd(o).dampening = 0.5; }},
    {"cosine",
     [](TrainerOptions& o, NetOptions&) { o.schedule.kind = optim::Schedule::Kind::cosine; }},
    {"one-cycle",
     [](TrainerOptions& o, NetOptions&) { o.schedule.kind = optim::Schedule::Kind::one_cycle; }},
    {"warm-up", [](TrainerOptions& o, NetOptions&) { o.schedule.warmup_epochs = 1; }},
    {"clip_norm", [](TrainerOptions& o, NetOptions&) { o.clip_norm = 0.1; }},
    {"label_smoothing", [](TrainerOptions& o, NetOptions&) { o.label_smoothing = 0.1; }},
    {"seed", [](TrainerOptions& o, NetOptions&) { o.seed = 4; }},
    {"shift", [](TrainerOptions& o, NetOptions&) { o.augment.shift = 1; }},
    {"flip", [](TrainerOptions& o, NetOptions&) { o.augment.flip = true; }},
    {"normalization",
     [](TrainerOptions& o, NetOptions&) { o.normalization = {{0.5f, 0.5f}, {0.3f, 0.3f}}; }},
    {"batch_size", [](TrainerOptions& o, NetOptions&) { o.batch_size = 8; }},
    {"adamw", [](TrainerOptions& o, NetOptions&) { o.optimizer = optim::AdamW{}; }},
    {"dropout", [](TrainerOptions&, NetOptions& n) { n.dropout = 0.5; }},
};

TEST(Trainer, EveryKnobChangesTheWeights) {
  const data::DatasetPair data = images(32);
  const HostTensor before = train(base_options(), data).at("6.weight");
  for (const Knob& knob : kKnobs) {
    TrainerOptions options = base_options();
    NetOptions net_options;
    knob.change(options, net_options);
    const HostTensor after = train(options, data, net_options).at("6.weight");
    EXPECT_NE(after, before) << knob.name;
  }
}

TEST(Trainer, EveryKnobOfTheStepScheduleAndAdamWChangesTheWeights) {
  const data::DatasetPair data = images(16);  // one step an epoch
  TrainerOptions options = base_options();
  options.epochs = 3;
  options.schedule.kind = optim::Schedule::Kind::step;
  options.schedule.step_epochs = 1;
  const HostTensor dropped = train(options, data).at("6.weight");
  options.schedule.gamma = 0.5;
  const HostTensor less = train(options, data).at("6.weight");
  EXPECT_NE(less, dropped);
  options.schedule.step_epochs = 2;
  EXPECT_NE(train(options, data).at("6.weight"), less);

  options = base_options();
  options.epochs = 3;
  options.optimizer = optim::AdamW{};
  const HostTensor adam = train(options, data).at("6.weight");
  for (const optim::AdamW& changed :
       {optim::AdamW{.beta1 = 0.8}, optim::AdamW{.beta2 = 0.9}, optim::AdamW{.eps = 1e-3},
        optim::AdamW{.weight_decay = 0.5}}) {
    options.optimizer = changed;
    EXPECT_NE(train(options, data).at("6.weight"), adam);
  }
}

// Its momentum is seen in evaluation alone.
TEST(Trainer, DataOnTheDeviceTrainsLikeTheLoaderBitForBit) {
  const data::DatasetPair data = images(44);
  for (const AugmentOptions augment : {AugmentOptions{}, {2, false}, {0, true}, {1, true}}) {
    TrainerOptions options = base_options();
    options.device = "cpu";
    options.epochs = 3;
    options.augment = augment;
    options.normalization = data::measure_normalization(data.train);
    const Variables resident = train(options, data);
    options.resident = false;
    EXPECT_EQ(resident, train(options, data)) << augment.shift << augment.flip;
  }
}

TEST(Trainer, BatchNormMomentumChangesRunningStatistics) {
  const data::DatasetPair data = images(32);
  const Variables slow = train(base_options(), data);
  const Variables fast = train(base_options(), data, {.momentum = 0.5});
  EXPECT_EQ(slow.at("1.weight"), fast.at("1.weight"));
  EXPECT_NE(slow.at("1.running_mean"), fast.at("1.running_mean"));
  EXPECT_NE(slow.at("1.running_var"), fast.at("1.running_var"));
  EXPECT_EQ(fast.at("1.num_batches_tracked").view().get_int(0), 2);
}

TEST(Trainer, WithoutDecayOfVectorsBiasesDoNotShrink) {
  const data::DatasetPair data = images(16);
  TrainerOptions options = base_options();
  sgd(options).weight_decay = 0.1;
  options.decay_vectors = false;  // one step: later gradients depend on the weights that decayed
  Trainer first(net({.dropout = 0}), options);
  first.fit(data.train);
  sgd(options).weight_decay = 0;
  Trainer second(net({.dropout = 0}), options);
  second.fit(data.train);
  EXPECT_EQ(first.variables().read("6.bias"), second.variables().read("6.bias"));
  EXPECT_NE(first.variables().read("6.weight"), second.variables().read("6.weight"));
}

struct ResumeCase {
  const char* name;
  void (*change)(TrainerOptions&);
};

const ResumeCase kResumeCases[] = {
    {"momentum", [](TrainerOptions&) {}},
    {"cosine", [](TrainerOptions& o) { o.schedule = {optim::Schedule::Kind::cosine, 4, 0.5}; }},
    {"adamw", [](TrainerOptions& o) { o.optimizer = optim::AdamW{}; }},
    {"augmented", [](TrainerOptions& o) { o.augment = {1, true}; }},
};

// 4 epochs = 2 + 2, byte for byte: dropout, batch norm and a ragged last batch are in all of them.
TEST(Trainer, ResumesBitByBit) {
  const data::DatasetPair data = images(40);
  for (const ResumeCase& c : kResumeCases) {
    SCOPED_TRACE(c.name);
    TrainerOptions options = base_options();
    options.epochs = 4;
    c.change(options);
    Trainer whole(net(), options);
    whole.fit(data.train);

    TempDir folder;
    options.schedule.epochs = 4;
    options.epochs = 2;
    {
      Trainer first(net(), options);
      first.fit(data.train);
      first.save(folder / "run", io::Json("mine"));
    }
    SavedRun saved = read_saved_run(folder / "run");
    EXPECT_EQ(saved.extra, io::Json("mine"));
    EXPECT_EQ(options_to_json(saved.options), options_to_json(options));
    saved.options.epochs = 4;
    saved.options.device = options.device;
    Trainer second(net(), saved.options);
    second.load(folder / "run");
    EXPECT_EQ(second.epochs_done(), 2);
    const FitReport report = second.fit(data.train);
    EXPECT_EQ(report.epochs.size(), 2u);
    EXPECT_EQ(variables_of(second), variables_of(whole));
    EXPECT_TRUE(second.notes().empty());
  }
}

TEST(Trainer, ResumesInTheMiddleOfAnEpoch) {
  const data::DatasetPair data = images(40);
  TrainerOptions options = base_options();
  options.epochs = 2;
  Trainer whole(net(), options);
  const FitReport expected = whole.fit(data.train);
  TempDir folder;
  std::atomic<bool> stop = false;
  Trainer first(net(), options);
  first.fit(
      data.train,
      {.on_interval = [&](const Progress&) { stop = true; }, .interval_seconds = 0, .stop = &stop});
  EXPECT_EQ(first.step(), 1);
  first.save(folder.path());
  Trainer second(net(), options);
  second.load(folder.path());
  const FitReport report = second.fit(data.train);
  EXPECT_EQ(report.steps, 5);
  EXPECT_EQ(report.epochs[0].train.loss, expected.epochs[0].train.loss);
  EXPECT_EQ(report.epochs[0].train.samples, 40);
  EXPECT_EQ(variables_of(second), variables_of(whole));
}

// Stopped after the last step of an epoch, so that its evaluation is still to come.
TEST(Trainer, ResumesAtAnEvaluation) {
  const data::DatasetPair data = images(40);
  TrainerOptions options = base_options();
  options.epochs = 2;
  Trainer whole(net(), options);
  const FitReport expected = whole.fit(data);
  TempDir folder;
  std::atomic<bool> stop = false;
  Trainer first(net(), options);
  const FitReport stopped =
      first.fit(data, {.on_interval = [&](const Progress& p) { stop = p.batch == p.batches; },
                       .interval_seconds = 0,
                       .stop = &stop});
  EXPECT_TRUE(stopped.stopped);
  EXPECT_TRUE(stopped.epochs.empty());
  EXPECT_EQ(first.step(), 3);
  first.save(folder.path());
  Trainer second(net(), options);
  second.load(folder.path());
  const FitReport rest = second.fit(data);
  EXPECT_EQ(rest.steps, 3);
  ASSERT_EQ(rest.epochs.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(rest.epochs[i].train.loss, expected.epochs[i].train.loss);
    EXPECT_EQ(rest.epochs[i].test.loss, expected.epochs[i].test.loss);
    EXPECT_NEAR(rest.epochs[i].learning_rate, expected.epochs[i].learning_rate, 1e-7);
  }
  EXPECT_EQ(variables_of(second), variables_of(whole));
}

TEST(Trainer, EvaluatesACheckpointWithoutTraining) {
  const data::DatasetPair data = images();
  TempDir folder;
  Trainer first(net(), base_options());
  const FitReport report = first.fit(data);
  first.save(folder.path());
  Trainer second(net(), base_options());
  second.load(folder.path());
  EXPECT_EQ(second.evaluate(data.test).loss, report.epochs[0].test.loss);
  EXPECT_EQ(second.predict(data.test.images).logits, first.predict(data.test.images).logits);
  EXPECT_FALSE(second.variables().contains("6.weight.momentum_buffer"));
}

TEST(Trainer, RefusesACheckpointOfAnotherModel) {
  const data::DatasetPair data = images();
  TempDir folder;
  Trainer first(net(), base_options());
  first.fit(data.train);
  first.save(folder.path());
  const std::string name = folder.path().string();

  Trainer wider(
      nn::Sequential(nn::Conv2d(2, 4, 3, {.padding = 1}), nn::BatchNorm2d(4), nn::ReLU(),
                     nn::MaxPool2d(2), nn::Flatten(), nn::Dropout(0.25), nn::Linear(64, 5)),
      base_options());
  wider.load(folder.path());
  expect_user_error(
      ErrorCode::invalid_data,
      "checkpoint \"" + name + "\": variable \"6.weight\" must be f32[5,64], got f32[3,64]",
      [&] { wider.fit(data.train); });
  Trainer other(nn::Sequential(nn::Flatten(), nn::Linear(128, 3)), base_options());
  other.load(folder.path());
  expect_user_error(
      ErrorCode::invalid_data,
      "checkpoint \"" + name + "\": variable \"1.weight\" must be f32[3,128], got f32[4]",
      [&] { other.evaluate(data.test); });
  Trainer deeper(nn::Sequential(nn::Flatten(), nn::ReLU(), nn::ReLU(), nn::ReLU(), nn::ReLU(),
                                nn::ReLU(), nn::Linear(128, 3)),
                 base_options());
  TempDir second;
  Trainer small(nn::Sequential(nn::Flatten(), nn::Linear(128, 3)), base_options());
  small.fit(data.train);
  small.save(second.path());
  deeper.load(second.path());
  expect_user_error(ErrorCode::invalid_data,
                    "checkpoint \"" + second.path().string() +
                        "\": must hold every variable of the model, got none called \"6.weight\"",
                    [&] { deeper.evaluate(data.test); });
  TrainerOptions plain = base_options();
  plain.optimizer = optim::SGD{};
  Trainer momentum_lost(nn::Sequential(nn::Flatten(), nn::Linear(128, 3)), plain);
  momentum_lost.load(second.path());
  expect_user_error(ErrorCode::invalid_data,
                    "checkpoint \"" + second.path().string() +
                        "\": must hold the model's variables alone, got \"1.bias.momentum_buffer\"",
                    [&] { momentum_lost.fit(data.train); });
}

TEST(Trainer, Errors) {
  const data::DatasetPair data = images();
  TempDir folder;
  Trainer trainer(net(), base_options());
  expect_user_error(ErrorCode::invalid_argument,
                    "trainer: fit must have run before a checkpoint, got none",
                    [&] { trainer.save(folder.path()); });
  expect_user_error(ErrorCode::invalid_argument, "trainer: a model must be given, got none",
                    [] { Trainer none(std::shared_ptr<const nn::Module>(), base_options()); });
  TrainerOptions far = base_options();
  far.augment.shift = 8;
  Trainer shifted(net(), far);
  expect_user_error(
      ErrorCode::invalid_argument,
      "trainer: augment shift must be less than height and width, got 8 for images [2,8,8]",
      [&] { shifted.fit(data.train); });
  trainer.fit(data.train);
  const data::DatasetPair more = images(100);
  expect_user_error(ErrorCode::invalid_argument,
                    "trainer: training data must have 4 batches as before, got 7",
                    [&] { trainer.fit(more.train); });
  expect_user_error(ErrorCode::invalid_shape,
                    "predict: images must be [N,C,H,W] with N at least 1, got f32[3]",
                    [&] { trainer.predict(HostTensor({DType::f32, {3}})); });
  expect_user_error(ErrorCode::invalid_shape,
                    "trainer: images must be [2,8,8] as before, got [2,8,9]",
                    [&] { trainer.predict(HostTensor({DType::f32, {1, 2, 8, 9}})); });
}

}  // namespace
}  // namespace ingot::train
