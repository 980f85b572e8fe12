#include "tests/backends/support/node_run.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <new>

#include "ingot/base/error.h"
#include "ingot/base/philox.h"
#include "ingot/ir/evaluate.h"
#include "ingot/ir/op_def.h"

namespace ingot {
namespace {

struct FreeAligned {
  void operator()(std::byte* memory) const { ::operator delete(memory, std::align_val_t{64}); }
};

/// Memory as a Plan gives it: aligned to 64 bytes. Starts as NaN (floats) or -1 (integers).
class Block {
 public:
  explicit Block(std::int64_t bytes)
      : bytes_(bytes),
        memory_(static_cast<std::byte*>(
            ::operator new(static_cast<std::size_t>(bytes) + 64, std::align_val_t{64}))) {
    std::memset(memory_.get(), 0xff, static_cast<std::size_t>(bytes) + 64);
  }
  /// Whether nothing was written behind the block.
  [[nodiscard]] bool intact() const {
    return std::all_of(data() + bytes_, data() + bytes_ + 64,
                       [](std::byte b) { return b == std::byte{0xff}; });
  }
  [[nodiscard]] std::byte* data() const { return memory_.get(); }

 private:
  std::int64_t bytes_;
  std::unique_ptr<std::byte, FreeAligned> memory_;
};

/// Calls fn(logical, physical) with the byte offsets of each element.
template <typename Fn>
void for_each_element(const Node::Output& value, Fn&& fn) {
  const Shape& shape = value.type.shape;
  const auto size = static_cast<std::int64_t>(dtype_size(value.type.dtype));
  std::array<std::int64_t, Shape::kMaxRank> index{};
  for (std::int64_t flat = 0; flat < value.type.numel(); ++flat) {
    fn(flat * size, value.layout.offset(shape, index.data()) * size, size);
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      if (++index[static_cast<std::size_t>(axis)] < shape[axis]) break;
      index[static_cast<std::size_t>(axis)] = 0;
    }
  }
}

/// Whether everything but the elements themselves is zero.
bool padding_is_zero(const Node::Output& value, const std::byte* memory) {
  const auto bytes = static_cast<std::size_t>(value.layout.physical_bytes(value.type));
  std::vector<std::byte> rest(memory, memory + bytes);
  for_each_element(value, [&](auto, auto at, auto size) {
    std::memset(rest.data() + at, 0, static_cast<std::size_t>(size));
  });
  return std::all_of(rest.begin(), rest.end(), [](std::byte b) { return b == std::byte{0}; });
}

const Node::Output& output_of(const Value& value) {
  return value.node()->outputs()[static_cast<std::size_t>(value.index())];
}

const KernelCandidate& find_candidate(const Node& node, const CpuBackend& backend,
                                      std::string_view name) {
  std::string reasons = "no such candidate";
  for (const KernelCandidate& candidate : backend.kernels().candidates(node.op().name)) {
    if (!name.empty() && candidate.name != name) continue;
    const Support support = candidate.supports(node, backend);
    if (support) return candidate;
    reasons = support.reason;
  }
  throw unsupported_error(reasons);
}

}  // namespace

NodeRun run_node(const Node& node, const std::vector<HostTensor>& inputs, const CpuBackend& backend,
                 std::string_view candidate) {
  std::vector<Block> blocks;
  std::vector<std::byte*> slots;
  KernelProblem problem{node, {}, {}};
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Node::Output& value = output_of(node.input(i));
    Block& block = blocks.emplace_back(value.layout.physical_bytes(value.type));
    std::memset(block.data(), 0, static_cast<std::size_t>(value.layout.physical_bytes(value.type)));
    for_each_element(value, [&](auto from, auto to, auto size) {
      std::memcpy(block.data() + to, inputs[i].bytes().data() + from,
                  static_cast<std::size_t>(size));
    });
    problem.inputs.push_back(static_cast<int>(slots.size()));
    slots.push_back(block.data());
  }
  for (const Node::Output& value : node.outputs()) {
    problem.outputs.push_back(static_cast<int>(slots.size()));
    slots.push_back(blocks.emplace_back(value.layout.physical_bytes(value.type)).data());
  }
  const std::unique_ptr<Kernel> kernel =
      find_candidate(node, backend, candidate).create(problem, backend);
  const Block scratch(kernel->scratch_bytes());
  StepErrorLatch errors;
  kernel->run({slots.data(), scratch.data(), &errors});

  NodeRun run{{}, std::string(kernel->name())};
  EXPECT_TRUE(scratch.intact()) << run.kernel << " wrote behind its scratch";
  for (const Block& block : blocks) EXPECT_TRUE(block.intact()) << run.kernel << " wrote too far";
  for (std::size_t i = 0; i < node.outputs().size(); ++i) {
    const Node::Output& value = node.outputs()[i];
    const std::byte* memory = slots[inputs.size() + i];
    EXPECT_TRUE(padding_is_zero(value, memory)) << run.kernel << ", output " << i;
    HostTensor& result = run.outputs.emplace_back(value.type);
    for_each_element(value, [&](auto to, auto from, auto size) {
      std::memcpy(result.bytes().data() + to, memory + from, static_cast<std::size_t>(size));
    });
  }
  return run;
}

