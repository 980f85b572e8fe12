// One case of one op as a Graph with inputs: what every check starts from.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ingot/ir/evaluate.h"
#include "ingot/ir/graph.h"
#include "ingot/ir/op_def.h"

namespace ingot::conformance {

/// CONFORMANCE_SEED, 1 without it: the key of all random inputs.
std::uint64_t seed();

/// Letters, digits and '_' only, for test names.
std::string identifier(std::string_view text);

/// Random elements as the case asks: floats uniform in [low, high), integers in [low, high].
HostTensor random_tensor(const TensorType& type, const CaseInput& range, std::uint32_t stream);

class Case {
 public:
  Case(const OpDef& op, OpCase item);

  [[nodiscard]] const OpDef& op() const noexcept { return *op_; }
  [[nodiscard]] const OpCase& item() const noexcept { return item_; }
  /// "conv2d/grouped"
  [[nodiscard]] std::string name() const;
  /// Placeholders x0, x1, ..., the Node "op", fetches y0, y1, ...; with every float as `floats` if
  /// that is given. Throws what Graph::add throws.
  [[nodiscard]] std::unique_ptr<Graph> graph() const;
  [[nodiscard]] std::unique_ptr<Graph> graph(DType floats) const;
  /// The same with other operand types.
  [[nodiscard]] std::unique_ptr<Graph> graph_of(const std::vector<TensorType>& types) const;
  /// Inputs for the placeholders of `graph`; another `variant` gives other values.
  [[nodiscard]] HostTensors feeds(const Graph& graph, std::uint32_t variant = 0) const;

 private:
  const OpDef* op_;
  OpCase item_;
};

/// What the reference gives, whatever bug is planted.
Evaluation reference(const Graph& graph, const HostTensors& feeds);

Node& op_node(const Graph& graph);
std::string input_name(std::size_t index);
std::string output_name(std::size_t index);
/// Every case of every op that is not one of core_ops().
std::vector<Case> all_cases(const OpDef& op);
std::vector<const OpDef*> tested_ops();

}  // namespace ingot::conformance
