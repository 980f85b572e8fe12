#include "ingot/ir/verifier.h"

#include <fmt/core.h>

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "ingot/base/error.h"
#include "ingot/ir/bits.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"

namespace ingot {
namespace {

class Verifier {
 public:
  Verifier(const Graph& graph, std::string_view pass) : graph_(graph), pass_(pass) {}

  void run(bool is_body) {
    int position = 0;
    for (const auto& node : graph_.nodes()) {
      check_place(*node, position++);
      check_operands(*node);
      check_attributes(*node);
      check_types(*node);
      for (const Node::Output& output : node->outputs()) check_layout(*node, output);
      if (&node->op() == &assign_op()) check_assign(*node);
      if (is_body && (node->op().traits.side_effect || is_outside_source(*node))) {
        fail(*node, "a body must not have sources but arguments and constants, nor assigns");
      }
      if (node->body() != nullptr) check_body(*node);
    }
    check_fetches();
  }

 private:
  [[noreturn]] void fail(const Node& node, std::string_view rule) const {
    throw internal_error(
        fmt::format("pass \"{}\": {} \"{}\": {}", pass_, node.op().name, node.name(), rule));
  }

  static bool is_outside_source(const Node& node) {
    return &node.op() == &placeholder_op() || &node.op() == &variable_op();
  }

  void check_place(const Node& node, int position) const {
    if (node.id() != position) {
      fail(node, fmt::format("id must be the position {}, got {}", position, node.id()));
    }
    if (&node.graph() != &graph_) fail(node, "node must know its graph, got another");
    if (graph_.find(node.name()) != &node) fail(node, "name must be unique, got it twice");
  }

  void check_operands(const Node& node) const {
    for (std::size_t i = 0; i < node.inputs().size(); ++i) {
      const Value& input = node.input(i);
      if (!input.valid()) fail(node, fmt::format("operand {} must be a value, got none", i));
      const Node& maker = *input.node();
      const auto id = static_cast<std::size_t>(maker.id());
      if (id >= graph_.size() || graph_.nodes()[id].get() != &maker) {
        fail(node, fmt::format("operand {} must be of this graph, got another's", i));
      }
      if (maker.id() >= node.id()) {
        fail(node, fmt::format("operand {} must be made above, got \"{}\"", i, maker.name()));
      }
      if (input.index() < 0 || input.index() >= static_cast<int>(maker.outputs().size())) {
        fail(node, fmt::format("operand {} must be an output of \"{}\", got index {}", i,
                               maker.name(), input.index()));
      }
    }
  }

  void check_attributes(const Node& node) const {
    const std::vector<AttrSpec>& specs = node.op().attrs;
    if (node.attrs().size() != specs.size()) {
      fail(node, fmt::format("attributes must be {}, got {}", specs.size(), node.attrs().size()));
    }
    for (std::size_t i = 0; i < specs.size(); ++i) {
      if (attr_kind(node.attrs()[i]) == specs[i].kind) continue;
      fail(node, fmt::format("attribute \"{}\" must be {}, got {}", specs[i].name,
                             attr_kind_name(specs[i].kind), to_string(node.attrs()[i])));
    }
  }

  void check_types(const Node& node) const {
    std::vector<TensorType> expected;
    if (node.body() != nullptr) {
      for (const Fetch& result : node.body()->fetches()) expected.push_back(result.value.type());
    } else {
      std::vector<TensorType> inputs;
      for (const Value& input : node.inputs()) inputs.push_back(input.type());
      try {
        expected = node.op().infer(InferContext(node.op(), node.name(), inputs, node.attrs()));
      } catch (const Error& error) {
        fail(node, fmt::format("operands must be accepted by inference, got {}", error.message()));
      }
    }
    if (expected.size() != node.outputs().size()) {
      fail(node, fmt::format("outputs must be {}, got {}", expected.size(), node.outputs().size()));
    }
    for (std::size_t i = 0; i < expected.size(); ++i) {
      if (expected[i] == node.output_type(i)) continue;
      fail(node, fmt::format("output {} must have the inferred type {}, got {}", i,
                             expected[i].to_string(), node.output_type(i).to_string()));
    }
  }

  void check_layout(const Node& node, const Node::Output& output) const {
    const int rank = output.type.shape.rank();
    const Layout& layout = output.layout;
    std::vector<int> order = layout.order();
    std::sort(order.begin(), order.end());
    bool fits = order.empty() || static_cast<int>(order.size()) == rank;
    for (std::size_t i = 0; i < order.size(); ++i) fits &= order[i] == static_cast<int>(i);
    const Layout elements = in_elements(layout);
    for (const Layout::Block& block : elements.blocks()) {
      fits &= block.axis >= 0 && block.axis < rank && block.size > 1;
    }
    if (!fits) {
      fail(node,
           fmt::format("layout must fit the rank of {}, got another's", output.type.to_string()));
    }
    if (has_bits(layout) && (rank == 0 || output.type.dtype != DType::boolean)) {
      fail(node, fmt::format("layout of bits must be of bool with axes, got {}",
                             output.type.to_string()));
    }
  }

  void check_assign(const Node& node) {
    const Node& target = *node.input(0).node();
    if (&target.op() != &variable_op()) {
      fail(node, fmt::format("target must be a variable, got {}", target.op().name));
    }
    if (!assigned_.insert(&target).second) {
      fail(node, "a variable is assigned at most once, got a second assign");
    }
    if (graph_.assign_of(target.name()) != &node) fail(node, "the graph must know the assign");
  }

  void check_body(const Node& node) const {
    const std::span<const Value> operands = node.inputs();
    for (const Node* argument : node.body()->nodes_of(argument_op())) {
      const auto index = static_cast<std::size_t>(argument->integer("index"));
      if (index >= operands.size() || operands[index].type() != argument->output_type()) {
        fail(node, fmt::format("argument {} of the body must be an operand, got {}", index,
                               argument->output_type().to_string()));
      }
    }
    Verifier(*node.body(), pass_).run(true);
  }

  void check_fetches() const {
    std::unordered_set<std::string_view> names;
    for (const Fetch& fetch : graph_.fetches()) {
      const auto fail_fetch = [&](std::string_view rule) {
        throw internal_error(fmt::format("pass \"{}\": fetch \"{}\": {}", pass_, fetch.name, rule));
      };
      const Node* maker = fetch.value.node();
      const bool ours = maker != nullptr && maker->id() < static_cast<int>(graph_.size()) &&
                        graph_.nodes()[static_cast<std::size_t>(maker->id())].get() == maker;
      if (!ours || fetch.value.index() >= static_cast<int>(maker->outputs().size())) {
        fail_fetch("value must be of this graph, got another's");
      }
      if (!names.insert(fetch.name).second) fail_fetch("name must be unique, got it twice");
    }
  }

  const Graph& graph_;
  std::string_view pass_;
  std::unordered_set<const Node*> assigned_;
};

}  // namespace

void verify(const Graph& graph, std::string_view pass) { Verifier(graph, pass).run(false); }

}  // namespace ingot
