#include "tests/docs/support/op_pages.h"

#include <fmt/core.h>

#include <vector>

#include "ingot/ir/op_def.h"
#include "ingot/ops/registry.h"

namespace ingot::docs {
namespace {

/// Text for a cell of a table.
std::string cell(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '|') result += '\\';
    result += c;
  }
  return result;
}

std::string operand_table(std::string_view title, const std::vector<OperandSpec>& operands) {
  if (operands.empty()) return {};
  std::string text = fmt::format("\n## {}\n\n| name | what |\n|---|---|\n", title);
  for (const OperandSpec& operand : operands) {
    const std::string_view kind = operand.variadic   ? " (any number)"
                                  : operand.optional ? " (optional)"
                                                     : "";
    text += fmt::format("| `{}`{} | {} |\n", operand.name, kind, cell(operand.doc));
  }
  return text;
}

std::string attribute_table(const OpDef& op) {
  if (op.attrs.empty()) return {};
  std::string text = "\n## Attributes\n\n| name | kind | default | what |\n|---|---|---|---|\n";
  for (const AttrSpec& attr : op.attrs) {
    const std::string value =
        attr.default_value ? fmt::format("`{}`", to_string(*attr.default_value)) : "required";
    text += fmt::format("| `{}` | {} | {} | {} |\n", attr.name, attr_kind_name(attr.kind),
                        cell(value), cell(attr.doc));
  }
  return text;
}

std::string rule_table(const OpDef& op) {
  if (op.constraints.empty()) return {};
  std::string text = "\n## Rules\n\n| id | rule | help |\n|---|---|---|\n";
  for (const Constraint& constraint : op.constraints) {
    text += fmt::format("| {} | {} | {} |\n", constraint.id, cell(constraint.text),
                        cell(constraint.help));
  }
  return text;
}

std::string gradient_text(const OpDef& op) {
  if (op.gradient.fn == nullptr) {
    return fmt::format("Not differentiable: {}.\n", op.gradient.not_differentiable);
  }
  std::string text;
  for (std::size_t i = 0; i < op.grad_exprs.size(); ++i) {
    if (op.grad_exprs[i].empty()) continue;
    text += fmt::format("| `{}` | `{}` |\n", op.inputs[i].name, cell(op.grad_exprs[i]));
  }
  if (text.empty()) return "Built from other ops.\n";
  return "With `y` the result and `g` its gradient:\n\n| operand | gradient |\n|---|---|\n" + text;
}

std::string facts(const OpDef& op) {
  std::string text;
  const auto add = [&](bool holds, std::string_view fact) {
    if (holds) text += fmt::format("- {}\n", fact);
  };
  add(op.traits.elementwise, "Elementwise; operands broadcast as NumPy's do.");
  add(op.traits.composite, "A composite: a backend may claim it whole, else its body is inlined.");
  add(op.traits.view, "A view: the result is the operand's memory under another shape.");
  add(op.traits.random,
      "Random: a function of seed, stream, step and element index, of nothing else.");
  add(op.traits.source, "A source: it has no operands.");
  for (const int i : op.f32_operands) {
    const auto at = static_cast<std::size_t>(i);
    if (at < op.inputs.size()) {
      add(true, fmt::format("`{}` stays f32 under mixed precision.", op.inputs[at].name));
    }
  }
  return text.empty() ? text : "\n## Facts\n\n" + text;
}

std::string page(const OpDef& op) {
  std::string text = fmt::format("# {}\n\n{}.\n", op.name, op.summary);
  if (!op.formula.empty()) text += fmt::format("\n```\n{}\n```\n", op.formula);
  text += operand_table("Operands", op.inputs);
  text += operand_table("Results", op.outputs);
  text += attribute_table(op);
  text += rule_table(op);
  text += "\n## Gradient\n\n" + gradient_text(op);
  return text + facts(op);
}

std::string_view kind(const OpDef& op) {
  if (op.traits.elementwise) return "elementwise";
  if (op.traits.composite) return "composite";
  return "primitive";
}

}  // namespace

std::map<std::string, std::string> op_pages() {
  std::map<std::string, std::string> pages;
  std::map<std::string_view, const OpDef*> sorted;
  for (const OpDef* op : all_ops()) sorted.emplace(op->name, op);
  std::string index =
      "# Ops\n\nOne page an op, made from the op's record by `make docs`. `ingot ops` prints which "
      "device has a kernel for which op.\n\n| op | what | kind | gradient |\n|---|---|---|---|\n";
  for (const auto& [name, op] : sorted) {
    pages.emplace(fmt::format("{}.md", name), page(*op));
    index += fmt::format("| [{0}]({0}.md) | {1} | {2} | {3} |\n", name, cell(op->summary),
                         kind(*op), op->gradient.fn != nullptr ? "yes" : "no");
  }
  pages.emplace("README.md", index);
  return pages;
}

}  // namespace ingot::docs
