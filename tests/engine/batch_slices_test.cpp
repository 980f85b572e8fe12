// Whole training steps with Regions of batch slices against the same steps without.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "ingot/base/philox.h"
#include "ingot/engine/compile.h"
#include "ingot/ir/core_ops.h"
#include "ingot/nn/layers.h"
#include "ingot/nn/models/models.h"
#include "ingot/train/training_graph.h"
#include "tests/support/expect_error.h"

namespace ingot {
namespace {

struct Net {
  std::string model;
  std::int64_t batch = 32;
  nn::ModelOptions options{};

  [[nodiscard]] std::unique_ptr<nn::Module> make() const {
    if (model != "thin") return nn::make_model(model, options);
    // A bit of everything, with so few channels that all of it is worth slicing.
    return std::make_unique<nn::Sequential>(
        nn::Conv2d(options.channels, 4, 5, {.padding = 2}), nn::ReLU(), nn::MaxPool2d(2),
        nn::Conv2d(4, 8, 3, {.stride = 2, .padding = 1}), nn::BatchNorm2d(8), nn::ReLU(),
        nn::Conv2d(8, 8, 1), nn::ReLU(), nn::AvgPool2d(2), nn::Flatten(), nn::Dropout(0.5),
        nn::Linear(8 * (options.height / 8) * (options.width / 8), options.classes));
  }
  [[nodiscard]] Graph graph() const {
    return train::build_train_graph(*make(), {options.channels, options.height, options.width},
                                    batch, {});
  }
};

Net thin(std::int64_t batch) { return {"thin", batch, {3, 48, 48, 10}}; }

Net seed_cnn(std::int64_t batch, std::int64_t size = 32) {
  return {"seed-cnn", batch, {3, size, size, 2}};
}

/// Random images and labels for `steps` steps.
struct Data {
  std::vector<float> images;
  std::vector<std::int32_t> labels;
  std::size_t image_bytes, label_bytes;  // of one step

  Data(const Net& net, int steps) {
    const nn::ModelOptions& o = net.options;
    const auto pixels = static_cast<std::size_t>(net.batch * o.channels * o.height * o.width);
    const auto batch = static_cast<std::size_t>(net.batch);
    const auto count = static_cast<std::size_t>(steps);
    for (std::size_t i = 0; i < pixels * count; ++i) {
      images.push_back(2.0f * philox_uniform(5, 1, 0, i) - 1.0f);
    }
    for (std::size_t i = 0; i < batch * count; ++i) {
      labels.push_back(static_cast<std::int32_t>(
          philox_below(5, 2, 0, i, static_cast<std::uint64_t>(o.classes))));
    }
    image_bytes = pixels * sizeof(float);
    label_bytes = batch * sizeof(std::int32_t);
  }
  [[nodiscard]] std::vector<Feed> step(int number) const {
    const auto n = static_cast<std::size_t>(number);
    return {{"input", images.data() + n * image_bytes / sizeof(float), image_bytes},
            {"target", labels.data() + n * label_bytes / sizeof(std::int32_t), label_bytes}};
  }
  [[nodiscard]] std::vector<Feed> all() const {
    return {{"input", images.data(), images.size() * sizeof(float)},
            {"target", labels.data(), labels.size() * sizeof(std::int32_t)}};
  }
};

struct Training {
  VariableStore store;
  Executable exe;

  explicit Training(const Net& net, int threads = 2, bool sliced = true)
      : store(make_backend("cpu", {.threads = threads}), 3),
        exe(compile(net.graph(), store,
                    {.disabled_passes = sliced ? std::vector<std::string>{}
                                               : std::vector<std::string>{"batch_slices"}})) {}

