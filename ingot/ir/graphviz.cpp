#include "ingot/ir/graphviz.h"

#include <fmt/core.h>

#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"

namespace ingot {
namespace {

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '\n') {
      result += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + "\"";
}

std::string_view colour(const Node& node) {
  const OpDef& op = node.op();
  if (&op == &placeholder_op() || &op == &argument_op()) return "lightblue";
  if (&op == &variable_op()) return "lightyellow";
  if (op.traits.side_effect) return "lightsalmon";
  if (op.traits.source) return "lightgrey";
  return op.traits.composite ? "lightgreen" : "white";
}

std::string label(const Node& node) {
  std::string text = fmt::format("{}\n{}", node.op().name, node.name());
  for (const Node::Output& output : node.outputs()) {
    text += fmt::format("\n{}", output.type.to_string());
    if (output.layout.is_plain()) continue;
    text += fmt::format(" {}", output.layout.to_string(output.type.shape.rank()));
  }
  return text;
}

/// `prefix` keeps the identifiers of bodies apart.
void write(std::string& out, const Graph& graph, const std::string& prefix,
           const std::string& indent) {
  for (const auto& node : graph.nodes()) {
    const std::string id = fmt::format("{}n{}", prefix, node->id());
    if (node->body() != nullptr) {
      const std::string inner = id + "_";
      out += fmt::format("{}subgraph cluster_{} {{\n{}  label={};\n", indent, id, indent,
                         quoted(node->name()));
      write(out, *node->body(), inner, indent + "  ");
      out += indent + "}\n";
    }
    out += fmt::format("{}{} [label={}, fillcolor={}];\n", indent, id, quoted(label(*node)),
                       colour(*node));
    for (const Value& input : node->inputs()) {
      const bool only = input.node()->outputs().size() == 1;
      const std::string mark = only ? "" : fmt::format(" [label=\"{}\"]", input.index());
      out += fmt::format("{}{}n{} -> {}{};\n", indent, prefix, input.node()->id(), id, mark);
    }
  }
  for (std::size_t i = 0; i < graph.fetches().size(); ++i) {
    const Fetch& fetch = graph.fetches()[i];
    out +=
        fmt::format("{}{}f{} [label={}, shape=ellipse];\n", indent, prefix, i, quoted(fetch.name));
    out += fmt::format("{}{}n{} -> {}f{};\n", indent, prefix, fetch.value.node()->id(), prefix, i);
  }
}

}  // namespace

std::string to_dot(const Graph& graph) {
  std::string out = "digraph ingot {\n  node [shape=box, style=filled, fillcolor=white];\n";
  write(out, graph, "", "  ");
  return out + "}\n";
}

}  // namespace ingot
