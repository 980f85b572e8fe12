// Small random networks with their training steps, for correctness tests and for a comparison of
// speed: what no one tuned for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ingot/engine/executable.h"
#include "ingot/io/json.h"
#include "ingot/ir/graph.h"

namespace ingot::small_nets {

/// One layer; fields that its kind does not have are 0.
struct Layer {
  std::string kind;  ///< conv, max_pool, avg_pool, global_pool, flatten, linear, or an activation
  std::int64_t in = 0, out = 0, kernel = 0, stride = 0, padding = 0;
};

/// A network, its loss ("labels", "smoothed", "probabilities", "squares") and optimizer ("sgd" with
/// momentum 0.9, "adamw").
struct Net {
  std::uint64_t seed = 0;
  std::int64_t batch = 0, channels = 0, side = 0, classes = 0;
  std::vector<Layer> layers;
  std::string loss;
  std::string optimizer;
};

inline constexpr double kLearningRate = 1e-3;
inline constexpr double kSmoothing = 0.1;

/// A function of the seed alone: 1 to 4 convolutions (kernels 1, 3, 5; strides 1, 2; at most 64
/// channels) with activations and pools, then 1 to 3 linear layers.
Net make_net(std::uint64_t seed);
io::Json to_json(const Net& net);

/// Placeholders "input" f32[batch,C,H,W] and "target" (i32[batch], or f32[batch,classes]); fetches
/// "loss". Assigns parameters, optimizer state and the step counter.
Graph train_graph(const Net& net, std::int64_t batch);

/// Random images and targets.
class Batch {
 public:
  Batch(const Net& net, std::int64_t batch, std::uint32_t number);
  /// Of this Batch's memory.
  [[nodiscard]] std::vector<Feed> feeds() const;
  void step(Executable& exe) const { exe.step(feeds()); }

 private:
  std::vector<float> images_;
  std::vector<std::int32_t> labels_;
  std::vector<float> targets_;  ///< instead of labels
};

}  // namespace ingot::small_nets
