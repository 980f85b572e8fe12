// One training step of a small net on the CPU against the reference.
#pragma once

#include <gtest/gtest.h>

#include "ingot/engine/compile.h"
#include "ingot/train/step_check.h"
#include "tests/bench/support/small_nets.h"

namespace ingot::small_nets {

/// Loss, and every gradient as the optimizer's state keeps it after one step.
inline void expect_like_reference(std::uint64_t seed, std::int64_t batch) {
  const Net net = make_net(seed);
  SCOPED_TRACE(to_json(net).dump());
  const Graph graph = train_graph(net, batch);
  VariableStore store(make_backend("cpu"), 1);
  VariableStore judge_store(make_backend("reference"), 1);
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
}

}  // namespace ingot::small_nets
