// Layers and models: configurations that build Graphs.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ingot/ir/graph.h"

namespace ingot::nn {

/// One forward pass being built. Training and evaluation are different Graphs on the same
/// variables.
class ForwardContext {
 public:
  ForwardContext(Graph& graph, bool training) : graph_(graph), training_(training) {}

  [[nodiscard]] Graph& graph() noexcept { return graph_; }
  [[nodiscard]] bool training() const noexcept { return training_; }

  /// A variable named by the module path: "layer1.0.conv1" + ".weight".
  Value parameter(std::string_view name, const Shape& shape, const Initializer& init);
  Value buffer(std::string_view name, const TensorType& type, const Initializer& init);
  /// Random numbers depend on these, a stream and the element alone: "rng.seed" and "step",
  /// variables of type i64[].
  Value seed();
  Value step();
  /// A stream of random numbers of the current module, fixed by its path.
  [[nodiscard]] std::int64_t stream() const;

 private:
  Graph& graph_;
  bool training_;
};

/// A layer or model. Holds its configuration only; forward() may be called for any number of
/// Graphs. Errors in the configuration are thrown by the constructors, shape errors by forward(),
/// with the line that made the layer.
class Module {
 public:
  virtual ~Module() = default;
  virtual Value forward(ForwardContext& context, Value x) const = 0;
  /// Where the layer was made.
  [[nodiscard]] const SourceLocation& location() const noexcept { return location_; }

 protected:
  explicit Module(SourceLocation location) : location_(location) {}
  Module(const Module&) = default;
  Module(Module&&) = default;
  Module& operator=(const Module&) = default;
  Module& operator=(Module&&) = default;

 private:
  SourceLocation location_;
};

/// Runs `module` as the child `name` of the current module: its variables get that prefix.
Value run_child(ForwardContext& context, std::string_view name, const Module& module, Value x);

/// The trainable variables of a Graph, in the order in which they were made: what gradients() and
/// optim::apply_update() are given.
std::vector<Value> parameters(const Graph& graph);

/// Modules one after the other, named "0", "1", ... or as given.
class Sequential final : public Module {
 public:
  explicit Sequential(SourceLocation location = SourceLocation::current()) : Module(location) {}
  /// `Sequential(Conv2d(3, 8, 3), ReLU(), ...)`
  template <std::derived_from<Module>... Modules>
    requires(sizeof...(Modules) > 0)
  explicit Sequential(Modules... modules) : Module(SourceLocation{}) {
    (add(std::move(modules)), ...);
  }

  template <std::derived_from<Module> M>
  Sequential& add(M module) {
    return add(std::to_string(children_.size()), std::move(module));
  }
  template <std::derived_from<Module> M>
  Sequential& add(std::string name, M module) {
    children_.emplace_back(std::move(name), std::make_shared<const M>(std::move(module)));
    return *this;
  }

  Value forward(ForwardContext& context, Value x) const override;

 private:
  std::vector<std::pair<std::string, std::shared_ptr<const Module>>> children_;
};

}  // namespace ingot::nn
