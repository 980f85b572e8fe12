#include "ingot/ir/graph.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "ingot/base/error.h"
#include "ingot/ir/core_ops.h"
#include "ingot/ir/op_def.h"

namespace ingot {
namespace {

[[noreturn]] void fail_add(std::string_view op, std::string_view name, std::string rule,
                           const Origin& origin, ErrorCode code = ErrorCode::invalid_argument) {
  throw_with_origin(user_error(code, fmt::format("{} \"{}\": {}", op, name, rule)), origin);
}

std::vector<AttrValue> complete_attrs(const OpDef& op, std::string_view name, AttrList given,
                                      const Origin& origin) {
  std::vector<AttrValue> values(op.attrs.size());
  std::vector<bool> present(op.attrs.size(), false);
  for (NamedAttr& attr : given) {
    const int index = op.attr_index(attr.name);
    if (index < 0) {
      std::vector<std::string> names;
      for (const AttrSpec& spec : op.attrs) names.emplace_back(spec.name);
      Error error =
          user_error(ErrorCode::invalid_argument,
                     fmt::format("{} \"{}\": attribute must be one the op has, got \"{}\"", op.name,
                                 name, attr.name));
      if (const auto close = closest_names(attr.name, names); !close.empty()) {
        error.help("did you mean " + close + "?");
      }
      throw_with_origin(std::move(error), origin);
    }
    const auto slot = static_cast<std::size_t>(index);
    const AttrSpec& spec = op.attrs[slot];
    // An integer is accepted where a real is meant.
    if (spec.kind == AttrKind::real && attr_kind(attr.value) == AttrKind::integer) {
      attr.value = static_cast<double>(std::get<std::int64_t>(attr.value));
    }
    if (attr_kind(attr.value) != spec.kind) {
      fail_add(op.name, name,
               fmt::format("attribute \"{}\" must be {}, got {}", spec.name,
                           attr_kind_name(spec.kind), to_string(attr.value)),
               origin);
    }
    values[slot] = std::move(attr.value);
    present[slot] = true;
  }
  for (std::size_t i = 0; i < present.size(); ++i) {
    if (present[i]) continue;
    const AttrSpec& spec = op.attrs[i];
    if (!spec.default_value) {
      fail_add(op.name, name, fmt::format("attribute \"{}\" is required, got none", spec.name),
               origin);
    }
    values[i] = *spec.default_value;
  }
  return values;
}

void check_operand_count(const OpDef& op, std::string_view name, std::size_t count,
                         const Origin& origin) {
  std::size_t required = 0;
  bool variadic = false;
  for (const OperandSpec& spec : op.inputs) {
    variadic |= spec.variadic;
    if (!spec.variadic && !spec.optional) ++required;
  }
  if (count < required || (!variadic && count > op.inputs.size())) {
    const char* more = variadic || required != op.inputs.size() ? " or more" : "";
    fail_add(op.name, name, fmt::format("takes {}{} operand(s), got {}", required, more, count),
             origin);
  }
}

}  // namespace

void throw_with_origin(Error error, const Origin& origin) {
  if (origin.location.known()) {
    std::string text = "made at " + origin.location.to_string();
    if (!origin.module_path.empty()) text += fmt::format(" (module {})", origin.module_path);
    error.note(text);
  } else if (!origin.module_path.empty()) {
    error.note(fmt::format("in module {}", origin.module_path));
  }
  throw error;
}

const TensorType& Value::type() const {
  return node_->output_type(static_cast<std::size_t>(index_));
}

const Layout& Value::layout() const {
  return node_->outputs()[static_cast<std::size_t>(index_)].layout;
}

Graph& Value::graph() const { return node_->graph(); }

Node::~Node() = default;

const AttrValue& Node::attr_value(std::string_view name) const {
  const int index = op_->attr_index(name);
  if (index < 0) {
    throw internal_error(fmt::format("{} \"{}\": no attribute \"{}\"", op_->name, name_, name));
  }
  return attrs_[static_cast<std::size_t>(index)];
}

std::string_view variable_role_name(VariableRole role) noexcept {
  constexpr std::string_view kNames[] = {"parameter", "buffer", "optimizer_state", "counter",
                                         "dataset"};
  return kNames[static_cast<std::size_t>(role)];
}

Graph::Graph() = default;
Graph::~Graph() = default;

Graph::Graph(Graph&& other) noexcept { *this = std::move(other); }

Graph& Graph::operator=(Graph&& other) noexcept {
  nodes_ = std::move(other.nodes_);
  fetches_ = std::move(other.fetches_);
  by_name_ = std::move(other.by_name_);
  assign_by_variable_ = std::move(other.assign_by_variable_);
  name_counts_ = std::move(other.name_counts_);
  interned_ = std::move(other.interned_);
  intern_index_ = std::move(other.intern_index_);
  module_path_ = other.module_path_;
  outer_location_ = other.outer_location_;
  for (const auto& node : nodes_) node->graph_ = this;
  return *this;
}

Value Graph::placeholder(std::string name, TensorType type, SourceLocation loc) {
  if (by_name_.contains(name)) {
    fail_add("placeholder", name, "name must be unique in the graph, got it twice",
             origin_for(loc));
  }
  return add(placeholder_op(), {}, {{"dtype", type.dtype}, {"shape", type.shape.to_vector()}},
             std::move(name), loc)
      ->output();
}

Value Graph::variable(std::string name, TensorType type, Initializer init, VariableRole role,
                      SourceLocation loc) {
  if (Node* known = find(name)) {
    if (&known->op() != &variable_op()) {
      fail_add("variable", name, "name must be unique in the graph, got it twice", origin_for(loc));
    }
    if (known->output_type() != type) {
      fail_add("variable", name,
               fmt::format("must keep its type, got {} after {}", type.to_string(),
                           known->output_type().to_string()),
               origin_for(loc), ErrorCode::invalid_shape);
    }
    return known->output();
  }
  return add(variable_op(), {},
             {{"dtype", type.dtype},
              {"shape", type.shape.to_vector()},
              {"role", static_cast<std::int64_t>(role)},
              {"init", static_cast<std::int64_t>(init.kind)},
              {"init_a", init.a},
              {"init_b", init.b}},
             std::move(name), loc)
      ->output();
}

Value Graph::constant(HostTensor tensor, SourceLocation loc) {
  TensorAttr attr{std::make_shared<const HostTensor>(std::move(tensor))};
  return add(constant_op(), {}, {{"value", AttrValue(std::move(attr))}}, {}, loc)->output();
}

Value Graph::full(TensorType type, double value, SourceLocation loc) {
  HostTensor tensor(type);
  const HostView view = tensor.view();
  for (std::int64_t i = 0; i < view.numel(); ++i) view.set(i, value);
  return constant(std::move(tensor), loc);
}

Value Graph::scalar(double value, DType dtype, SourceLocation loc) {
  return full({dtype, Shape{}}, value, loc);
}

void Graph::assign(Value variable, Value value, std::optional<Value> predicate,
                   SourceLocation loc) {
  std::vector<Value> inputs{variable, value};
  if (predicate) inputs.push_back(*predicate);
  std::string name = variable.valid() ? "assign." + variable.node()->name() : "assign";
  add(assign_op(), std::move(inputs), {}, std::move(name), loc);
}

void Graph::check_operands(std::string_view op, std::string_view name,
                           std::span<const Value> operands, const Origin& origin) const {
  for (const Value& operand : operands) {
    if (operand.valid() && &operand.graph() == this) continue;
    fail_add(op, name,
             fmt::format("operands must be values of this graph, got {}",
                         operand.valid() ? "another graph's" : "an empty value"),
             origin, ErrorCode::invalid_graph);
  }
}

void Graph::check_body(const Node& region) const {
  const std::span<const Value> operands = region.inputs();
  for (const auto& node : region.body()->nodes()) {
    const OpDef& op = node->op();
    const bool outside = op.traits.source && &op != &argument_op() && &op != &constant_op();
    if (!outside && !op.traits.side_effect) continue;
    fail_add(region.op().name, region.name(),
             fmt::format("body must have no sources but arguments and constants, nor assigns, got "
                         "{} \"{}\"",
                         op.name, node->name()),
             region.origin(), ErrorCode::invalid_graph);
  }
  for (const Node* argument : region.body()->nodes_of(argument_op())) {
    const std::int64_t index = argument->integer("index");
    const bool exists = index >= 0 && index < static_cast<std::int64_t>(operands.size());
    const auto at = static_cast<std::size_t>(index);
    if (exists && operands[at].type() == argument->output_type()) continue;
    fail_add(region.op().name, region.name(),
             fmt::format("argument {} of the body must be {}, got {}", index,
                         exists ? operands[at].type().to_string() : "one of the operands",
                         argument->output_type().to_string()),
             region.origin(), ErrorCode::invalid_graph);
  }
}

void Graph::check_assign(const Node& target, const Origin& origin) const {
  if (&target.op() != &variable_op()) {
    fail_add("assign", target.name(),
             fmt::format("target must be a variable, got {}", target.op().name), origin,
             ErrorCode::invalid_graph);
  }
  if (assign_by_variable_.contains(target.name())) {
    fail_add("assign", target.name(), "a variable is assigned at most once, got a second assign",
             origin, ErrorCode::invalid_graph);
  }
}

void Graph::fetch(std::string name, Value value) {
  for (const Fetch& known : fetches_) {
    if (known.name == name) {
      fail_add("fetch", name, "name must be unique in the graph, got it twice", origin_for({}));
    }
  }
  check_operands("fetch", name, {&value, 1}, origin_for({}));
  fetches_.push_back({std::move(name), value});
}

Value Graph::argument(int index, TensorType type) {
  return add(argument_op(), {},
             {{"index", index}, {"dtype", type.dtype}, {"shape", type.shape.to_vector()}},
             fmt::format("arg{}", index), {})
      ->output();
}

Node* Graph::add(const OpDef& op, std::vector<Value> inputs, AttrList attrs, std::string name,
                 SourceLocation loc) {
  const Origin origin = origin_for(loc);
  if (name.empty()) {
    name = unique_name(op.name);
  } else if (by_name_.contains(name)) {
    name = unique_name(name);
  }
  check_operand_count(op, name, inputs.size(), origin);
  check_operands(op.name, name, inputs, origin);
  std::vector<TensorType> types;
  types.reserve(inputs.size());
  for (const Value& input : inputs) types.push_back(input.type());
  if (&op == &assign_op()) check_assign(*inputs[0].node(), origin);
  auto node = std::unique_ptr<Node>(new Node());
  node->attrs_ = complete_attrs(op, name, std::move(attrs), origin);
  try {
    for (TensorType& type : op.infer(InferContext(op, name, types, node->attrs_))) {
      node->outputs_.push_back({std::move(type), Layout{}});
    }
  } catch (Error& error) {
    throw_with_origin(std::move(error), origin);
  }
  node->op_ = &op;
  node->name_ = std::move(name);
  node->inputs_ = std::move(inputs);
  node->origin_ = origin;
  Node* added = append(std::move(node));
  if (&op == &assign_op()) assign_by_variable_.emplace(added->input(0).node()->name(), added);
  return added;
}

Node* Graph::clone(const Node& node, std::vector<Value> inputs, AttrList changed) {
  AttrList attrs = std::move(changed);
  const std::size_t given = attrs.size();
  for (std::size_t i = 0; i < node.attrs_.size(); ++i) {
    const std::string_view name = node.op().attrs[i].name;
    const auto end = attrs.begin() + static_cast<std::ptrdiff_t>(given);
    if (std::any_of(attrs.begin(), end, [&](const NamedAttr& a) { return a.name == name; })) {
      continue;
    }
    attrs.emplace_back(std::string(name), node.attrs_[i]);
  }
  const OriginScope scope(*this, node.origin_);
  Node* copy = nullptr;
  if (node.body_ != nullptr) {
    // A Region's types come from its body, which inference does not see.
    auto region = std::unique_ptr<Node>(new Node());
    region->op_ = node.op_;
    region->name_ = by_name_.contains(node.name_) ? unique_name(node.name_) : node.name_;
    region->inputs_ = std::move(inputs);
    region->outputs_ = node.outputs_;
    region->attrs_ = node.attrs_;
    region->origin_ = origin_for({});
    region->body_ = clone_graph(*node.body_);
    copy = append(std::move(region));
  } else {
    copy = add(node.op(), std::move(inputs), std::move(attrs), node.name_, {});
    for (std::size_t i = 0; i < node.outputs_.size(); ++i) {
      copy->outputs_[i].layout = node.outputs_[i].layout;
    }
  }
  return copy;
}

Node* Graph::add_region(const OpDef& op, std::vector<Value> inputs, std::unique_ptr<Graph> body,
                        AttrList attrs, std::string name) {
  const Origin origin = origin_for({});
  auto node = std::unique_ptr<Node>(new Node());
  const bool free = !name.empty() && !by_name_.contains(name);
  node->name_ = free ? std::move(name) : unique_name(name.empty() ? op.name : name);
  check_operands(op.name, node->name_, inputs, origin);
  node->attrs_ = complete_attrs(op, node->name_, std::move(attrs), origin);
  node->inputs_ = std::move(inputs);
  node->origin_ = origin;
  for (const Fetch& result : body->fetches()) {
    node->outputs_.push_back({result.value.type(), result.value.layout()});
  }
  node->op_ = &op;
  node->body_ = std::move(body);
  check_body(*node);
  return append(std::move(node));
}

Node* Graph::find(std::string_view name) const {
  const auto it = by_name_.find(std::string(name));
  return it == by_name_.end() ? nullptr : it->second;
}

std::vector<Node*> Graph::nodes_of(const OpDef& op) const {
  std::vector<Node*> result;
  for (const auto& node : nodes_) {
    if (&node->op() == &op) result.push_back(node.get());
  }
  return result;
}

Node* Graph::assign_of(std::string_view variable_name) const {
  const auto it = assign_by_variable_.find(std::string(variable_name));
  return it == assign_by_variable_.end() ? nullptr : it->second;
}

std::string_view Graph::intern(std::string_view text) {
  if (const auto it = intern_index_.find(text); it != intern_index_.end()) return it->second;
  const std::string_view kept = interned_.emplace_back(text);
  intern_index_.emplace(kept, kept);
  return kept;
}

std::string Graph::scoped_name(std::string_view name) const {
  return module_path_.empty() ? std::string(name) : fmt::format("{}.{}", module_path_, name);
}

Origin Graph::origin_for(SourceLocation loc) {
  if (forced_origin_) return *forced_origin_;
  return {outer_location_.known() ? outer_location_ : loc, module_path_};
}

Node* Graph::append(std::unique_ptr<Node> node) {
  node->graph_ = this;
  node->id_ = static_cast<int>(nodes_.size());
  by_name_.emplace(node->name_, node.get());
  nodes_.push_back(std::move(node));
  return nodes_.back().get();
}

std::string Graph::unique_name(std::string_view base) {
  int& count = name_counts_[std::string(base)];
  std::string name;
  do {
    name = fmt::format("{}_{}", base, count++);
  } while (by_name_.contains(name));
  return name;
}

Graph::ModuleScope Graph::module(std::string_view component, SourceLocation loc) {
  return {*this, component, loc};
}

Graph::ModuleScope::ModuleScope(Graph& graph, std::string_view component, SourceLocation loc)
    : graph_(graph), saved_path_(graph.module_path_), saved_location_(graph.outer_location_) {
  if (!component.empty()) graph.module_path_ = graph.intern(graph.scoped_name(component));
  if (!saved_location_.known()) graph.outer_location_ = loc;
}

Graph::ModuleScope::~ModuleScope() {
  graph_.module_path_ = saved_path_;
  graph_.outer_location_ = saved_location_;
}

Graph::OriginScope Graph::with_origin(const Origin& origin) { return {*this, origin}; }

Graph::OriginScope::OriginScope(Graph& graph, const Origin& origin)
    : graph_(graph), saved_(graph.forced_origin_) {
  graph.forced_origin_ = Origin{origin.location, graph.intern(origin.module_path)};
}

Graph::OriginScope::~OriginScope() { graph_.forced_origin_ = saved_; }

std::unique_ptr<Graph> clone_graph(const Graph& graph) {
  auto copy = std::make_unique<Graph>();
  std::vector<Node*> map;
  map.reserve(graph.size());
  for (const auto& node : graph.nodes()) {
    std::vector<Value> inputs;
    for (const Value& input : node->inputs()) {
      inputs.push_back(map[static_cast<std::size_t>(input.node()->id())]->output(input.index()));
    }
    map.push_back(copy->clone(*node, std::move(inputs)));
  }
  for (const Fetch& fetch : graph.fetches()) {
    Node* node = map[static_cast<std::size_t>(fetch.value.node()->id())];
    copy->fetch(fetch.name, node->output(fetch.value.index()));
  }
  return copy;
}

}  // namespace ingot
