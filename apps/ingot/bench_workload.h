// What `ingot bench MODEL` trains.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/ingot/commands.h"
#include "ingot/ir/graph.h"
#include "ingot/nn/models/models.h"
#include "ingot/train/training_graph.h"

namespace ingot::cli {

struct Workload {
  const nn::ModelInfo& info;
  nn::ModelOptions model;
  std::int64_t batch;
  train::TrainingRecipe recipe;

  [[nodiscard]] Graph graph(const nn::ModelOptions& options, std::int64_t n) const {
    return train::build_train_graph(*info.make(options),
                                    {options.channels, options.height, options.width}, n, recipe);
  }
  /// What the reference computes: tf32 has no rounding of its own there.
  [[nodiscard]] Graph reference_graph(const nn::ModelOptions& options, std::int64_t n) const {
    Workload exact = *this;
    if (recipe.precision == Precision::tf32) exact.recipe.precision = Precision::f32;
    return exact.graph(options, n);
  }
};

/// Passes without which a step computes the same in another order.
inline std::vector<std::string> unfused_passes() {
  return {"fuse", "batch_slices", "fuse_updates", "weight_copies"};
}

/// Errors: unknown names.
Workload workload_of(const BenchOptions& options);

/// `--check steps`: many steps against another device.
int run_bench_steps(const BenchOptions& options, Workload workload);

}  // namespace ingot::cli
