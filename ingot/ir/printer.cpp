#include "ingot/ir/printer.h"

#include <fmt/core.h>

#include <algorithm>

#include "ingot/ir/op_def.h"

namespace ingot {
namespace {

std::string quoted(std::string_view text) { return to_string(AttrValue(std::string(text))); }

std::string name_text(std::string_view name) {
  const bool bare = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_./-").find(c) != std::string_view::npos;
  });
  return fmt::format("%{}", bare ? std::string(name) : quoted(name));
}

std::string origin_text(const Origin& origin) {
  std::string text;
  if (origin.location.known()) {
    text += fmt::format(" at {}:{} {}", quoted(origin.location.file), origin.location.line,
                        quoted(origin.location.function));
  }
  if (!origin.module_path.empty()) text += fmt::format(" module {}", quoted(origin.module_path));
  return text;
}

void print_into(std::string& out, const Graph& graph, const std::string& indent) {
  for (const auto& node : graph.nodes()) {
    out += indent + print_node(*node);
    if (node->body() != nullptr) {
      out += " body {\n";
      print_into(out, *node->body(), indent + "  ");
      out += indent + "}";
    }
    out += "\n";
  }
  for (const Fetch& fetch : graph.fetches()) {
    out += fmt::format("{}fetch {} = {}\n", indent, quoted(fetch.name), print_value(fetch.value));
  }
}

}  // namespace

std::string print_value(const Value& value) {
  const std::string name = name_text(value.node()->name());
  return value.index() == 0 ? name : fmt::format("{}:{}", name, value.index());
}

std::string print_node(const Node& node) {
  std::string text = fmt::format("{} = {}(", name_text(node.name()), node.op().name);
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    if (i > 0) text += ", ";
    text += print_value(node.input(i));
  }
  text += ")";
  for (std::size_t i = 0; i < node.attrs().size(); ++i) {
    text += fmt::format("{}{}={}", i == 0 ? " {" : ", ", node.op().attrs[i].name,
                        to_string(node.attrs()[i]));
  }
  if (!node.attrs().empty()) text += "}";
  for (std::size_t i = 0; i < node.outputs().size(); ++i) {
    const Node::Output& output = node.outputs()[i];
    text += fmt::format("{}{}", i == 0 ? " -> " : ", ", output.type.to_string());
    if (output.layout.is_plain()) continue;
    text += fmt::format("@{}", output.layout.to_string(output.type.shape.rank()));
  }
  return text + origin_text(node.origin());
}

std::string print_graph(const Graph& graph) {
  std::string text = "graph {\n";
  print_into(text, graph, "  ");
  return text + "}\n";
}

}  // namespace ingot
