// A stranger's program: trains a small network on synthetic images with the installed package.
#include <cstdio>

#include "ingot/data/synthetic.h"
#include "ingot/ingot.h"

int main() {
  using namespace ingot;
  const auto data = data::make_synthetic({{1, 8, 8}, 3, 96, 30, 5});
  train::TrainerOptions options;
  options.epochs = 6;
  options.batch_size = 16;
  options.learning_rate = 0.05;
  try {
    train::Trainer trainer(nn::Sequential(nn::Conv2d(1, 4, 3, {.stride = 2, .padding = 1}),
                                          nn::ReLU(), nn::Flatten(), nn::Linear(64, 3)),
                           options);
    const auto report = trainer.fit(data);
    const auto& last = report.epochs.back();
    std::printf("loss %.4f, test accuracy %.3f\n", last.train.loss, last.test.accuracy);
    return last.train.loss < report.epochs.front().train.loss ? 0 : 1;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
