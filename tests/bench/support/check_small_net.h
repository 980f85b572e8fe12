// One training step of a small net on a device against the reference.
#pragma once

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "ingot/base/error.h"
#include "ingot/engine/compile.h"
#include "ingot/train/step_check.h"
#include "tests/bench/support/small_nets.h"

namespace ingot::small_nets {

/// Loss, and every gradient as the optimizer's state keeps it after one step. Returns the nodes
/// that the step has on a device.
inline int expect_like(std::string_view right, std::uint64_t seed, std::int64_t batch,
                       std::string_view device) {
  const Net net = make_net(seed);
  SCOPED_TRACE(to_json(net).dump());
  const Graph graph = train_graph(net, batch);
  VariableStore store(make_backend(device), 1);
  VariableStore judge_store(make_backend(right), 1);
  Executable exe = compile(graph, store);
  Executable judge = compile(graph, judge_store);
  const Batch data(net, batch, 0);
  data.step(exe);
  data.step(judge);
  EXPECT_LT(train::relative_distance(exe.fetched("loss"), judge.fetched("loss")), 1e-5);
  int gradients = 0;
  for (const Segment* segment : judge_store.segments()) {
    if (segment->role != VariableRole::optimizer_state) continue;
    const HostTensor want = judge_store.read(segment->name);
    double norm = 0;
    for (const double v : want.to_doubles()) norm += v * v;
    EXPECT_GT(norm, 0) << segment->name;
    EXPECT_LT(train::relative_distance(store.read(segment->name), want), 1e-3) << segment->name;
    ++gradients;
  }
  EXPECT_GE(gradients, 4);
  return exe.stats().device_nodes;
}

inline int expect_like_reference(std::uint64_t seed, std::int64_t batch,
                                 std::string_view device = "cpu") {
  return expect_like("reference", seed, batch, device);
}

/// Whether there is a GPU, real or emulated; says so if not.
inline bool has_gpu() {
  try {
    (void)make_backend("cuda");
    return true;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unsupported) throw;
    fmt::print("{}\n", error.message());
    return false;
  }
}

}  // namespace ingot::small_nets
