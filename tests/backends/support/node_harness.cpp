#include "tests/backends/support/node_harness.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "ingot/base/error.h"
#include "ingot/base/philox.h"
#include "ingot/ir/op_def.h"

namespace ingot {
namespace {

/// Calls fn(logical, physical, bytes) with the offsets of each element.
template <typename Fn>
void for_each_element(const Node::Output& value, Fn&& fn) {
  const Shape& shape = value.type.shape;
  const auto size = static_cast<std::int64_t>(dtype_size(value.type.dtype));
  std::array<std::int64_t, Shape::kMaxRank> index{};
  for (std::int64_t flat = 0; flat < value.type.numel(); ++flat) {
    fn(flat * size, value.layout.offset(shape, index.data()) * size,
       static_cast<std::size_t>(size));
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      if (++index[static_cast<std::size_t>(axis)] < shape[axis]) break;
      index[static_cast<std::size_t>(axis)] = 0;
    }
  }
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

bool NodeHarness::Block::intact() const {
  const std::byte* const rest = data() + bytes_;
  return std::all_of(rest, memory_.end(), [](std::byte b) { return b == std::byte{0xff}; });
}

NodeHarness::NodeHarness(const Node& node, const std::vector<HostTensor>& inputs,
                         const CpuBackend& backend, std::string_view candidate)
    : node_(node) {
  KernelProblem problem{node, {}, {}};
  const auto add_block = [this](const Node::Output& value) {
    blocks_.push_back(std::make_unique<Block>(value.layout.physical_bytes(value.type)));
    slots_.push_back(blocks_.back()->data());
    return static_cast<int>(slots_.size()) - 1;
  };
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Node::Output& value = output_of(node.input(i));
    problem.inputs.push_back(add_block(value));
    std::byte* memory = slots_.back();
    std::memset(memory, 0, static_cast<std::size_t>(value.layout.physical_bytes(value.type)));
    for_each_element(value, [&](auto from, auto to, auto size) {
      std::memcpy(memory + to, inputs[i].bytes().data() + from, size);
    });
  }
  for (const Node::Output& value : node.outputs()) problem.outputs.push_back(add_block(value));
  kernel_ = find_candidate(node, backend, candidate).create(problem, backend);
  scratch_ = std::make_unique<Block>(kernel_->scratch_bytes());
}

std::vector<HostTensor> NodeHarness::outputs() const {
  std::vector<HostTensor> outputs;
  for (std::size_t i = 0; i < node_.outputs().size(); ++i) {
    const Node::Output& value = node_.outputs()[i];
    const std::byte* memory = output_memory(i);
    HostTensor& result = outputs.emplace_back(value.type);
    for_each_element(value, [&](auto to, auto from, auto size) {
      std::memcpy(result.bytes().data() + to, memory + from, size);
    });
  }
  return outputs;
}

const std::byte* NodeHarness::output_memory(std::size_t output) const {
  return slots_[node_.inputs().size() + output];
}

bool NodeHarness::intact() const {
  return scratch_->intact() &&
         std::all_of(blocks_.begin(), blocks_.end(), [](const auto& b) { return b->intact(); });
}

bool NodeHarness::padding_is_zero(std::size_t output) const {
  const Node::Output& value = node_.outputs()[output];
  const std::byte* memory = output_memory(output);
  const std::int64_t bytes = value.layout.physical_bytes(value.type);
  std::vector<std::byte> rest(memory, memory + bytes);
  for_each_element(value,
                   [&](auto, auto at, auto size) { std::memset(rest.data() + at, 0, size); });
  return std::all_of(rest.begin(), rest.end(), [](std::byte b) { return b == std::byte{0}; });
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

}  // namespace ingot
