// Whole training steps whose feeds and weights end where a page begins that may not be touched.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "ingot/base/philox_fill.h"
#include "ingot/engine/compile.h"
#include "ingot/nn/models/models.h"
#include "ingot/train/training_graph.h"
#include "tests/support/guarded_memory.h"

namespace ingot {
namespace {

struct Net {
  std::string model;
  std::int64_t batch;
  nn::ModelOptions options;

  [[nodiscard]] Graph graph() const {
    return train::build_train_graph(*nn::make_model(model, options),
                                    {options.channels, options.height, options.width}, batch, {});
  }
};

using Values = std::map<std::string, HostTensor>;

Values values_of(const VariableStore& store) {
  Values values;
  for (const Segment* segment : store.segments()) {
    values.emplace(segment->name, store.read(segment->name));
  }
  return values;
}

/// The Variables after two steps whose feeds and weights each lie in a Memory of their own.
template <typename Memory>
Values trained(const Net& net, const Values& initial) {
  std::deque<Memory> memory;
  const auto place = [&memory](std::size_t bytes) { return memory.emplace_back(bytes).data(); };
  VariableStore store(make_backend("cpu", {.threads = 2}), 3);
  for (const auto& [name, value] : initial) {
    std::byte* const data = place(value.bytes().size());
    std::memcpy(data, value.bytes().data(), value.bytes().size());
    store.bind_external(name, data, value.bytes().size());
  }
  Executable exe = compile(net.graph(), store);
  const nn::ModelOptions& o = net.options;
  const auto pixels = static_cast<std::size_t>(net.batch * o.channels * o.height * o.width);
  const auto labels = static_cast<std::size_t>(net.batch);
  const std::span images(reinterpret_cast<float*>(place(pixels * sizeof(float))), pixels);
  const std::span classes(reinterpret_cast<std::int32_t*>(place(labels * sizeof(std::int32_t))),
                          labels);
  philox_fill_uniform(images, 5, 0, 0, 0);
  for (std::size_t i = 0; i < labels; ++i) {
    classes[i] = static_cast<std::int32_t>(i % static_cast<std::size_t>(o.classes));
  }
  for (int step = 0; step < 2; ++step) {
    exe.step({{"input", images.data(), images.size_bytes()},
              {"target", classes.data(), classes.size_bytes()}});
  }
  return values_of(store);
}

TEST(CallersMemory, IsNotTouchedBehindItsEnd) {
  for (const Net& net : {Net{"seed-cnn", 7, {3, 27, 27, 3}}, Net{"lenet", 5, {1, 28, 28, 10}},
                         Net{"mlp784", 33, {1, 28, 28, 10}}, Net{"gometal-cnn", 3, {3, 32, 32, 7}},
                         Net{"resnet18-cifar", 2, {3, 16, 16, 10}}}) {
    SCOPED_TRACE(net.model);
    VariableStore fresh(make_backend("cpu"), 3);
    const Executable compiled = compile(net.graph(), fresh);
    const Values initial = values_of(fresh);
    const Values got = trained<GuardedMemory>(net, initial);
    EXPECT_NE(got, initial);
    EXPECT_EQ(got, trained<std::vector<std::byte>>(net, initial));
  }
}

}  // namespace
}  // namespace ingot
