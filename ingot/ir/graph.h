// The statically shaped, typed IR. Nodes are pure; variables change only through `assign`, once a
// step and at its end.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ingot/base/shape.h"
#include "ingot/base/source_location.h"
#include "ingot/ir/attr.h"
#include "ingot/ir/layout.h"

namespace ingot {

class Error;
class Graph;
class Node;
struct OpDef;

/// One output of a Node. A cheap handle; valid as long as its Graph. Operators and functions on
/// Values are in ops/.
class Value {
 public:
  Value() = default;
  Value(Node* node, int index) : node_(node), index_(index) {}

  [[nodiscard]] bool valid() const noexcept { return node_ != nullptr; }
  explicit operator bool() const noexcept { return valid(); }
  [[nodiscard]] Node* node() const noexcept { return node_; }
  [[nodiscard]] int index() const noexcept { return index_; }
  [[nodiscard]] const TensorType& type() const;
  [[nodiscard]] const Shape& shape() const { return type().shape; }
  [[nodiscard]] DType dtype() const { return type().dtype; }
  [[nodiscard]] const Layout& layout() const;
  [[nodiscard]] Graph& graph() const;

  friend bool operator==(const Value&, const Value&) = default;

 private:
  Node* node_ = nullptr;
  int index_ = 0;
};

struct ValueHash {
  std::size_t operator()(const Value& v) const noexcept {
    return std::hash<const void*>{}(v.node()) * 31 + static_cast<std::size_t>(v.index());
  }
};

/// Where a Node came from: the user's outermost call and the module path ("layer1.0.conv1").
struct Origin {
  SourceLocation location;
  std::string_view module_path;  ///< owned by the Graph
};

class Node {
 public:
  struct Output {
    TensorType type;
    Layout layout;
  };

  [[nodiscard]] const OpDef& op() const noexcept { return *op_; }
  /// Unique in its Graph.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// Position in the Graph's order; dense.
  [[nodiscard]] int id() const noexcept { return id_; }
  [[nodiscard]] std::span<const Value> inputs() const noexcept { return inputs_; }
  [[nodiscard]] const Value& input(std::size_t i) const { return inputs_[i]; }
  [[nodiscard]] std::span<const Output> outputs() const noexcept { return outputs_; }
  [[nodiscard]] Value output(int i = 0) { return {this, i}; }
  [[nodiscard]] const TensorType& input_type(std::size_t i) const { return inputs_[i].type(); }
  [[nodiscard]] const TensorType& output_type(std::size_t i = 0) const { return outputs_[i].type; }
  [[nodiscard]] std::span<const AttrValue> attrs() const noexcept { return attrs_; }
  template <typename T>
  [[nodiscard]] const T& attr(std::string_view name) const {
    return std::get<T>(attr_value(name));
  }
  [[nodiscard]] const AttrValue& attr_value(std::string_view name) const;
  [[nodiscard]] std::int64_t integer(std::string_view name) const {
    return attr<std::int64_t>(name);
  }
  [[nodiscard]] const std::vector<std::int64_t>& integers(std::string_view name) const {
    return attr<std::vector<std::int64_t>>(name);
  }
  [[nodiscard]] const Origin& origin() const noexcept { return origin_; }
  [[nodiscard]] Graph& graph() const noexcept { return *graph_; }
  /// The Region's body, or null.
  [[nodiscard]] Graph* body() const noexcept { return body_.get(); }

  void set_layout(int output, Layout layout) {
    outputs_[static_cast<std::size_t>(output)].layout = std::move(layout);
  }

  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node();

 private:
  friend class Graph;
  friend struct GraphTestAccess;
  Node() = default;

  Graph* graph_ = nullptr;
  const OpDef* op_ = nullptr;
  std::string name_;
  int id_ = 0;
  std::vector<Value> inputs_;
  std::vector<Output> outputs_;
  std::vector<AttrValue> attrs_;
  Origin origin_;
  std::unique_ptr<Graph> body_;
};

/// How a variable starts. Random ones are a function of (seed, the variable's name, element).
struct Initializer {
  enum class Kind : std::uint8_t { constant, uniform, normal };
  Kind kind = Kind::constant;
  double a = 0.0;  ///< the constant; the lower bound; the mean
  double b = 0.0;  ///< the upper bound; the standard deviation

  static Initializer constant(double value) { return {Kind::constant, value, 0.0}; }
  static Initializer uniform(double low, double high) { return {Kind::uniform, low, high}; }
  static Initializer normal(double mean, double std) { return {Kind::normal, mean, std}; }
};

/// What a variable is for; checkpoints and optimizers select by it. `dataset`: what a run reads and
/// can read again, such as a data set on the device; not saved.
enum class VariableRole : std::uint8_t { parameter, buffer, optimizer_state, counter, dataset };
inline constexpr int kVariableRoleCount = 5;
std::string_view variable_role_name(VariableRole role) noexcept;

/// A named result.
struct Fetch {
  std::string name;
  Value value;
};

/// A Graph owns its Nodes in topological order: a Node is added after its inputs, and never
/// changes afterwards except for layouts. Passes build new Graphs.
class Graph {
 public:
  Graph();
  ~Graph();
  Graph(Graph&&) noexcept;
  Graph& operator=(Graph&&) noexcept;

