#include "ingot/ir/convert_dtype.h"

#include "ingot/ir/body.h"
#include "ingot/ir/op_def.h"

namespace ingot {
namespace {

TensorAttr converted(const TensorAttr& attr, DType dtype) {
  const HostView from = std::as_const(*attr.tensor).view();
  if (!is_float(from.type.dtype)) return attr;
  auto tensor = std::make_shared<HostTensor>(TensorType{dtype, from.type.shape});
  for (std::int64_t i = 0; i < from.numel(); ++i) tensor->view().set(i, from.get(i));
  return {std::move(tensor)};
}

ScalarProgram converted(const ScalarProgram& program, DType dtype) {
  // Equal instructions merge while rebuilding, so indices move.
  ScalarProgram result(program.num_inputs());
  std::vector<int> map;
  const auto at = [&map](int i) { return i < 0 ? -1 : map[static_cast<std::size_t>(i)]; };
  for (const ScalarInstr& instr : program.instrs()) {
    switch (instr.op) {
      case ScalarOp::input: map.push_back(result.add_input(instr.a)); break;
      case ScalarOp::constant: map.push_back(result.add_constant(instr.imm)); break;
      case ScalarOp::cast:
        map.push_back(result.add_cast(at(instr.a), is_float(instr.type) ? dtype : instr.type));
        break;
      default: map.push_back(result.add(instr.op, at(instr.a), at(instr.b), at(instr.c)));
    }
  }
  for (const int output : program.outputs()) result.add_output(at(output));
  return result;
}

AttrValue converted(const AttrValue& value, DType dtype) {
  if (const auto* type = std::get_if<DType>(&value)) return is_float(*type) ? dtype : *type;
  if (const auto* tensor = std::get_if<TensorAttr>(&value)) return converted(*tensor, dtype);
  if (const auto* program = std::get_if<ScalarProgram>(&value)) return converted(*program, dtype);
  return value;
}

}  // namespace

std::unique_ptr<Graph> with_float_dtype(const Graph& graph, DType dtype) {
  auto copy = std::make_unique<Graph>();
  std::vector<Node*> map;
  map.reserve(graph.size());
  for (const auto& node : graph.nodes()) {
    const Graph::OriginScope scope(*copy, node->origin());
    std::vector<Value> inputs;
    for (const Value& input : node->inputs()) {
      inputs.push_back(map[static_cast<std::size_t>(input.node()->id())]->output(input.index()));
    }
    AttrList attrs = attr_list(*node);
    for (NamedAttr& attr : attrs) attr.value = converted(attr.value, dtype);
    if (node->body() != nullptr) {
      map.push_back(copy->add_region(node->op(), std::move(inputs),
                                     with_float_dtype(*node->body(), dtype), std::move(attrs),
                                     node->name()));
    } else {
      map.push_back(copy->add(node->op(), std::move(inputs), std::move(attrs), node->name(), {}));
    }
  }
  for (const Fetch& fetch : graph.fetches()) {
    Node* node = map[static_cast<std::size_t>(fetch.value.node()->id())];
    copy->fetch(fetch.name, node->output(fetch.value.index()));
  }
  return copy;
}

}  // namespace ingot
