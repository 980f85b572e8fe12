// Every case of every record that the CPU backend has kernels for, against the reference.
#include <gtest/gtest.h>

#include <algorithm>

#include "ingot/ops/registry.h"
#include "tests/backends/support/node_run.h"

namespace ingot {
namespace {

/// The case with its operands of one float dtype in another.
OpCase with_dtype(OpCase item, DType from, DType to) {
  for (CaseInput& input : item.inputs) {
    if (input.type.dtype == from) input.type.dtype = to;
  }
  return item;
}

std::vector<HostTensor> operands_of(const OpCase& item) {
  std::vector<HostTensor> operands;
  for (const CaseInput& input : item.inputs) {
    operands.push_back(case_tensor(input, 7 + operands.size()));
  }
  return operands;
}

/// The convolutions and products have tests of their own.
bool is_ours(const KernelCandidate& candidate) { return candidate.name.starts_with("simd"); }
bool has_ours(const CpuBackend& backend, const OpDef& op) {
  const auto candidates = backend.kernels().candidates(op.name);
  return std::any_of(candidates.begin(), candidates.end(), is_ours);
}

/// Runs the case on every candidate that takes it; the number of those.
int check_case(const OpDef& op, const OpCase& item, const CpuBackend& one, const CpuBackend& two) {
  SCOPED_TRACE(std::string(op.name) + "/" + item.name);
  Graph graph;
  const Node* node = add_case(graph, op, item);
  const std::vector<HostTensor> operands = operands_of(item);
  int taken = 0;
  for (const KernelCandidate& candidate : one.kernels().candidates(op.name)) {
    if (!is_ours(candidate) || !candidate.supports(*node, one)) continue;
    ++taken;
    const NodeRun run = expect_matches_reference(*node, operands, one, candidate.name);
    const NodeRun again = run_node(*node, operands, two, candidate.name);
    EXPECT_EQ(run.outputs, again.outputs) << candidate.name << ": 1 and 2 threads differ";
  }
  return taken;
}

TEST(RecordCases, EveryCaseOfEveryKernelMatchesTheReference) {
  const CpuBackend one({.threads = 1});
  const CpuBackend two({.threads = 2});
  int ops = 0;
  for (const OpDef* op : all_ops()) {
    if (!has_ours(one, *op) || op->cases == nullptr) continue;
    ++ops;
    for (const OpCase& item : op->cases()) {
      // A composite that is refused is lowered to primitive ops.
      const int taken = check_case(*op, item, one, two);
      EXPECT_TRUE(taken > 0 || op->traits.composite) << op->name << "/" << item.name;
    }
  }
  EXPECT_GT(ops, 55);
}

TEST(RecordCases, ElementwiseAndReductionsInEveryFloatDtype) {
  const CpuBackend one({.threads = 1});
  const CpuBackend two({.threads = 2});
  for (const OpDef* op : all_ops()) {
    if (!op->traits.elementwise && !op->traits.reduction) continue;
    if (!has_ours(one, *op)) continue;
    for (const OpCase& item : op->cases()) {
      for (const DType dtype : {DType::f64, DType::f16, DType::bf16}) {
        EXPECT_GT(check_case(*op, with_dtype(item, DType::f32, dtype), one, two), 0)
            << op->name << "/" << item.name << " " << dtype_name(dtype);
      }
    }
  }
}

TEST(RecordCases, ElementwiseInEveryIntegerDtype) {
  const CpuBackend one({.threads = 1});
  const CpuBackend two({.threads = 2});
  for (const std::string_view name : {"add", "sub", "mul", "div", "min", "max", "neg", "abs",
                                      "sign", "lt", "ge", "eq", "select"}) {
    const OpDef& op = *find_op(name);
    for (OpCase item : op.cases()) {
      for (CaseInput& input : item.inputs) {
        if (input.type.dtype != DType::boolean) input = {input.type, -100, 100};
      }
      for (const DType dtype : {DType::i64, DType::i32, DType::i8, DType::u8}) {
        EXPECT_GT(check_case(op, with_dtype(item, DType::f32, dtype), one, two), 0)
            << name << "/" << item.name << " " << dtype_name(dtype);
      }
    }
  }
}

}  // namespace
}  // namespace ingot
