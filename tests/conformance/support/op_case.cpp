#include "tests/conformance/support/op_case.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "ingot/base/philox.h"
#include "ingot/base/planted_bug.h"
#include "ingot/ir/convert_dtype.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ops/registry.h"

namespace ingot::conformance {
namespace {

std::uint32_t hash_name(std::string_view text) {
  std::uint32_t hash = 2166136261u;  // FNV-1a
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hash;
}

}  // namespace

std::uint64_t seed() {
  const char* text = std::getenv("CONFORMANCE_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

std::string identifier(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return result;
}

HostTensor random_tensor(const TensorType& type, const CaseInput& range, std::uint32_t stream) {
  HostTensor tensor(type);
  const HostView view = tensor.view();
  for (std::int64_t i = 0; i < view.numel(); ++i) {
    const auto index = static_cast<std::uint64_t>(i);
    if (is_float(type.dtype)) {
      const double uniform = philox_uniform_f64(seed(), stream, 0, index);
      view.set(i, range.low + (range.high - range.low) * uniform);
    } else {
      const auto low = static_cast<std::int64_t>(std::ceil(range.low));
      const auto count = static_cast<std::uint64_t>(static_cast<std::int64_t>(range.high) - low);
      view.set_int(
          i, low + static_cast<std::int64_t>(philox_below(seed(), stream, 0, index, count + 1)));
    }
  }
  return tensor;
}

Case::Case(const OpDef& op, OpCase item) : op_(&op), item_(std::move(item)) {}

std::string Case::name() const { return std::string(op_->name) + "/" + identifier(item_.name); }

std::unique_ptr<Graph> Case::graph() const {
  std::vector<TensorType> types;
  for (const CaseInput& input : item_.inputs) types.push_back(input.type);
  return graph_of(types);
}

std::unique_ptr<Graph> Case::graph(DType floats) const {
  return with_float_dtype(*graph(), floats);
}

std::unique_ptr<Graph> Case::graph_of(const std::vector<TensorType>& types) const {
  auto graph = std::make_unique<Graph>();
  std::vector<Value> inputs;
  for (std::size_t i = 0; i < types.size(); ++i) {
    inputs.push_back(graph->placeholder(input_name(i), types[i], {}));
  }
  Node* node = graph->add(*op_, std::move(inputs), item_.attrs, "op", {});
  for (std::size_t i = 0; i < node->outputs().size(); ++i) {
    graph->fetch(output_name(i), node->output(static_cast<int>(i)));
  }
  return graph;
}

HostTensors Case::feeds(const Graph& graph, std::uint32_t variant) const {
  HostTensors feeds;
  for (std::size_t i = 0; i < item_.inputs.size(); ++i) {
    const std::string key = name() + "#" + std::to_string(i) + "#" + std::to_string(variant);
    feeds.emplace(input_name(i), random_tensor(graph.find(input_name(i))->output_type(),
                                               item_.inputs[i], hash_name(key)));
  }
  return feeds;
}

Evaluation reference(const Graph& graph, const HostTensors& feeds) {
#ifdef INGOT_PLANTED_BUGS
  const PlantedBugScope none(PlantedBug::none);
#endif
  return evaluate(graph, feeds);
}

Node& op_node(const Graph& graph) { return *graph.find("op"); }

std::string input_name(std::size_t index) { return "x" + std::to_string(index); }

std::string output_name(std::size_t index) { return "y" + std::to_string(index); }

std::vector<Case> all_cases(const OpDef& op) {
  std::vector<Case> cases;
  if (op.cases == nullptr) return cases;
  for (OpCase& item : op.cases()) cases.emplace_back(op, std::move(item));
  return cases;
}

std::vector<const OpDef*> tested_ops() {
  std::vector<const OpDef*> ops;
  for (const OpDef* op : all_ops()) {
    const auto core = core_ops();
    if (std::find(core.begin(), core.end(), op) == core.end()) ops.push_back(op);
  }
  return ops;
}

}  // namespace ingot::conformance
