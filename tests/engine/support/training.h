// A model of the zoo with random inputs, ready to be trained step by step.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/base/host_view.h"
#include "ingot/engine/executable.h"
#include "ingot/ir/graph.h"
#include "ingot/memory/buffer_pool.h"
#include "ingot/memory/tensor.h"
#include "ingot/nn/models/models.h"
#include "ingot/runtime/variable_store.h"

namespace ingot::testing_support {

struct TrainingSpec {
  std::string_view model;
  std::int64_t batch = 0;  ///< 0: the benchmark's, 32 or, for large images, 8
  std::int64_t size = 0;   ///< height and width; 0: the model's own
  int threads = 1;
  std::string_view device = "cpu";
  Tune tune = Tune::off;
  bool feeds_on_device = false;
  bool shares_gpu = false;
};

/// The benchmark's batch of a model.
std::int64_t default_batch(const nn::ModelInfo& info);

/// SGD with momentum 0.9 and learning rate 0.01 on four random batches in turn; everything comes
/// from fixed seeds.
class Training {
 public:
  explicit Training(const TrainingSpec& spec);

  void step();
  void steps(int count) {
    for (int i = 0; i < count; ++i) step();
  }
  [[nodiscard]] Executable& executable() noexcept { return executable_; }
  [[nodiscard]] VariableStore& store() noexcept { return *store_; }
  /// Every variable's bytes, in the store's order.
  [[nodiscard]] std::vector<HostTensor> variables() const;

 private:
  static constexpr std::size_t kBatches = 4;

  std::unique_ptr<VariableStore> store_;
  Executable executable_;
  std::vector<std::vector<float>> images_;
  std::vector<std::vector<std::int32_t>> labels_;
  BufferPool pool_;
  std::vector<std::array<Tensor, 2>> on_device_;  ///< images and labels; empty: on the host
  std::size_t next_ = 0;
};

}  // namespace ingot::testing_support
