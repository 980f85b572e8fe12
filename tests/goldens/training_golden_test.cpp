// Whole training steps against PyTorch: forward, loss, gradients, clipping, schedule, update,
// running statistics; and evaluation afterwards.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ingot/engine/compile.h"
#include "ingot/ir/convert_dtype.h"
#include "ingot/ir/core_ops.h"
#include "ingot/nn/layers.h"
#include "ingot/train/training_graph.h"
#include "tests/goldens/support/goldens.h"
#include "tests/support/source_dir.h"

namespace ingot {
namespace {

using testing_support::expect_close;

constexpr std::int64_t kSteps = 6;
constexpr std::int64_t kBatch = 5;
const Shape kImage{2, 8, 8};

/// make_goldens.py's small_net().
nn::Sequential small_net() {
  return nn::Sequential(nn::Conv2d(2, 4, 3, {.padding = 1}), nn::BatchNorm2d(4), nn::ReLU(),
                        nn::MaxPool2d(2),
                        nn::Conv2d(4, 6, 3, {.stride = 2, .padding = 1, .groups = 2}), nn::GELU(),
                        nn::AvgPool2d(2), nn::Flatten(), nn::Linear(6, 3));
}

struct Case {
  const char* name;
  train::TrainingRecipe recipe;
};

const Case kCases[] = {
    {"sgd",
     {.optimizer = optim::SGD{.momentum = 0.875, .weight_decay = 0.0625, .nesterov = true},
      .schedule = {.kind = optim::Schedule::Kind::cosine, .base = 0.125, .total_steps = kSteps},
      .clip_norm = 0.5,
      .label_smoothing = 0.125}},
    {"adamw",
     {.optimizer =
          optim::AdamW{.beta1 = 0.875, .beta2 = 0.9375, .eps = 1.0 / 1024, .weight_decay = 0.25},
      .schedule =
          {.kind = optim::Schedule::Kind::step, .base = 0.03125, .step_size = 2, .gamma = 0.5}}},
};

class TrainingGolden : public testing::TestWithParam<Case> {
 protected:
  [[nodiscard]] HostTensor tensor(const std::string& what) const {
    return file_.tensor(std::string(GetParam().name) + "." + what);
  }
  /// The variables of the net at a point of the run ("start", "after1", "after6").
  [[nodiscard]] HostTensors variables(const std::string& point) const {
    const std::string prefix = std::string(GetParam().name) + "." + point + "/";
    constexpr std::string_view kSuffix = ".value";
    HostTensors found;
    for (const io::SafetensorsEntry& entry : file_.entries()) {
      if (!entry.name.starts_with(prefix)) continue;
      found.emplace(
          entry.name.substr(prefix.size(), entry.name.size() - prefix.size() - kSuffix.size()),
          file_.tensor(entry.name));
    }
    return found;
  }
  /// Element `step` of a tensor [steps, ...].
  [[nodiscard]] HostTensor row(const HostTensor& all, std::int64_t step, const Shape& shape) const {
    const auto size = static_cast<std::size_t>(shape.numel());
    const std::vector<double> values = all.to_doubles();
    return HostTensor({all.type().dtype, shape},
                      std::span(values).subspan(static_cast<std::size_t>(step) * size, size));
  }
  [[nodiscard]] HostTensor images(std::int64_t step) const {
    return row(tensor("data.images"), step, {kBatch, 2, 8, 8});
  }
  [[nodiscard]] HostTensor labels(std::int64_t step) const {
    return row(tensor("data.labels"), step, {kBatch});
  }
  [[nodiscard]] Graph train_graph() const {
    return train::build_train_graph(small_net(), kImage, kBatch, GetParam().recipe);
  }

 private:
  const io::SafetensorsFile file_{testing_support::source_dir() /
                                  "tests/goldens/training.safetensors"};
};

HostTensor as_f32(const HostTensor& value) {
  return HostTensor({DType::f32, value.type().shape}, value.to_doubles());
}

TEST_P(TrainingGolden, InDouble) {
  const auto step_graph = with_float_dtype(train_graph(), DType::f64);
  HostTensors state;
  for (const Node* node : step_graph->nodes_of(variable_op())) {
    state.emplace(node->name(), HostTensor(node->output_type()));
  }
  for (const auto& [name, value] : variables("start")) {
    ASSERT_TRUE(state.contains(name)) << name;
    state.at(name) = value;
  }
  const std::vector<double> losses = tensor("data.losses").to_doubles();
  for (std::int64_t step = 0; step < kSteps; ++step) {
    const Evaluation result =
        evaluate(*step_graph, {{"input", images(step)}, {"target", labels(step)}}, state);
    EXPECT_NEAR(result.fetches.at("loss").view().get(0), losses[static_cast<std::size_t>(step)],
                1e-7)
        << step;
    for (const auto& [name, value] : result.assigned) state.at(name) = value;
    if (step != 0 && step != kSteps - 1) continue;
    for (const auto& [name, value] : variables("after" + std::to_string(step + 1))) {
      expect_close(state.at(name), value, name, 1e-7);
    }
  }
  const auto eval =
      with_float_dtype(train::build_predict_graph(small_net(), kImage, kBatch), DType::f64);
  const HostTensor logits = evaluate(*eval, {{"input", images(0)}}, state).fetches.at("logits");
  expect_close(logits, tensor("data.evaluated"), "evaluated", 1e-6);
}

TEST_P(TrainingGolden, CompiledForEachDevice) {
  for (const std::string& device : {std::string("reference"), std::string("cpu")}) {
    SCOPED_TRACE(device);
    VariableStore store(make_backend(device), 1);
    Executable exe = compile(train_graph(), store);
    for (const auto& [name, value] : variables("start")) {
      store.write(name, is_float(value.type().dtype) ? as_f32(value) : value);
    }
    for (std::int64_t step = 0; step < kSteps; ++step) {
      const HostTensor x = as_f32(images(step));
      const HostTensor y = labels(step);
      exe.step({{"input", x.bytes().data(), x.bytes().size()},
                {"target", y.bytes().data(), y.bytes().size()}});
    }
    for (const auto& [name, value] : variables("after" + std::to_string(kSteps))) {
      const HostTensor got = store.read(name);
      expect_close(HostTensor(value.type(), got.to_doubles()), value, name, 5e-5);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, TrainingGolden, testing::ValuesIn(kCases),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace ingot