  /// A value fed from outside at each run. Errors: a name already taken, a negative dimension.
  Value placeholder(std::string name, TensorType type,
                    SourceLocation loc = SourceLocation::current());
  /// Device-resident state. A second call with the same name and type gives the same Value; with
  /// another type it is an error.
  Value variable(std::string name, TensorType type, Initializer init,
                 VariableRole role = VariableRole::parameter,
                 SourceLocation loc = SourceLocation::current());
  Value constant(HostTensor tensor, SourceLocation loc = SourceLocation::current());
  /// A constant filled with one value.
  Value full(TensorType type, double value, SourceLocation loc = SourceLocation::current());
  Value scalar(double value, DType dtype = DType::f32,
               SourceLocation loc = SourceLocation::current());
  /// Gives `variable` a new value at the end of the step; at most once a variable. With a
  /// predicate (bool, rank 0) the variable keeps its value when it is false.
  void assign(Value variable, Value value, std::optional<Value> predicate = std::nullopt,
              SourceLocation loc = SourceLocation::current());
  void fetch(std::string name, Value value);
  /// Body Graphs: argument `index` of the Region.
  Value argument(int index, TensorType type);

  /// Adds a Node: fills in attribute defaults, checks attributes and operand counts, infers the
  /// outputs' types. `name` empty: made from the op's name.
  Node* add(const OpDef& op, std::vector<Value> inputs, AttrList attrs = {}, std::string name = {},
            SourceLocation loc = SourceLocation::current());
  /// For passes: a Node with another's op, attributes, name, origin, layouts and body on new
  /// inputs, and with `changed` in place of the attributes of those names; types are inferred anew.
  Node* clone(const Node& node, std::vector<Value> inputs, AttrList changed = {});
  /// A Region: a Node that owns a body; its outputs are the body's fetches, its inputs the body's
  /// arguments in order. Its origin is the current OriginScope's. Errors (user): arguments that are
  /// not the operands, a body with placeholders, variables or assigns.
  Node* add_region(const OpDef& op, std::vector<Value> inputs, std::unique_ptr<Graph> body,
                   AttrList attrs = {}, std::string name = {});
  /// For passes: Nodes added until the returned scope dies take this origin.
  class OriginScope;
  [[nodiscard]] OriginScope with_origin(const Origin& origin);

  [[nodiscard]] std::span<const std::unique_ptr<Node>> nodes() const noexcept { return nodes_; }
  [[nodiscard]] std::size_t size() const noexcept { return nodes_.size(); }
  [[nodiscard]] const std::vector<Fetch>& fetches() const noexcept { return fetches_; }
  /// Null when there is none.
  [[nodiscard]] Node* find(std::string_view name) const;
  [[nodiscard]] Node* find_variable(std::string_view name) const { return find(name); }
  [[nodiscard]] std::vector<Node*> nodes_of(const OpDef& op) const;
  /// The `assign` Node of a variable, or null.
  [[nodiscard]] Node* assign_of(std::string_view variable_name) const;
  /// Keeps `text` alive as long as the Graph.
  std::string_view intern(std::string_view text);

  /// While alive, Nodes have this module path component, and, for the outermost scope that gives
  /// one, this source location instead of their own.
  class ModuleScope;
  [[nodiscard]] ModuleScope module(std::string_view component, SourceLocation loc = {});
  /// "layer1.0"; empty at the top.
  [[nodiscard]] std::string_view module_path() const noexcept { return module_path_; }
  /// `path` + "." + `name`, or `name` at the top.
  [[nodiscard]] std::string scoped_name(std::string_view name) const;

 private:
  friend struct GraphTestAccess;  // the verifier's tests break what the interface keeps whole
  [[nodiscard]] Origin origin_for(SourceLocation loc);
  Node* append(std::unique_ptr<Node> node);
  void check_operands(std::string_view op, std::string_view name, std::span<const Value> operands,
                      const Origin& origin) const;
  void check_body(const Node& region) const;
  void check_assign(const Node& target, const Origin& origin) const;
  std::string unique_name(std::string_view base);

  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<Fetch> fetches_;
  std::unordered_map<std::string, Node*> by_name_;
  std::unordered_map<std::string, Node*> assign_by_variable_;
  std::unordered_map<std::string, int> name_counts_;
  std::deque<std::string> interned_;
  std::unordered_map<std::string_view, std::string_view> intern_index_;
  std::string_view module_path_;
  SourceLocation outer_location_;
  std::optional<Origin> forced_origin_;
};

class Graph::ModuleScope {
 public:
  ModuleScope(Graph& graph, std::string_view component, SourceLocation loc);
  ~ModuleScope();
  ModuleScope(const ModuleScope&) = delete;
  ModuleScope& operator=(const ModuleScope&) = delete;

 private:
  Graph& graph_;
  std::string_view saved_path_;
  SourceLocation saved_location_;
};

class Graph::OriginScope {
 public:
  OriginScope(Graph& graph, const Origin& origin);
  ~OriginScope();
  OriginScope(const OriginScope&) = delete;
  OriginScope& operator=(const OriginScope&) = delete;

 private:
  Graph& graph_;
  std::optional<Origin> saved_;
};

/// A copy, Node by Node in the same order.
std::unique_ptr<Graph> clone_graph(const Graph& graph);

/// Throws with `note:` lines for the origin appended.
[[noreturn]] void throw_with_origin(Error error, const Origin& origin);

}  // namespace ingot
