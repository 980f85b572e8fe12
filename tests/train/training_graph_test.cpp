#include "ingot/train/training_graph.h"

#include <gtest/gtest.h>

#include "ingot/nn/layers.h"
#include "tests/support/expect_error.h"

namespace ingot::train {
namespace {

using testing_support::error_of;

TEST(TrainingGraph, Errors) {
  const auto message = [](const std::string& text) { return text.substr(0, text.find('\n')); };
  const nn::Flatten flat;
  EXPECT_EQ(message(error_of([&] { build_train_graph(flat, {3, 8}, 4, {}); })),
            "images: shape must be [C,H,W], got [3,8]");
  const nn::MaxPool2d pool(2);
  EXPECT_EQ(message(error_of([&] { build_eval_graph(pool, {3, 8, 8}, 4); })),
            "model: result must be logits f32[4,classes], got f32[4,3,4,4]");
}

TEST(TrainingGraph, HasTheFetchesAndPlaceholdersItPromises) {
  const nn::Sequential model(nn::Flatten(), nn::Linear(12, 5));
  const auto names = [](const Graph& graph) {
    std::vector<std::string> result;
    for (const Fetch& fetch : graph.fetches()) {
      result.push_back(fetch.name + " " + fetch.value.type().to_string());
    }
    return result;
  };
  using Names = std::vector<std::string>;
  const Graph train = build_train_graph(model, {3, 2, 2}, 4, {});
  EXPECT_EQ(names(train), (Names{"loss f32[]", "correct i32[]", "lr f32[]"}));
  EXPECT_NE(train.assign_of("1.weight"), nullptr);
  EXPECT_NE(train.assign_of("1.bias.momentum_buffer"), nullptr);
  EXPECT_NE(train.assign_of(kStepVariable), nullptr);
  const Graph eval = build_eval_graph(model, {3, 2, 2}, 4);
  EXPECT_EQ(names(eval), (Names{"loss f32[]", "correct i32[]"}));
  EXPECT_EQ(eval.assign_of("1.weight"), nullptr);
  const Graph predict = build_predict_graph(model, {3, 2, 2}, 4);
  EXPECT_EQ(names(predict), (Names{"logits f32[4,5]", "class i32[4]"}));
  EXPECT_EQ(predict.find("target"), nullptr);
}

}  // namespace
}  // namespace ingot::train
