#include "ingot/backends/cuda/step/step_form.h"

#include "ingot/backends/cuda/step/step_cost.h"
#include "ingot/ir/body.h"
#include "ingot/ir/op_def.h"

namespace ingot::cuda {
namespace {

// Cycles of a step up to which one kernel is the faster form, as measured on an H200 for small
// nets, see docs/benchmarks/cuda.md: the largest took 190e3, of which one kernel needs two thirds
// of what the 42 of a captured step do.
constexpr double kMostCycles = 200e3;

}  // namespace

StepForm choose_form(const Graph& graph, const GpuFacts& gpu) {
  double cycles = 0;
  for (const auto& node : graph.nodes()) {
    if (node->op().traits.source) continue;
    double bytes = 0;
    for (const Value& input : node->inputs()) bytes += static_cast<double>(input.type().bytes());
    for (const Node::Output& output : node->outputs()) {
      bytes += static_cast<double>(output.type.bytes());
    }
    cycles += (total_flops(*node) / kFlopsPerCycle + bytes / kBytesPerCycle) / gpu.multiprocessors;
  }
  return cycles > kMostCycles ? StepForm::throughput : StepForm::latency;
}

}  // namespace ingot::cuda