HostTensor random_tensor(const TensorType& type, std::uint64_t seed) {
  HostTensor tensor(type);
  for (std::int64_t i = 0; i < type.numel(); ++i) {
    const float unit = philox_to_uniform(philox_word(seed, 0, 0, static_cast<std::uint64_t>(i)));
    tensor.view().set(i, 2.0 * unit - 1.0);
  }
  return tensor;
}

std::vector<HostTensor> random_operands(const Node& node, std::uint64_t seed) {
  std::vector<HostTensor> operands;
  for (const Value& input : node.inputs()) {
    operands.push_back(random_tensor(input.type(), seed + operands.size()));
  }
  return operands;
}

HostTensor case_tensor(const CaseInput& input, std::uint64_t seed) {
  HostTensor tensor(input.type);
  const bool real = is_float(input.type.dtype);
  for (std::int64_t i = 0; i < input.type.numel(); ++i) {
    const double unit = philox_to_uniform(philox_word(seed, 0, 0, static_cast<std::uint64_t>(i)));
    const double span = input.high - input.low;
    tensor.view().set(i,
                      real ? input.low + span * unit : input.low + std::floor(unit * (span + 1)));
  }
  return tensor;
}

Node* add_case(Graph& graph, const OpDef& op, const OpCase& item) {
  std::vector<Value> operands;
  for (const CaseInput& input : item.inputs) {
    operands.push_back(graph.placeholder(fmt::format("x{}", operands.size()), input.type));
  }
  return graph.add(op, std::move(operands), item.attrs);
}

NodeRun expect_matches_reference(const Node& node, const CpuBackend& backend,
                                 std::string_view candidate) {
  return expect_matches_reference(node, random_operands(node), backend, candidate);
}

NodeRun expect_matches_reference(const Node& node, const std::vector<HostTensor>& operands,
                                 const CpuBackend& backend, std::string_view candidate,
                                 double slack) {
  NodeRun run = run_node(node, operands, backend, candidate);
  std::vector<HostView> views;
  for (const HostTensor& operand : operands) views.push_back(operand.view());
  const std::vector<HostTensor> want = evaluate_node(node, views, nullptr);
  const std::int64_t length = node.op().reduction_length ? node.op().reduction_length(node) : 1;
  for (std::size_t i = 0; i < want.size(); ++i) {
    // Partial sums of random terms grow, too, beyond what the op's tolerance allows for by a factor
    // of about two in the long sums of these tests.
    const Tolerance tolerance = node.op().tolerance(want[i].type().dtype, 4 * length);
    std::int64_t wrong = 0;
    std::string first;
    for (std::int64_t j = 0; j < want[i].type().numel(); ++j) {
      const double w = want[i].view().get(j);
      const double g = run.outputs[i].view().get(j);
      const double bound = slack * (tolerance.absolute + tolerance.relative * std::abs(w));
      if (g == w || std::abs(g - w) <= bound || (std::isnan(g) && std::isnan(w))) continue;
      if (wrong++ == 0) {
        first = "element " + std::to_string(j) + ": " + std::to_string(g) + ", reference " +
                std::to_string(w);
      }
    }
    EXPECT_EQ(wrong, 0) << node.op().name << " by " << run.kernel << ", output " << i << ", "
                        << first;
  }
  return run;
}

}  // namespace ingot
