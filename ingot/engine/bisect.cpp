#include "ingot/engine/bisect.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ingot/base/error.h"
#include "ingot/base/philox.h"
#include "ingot/engine/compile.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/evaluate.h"
#include "ingot/ir/op_def.h"

namespace ingot {
namespace {

HostTensor random_tensor(const TensorType& type, std::uint64_t seed, std::uint32_t stream) {
  HostTensor tensor(type);
  const HostView view = tensor.view();
  for (std::int64_t i = 0; i < view.numel(); ++i) {
    const double u =
        static_cast<double>(philox_uniform(seed, stream, 0, static_cast<std::uint64_t>(i)));
    view.set(i, is_float(type.dtype) ? 2 * u - 1 : (u < 0.5 ? 0.0 : 1.0));
  }
  return tensor;
}

/// The first element of `got` outside the op's tolerance of `want`; empty when there is none.
std::string difference(const Node& node, const HostTensor& got, const HostTensor& want) {
  const OpDef& op = node.op();
  const std::int64_t length = op.reduction_length != nullptr ? op.reduction_length(node) : 1;
  const Tolerance tolerance = node_tolerance(node, want.type().dtype, length);
  const HostView a = got.view();
  const HostView b = want.view();
  // Sums are compared on the scale of the whole result: their terms cancel.
  double scale = 0;
  for (std::int64_t i = 0; i < b.numel(); ++i) {
    if (std::isfinite(b.get(i))) scale = std::max(scale, std::fabs(b.get(i)));
  }
  for (std::int64_t i = 0; i < b.numel(); ++i) {
    const double x = a.get(i);
    const double y = b.get(i);
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    if (std::fabs(x - y) <= tolerance.absolute + tolerance.relative * scale) continue;
    return fmt::format(
        "{} \"{}\": result must agree with the reference, got {} for {} at element {} of {}",
        op.name, node.name(), x, y, i, want.type().to_string());
  }
  return {};
}

/// `node` alone in a Graph: its operands are placeholders "0", "1", ...; its results are fetched.
void run_alone(const Node& node, const std::vector<HostTensor>& operands,
               const std::shared_ptr<Backend>& backend, std::vector<HostTensor>& results) {
  Graph graph;
  std::vector<Value> inputs;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < operands.size(); ++i) names.push_back(fmt::format("operand{}", i));
  for (std::size_t i = 0; i < operands.size(); ++i) {
    inputs.push_back(graph.placeholder(names[i], operands[i].type(), {}));
  }
  Node* copy = graph.clone(node, inputs);
  const auto count = static_cast<int>(copy->outputs().size());
  for (int i = 0; i < count; ++i) graph.fetch(fmt::format("result{}", i), copy->output(i));
  VariableStore store(backend);
  Executable exe = compile(graph, store, {.disabled_passes = {}, .check_numerics = false});
  std::vector<Feed> feeds;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    feeds.push_back({names[i], operands[i].bytes().data(), operands[i].bytes().size(), {}});
  }
  exe.run(feeds);
  for (int i = 0; i < count; ++i) results.push_back(exe.fetched(fmt::format("result{}", i)));
}

}  // namespace

BisectReport bisect(const Graph& graph, const std::shared_ptr<Backend>& backend,
                    const BisectOptions& options) {
  HostTensors feeds;
  HostTensors variables;
  std::uint32_t stream = 1;
  for (const auto& node : graph.nodes()) {
    if (&node->op() == &placeholder_op()) {
      feeds.emplace(node->name(), random_tensor(node->output_type(), options.seed, stream++));
    } else if (&node->op() == &variable_op()) {
      variables.emplace(node->name(), initial_value(node->output_type(), initializer_of(*node),
                                                    node->name(), options.seed));
    }
  }
  BisectReport report;
  std::map<std::pair<const Node*, int>, HostTensor> values;
  const auto check = [&](const Node& node, std::span<const HostView> outputs) {
    if (!report.ok) return;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      HostTensor value(outputs[i].type);
      std::copy_n(outputs[i].data, value.bytes().size(), value.bytes().data());
      values.emplace(std::pair(&node, static_cast<int>(i)), std::move(value));
    }
    if (node.op().traits.source || node.op().traits.side_effect) return;
    std::vector<HostTensor> operands;
    for (const Value& input : node.inputs()) {
      operands.push_back(values.at({input.node(), input.index()}));
    }
    try {
      std::vector<HostTensor> results;
      run_alone(node, operands, backend, results);
      for (std::size_t i = 0; i < results.size() && report.ok; ++i) {
        const auto& want = values.at({&node, static_cast<int>(i)});
        report.reason = difference(node, results[i], want);
        report.ok = report.reason.empty();
      }
    } catch (const Error& error) {
      report.ok = false;
      report.reason = error.what();
    }
    if (report.ok) {
      ++report.checked;
    } else {
      report.node = node.name();
    }
  };
  const Evaluation evaluation = evaluate(graph, feeds, variables, check);
  if (report.ok && evaluation.error.node >= 0) {
    const Node& node = *graph.nodes()[static_cast<std::size_t>(evaluation.error.node)];
    report = {false, report.checked, node.name(),
              fmt::format("{} \"{}\": data breaks its rule {}, got {}", node.op().name, node.name(),
                          evaluation.error.rule, evaluation.error.value)};
  }
  return report;
}

}  // namespace ingot