  [[nodiscard]] std::vector<Node*> regions() const {
    return exe.lowered().nodes_of(batch_slices_op());
  }
};

void expect_close(const HostTensor& got, const HostTensor& want, const std::string& what) {
  double difference = 0;
  double norm = 0;
  for (std::int64_t i = 0; i < want.type().numel(); ++i) {
    const double w = want.view().get(i);
    difference += (got.view().get(i) - w) * (got.view().get(i) - w);
    norm += w * w;
  }
  ASSERT_TRUE(std::isfinite(difference)) << what;
  // A bias before a batch norm has a gradient of rounding errors alone.
  EXPECT_LE(std::sqrt(difference), 2e-5 * std::sqrt(norm) + 1e-6) << what;
}

/// `is_sliced`: what must be true of the net, when it is not for the cost model to say.
void expect_same_step(const Net& net, std::optional<bool> is_sliced = std::nullopt) {
  SCOPED_TRACE(net.model + " of batch " + std::to_string(net.batch));
  const Data data(net, 1);
  Training sliced(net);
  Training whole(net, 2, false);
  EXPECT_TRUE(whole.regions().empty());
  EXPECT_EQ(!sliced.regions().empty(), is_sliced.value_or(!sliced.regions().empty()));
  sliced.exe.step(data.step(0));
  whole.exe.step(data.step(0));
  expect_close(sliced.exe.fetched("loss"), whole.exe.fetched("loss"), "loss");
  EXPECT_EQ(sliced.exe.fetched("correct"), whole.exe.fetched("correct"));
  for (const Segment* segment : whole.store.segments()) {
    expect_close(sliced.store.read(segment->name), whole.store.read(segment->name), segment->name);
  }
  EXPECT_EQ(sliced.exe.stats().flops, whole.exe.stats().flops);
}

TEST(BatchSlices, StepsEqualUnslicedOnes) {
  for (const std::int64_t batch : {1, 5, 32, 33}) expect_same_step(seed_cnn(batch, 48), batch > 1);
  for (const std::int64_t batch : {5, 16}) expect_same_step({"lenet", batch, {1, 28, 28, 10}});
  for (const std::int64_t batch : {6, 32, 33}) expect_same_step(thin(batch), true);
  expect_same_step({"mlp784", 33, {1, 28, 28, 10}});
  expect_same_step({"gometal-cnn", 6, {3, 32, 32, 10}});
  expect_same_step({"resnet18-cifar", 4, {3, 8, 8, 10}});
}

TEST(BatchSlices, StatisticsAndRandomMasksStayOutside) {
  const Training run(thin(32));
  const auto regions = run.regions();
  ASSERT_FALSE(regions.empty());
  std::vector<std::string> inside;
  for (const Node* region : regions) {
    for (const auto& node : region->body()->nodes()) inside.emplace_back(node->op().name);
  }
  for (const char* op : {"max_pool2d_grad", "conv2d_weight_grad"}) {
    EXPECT_NE(std::ranges::find(inside, op), inside.end()) << op;
  }
  for (const char* op : {"moments", "rng_bernoulli", "optimizer_update"}) {
    EXPECT_EQ(std::ranges::find(inside, op), inside.end()) << op;
  }
}

TEST(BatchSlices, OneRegionTakesTheSeedNet) {
  const Training run(seed_cnn(32));
  ASSERT_EQ(run.regions().size(), 1u);
  const Node& region = *run.regions().front();
  EXPECT_EQ(32 % region.integer("items"), 0);
  EXPECT_LE(region.integer("items"), 4);
  const auto holds = [&](std::string_view op) {
    return std::ranges::any_of(region.body()->nodes(), [&](const auto& node) {
      return node->op().name == op ||
             (node->body() != nullptr && node->body()->find(std::string(op) + "_0") != nullptr);
    });
  };
  EXPECT_TRUE(holds("conv2d_weight_grad"));
  EXPECT_TRUE(holds("cross_entropy"));
  EXPECT_TRUE(holds("cross_entropy_grad"));
  // What lies between the kernels is never whole in memory.
  const std::int64_t activation = std::int64_t{32} * 8 * 32 * 32 * 4;
  for (const Node::Output& output : region.outputs()) {
    EXPECT_LT(output.type.bytes(), activation / 32);
  }
  EXPECT_LE(static_cast<double>(run.exe.stats().arena_bytes),
            1.1 * static_cast<double>(run.exe.stats().live_peak_bytes));
  const auto& names = run.exe.stats().kernel_names;
  EXPECT_TRUE(std::ranges::any_of(
      names, [](const std::string& name) { return name.starts_with("conv2d_weight_grad"); }));
  EXPECT_EQ(run.exe.stats().kernels, static_cast<int>(names.size()));
}

TEST(BatchSlices, ThePlanNamesWhatLiesInsideARegion) {
  const Graph graph = seed_cnn(32).graph();
  std::int64_t of_one = 0;
  for (const int threads : {1, 2}) {
    VariableStore store(make_backend("cpu", {.threads = threads}), 1);
    const Executable exe = compile(graph, store);
    const std::vector<Node*> regions = exe.lowered().nodes_of(batch_slices_op());
    ASSERT_EQ(regions.size(), 1u);
    const std::string inside = ", in " + regions[0]->name() + " (workspace)";
    std::int64_t largest = 0;
    std::int64_t sum = 0;
    for (const MemoryOwner& owner : exe.stats().largest) {
      sum += owner.bytes;
      if (!owner.name.ends_with(inside)) continue;
      const std::string of = owner.name.substr(0, owner.name.find_first_of(" ,"));
      EXPECT_TRUE(std::ranges::any_of(regions[0]->body()->nodes(), [&](const auto& node) {
        return node->name() == of;
      })) << owner.name;
      largest = std::max(largest, owner.bytes);
    }
    EXPECT_LE(sum, exe.stats().live_peak_bytes);
    EXPECT_GT(largest, exe.stats().arena_bytes / 4) << "the convolution's result is the most of it";
    if (threads == 1) of_one = largest;
    EXPECT_EQ(largest, of_one * threads) << "each thread has an arena";
  }
}

TEST(BatchSlices, ThreadsAndRunsDoNotMatter) {
  for (const Net& net : {seed_cnn(32), thin(32), Net{"lenet", 10, {1, 28, 28, 10}},
                         Net{"mlp784", 12, {1, 28, 28, 10}}}) {
    const int steps = net.model == "seed-cnn" ? 200 : 20;
    const Data data(net, steps);
    Training one(net, 1);
    Training two(net, 2);
    Training again(net, 2);
    for (int step = 0; step < steps; ++step) {
      for (Training* run : {&one, &two, &again}) run->exe.step(data.step(step));
    }
    for (const Segment* segment : one.store.segments()) {
      EXPECT_EQ(one.store.read(segment->name), two.store.read(segment->name)) << segment->name;
      EXPECT_EQ(again.store.read(segment->name), two.store.read(segment->name)) << segment->name;
    }
  }
}

TEST(BatchSlices, StackedStepsEqualSingleOnes) {
  const Net net = seed_cnn(8, 48);
  const Data data(net, 5);
  Training single(net);
  Training stacked(net);
  for (int step = 0; step < 5; ++step) single.exe.step(data.step(step));
  stacked.exe.run_steps(5, data.all());
  for (const Segment* segment : single.store.segments()) {
    EXPECT_EQ(single.store.read(segment->name), stacked.store.read(segment->name));
  }
}

TEST(BatchSlices, TheCallersWeightsAreUpdated) {
  const Net net = seed_cnn(32);
  const Data data(net, 1);
  Training own(net);
  own.exe.step(data.step(0));
  std::vector<float> weights(1024);
  VariableStore store(make_backend("cpu", {.threads = 2}), 3);
  const HostTensor start = [&] {
    VariableStore fresh(make_backend("cpu"), 3);
    const Executable exe = compile(net.graph(), fresh);
    return fresh.read("conv1.weight");
  }();
  for (std::int64_t i = 0; i < start.type().numel(); ++i) {
    weights[static_cast<std::size_t>(i)] = static_cast<float>(start.view().get(i));
  }
  store.bind_external("conv1.weight", weights.data(), weights.size() * sizeof(float));
  Executable exe = compile(net.graph(), store);
  exe.step(data.step(0));
  const HostTensor want = own.store.read("conv1.weight");
  for (std::int64_t i = 0; i < want.type().numel(); ++i) {
    EXPECT_EQ(weights[static_cast<std::size_t>(i)], static_cast<float>(want.view().get(i)));
  }
}

TEST(BatchSlices, ALabelOutOfRangeIsReportedWhereItIs) {
  const Net net = seed_cnn(32);
  Data data(net, 1);
  data.labels[21] = 7;
  data.labels[29] = 8;
  Training run(net);
  const HostTensor before = run.store.read("conv1.weight");
  const auto first_line = [](const std::string& text) { return text.substr(0, text.find('\n')); };
  const std::string got =
      first_line(testing_support::error_of([&] { run.exe.step(data.step(0)); }));
  Training whole(net, 2, false);
  EXPECT_EQ(got, first_line(testing_support::error_of([&] { whole.exe.step(data.step(0)); })));
  EXPECT_TRUE(got.starts_with("cross_entropy \"")) << got;
  EXPECT_TRUE(got.ends_with("got 7 at element 21")) << got;
  EXPECT_EQ(run.store.read("conv1.weight"), before);
}

TEST(BatchSlices, ANanNamesTheFirstOpInsideTheRegion) {
  const Net net = seed_cnn(32);
  const Data data(net, 1);
  Training run(net);
  HostTensor bias = run.store.read("fc.bias");
  bias.view().set(1, 1e38);
  HostTensor weight = run.store.read("fc.weight");
  for (std::int64_t i = 0; i < weight.type().numel(); ++i) weight.view().set(i, 3e38);
  run.store.write("fc.bias", bias);
  run.store.write("fc.weight", weight);
  HostTensor conv = run.store.read("conv1.bias");
  for (std::int64_t i = 0; i < conv.type().numel(); ++i) conv.view().set(i, 3e38);
  run.store.write("conv1.bias", conv);
  const std::string got = testing_support::error_of([&] { run.exe.step(data.step(0)); });
  EXPECT_NE(got.find("result must be finite"), std::string::npos) << got;
  EXPECT_NE(got.find("\": result"), std::string::npos) << got;
  EXPECT_EQ(got.find("batch_slices"), std::string::npos) << got;
}

}  // namespace
}  // namespace ingot
