// Steps of one kernel that begin while the one before ends: their feeds lie on the device, so that
// nothing comes between two of them. On a real GPU or the emulated one; skips without either.
#include <gtest/gtest.h>

#include <array>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/engine/support/training.h"
#include "tests/support/gpu_test.h"

namespace ingot {
namespace {

using testing_support::losses_of;
using testing_support::Training;
using testing_support::TrainingSpec;

class GpuEarlySteps : public testing_support::GpuTest {
 protected:
  [[nodiscard]] int steps() const { return testing_support::is_emulated(*backend_) ? 6 : 400; }
  static TrainingSpec spec_of(std::string_view model) {
    return {.model = model, .batch = 4, .device = "cuda", .feeds_on_device = true};
  }
};

/// Losses of all steps and the variables after them.
struct Trained {
  std::vector<double> losses;
  std::vector<HostTensor> variables;

  bool operator==(const Trained&) const = default;
};

Trained train(const TrainingSpec& spec, int steps, bool wait_for_each = false) {
  Training training(spec);
  Trained trained;
  for (int i = 0; i < steps; ++i) {
    training.step();
    if (!wait_for_each && (i + 1) % 100 != 0) continue;
    training.executable().wait();
    for (const double loss : losses_of(training.executable())) trained.losses.push_back(loss);
  }
  training.executable().wait();
  for (const double loss : losses_of(training.executable())) trained.losses.push_back(loss);
  trained.variables = training.variables();
  return trained;
}

TEST_F(GpuEarlySteps, EqualThoseThatWait) {
  for (const char* model : {"seed-cnn", "mlp784"}) {
    SCOPED_TRACE(model);
    const Trained waited = train(spec_of(model), steps(), true);
    ASSERT_EQ(waited.losses.size(), static_cast<std::size_t>(steps()));
    EXPECT_EQ(train(spec_of(model), steps()), waited);
    // Launches that the driver lets begin only when all blocks can run at once.
    TrainingSpec shared = spec_of(model);
    shared.shares_gpu = true;
    EXPECT_EQ(train(shared, steps()), waited);
  }
}

TEST_F(GpuEarlySteps, OfSeveralNetsAtATimeEqualThoseOfOne) {
  constexpr std::array<std::string_view, 3> kModels{"seed-cnn", "mlp784", "seed-cnn"};
  std::array<Trained, kModels.size()> together;
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < kModels.size(); ++i) {
      threads.emplace_back([&, i] { together[i] = train(spec_of(kModels[i]), steps()); });
    }
  }
  for (std::size_t i = 0; i < kModels.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(together[i], train(spec_of(kModels[i]), steps()));
  }
}

}  // namespace
}  // namespace ingot
